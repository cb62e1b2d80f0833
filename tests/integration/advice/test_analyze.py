"""``analyze`` on real servers: every figure it prints is asked again another way."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from integration.advice.scene import (
    BROKER,
    FADING,
    LASTING,
    TABLE,
    loaded,
    prepare_cache,
    prepare_database,
    restore_cache,
)
from integration.cli.conftest import Console

POINTS = (100.0, 75.0, 40.0, 0.0)
WAITS = "setting could not be applied"  # until the restart
GIVEN = ("--detailed", "--interval", "3")


@pytest.fixture
async def scene(console: Console, database_dsn: str, valkey_url: str) -> AsyncIterator[Console]:
    await prepare_database(database_dsn)
    await prepare_cache(valkey_url)
    console.environ |= {"DATABASE_URL": database_dsn, "REDIS_URL": valkey_url}
    yield console
    await restore_cache(valkey_url)


async def _independent(dsn: str, url: str) -> dict[str, Any]:
    """Ask both servers and the kernel in other words than the console does."""
    connection, client = await asyncpg.connect(dsn), Redis.from_url(url)
    try:
        found = dict(
            await connection.fetchrow(
                "SELECT xact_commit AS commits, xact_rollback AS rollbacks, blks_read, blks_hit"
                " FROM pg_stat_database WHERE datname = current_database()"
            )
        )
        one = connection.fetchval
        found["sessions"] = await one("SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL")
        found["waited"] = await one("SELECT max(extract(epoch FROM now() - waitstart))::float8 FROM pg_locks")
        found["oldest"] = await one(
            "SELECT max(extract(epoch FROM now() - xact_start))::float8 FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid()"
        )
        found["dead"] = await one("SELECT pg_stat_get_dead_tuples($1::text::regclass)", TABLE)
        found["reltuples"] = await one("SELECT reltuples FROM pg_class WHERE oid = $1::text::regclass", TABLE)
        found["host"] = _host()
        found["xid_age"] = await one("SELECT max(age(datfrozenxid)) FROM pg_database")
        found["info"] = await client.info("everything")
    finally:
        await connection.close()
        await client.aclose()
    return found


def _points(limits: list[float], value: float) -> float:
    """Interpolate with falling limits mirrored; another way to write it than the console's."""
    pairs = list(zip(limits, POINTS, strict=True))
    if limits[0] > limits[-1]:
        pairs, value = [(-limit, score) for limit, score in pairs], -value
    worse = [pair for pair in pairs if pair[0] >= value]
    if value <= pairs[0][0]:
        return 100.0
    if not worse:
        return 0.0
    (high, low_points) = worse[0]
    (low, high_points) = [pair for pair in pairs if pair[0] < value][-1]
    return low_points + (high_points - low_points) * (high - value) / (high - low)


def _check_scores(found: dict[str, Any]) -> None:
    values = {score["area"]: score["value"] for score in found["scores"]}
    for area in ("database", "cache", "system"):
        known = [m for m in found["measures"] if m["area"] == area and m["value"] is not None]
        for measure in known:
            assert measure["score"] == pytest.approx(_points(measure["limits"], measure["value"]), abs=0.1), measure
        mean = sum(m["weight"] * m["score"] for m in known) / sum(m["weight"] for m in known)
        worst = min(m["score"] for m in known)
        assert values[area] == pytest.approx(min(mean, worst + 25) if worst < 75 else mean, abs=0.11), area
    areas = [values[area] for area in ("database", "cache", "system")]
    mean = sum(areas) / 3
    assert values["overall"] == pytest.approx(min(mean, min(areas) + 25) if min(areas) < 75 else mean, abs=0.11)
    by_id = {measure["id"]: measure["value"] for measure in found["measures"]}
    plain = {score["area"]: score["components"][0]["value"] for score in found["scores"]}
    system = 100 - 2 * max(0, by_id["system.cpu"] - 70) - 3 * max(0, by_id["system.memory"] - 80)
    assert plain["system"] == pytest.approx(max(0, system), abs=0.1)
    assert plain["database"] == pytest.approx(100 - 2 * max(0, 95 - by_id["database.hit_rate"]), abs=0.1)
    assert plain["cache"] == pytest.approx(by_id["cache.hit_rate"], abs=0.1)
    assert plain["overall"] == pytest.approx((plain["system"] + plain["database"] + plain["cache"]) / 3, abs=0.11)


def _check_measures(found: dict[str, Any], before: dict[str, Any], after: dict[str, Any], usable: int) -> None:
    grown = {name: after[name] - before[name] for name in ("commits", "rollbacks", "blks_read", "blks_hit")}
    old, info = before["info"], after["info"]
    hits = info["keyspace_hits"] - old["keyspace_hits"]
    misses = info["keyspace_misses"] - old["keyspace_misses"]
    disk = os.statvfs("/tmp")
    disk_used = 100 * (disk.f_blocks - disk.f_bfree) / (disk.f_blocks - disk.f_bfree + disk.f_bavail)
    memory = dict(re.findall(r"(\w+):\s+(\d+) kB", Path("/proc/meminfo").read_text()))
    load = os.getloadavg()[0] / os.cpu_count()
    limits = {
        "database.connections": (100 * (before["sessions"] - 3) / usable, 100 * (after["sessions"] + 4) / usable),
        "database.lock_wait": (before["waited"], after["waited"]),
        "database.transaction": (before["oldest"], after["oldest"]),
        "database.hit_rate": _about(100 * grown["blks_hit"] / (grown["blks_hit"] + grown["blks_read"]), 3),
        "database.rollbacks": _about(100 * grown["rollbacks"] / (grown["commits"] + grown["rollbacks"]), 4),
        "database.dead_rows": _about(after["dead"] / (50 + 0.2 * max(0, after["reltuples"])), 1e-6),
        "database.xid_age": (100 * before["xid_age"] / 2e8, 100 * after["xid_age"] / 2e8),
        "database.disk": _about(disk_used, 3),
        "cache.memory": _about(100 * info["used_memory"] / info["maxmemory"], 0.5),
        "cache.hit_rate": _about(100 * hits / (hits + misses), 3),
        "cache.broker_evictions": (0, 0),
        "cache.clients": _about(100 * info["connected_clients"] / info["maxclients"], 0.1),
        "cache.ping": (0.005, 1000 * found["interval_s"]),
        "cache.fragmentation": (1, 1),
        "cache.persistence": (1, 1),
        "system.cpu": _within(before["host"], after["host"], "busy", found["interval_s"]),
        "system.memory": _about(100 - 100 * int(memory["MemAvailable"]) / int(memory["MemTotal"]), 12),
        "system.load": _about(load, 0.2 * load + 1),
        "system.iowait": _within(before["host"], after["host"], "iowait", found["interval_s"]),
        "system.swap_in": (0, (after["host"]["swapped"] - before["host"]["swapped"]) / 1024**2 / 2.9),
    }
    values = {measure["id"]: measure["value"] for measure in found["measures"]}
    assert values.keys() == limits.keys()
    assert [name for name, value in values.items() if value is None] == [], found["unread"]
    for name, (low, high) in limits.items():
        assert low - 1e-3 <= values[name] <= high + 1e-3, (name, low, values[name], high)


def _host() -> dict[str, float]:
    """Return seconds of all cores since boot from /proc/stat, and bytes swapped in."""
    ticks = [int(text) / os.sysconf("SC_CLK_TCK") for text in Path("/proc/stat").read_text().split()[1:9]]
    pages = int(re.search(r"pswpin (\d+)", Path("/proc/vmstat").read_text())[1])
    return {
        "total": sum(ticks),
        "busy": sum(ticks) - ticks[3] - ticks[4],
        "iowait": ticks[4],
        "swapped": pages * os.sysconf("SC_PAGE_SIZE"),
    }


def _within(before: dict[str, float], after: dict[str, float], name: str, inner_s: float) -> tuple[float, float]:
    """Return what share an interval inside a longer one can have, given the longer one's."""
    part, whole = after[name] - before[name], after["total"] - before["total"]
    inside = min(whole, inner_s * os.cpu_count())
    return max(0, 100 * (part - (whole - inside)) / inside - 6), min(100, 100 * part / inside + 6)


def _about(value: float, margin: float) -> tuple[float, float]:
    return value - margin, value + margin


async def _check_findings(found: dict[str, Any], dsn: str, info: Mapping[str, Any]) -> None:
    connection = await asyncpg.connect(dsn)
    one = connection.fetchval
    machine = found["machine"]
    size = "SELECT pg_relation_size($1::text::regclass)"
    live, dead = await connection.fetchrow(
        "SELECT n_live_tup, n_dead_tup FROM pg_stat_user_tables WHERE relid = $1::text::regclass", TABLE
    )
    expected: dict[tuple[str, str], Any] = {
        # Of the whole server, which other tests have made write checkpoints.
        ("PG04", "requested"): await one("SELECT num_requested FROM pg_stat_checkpointer"),
        ("PG04", "timed"): await one("SELECT num_timed FROM pg_stat_checkpointer"),
        ("PG04", "since"): str(await one("SELECT stats_reset FROM pg_stat_checkpointer")),
        ("PG12", "dead rows"): dead, ("PG12", "live rows"): live, ("PG12", "tables affected"): 1,
        ("PG12", "of trigger"): pytest.approx(dead / (50 + 0.2 * max(0, await one(
            "SELECT reltuples FROM pg_class WHERE oid = $1::text::regclass", TABLE))), rel=1e-6),
        ("PG23", "dead rows"): dead, ("PG23", "live rows"): live,
        ("PG14", "live rows"): live, ("PG14", "changed since ANALYZE"): 34_000, ("PG14", "analyzed"): "never",
        ("PG14", "tables affected"): 1,
        ("PG15", "size"): await one(size, "weird_b"), ("PG15", "table"): TABLE,
        ("PG16", "size"): await one(size, "weird_a"), ("PG16", "covered by"): "public.weird_ab",
        ("PG16", "kind"): "left prefix",
        ("PG44", "server version"): connection.get_server_version().major,
        ("PG20", "shared_preload_libraries"): await one("SHOW shared_preload_libraries") or "empty",
        ("PG45", "workload"): "mixed",
        ("PG02", "worst case"): None,
        ("RD01", "broker keys"): BROKER, ("RD01", "maxmemory_policy"): info["maxmemory_policy"],
        ("RD02", "broker keys"): BROKER, ("RD02", "cache keys"): LASTING + FADING,
        ("RD06", "broker keys"): BROKER, ("RD06", "aof_enabled"): info["aof_enabled"],
        ("RD13", "latency-monitor-threshold"): "0",
        ("RD20", "oldest message in flight"): pytest.approx(time.time() - 1, abs=600),
        ("RD20", "messages in flight"): 1,
        ("RD17", "without TTL"): LASTING, ("RD17", "cache keys asked"): LASTING + FADING,
    }  # fmt: skip
    of_machine = {name: machine[name] for name in ("memory", "cores", "connections", "storage", "workload")}
    of_machine["database"] = await one("SELECT pg_database_size(current_database())")
    try:
        for finding in found["findings"]:
            assert finding["formula"]
            assert finding["fix"] or finding["advice"]
            for evidence in finding["evidence"]:
                name, value = evidence["name"], evidence["value"]
                key = finding["id"], name
                if name == finding["subject"] and finding["part"] == "postgresql":
                    assert value == await one(f"SHOW {name}") == finding["current"]
                elif key in expected:
                    assert value == expected[key], key
                elif name == "set by":
                    source = await one("SELECT source FROM pg_settings WHERE name = $1", finding["subject"])
                    assert value == source
                else:
                    assert (
                        value == pytest.approx(of_machine[name], rel=0.02)
                        if name == "database"
                        else (value == of_machine[name])
                    ), key
    finally:
        await connection.close()


def _check_machine(machine: dict[str, Any], info: Mapping[str, Any], most: int) -> None:
    total = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1]) * 1024
    cgroup = Path("/sys/fs/cgroup/memory.max")
    if cgroup.exists() and cgroup.read_text().strip().isdigit():
        total = min(total, int(cgroup.read_text()))
    assert machine["memory"] == total - info["maxmemory"]
    assert 1 <= machine["cores"] <= os.cpu_count()
    assert machine["connections"] == most


async def test_every_figure_is_what_the_servers_say(scene: Console, database_dsn: str, valkey_url: str) -> None:
    async with loaded(database_dsn, valkey_url):
        before = await _independent(database_dsn, valkey_url)
        began = time.monotonic()
        found = await asyncio.to_thread(scene.json, "analyze", *GIVEN)
        took_s = time.monotonic() - began
        after = await _independent(database_dsn, valkey_url)
        connection = await asyncpg.connect(database_dsn)
        most = int(await connection.fetchval("SHOW max_connections"))
        reserved = int(await connection.fetchval("SHOW superuser_reserved_connections"))
        biggest = {
            row["name"]: await connection.fetchval("SELECT pg_total_relation_size($1::text::regclass)", row["name"])
            for row in found["heavy"]
            if row["name"] == TABLE
        }
        await connection.close()
    assert 3 <= found["interval_s"] < took_s
    _check_measures(found, before, after, most - reserved)
    _check_scores(found)
    _check_machine(found["machine"], after["info"], most)
    ids = {(finding["id"], finding["subject"]) for finding in found["findings"]}
    assert {entry["what"] for entry in found["unread"]} <= {"costliest statements"}, found["unread"]
    assert {("PG12", TABLE), ("PG14", TABLE), ("PG15", "public.weird_b"), ("PG16", "public.weird_a")} <= ids
    assert {("PG23", TABLE), ("RD01", "maxmemory-policy"), ("RD17", "")} <= ids
    assert {row["name"]: row["figures"]["bytes"] for row in found["heavy"] if row["name"] in biggest} == biggest
    assert biggest
    severities = [finding["severity"] for finding in found["findings"]]
    assert severities == sorted(severities, key=["critical", "warning", "info"].index)
    await _check_findings(found, database_dsn, after["info"])


async def test_an_engine_gives_the_same_answer(scene: Console) -> None:
    alone = await asyncio.to_thread(scene.json, "analyze", "--interval", "0.3")
    scene.start("--headless")
    await asyncio.to_thread(scene.wait_for_engine)
    without = {**scene.environ}
    for name in ("DATABASE_URL", "REDIS_URL"):
        scene.environ.pop(name)  # only the engine knows where they are
    asked = await asyncio.to_thread(scene.json, "analyze", "--interval", "0.3")
    scene.environ = without
    assert asked["database"] == alone["database"]
    assert [f["id"] for f in asked["findings"]] == [f["id"] for f in alone["findings"]]
    assert [m["id"] for m in asked["measures"]] == [m["id"] for m in alone["measures"]]


async def test_files_are_private_and_never_overwritten_unasked(
    scene: Console, tmp_path: Path, database_dsn: str
) -> None:
    for suffix in (".json", ".md", ".sql"):
        file = tmp_path / f"advice{suffix}"
        arguments = ("analyze", "--interval", "0.2", "--memory", "16GB", "--cores", "4", "--export", str(file))
        assert (await asyncio.to_thread(scene.run, *arguments)).returncode == 0
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        first = file.read_bytes()
        refused = await asyncio.to_thread(scene.run, *arguments)
        assert refused.returncode == 1
        assert "--force" in refused.stderr
        assert file.read_bytes() == first
        assert (await asyncio.to_thread(scene.run, *arguments, "--force")).returncode == 0
    assert sorted(path.name for path in tmp_path.glob("*advice*")) == ["advice.json", "advice.md", "advice.sql"]
    assert json.loads((tmp_path / "advice.json").read_text())["machine"]["memory"] == 16 * 1024**3
    statements = [line for line in (tmp_path / "advice.sql").read_text().splitlines() if line and line[:2] != "--"]
    assert statements[-1] == "SELECT pg_reload_conf();"
    assert len(statements) > 3
    connection = await asyncpg.connect(database_dsn)
    try:
        for statement in statements[:-1]:
            assert statement.startswith("ALTER SYSTEM SET ")
            await connection.execute(statement)
        assert await connection.fetchval(f"SELECT count(*) FROM pg_file_settings WHERE error <> '{WAITS}'") == 0
        written = await connection.fetchval("SELECT setting FROM pg_file_settings WHERE name = 'effective_cache_size'")
        assert written == "12GB"
    finally:
        await connection.execute("ALTER SYSTEM RESET ALL")
        await connection.close()


async def test_a_role_without_rights_sees_less_and_says_what(scene: Console, database_dsn: str) -> None:
    connection = await asyncpg.connect(database_dsn)
    role = f"looker_{os.getpid()}"
    await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'looker'")
    try:
        own = re.sub(r"//[^@]*@", f"//{role}:looker@", database_dsn)
        async with loaded(database_dsn, scene.environ["REDIS_URL"]):
            scene.environ["DATABASE_URL"] = own
            found = await asyncio.to_thread(scene.json, "analyze", "--interval", "0.3")
        unread = {entry["what"] for entry in found["unread"]}
        assert {"queries and transactions of other roles", "where the data lies"} <= unread
        values = {measure["id"]: measure for measure in found["measures"]}
        assert values["database.transaction"]["value"] is None
        assert values["database.disk"]["value"] is None
        assert values["database.lock_wait"]["value"] > 0
        text = (await asyncio.to_thread(scene.run, "analyze", "--interval", "0.3")).stdout
        assert "could not be read:" in text
    finally:
        await connection.execute(f"DROP ROLE {role}")
        await connection.close()


def test_servers_that_are_down_score_nothing_and_are_named(console: Console) -> None:
    done = console.run(
        "analyze", "--interval", "0.2", "--json",
        DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/d", REDIS_URL="redis://:hunter2@127.0.0.1:1/0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert [score["value"] for score in found["scores"]][:2] == [0, 0]
    assert {entry["what"] for entry in found["unread"]} == {"database", "cache"}
    nothing = console.json("analyze", "--interval", "0.2")
    assert [score["value"] for score in nothing["scores"]][:2] == [None, None]
    assert nothing["scores"][0]["reasons"] == ["no database is configured"]
    assert nothing["scores"][3]["value"] == nothing["scores"][2]["value"]
    for bad in (("--memory", "soon"), ("--interval", "99"), ("--export", "advice.txt"), ("--export", "/no/such/a.md")):
        refused = console.run("analyze", *bad)
        assert (refused.returncode, refused.stdout) == (2, ""), bad
        assert len(refused.stderr.splitlines()) <= 2
