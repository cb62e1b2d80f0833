"""Every figure of the cache's panels against an independent reading of the same Valkey."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from qsuite_console import workers
from qsuite_console.cache.client import Cache
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings
from qsuite_console.metrics import cache_panels as panels
from qsuite_console.metrics.from_redis import RedisSource
from qsuite_console.model.cache import TTL_LABELS, KeyOrder
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.errors import InvalidParameters, NotFound
from qsuite_console.model.keys import escape, unescape
from qsuite_console.model.wire import pack_answer, unpack_answer

HOSTILE = b"evil\x1b[31m[bold]red[/bold]\n\x00\xff\\\xe2\x80\xae:1"


async def test_memory_says_what_info_says(services: workers.Services, other: Any) -> None:
    await other.mset({f"price:{n}": "x" * 100 for n in range(500)})
    await other.expire("price:1", 1000)
    answer = await panels.MemoryProbe(services).ask({})
    info = await other.info("everything")
    assert answer.server == f"Valkey {info['valkey_version']}"
    assert answer.memory.used == pytest.approx(info["used_memory"], rel=0.05)
    assert answer.memory.peak == pytest.approx(info["used_memory_peak"], rel=0.05)
    assert answer.memory.resident == pytest.approx(info["used_memory_rss"], rel=0.2)
    assert answer.memory.dataset == pytest.approx(info["used_memory_dataset"], rel=0.3)
    assert answer.memory.overhead == pytest.approx(info["used_memory_overhead"], rel=0.2)
    assert (answer.memory.limit, answer.memory.policy) == (256 * 1024**2, "allkeys-lru")
    assert answer.memory.host == info["total_system_memory"]
    assert answer.clients_limit == info["maxclients"]
    (space,) = answer.keyspaces
    assert (space.number, space.keys, space.expiring, space.is_ours) == (0, 500, 1, True)
    assert answer.replication.role == "primary"
    assert (answer.persistence.is_appending, answer.persistence.snapshots) == (False, "")
    assert answer.pings == 10
    assert answer.ping_p50_ms is not None
    assert answer.ping_p99_ms is not None
    assert 0 < answer.ping_p50_ms <= answer.ping_p99_ms
    assert answer.cost_ms > 0
    assert answer.unread == ()
    assert unpack_answer(pack_answer(answer)) == answer


async def test_rates_are_over_the_interval_and_without_the_consoles_own_lookups(
    services: workers.Services, other: Any
) -> None:
    await other.mset({f"price:{n}": "x" for n in range(300)})
    for _ in range(1000):
        await other.get("absent")  # long before: in no rate
    probe = panels.MemoryProbe(services)
    await probe.ask({})
    before = await other.info("stats")
    await panels.FamiliesProbe(services).ask({})
    await panels.KeysProbe(services).ask({"order": "scan"})
    await panels.KeyProbe(services).ask({"key": "price:1"})
    pipeline = other.pipeline(transaction=False)
    for n in range(400):
        pipeline.get(f"price:{n}")
    await pipeline.execute()
    await asyncio.sleep(0.3)
    answer = await probe.ask({})
    after = await other.info("stats")
    assert answer.flow.hit_rate == 75.0
    assert after["keyspace_hits"] - before["keyspace_hits"] > 500, "our own lookups are in the server's counters"
    assert answer.interval_s is not None
    assert answer.flow.lookups is not None
    assert answer.flow.commands is not None
    assert answer.flow.lookups * answer.interval_s == pytest.approx(400)
    commands = after["total_commands_processed"] - before["total_commands_processed"]
    assert answer.flow.commands * answer.interval_s == pytest.approx(commands, abs=20)
    assert answer.flow.evicted == 0


async def test_the_samplers_hit_rate_leaves_the_panels_lookups_out(services: workers.Services, other: Any) -> None:
    await other.mset({f"price:{n}": "x" for n in range(1000)})
    source = RedisSource(services.cache, services.clock)
    await source.read()
    pipeline = other.pipeline(transaction=False)
    for n in range(900, 1100):
        pipeline.get(f"price:{n}")
    await pipeline.execute()
    await panels.KeysProbe(services).ask({"order": "scan", "limit": 1000})
    sample = await source.read()
    assert sample.watched["redis.hit_rate"] == 50.0


async def test_families_of_a_small_database_are_exact(services: workers.Services, other: Any) -> None:
    pipeline = other.pipeline(transaction=False)
    for n in range(30):
        pipeline.set(f"price:S{n}", "x" * 200, ex=5)
        pipeline.hset(f":1:user:{n}", "a", "1")
        pipeline.set(f"celery-task-meta-{n:08x}-0000-4000-8000-000000000000", "done", ex=3600)
    pipeline.sadd("_kombu.binding.orders", b"\x06\x16\x06\x16orders")
    pipeline.lpush("orders", "a", "b")
    pipeline.lpush(b"orders\x06\x163", "c")
    pipeline.set(HOSTILE, "x")
    await pipeline.execute()
    answer = await panels.FamiliesProbe(services).ask({})
    assert (answer.is_whole, answer.total, answer.seen) == (True, await other.dbsize(), 94)
    found = {family.name: family for family in answer.families}
    assert found["price:*"].keys == 30
    assert found["price:*"].types == {"string": 30}
    assert found["price:*"].ttl[TTL_LABELS.index("≤ 10 s")] == 1.0
    sizes = [await other.memory_usage(f"price:S{n}") for n in range(30)]
    assert found["price:*"].size == pytest.approx(sum(sizes))
    assert found[":#:user:*"].ageless == 1.0
    assert found["celery-task-meta-*"].use == "results"
    assert found["_kombu.binding.orders"].use == "broker"
    assert found["orders"].use == "broker"
    assert found["orders\\x06\\x16#"].use == "broker"
    assert all(name.isprintable() for name in found)
    assert sum(answer.ttl) == pytest.approx(1.0)
    assert answer.ttl[0] == pytest.approx((30 + 1 + 2 + 1) / 94)


async def test_keys_come_page_by_page_each_once(services: workers.Services, other: Any) -> None:
    names = {f"k:{n}" for n in range(12_000)}
    await other.mset(dict.fromkeys(names, "v"))
    probe, seen, cursor, pages = panels.KeysProbe(services), [], "", 0
    while True:
        page = await probe.ask({"order": "scan", "cursor": cursor, "limit": 1000})
        seen += [key.name for key in page.keys]
        pages += 1
        cursor = page.cursor
        if not cursor:
            break
    assert set(seen) == names
    assert len(seen) < 1.01 * len(names)
    assert pages >= 8
    page = await probe.ask({"order": "scan", "pattern": "k:1199?", "limit": 1000})
    assert {key.name for key in page.keys} == {f"k:1199{n}" for n in range(10)}
    page = await probe.ask({"pattern": "1199"})
    assert {key.name for key in page.keys} == {"k:1199", "k:11199", *(f"k:1199{n}" for n in range(10))}, "contained"
    assert page.order is KeyOrder.BIGGEST


async def test_the_biggest_keys_lead_the_sample(services: workers.Services, other: Any) -> None:
    await other.mset({f"small:{n}": "v" for n in range(2000)})
    await other.set("big:string", "x" * 500_000)
    await other.rpush("big:list", *("y" * 100 for _ in range(2000)))
    await other.set("mid", "x" * 5000, ex=100)
    answer = await panels.KeysProbe(services).ask({})
    assert [key.name for key in answer.keys[:3]] == ["big:string", "big:list", "mid"]
    assert answer.keys[0].size == await other.memory_usage("big:string")
    assert (answer.keys[1].type, answer.keys[1].is_lasting) == ("list", True)
    assert answer.keys[2].ttl_s == pytest.approx(100, abs=5)
    assert (answer.is_whole, answer.sized, answer.total) == (True, 2003, 2003)


async def test_a_key_of_each_type_is_shown_safely(services: workers.Services, other: Any) -> None:
    probe = panels.KeyProbe(services)
    await other.set("json", json.dumps({"price": 1.5, "note": "a\x1b[31m"}), ex=60)
    detail = await probe.ask({"key": "json"})
    assert (detail.format, detail.type, detail.is_lasting) == ("JSON", "string", False)
    assert detail.lines[1].strip() == '"price": 1.5,'
    assert all(line.isprintable() for line in detail.lines)
    await other.set("long", b"z" * 1_000_000)
    detail = await probe.ask({"key": "long"})
    assert (detail.length, detail.preview) == (1_000_000, "first 16,384 of 1,000,000 bytes")
    assert sum(map(len, detail.lines)) <= 16_384
    await other.set("raw", bytes(range(256)))
    detail = await probe.ask({"key": "raw"})
    assert detail.format == "binary"
    assert unescape("".join(detail.lines)) == bytes(range(256))
    await other.set("pickled", b"\x80\x04\x95cos\nsystem\n(S'true'\ntR.")
    assert (await probe.ask({"key": "pickled"})).format == "pickle"
    await other.hset("hash", mapping={"a": "1", "b": "x" * 300_000})
    detail = await probe.ask({"key": "hash"})
    assert [(one.name, one.value[:40]) for one in detail.elements] == [
        ("a", "1"),
        ("b", "(300,000 bytes, not fetched)"),
    ]
    await other.rpush("list", *(f"i{n}" for n in range(120)))
    detail = await probe.ask({"key": "list"})
    assert (detail.length, len(detail.elements), detail.preview) == (120, 50, "first 50 of 120")
    await other.rpush("huge", *(b"x" * 400_000 for _ in range(3)))
    detail = await probe.ask({"key": "huge"})
    assert detail.elements == ()
    assert detail.preview.startswith("not fetched")
    await other.sadd("set", "x", "y")
    assert [one.value for one in (await probe.ask({"key": "set"})).elements] == ["x", "y"]
    await other.zadd("zset", {"low": 1, "high": 2.5})
    assert [(one.name, one.value) for one in (await probe.ask({"key": "zset"})).elements] == [
        ("1", "low"),
        ("2.5", "high"),
    ]
    await other.xadd("stream", {"f": "v"})
    detail = await probe.ask({"key": "stream"})
    assert (detail.elements[0].value, detail.preview) == ("f=v", "all 1")
    with pytest.raises(NotFound):
        await probe.ask({"key": "none"})
    with pytest.raises(InvalidParameters):
        await probe.ask({"key": "bad\\q"})


async def test_being_looked_at_makes_no_key_younger(services: workers.Services, other: Any) -> None:
    await other.set("old", "x")
    async with asyncio.timeout(20):
        while await other.object("idletime", "old") < 2:
            await asyncio.sleep(0.1)
    for _ in range(2):
        detail = await panels.KeyProbe(services).ask({"key": "old"})
        await panels.FamiliesProbe(services).ask({})
    assert detail.idle_s is not None
    assert detail.idle_s >= 2


async def test_a_hostile_name_is_harmless_and_still_exact(services: workers.Services, other: Any) -> None:
    await other.set(HOSTILE, "x")
    (key,) = (await panels.KeysProbe(services).ask({})).keys
    assert key.name.isprintable()
    assert unescape(key.name) == HOSTILE
    assert (await panels.KeyProbe(services).ask({"key": key.name})).name == escape(HOSTILE)


async def test_the_slow_log_hides_what_was_written(services: workers.Services, other: Any) -> None:
    await other.config_set("slowlog-log-slower-than", 0)
    await other.slowlog_reset()
    await other.set("session:1", "s3cret-value")
    await other.execute_command("KEYS", "price:*")
    await other.execute_command("LRANGE", "queue", 0, -1)
    await other.config_set("slowlog-log-slower-than", 60_000_000)  # no machine is as slow as that
    answer = await panels.SlowlogProbe(services).ask({})
    assert "s3cret" not in str(answer)
    calls = {call.command: call for call in answer.calls}
    assert calls["SET"].arguments == "session:1 (+1 hidden)"
    assert calls["SET"].problem == ""
    assert calls["KEYS"].arguments == "price:*"
    assert "SCAN" in calls["KEYS"].problem
    assert "pages" in calls["LRANGE"].problem
    assert (answer.threshold_ms, answer.most) == (60_000.0, 128)
    assert answer.length == await other.slowlog_len()
    assert [call.id for call in answer.calls] == [one["id"] for one in await other.slowlog_get(128)]
    await other.config_set("slowlog-log-slower-than", 10_000)


async def test_clients_are_listed_and_ours_are_marked(services: workers.Services, other: Any) -> None:
    await services.cache.ping()
    await other.ping()
    async with asyncio.timeout(30):
        while True:  # clients of the test before may just be leaving
            answer = await panels.ClientsProbe(services).ask({})
            listed = {int(one["id"]): one for one in await other.client_list()}
            ours = sorted(one.name for one in answer.clients if one.is_ours)
            if ours == ["qsuite-console", "qsuite-console/panels"] and {one.id for one in answer.clients} == set(
                listed
            ):
                break
    assert answer.total == len(listed)
    one = next(one for one in answer.clients if one.name == "test")
    assert (one.address, one.user, one.is_ours) == (listed[one.id]["addr"], "default", False)


async def test_commands_are_counted_over_the_interval(services: workers.Services, other: Any) -> None:
    for _ in range(50):
        await other.hget("h", "a")
    probe = panels.CommandsProbe(services)
    await probe.ask({})
    before = (await other.info("commandstats"))["cmdstat_get"]["calls"] if await other.get("x") else 0
    for _ in range(200):
        await other.get("x")
    await asyncio.sleep(0.3)
    answer = await probe.ask({})
    assert before == 0
    found = {one.name: one for one in answer.commands}
    assert answer.interval_s is not None
    assert found["GET"].calls * answer.interval_s == pytest.approx(201)
    assert found["GET"].mean_us is not None
    assert found["GET"].processor > 0
    assert "HGET" not in found, "it ran before the interval"


async def test_no_keys_command_and_small_scans_only(services: workers.Services, other: Any, valkey_url: str) -> None:
    await other.mset({f"k:{n}": "v" for n in range(3000)})
    watcher = Cache(CacheSettings(url=Secret(valkey_url)), application="watcher")
    sent: list[str] = []
    async with watcher.raw.monitor() as monitor:
        for probe in (panels.FamiliesProbe, panels.KeysProbe, panels.MemoryProbe, panels.CommandsProbe):
            await probe(services).ask({})
        await panels.KeysProbe(services).ask({"order": "scan", "pattern": "k:1*"})
        await panels.KeyProbe(services).ask({"key": "k:1"})
        await other.echo("the end")
        while not sent or "the end" not in sent[-1]:
            sent.append((await monitor.next_command())["command"])
    await watcher.close()
    scans = [line.split() for line in sent if line.startswith("SCAN")]
    assert len(scans) >= 3 * 5
    assert all(int(words[words.index("COUNT") + 1]) <= 500 for words in scans)
    forbidden = {"KEYS", "MONITOR", "DEBUG", "SMEMBERS", "HGETALL", "GET"}
    assert not forbidden & {line.split()[0] for line in sent}


async def test_nothing_is_read_where_there_is_nothing(services: workers.Services) -> None:
    assert (await panels.FamiliesProbe(services).ask({})).families == ()
    assert (await panels.KeysProbe(services).ask({})).keys == ()
    assert (await panels.KeysProbe(services).ask({"order": "scan"})).cursor == ""
    with pytest.raises(InvalidParameters):
        await panels.KeysProbe(services).ask({"cursor": "1; DROP"})
    assert (await panels.MemoryProbe(services).ask({})).at <= SystemClock().now()


async def test_advice_tells_broker_and_cache_apart_and_names_harmful_commands(
    services: workers.Services, other: Any
) -> None:
    probe = panels.AdviceProbe(services)
    await other.set("price:1", "x", ex=60)
    await other.slowlog_reset()
    answer = await probe.ask({})
    assert answer.use == "cached values"
    assert {one.id for one in answer.findings} <= {"RD03"}
    await other.sadd("_kombu.binding.orders", b"orders\x06\x16\x06\x16orders")
    await other.rpush("orders", "a")
    await other.rpush(b"orders\x06\x163", "b", "c")
    await other.config_set("slowlog-log-slower-than", 0)
    await other.execute_command("KEYS", "price:*")
    await other.config_set("slowlog-log-slower-than", 10_000)
    answer, until = await probe.ask({}), time.monotonic() + 20
    while not any(one.id == "RD20" for one in answer.findings) and time.monotonic() < until:
        answer = await probe.ask({})  # a busy server's survey ends at its time limit, before it has met every key
    assert answer.use == "queues of a broker and cached values"
    found = {(one.id, one.subject): one for one in answer.findings}
    assert {("RD01", "maxmemory-policy"), ("RD02", ""), ("RD14", "KEYS"), ("RD20", "queues")} <= set(found)
    assert found["RD20", "queues"].evidence[0].value == 3
    assert answer.findings[0].severity == "critical"
    await other.zadd("unacked_index", {"tag": (await other.time())[0] - 7200})
    await other.hset("unacked", "tag", "[]")
    (aged,) = [one for one in (await probe.ask({})).findings if one.id == "RD20"]
    assert aged.evidence[0].value == pytest.approx(7200, abs=10)
