"""Changes of Redis: proposed with what is there, refused when that no longer holds, exact whatever a key is named."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from integration.cache.conftest import as_user
from integration.cache.test_cache_panels import HOSTILE
from qsuite_console import operations, workers
from qsuite_console.cache.client import Cache
from qsuite_console.cache.errors import CacheUnauthorized
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings
from qsuite_console.engine.parameters import decode
from qsuite_console.model.errors import Conflict, InvalidParameters, NotFound
from qsuite_console.model.keys import escape
from qsuite_console.model.operations import Outcome, Proposal


class Operating:
    """Proposes and performs as the engine does: by name, with plain values."""

    def __init__(self, services: workers.Services) -> None:
        self._known = operations.load(services)

    async def propose(self, name: str, /, **parameters: Any) -> Proposal:
        operation = self._known[name]
        return await operation.propose(decode(operation.kind.parameters, parameters))

    async def perform(self, proposal: Proposal) -> Outcome:
        operation = self._known[proposal.operation]
        given = msgspec.json.decode(msgspec.json.encode(proposal.parameters))
        return await operation.perform(decode(operation.kind.parameters, given))


@pytest.fixture
def operating(services: workers.Services) -> Operating:
    return Operating(services)


async def test_a_key_is_deleted_and_no_other(operating: Operating, other: Any) -> None:
    await other.set("price:1", "x" * 100, ex=300)
    await other.set("price:11", "x")
    proposal = await operating.propose("cache.delete-key", key="price:1")
    assert proposal.lines[0] == "price:1"
    size = await other.memory_usage("price:1")
    assert proposal.lines[1].startswith(f"a string of 100 bytes · {size:,} bytes of memory · expires by itself in ")
    assert await other.exists("price:1") == 1, "a proposal changes nothing"
    outcome = await operating.perform(proposal)
    assert (outcome.is_done, outcome.message) == (True, "Key price:1 deleted: a string of 100 bytes")
    assert await other.keys("*") == [b"price:11"]
    assert (await other.info("commandstats"))["cmdstat_unlink"]["calls"] >= 1
    with pytest.raises(NotFound):
        await operating.perform(proposal)


@pytest.mark.parametrize("name", [HOSTILE, b"", b" ", b"a b", b"\\x41", b"caf\xc3\xa9", b"\xc3", bytes(range(256))])
async def test_a_name_of_odd_bytes_means_exactly_that_key(operating: Operating, other: Any, name: bytes) -> None:
    await other.mset({name: "x", b"A": "other", b"x41": "other"})
    if not name:
        with pytest.raises(InvalidParameters):
            await operating.propose("cache.delete-key", key="")
        return
    await operating.perform(await operating.propose("cache.delete-key", key=escape(name)))
    assert sorted(await other.keys("*")) == [b"A", b"x41"]


@pytest.mark.parametrize("change", ["longer", "type", "gone"])
async def test_a_key_that_changed_since_is_not_deleted(operating: Operating, other: Any, change: str) -> None:
    await other.rpush("queue", "a", "b")
    proposal = await operating.propose("cache.delete-key", key="queue")
    if change == "longer":
        await other.rpush("queue", "c")
    else:
        await other.delete("queue")
    if change == "type":
        await other.set("queue", "ab")
    with pytest.raises(NotFound if change == "gone" else Conflict):
        await operating.perform(proposal)
    assert await other.exists("queue") == (change != "gone")


async def test_a_key_that_is_written_all_the_time_is_deleted_whole_or_not_at_all(
    operating: Operating, other: Any
) -> None:
    await other.set("n", "1000000")
    proposal = await operating.propose("cache.delete-key", key="n")
    busy = True

    async def write() -> None:
        while busy:
            await other.incr("n")

    writing = asyncio.create_task(write())
    deleted = refused = 0
    for _ in range(30):
        try:
            await operating.perform(proposal)
            deleted += 1
            await other.set("n", "1000000")
        except (Conflict, NotFound):
            refused += 1
    busy = False
    await writing
    assert deleted + refused == 30
    assert await other.exists("n")


async def test_a_brokers_queue_is_called_what_it_is(operating: Operating, other: Any) -> None:
    await other.sadd("_kombu.binding.orders", b"orders\x06\x16\x06\x16orders")
    await other.rpush("orders", "task")
    proposal = await operating.propose("cache.delete-key", key="orders")
    assert "messages in it are lost" in " ".join(proposal.lines)
    plain = await operating.propose("cache.delete-key", key="_kombu.binding.orders")
    assert "broker" in " ".join(plain.lines)


async def test_the_slow_log_is_emptied(operating: Operating, other: Any) -> None:
    await other.slowlog_reset()
    with pytest.raises(Conflict):
        await operating.propose("cache.reset-slowlog")
    await other.config_set("slowlog-log-slower-than", 0)
    await other.ping()
    await other.config_set("slowlog-log-slower-than", 10_000)
    proposal = await operating.propose("cache.reset-slowlog")
    assert "entries are forgotten" in proposal.lines[0]
    assert (await operating.perform(proposal)).is_done
    assert await other.slowlog_len() == 0


async def test_a_client_is_closed_only_with_its_address(
    operating: Operating, services: workers.Services, other: Any, valkey_url: str
) -> None:
    victim = Cache(CacheSettings(url=Secret(valkey_url)), application="victim")
    await victim.ping()
    me = next(one for one in await other.client_list() if one["name"] == "victim")
    proposal = await operating.propose("cache.kill-client", id=int(me["id"]), address=me["addr"])
    assert "victim" in proposal.lines[0]
    with pytest.raises(Conflict):
        await operating.propose("cache.kill-client", id=int(me["id"]), address="127.0.0.1:1")
    reused = msgspec.structs.replace(proposal, parameters={**proposal.parameters, "address": "127.0.0.1:1"})
    with pytest.raises(Conflict):
        await operating.perform(reused)
    assert me["id"] in {one["id"] for one in await other.client_list()}
    assert (await operating.perform(proposal)).is_done
    await services.cache.ping()
    ours = next(one for one in await other.client_list() if one["name"] == "qsuite-console")
    assert me["id"] not in {one["id"] for one in await other.client_list()}
    with pytest.raises(Conflict, match="this console"):
        await operating.propose("cache.kill-client", id=int(ours["id"]), address=ours["addr"])
    with pytest.raises(NotFound):
        await operating.perform(proposal)
    await victim.close()


async def test_a_setting_is_applied_and_put_back(operating: Operating, other: Any) -> None:
    before = (await other.config_get("maxmemory-policy"))["maxmemory-policy"]
    proposal = await operating.propose("cache.apply-setting", name="maxmemory-policy", value="noeviction")
    assert proposal.lines[0] == f"now {before}"
    assert "lost at the next restart" in proposal.lines[-1]
    outcome = await operating.perform(proposal)
    assert outcome.figures == {"name": "maxmemory-policy", "before": before, "after": "noeviction"}
    assert (await other.config_get("maxmemory-policy"))["maxmemory-policy"] == "noeviction"
    with pytest.raises(Conflict, match="no longer"):
        await operating.perform(proposal)
    with pytest.raises(Conflict, match="already"):
        await operating.propose("cache.apply-setting", name="maxmemory-policy", value="noeviction")
    await operating.perform(await operating.propose("cache.apply-setting", name="maxmemory-policy", value=before))
    assert (await other.config_get("maxmemory-policy"))["maxmemory-policy"] == before


async def test_settings_that_hold_secrets_or_files_are_out_of_reach(operating: Operating, other: Any) -> None:
    for name in ("requirepass", "dir", "dbfilename", "masterauth", "aclfile", "no-such"):
        with pytest.raises(InvalidParameters, match="can be changed here"):
            await operating.propose("cache.apply-setting", name=name, value="x")
    proposal = await operating.propose("cache.apply-setting", name="maxmemory-policy", value="nonsense")
    with pytest.raises(InvalidParameters, match="refused"):
        await operating.perform(proposal)
    assert (await other.config_get("maxmemory-policy"))["maxmemory-policy"] == "allkeys-lru"


async def test_what_was_not_proposed_is_not_performed(services: workers.Services, other: Any) -> None:
    await other.set("k", "v")
    known = operations.load(services)
    for name, parameters in (
        ("cache.delete-key", {"key": "k"}),
        ("cache.kill-client", {"id": 1}),
        ("cache.apply-setting", {"name": "maxmemory", "value": "1gb"}),
    ):
        with pytest.raises(Conflict, match="not proposed"):
            await known[name].perform(decode(known[name].kind.parameters, parameters))
    assert await other.exists("k")


async def test_a_user_without_the_right_is_told_the_rule(
    valkey_url: str, other: Any, connect: Callable[[str], Any]
) -> None:
    await other.set("k", "v")
    rules = "+@read +@connection +@transaction +info +memory|usage -unlink ~*"
    await other.execute_command("ACL", "SETUSER", "looker", "reset", "on", ">pw", *rules.split())
    operating = Operating(await connect(as_user(valkey_url, "looker", "pw")))
    proposal = await operating.propose("cache.delete-key", key="k")
    with pytest.raises(CacheUnauthorized) as refused:
        await operating.perform(proposal)
    assert refused.value.hint == "ACL SETUSER looker +unlink"
    assert await other.exists("k")
    await other.execute_command("ACL", "DELUSER", "looker")
