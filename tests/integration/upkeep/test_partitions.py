"""Partitions: whole UTC months whatever the session's zone, strays moved without loss, retention at its limit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from fakes.backfill import FakeContext
from fakes.failing import fails_for_good, fails_for_now
from qsuite_console import workers
from qsuite_console.cache.client import Cache
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings, DatabaseSettings, Settings
from qsuite_console.db import partition_care as care
from qsuite_console.db.database import Database
from qsuite_console.db.panels import PanelReader
from qsuite_console.db.pooler import PoolerConsole
from qsuite_console.engine.parameters import decode
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.errors import InvalidParameters

NOW = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)  # in New York it is still the day before the clocks go back


class Clock:
    """Stands at NOW."""

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 1.0


@pytest.fixture
async def connection(empty_database_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    made = await asyncpg.connect(empty_database_dsn)
    await made.execute(
        """CREATE TABLE ticks (at timestamptz NOT NULL, x int) PARTITION BY RANGE (at);
           CREATE TABLE ticks_default PARTITION OF ticks DEFAULT;
           CREATE TABLE days (day date NOT NULL, x int) PARTITION BY RANGE (day);
           CREATE SCHEMA "Odd one";
           CREATE TABLE "Odd one"."plain table" (at timestamp NOT NULL) PARTITION BY RANGE (at);
           CREATE TABLE weekly (at timestamptz NOT NULL) PARTITION BY RANGE (at);
           CREATE TABLE weekly_1 PARTITION OF weekly FOR VALUES FROM ('2026-10-05 00:00+00') TO ('2026-10-12 00:00+00');
           CREATE TABLE kinds (kind text NOT NULL) PARTITION BY LIST (kind)"""
    )
    yield made
    await made.close()


@pytest.fixture
async def services(connection: asyncpg.Connection, empty_database_dsn: str) -> AsyncIterator[workers.Services]:
    settings = Settings(database=DatabaseSettings(dsn=Secret(empty_database_dsn), pool_min=0), cache=CacheSettings())
    database, cache, clock = Database(settings.database), Cache(settings.cache), SystemClock()
    panels, pooler = PanelReader(settings.database, clock), PoolerConsole(settings)
    yield workers.Services(
        settings=settings, clock=Clock(), database=database, cache=cache, provider=_nobody, panels=panels, pooler=pooler
    )
    for each in (panels, pooler, cache, database):
        await each.close()


def _nobody() -> Any:
    raise AssertionError("partitions ask no provider")


async def run(services: workers.Services, kind: str, context: FakeContext | None = None, **given: Any) -> Any:
    worker: Any = workers.load(kind, services)
    return await worker.run(context or FakeContext(), decode(worker.kind.parameters, given))


async def bounds(connection: asyncpg.Connection, table: str) -> list[str]:
    """Return the bounds as the server keeps them, shown in UTC."""
    await connection.execute("SET TIME ZONE 'UTC'")
    rows = await connection.fetch(
        "SELECT pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = $1::regclass ORDER BY 1",
        table,
    )
    return [row["bound"] for row in rows if row["bound"] != "DEFAULT"]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Auckland", "Asia/Kolkata"])
async def test_bounds_are_utc_months_in_every_zone_and_over_a_change_of_clocks(
    connection: asyncpg.Connection, zone: str
) -> None:
    await connection.execute(f"SET TIME ZONE '{zone}'")
    for _ in range(2):
        for root in await care.read_roots(connection):
            parts = await care.read_parts(connection, root)
            if all(part.is_month for part in parts):
                for month in care.missing_months(parts, NOW, 2):
                    assert await care.create_month(connection, root, month) == (
                        f"{root.schema}.{root.name}_p{month:%Y%m}", "",
                    )  # fmt: skip
    expected = [("2026-10-01", "2026-11-01"), ("2026-11-01", "2026-12-01"), ("2026-12-01", "2027-01-01")]
    assert await bounds(connection, "ticks") == [
        f"FOR VALUES FROM ('{low} 00:00:00+00') TO ('{high} 00:00:00+00')" for low, high in expected
    ]
    assert await bounds(connection, "days") == [f"FOR VALUES FROM ('{low}') TO ('{high}')" for low, high in expected]
    assert await bounds(connection, '"Odd one"."plain table"') == [
        f"FOR VALUES FROM ('{low} 00:00:00') TO ('{high} 00:00:00')" for low, high in expected
    ]
    assert len(await bounds(connection, "weekly")) == 1


async def test_a_run_makes_what_is_missing_once_and_leaves_other_schemes_alone(
    services: workers.Services, connection: asyncpg.Connection
) -> None:
    worker: Any = workers.load("partitions", services)
    plan = await worker.plan(decode(worker.kind.parameters, {}))
    assert plan.figures == {"missing": 12, "strays": 0}
    assert [line.value for line in plan.lines if line.label == "public.ticks"] == ["2026-10, 2026-11, 2026-12, 2027-01"]
    assert plan.warnings == ("public.weekly is left as it is: weekly_1 is no whole UTC month",)
    assert (await run(services, "partitions"))["created"] == 12
    assert (await run(services, "partitions"))["created"] == 0
    assert (await worker.plan(decode(worker.kind.parameters, {}))).is_noop
    result = await run(services, "partitions", table="ticks", months_ahead=4)
    assert result["tables"][0]["created"] == ["public.ticks_p202702"]
    with pytest.raises(InvalidParameters, match="is not partitioned by a range of time; there are: Odd one"):
        await worker.plan(decode(worker.kind.parameters, {"table": "kinds"}))
    with fails_for_good("kinds is not partitioned"):
        await run(services, "partitions", table="kinds")


async def test_strays_are_told_and_moved_without_loss(
    services: workers.Services, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        "INSERT INTO ticks SELECT timestamptz '2026-10-31 12:00+00' + n * interval '1 hour', n "
        "FROM generate_series(1, 48) n"
    )
    before = await connection.fetch("SELECT * FROM ticks ORDER BY at")
    result = await run(services, "partitions", table="ticks", months_ahead=1)
    assert (result["created"], result["strays"]) == (0, 48)
    assert result["tables"][0]["warnings"][:2] == [
        "public.ticks: the default partition holds rows of 2026-10",
        "public.ticks: the default partition holds rows of 2026-11",
    ]
    result = await run(services, "partitions", table="ticks", months_ahead=1, move_strays=True)
    assert (result["moved"], result["strays"]) == (48, 0)
    assert await connection.fetch("SELECT * FROM ticks ORDER BY at") == before
    assert await connection.fetchval("SELECT count(*) FROM ticks_default") == 0
    assert await connection.fetchval("SELECT count(*) FROM ticks_p202610") == 11
    await connection.execute("INSERT INTO ticks VALUES ('2031-01-01 00:00+00', 1)")
    assert await connection.fetchval("SELECT count(*) FROM ticks_default") == 1, "the default is back in its place"


async def test_a_table_that_is_locked_is_waited_for_and_then_tried_later(
    services: workers.Services, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(care, "LOCK_TIMEOUT", "50ms")
    async with connection.transaction():
        await connection.execute("LOCK TABLE ticks IN SHARE MODE")
        with fails_for_now():
            await run(services, "partitions", table="ticks")
    assert (await run(services, "partitions", table="ticks"))["created"] == 4


@pytest.mark.parametrize("removal", ["detach", "drop"])
async def test_retention_takes_whole_months_beyond_its_limit(
    services: workers.Services, connection: asyncpg.Connection, removal: str
) -> None:
    root = next(root for root in await care.read_roots(connection) if root.name == "ticks")
    for month in range(1, 11):
        await care.create_month(connection, root, date(2026, month, 1))
    await connection.execute(
        "INSERT INTO ticks SELECT t, 1 FROM generate_series(timestamptz '2026-01-01 00:00+00', '2026-10-30', '1 day') t"
    )
    worker: Any = workers.load("retention", services)
    given = {"table": "ticks", "keep_months": 6, "removal": removal}
    plan = await worker.plan(decode(worker.kind.parameters, given))
    assert plan.figures["partitions"] == ["ticks_p202601", "ticks_p202602", "ticks_p202603"]
    assert ("gone for good" in plan.warnings[0]) == (removal == "drop")
    result = await run(services, "retention", **given)
    assert [(each["month"], each["rows"]) for each in result["removed"]] == [
        ("2026-01", 31), ("2026-02", 28), ("2026-03", 31),
    ]  # fmt: skip
    assert await connection.fetchval("SELECT min(at) FROM ticks") == datetime(2026, 4, 1, tzinfo=UTC)
    kept = await connection.fetchval("SELECT to_regclass('ticks_p202602') IS NOT NULL")
    assert kept == (removal == "detach")
    assert (await run(services, "retention", **given))["removed"] == []
    assert (await worker.plan(decode(worker.kind.parameters, given))).is_noop


async def test_a_plan_of_retention_counts_one_as_one_and_names_a_missing_right(
    services: workers.Services, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root,) = [root for root in await care.read_roots(connection) if root.name == "ticks"]
    await care.create_month(connection, root, date(2026, 1, 1))
    worker: Any = workers.load("retention", services)
    given = decode(worker.kind.parameters, {"table": "ticks", "keep_months": 6})
    assert (await worker.plan(given)).warnings == ("1 partition is detached: each stays as a table of its own",)

    async def read_as_another(_: asyncpg.Connection) -> list[care.Root]:
        return [replace(root, may=False)]

    monkeypatch.setattr(care, "read_roots", read_as_another)
    assert (await worker.plan(given)).warnings[1:] == (
        "public.ticks: the role may not change it; run this as its owner",
    )
    worker = workers.load("partitions", services)
    plan = await worker.plan(decode(worker.kind.parameters, {"table": "ticks"}))
    assert plan.warnings == ("public.ticks: the role may not change it; run this as its owner",)


async def test_months_are_counted_in_utc(services: workers.Services) -> None:
    assert care.next_month(NOW + timedelta(hours=1)) == datetime(2026, 12, 1, tzinfo=UTC)
    assert care.next_month(NOW, -10) == datetime(2025, 12, 1, tzinfo=UTC)
    part = care.Part(oid=1, schema="s", name="p", rows=0, low=care.month_of(NOW), high=care.next_month(NOW))
    assert part.is_month
    assert not replace(part, low=None).is_month
    assert not replace(part, high=NOW).is_month
