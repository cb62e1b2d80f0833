"""Users with fewer rights: what they may not read is named with the rule that allows it, the rest is shown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from integration.cache.conftest import as_user
from qsuite_console.metrics import cache_panels as panels


@asynccontextmanager
async def limited(url: str, other: Any, *rules: str) -> AsyncIterator[str]:
    await other.execute_command("ACL", "SETUSER", "looker", "reset", "on", ">pw", *rules)
    yield as_user(url, "looker", "pw")
    await other.execute_command("ACL", "DELUSER", "looker")


async def test_a_user_without_rights_is_told_which_rule_is_missing(
    valkey_url: str, other: Any, connect: Callable[[str], Any]
) -> None:
    await other.set("price:1", "x")
    async with limited(valkey_url, other, "+ping", "+info", "+dbsize", "+scan", "%R~price:*") as url:
        services = await connect(url)
        memory = await panels.MemoryProbe(services).ask({})
        assert memory.memory.used
        said = {one.what: (one.why, one.hint) for one in memory.unread}
        assert said["latency events"] == (
            "the user looker may not run LATENCY LATEST",
            "ACL SETUSER looker +latency|latest",
        )
        assert said["settings (CONFIG GET)"][1] == "ACL SETUSER looker +config|get"
        slow = await panels.SlowlogProbe(services).ask({})
        assert slow.calls == ()
        assert slow.unread[0].hint == "ACL SETUSER looker +slowlog|get"
        clients = await panels.ClientsProbe(services).ask({})
        assert clients.unread[0].hint == "ACL SETUSER looker +client|list"
        families = await panels.FamiliesProbe(services).ask({})
        assert families.total == 1
        assert {one.hint for one in families.unread} == {
            f"ACL SETUSER looker +{rule}" for rule in ("type", "pttl", "memory|usage")
        }
        assert families.ttl == (), "an unknown life is not an endless one"


async def test_the_user_of_the_manual_reads_everything(
    valkey_url: str, other: Any, connect: Callable[[str], Any]
) -> None:
    manual = (Path(__file__).parents[3] / "docs" / "operating.md").read_text()
    rules = manual.partition("ACL SETUSER console on >secret")[2].partition("```")[0].split()
    assert len(rules) > 30
    await other.set("string", "x", ex=100)
    await other.hset("hash", "a", "1")
    await other.rpush("list", "a")
    await other.sadd("set", "a")
    await other.zadd("zset", {"a": 1})
    await other.xadd("stream", {"a": "1"})
    async with limited(valkey_url, other, *rules) as url:
        services = await connect(url)
        for probe in (
            panels.MemoryProbe, panels.FamiliesProbe, panels.KeysProbe, panels.SlowlogProbe, panels.ClientsProbe,
            panels.CommandsProbe, panels.AdviceProbe,
        ):  # fmt: skip
            assert (await probe(services).ask({})).unread == (), probe.name
        for key in ("string", "hash", "list", "set", "zset", "stream"):
            detail = await panels.KeyProbe(services).ask({"key": key})
            assert detail.unread == ()
            assert detail.lines or detail.elements, key


async def test_a_user_who_may_read_some_keys_is_told_of_the_others(
    valkey_url: str, other: Any, connect: Callable[[str], Any]
) -> None:
    await other.mset({"price:1": "x", "secret:1": "y"})
    rules = ("+ping", "+info", "+dbsize", "+scan", "+type", "+pttl", "+memory|usage", "%R~price:*")
    async with limited(valkey_url, other, *rules) as url:
        services = await connect(url)
        page = await panels.KeysProbe(services).ask({"order": "scan"})
        assert {key.name: key.type for key in page.keys} == {"price:1": "string", "secret:1": ""}
        assert page.unread[0].why == "the user looker may not read that key"
