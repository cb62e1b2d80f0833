"""The rest of ``analyze --json``: what it recommends, why it scores so, the biggest tables, the pooler; asked again."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from fakes.pooler import NEW, RecordedPooler
from integration.advice.scene import TABLE, loaded, prepare_cache, prepare_database, restore_cache
from integration.cli.conftest import Console

GIVEN = ("--interval", "0.5", "--memory", "16GB", "--cores", "4", "--storage", "ssd", "--workload", "oltp")
# 16 GB, 4 cores, 100 connections, SSD, OLTP, PostgreSQL 18, worked out from the published formulas by hand
REASON = re.compile(
    r"(?P<title>.+): (?P<value>[\d,.]+) ?(?P<unit>.*) \(good is (?P<good>[\d.]+), scores (?P<score>\d+)\)"
)
RECOMMENDED = {
    "shared_buffers": "4GB",
    "effective_cache_size": "12GB",
    "work_mem": "38836kB",  # (16 GB - 4 GB) / ((100 + 8) x 3)
    "maintenance_work_mem": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "random_page_cost": "1.1",
    "effective_io_concurrency": "16",
    "max_worker_processes": "8",
    "max_parallel_workers": "4",
    "max_parallel_workers_per_gather": "2",
    "max_parallel_maintenance_workers": "2",
    "max_locks_per_transaction": "64",
    "io_workers": "3",
    "jit": "off",
    "fsync": "on",
    "full_page_writes": "on",
    "wal_compression": "on",
}


@pytest.fixture
async def scene(console: Console, database_dsn: str, valkey_url: str) -> AsyncIterator[Console]:
    await prepare_database(database_dsn)
    await prepare_cache(valkey_url)
    console.environ |= {"DATABASE_URL": database_dsn, "REDIS_URL": valkey_url}
    yield console
    await restore_cache(valkey_url)


async def analyze(console: Console, *arguments: str) -> dict[str, Any]:
    return await asyncio.to_thread(console.json, "analyze", *arguments)


async def test_what_is_recommended_is_what_the_formulas_give(scene: Console, database_dsn: str) -> None:
    found = await analyze(scene, *GIVEN, "--connections", "100")
    advised = {
        one["subject"]: one
        for one in found["findings"]
        if one["part"] == "postgresql" and one["fix"].startswith("ALTER SYSTEM SET") and one["current"]
    }
    assert {"shared_buffers", "effective_cache_size", "maintenance_work_mem", "random_page_cost"} <= advised.keys()
    connection = await asyncpg.connect(database_dsn)
    try:
        for name, finding in advised.items():
            assert finding["recommended"] == RECOMMENDED[name], name
            assert finding["current"] == await connection.fetchval("SELECT current_setting($1)", name)
            context = await connection.fetchval("SELECT context FROM pg_settings WHERE name = $1", name)
            assert finding["effect"] == ("restart" if context == "postmaster" else "reload")
            statement = await connection.fetchval(
                "SELECT format('ALTER SYSTEM SET \"%s\" = %L;', $1::text, $2::text)", name, RECOMMENDED[name]
            )
            assert finding["fix"] == statement
    finally:
        await connection.close()


async def test_sizes_that_are_not_advised_are_near_their_formulas(scene: Console, database_dsn: str) -> None:
    """Silence is an answer too: what no finding speaks of is at most twice off, or what the formula says."""
    found = await analyze(scene, *GIVEN, "--connections", "100")
    silent = RECOMMENDED.keys() - {one["subject"] for one in found["findings"]}
    assert silent
    connection = await asyncpg.connect(database_dsn)
    try:
        for name in silent:
            number = "SELECT pg_size_bytes(current_setting($1))"
            if re.fullmatch(r"\d+(kB|MB|GB)", RECOMMENDED[name]):
                now = await connection.fetchval(number, name)
                wanted = await connection.fetchval("SELECT pg_size_bytes($1)", RECOMMENDED[name])
                assert wanted / 2 <= now <= wanted * 2, name
            else:
                now = await connection.fetchval("SELECT current_setting($1)", name)
                units = {"15min": 900.0, "5min": 300.0}
                words = {"on", "off"}
                if now in words:
                    assert now == RECOMMENDED[name], name
                else:
                    numbers = [units.get(text) or float(text) for text in (now, RECOMMENDED[name])]
                    assert max(numbers) <= 2 * min(numbers), name
    finally:
        await connection.close()


async def test_reasons_are_the_measures_that_cost_points_worst_first(
    scene: Console, database_dsn: str, valkey_url: str
) -> None:
    async with loaded(database_dsn, valkey_url):
        found = await analyze(scene, "--interval", "1")
        text = (await asyncio.to_thread(scene.run, "analyze", "--interval", "0.5", "--detailed")).stdout
    areas = {score["area"]: score for score in found["scores"]}
    for area in ("database", "cache", "system"):
        measures = [one for one in found["measures"] if one["area"] == area]
        lost = sorted((one for one in measures if one["score"] is not None and one["score"] < 100), key=_score)
        missing = [one for one in measures if one["score"] is None]
        told = list(areas[area]["reasons"])
        assert len(told) == len(lost) + len(missing)
        for reason, measure in zip(told, lost, strict=False):
            pattern = (
                r"(?P<title>.+): (?P<value>[\d,.]+) ?(?P<unit>.*) \(good is (?P<good>[\d.]+), scores (?P<score>\d+)\)"
            )
            match = re.fullmatch(pattern, reason)
            assert match is not None, reason
            assert (match["title"], match["unit"]) == (measure["title"], measure["unit"])
            assert float(match["value"].replace(",", "")) == pytest.approx(measure["value"], abs=0.051)
            assert float(match["good"]) == measure["limits"][0]
            assert float(match["score"]) == pytest.approx(measure["score"], abs=0.51)
        assert [reason.startswith("not measured: ") for reason in told[len(lost) :]] == [True] * len(missing)
        known = sum(one["weight"] for one in measures if one["score"] is not None)
        assert areas[area]["known"] == pytest.approx(known / sum(one["weight"] for one in measures), abs=0.001)
    overall = areas["overall"]
    for area in ("database", "cache", "system"):
        value = areas[area]["value"]
        assert (f"{area} has {value:.0f}" in overall["reasons"]) == (value < 100)
    for area in areas:
        assert re.search(rf"^{area} +\d+ \[[#.]{{20}}\]$", text, re.MULTILINE), text
    assert "(good is " in text


def _score(measure: dict[str, Any]) -> float:
    return float(measure["score"])


async def test_the_biggest_tables_are_as_big_as_the_server_says(scene: Console, database_dsn: str) -> None:
    found = await analyze(scene, "--interval", "0.2", "--detailed")
    tables = [one for one in found["heavy"] if one["kind"] == "table"]
    assert TABLE in {one["name"] for one in tables}
    assert [one["figures"]["bytes"] for one in tables] == sorted(
        (one["figures"]["bytes"] for one in tables), reverse=True
    )
    connection = await asyncpg.connect(database_dsn)
    tree = (
        "SELECT sum(pg_total_relation_size(oid)), sum(greatest(reltuples, 0)) FROM pg_class"
        " WHERE oid = $1::text::regclass OR oid IN (SELECT relid FROM pg_partition_tree($1::text::regclass))"
    )
    try:
        for table in tables:
            size, rows = await connection.fetchrow(tree, table["name"])
            assert (table["figures"]["bytes"], table["figures"]["rows"]) == (size, rows), table["name"]
    finally:
        await connection.close()


async def test_the_pooler_is_part_of_it(scene: Console, database_dsn: str) -> None:
    connection = await asyncpg.connect(database_dsn)
    most = int(await connection.fetchval("SHOW max_connections"))
    reserved = int(await connection.fetchval("SHOW superuser_reserved_connections"))
    await connection.close()
    async with RecordedPooler(dict(NEW)).serving() as pooler:
        scene.environ["PGBOUNCER_ADMIN_URL"] = pooler.url
        found = await analyze(scene, "--interval", "0.2")
        findings = {one["id"]: one for one in found["findings"] if one["part"] == "pgbouncer"}
    evidence = {rule: {one["name"]: one["value"] for one in finding["evidence"]} for rule, finding in findings.items()}
    assert findings.keys() == {"PB02", "PB03"}
    assert evidence["PB02"] == {"version": "1.24.1", "pool_mode": "transaction", "max_prepared_statements": "0"}
    assert evidence["PB03"] == {
        "pool": "market/loader", "waiting": 2, "longest wait": 3.5, "servers at work": 2, "pool size": 2,
    }  # fmt: skip
    assert findings["PB03"]["recommended"] == str(int(0.8 * (most - reserved)))
    assert "s@cret" not in json.dumps(found)
    down = await analyze(scene, "--interval", "0.2")  # the pooler is gone by now
    (unread,) = [one for one in down["unread"] if one["what"] == "pooler"]
    assert "nothing listens there" in unread["why"]
    assert {one["part"] for one in down["findings"]} >= {"postgresql", "redis"}


async def test_the_advice_is_also_lines_of_postgresql_conf(
    scene: Console, database_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The server itself reads the file: as an included one it holds no line it does not understand."""
    file = tmp_path_factory.mktemp("conf") / "advice.conf"
    await asyncio.to_thread(scene.run, "analyze", *GIVEN, "--export", str(file))
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    assert "effective_cache_size = 12GB" in lines
    connection = await asyncpg.connect(database_dsn)
    try:
        for line in lines:
            name, _, value = line.partition("   #")[0].partition(" = ")
            unquoted = value.strip("'").replace("''", "'")
            await connection.execute(
                await connection.fetchval(
                    "SELECT format('ALTER SYSTEM SET %I = %L', $1::text, $2::text)", name, unquoted
                )
            )
        wrong = (
            "SELECT count(*) FROM pg_file_settings WHERE error IS NOT NULL AND error NOT LIKE '%could not be applied'"
        )
        assert await connection.fetchval(wrong) == 0
    finally:
        await connection.execute("ALTER SYSTEM RESET ALL")
        await connection.close()
