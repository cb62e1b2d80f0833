"""The job of partitions, run twice, over both changes of the clocks, in sessions that live in another time zone.

Through a pooler a session keeps the zone and date style of the database; there the bounds must be the same UTC months.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import asyncpg
import pytest

from fakes.backfill import FakeContext, make_settings, open_services
from qsuite_console import workers
from qsuite_console.config.settings import DatabaseSettings
from qsuite_console.engine.parameters import decode
from qsuite_console.model.clock import SystemClock

NOWHERE = dict.fromkeys(
    ("APCA_API_DATA_URL", "APCA_API_BASE_URL", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY"), "http://127.0.0.1:1"
)
TABLES = ("price_ticks", "task_runs_partitioned", "days", "plain")
INSTANTS = {  # in New York: the last second before a change of clocks and the first after it
    "spring": ("2027-03-14T06:59:59+00:00", "2027-03-14T07:00:01+00:00"),
    "autumn": ("2026-11-01T03:30:00+00:00", "2026-11-01T06:00:01+00:00"),  # from the last hours of October there
    "new year": ("2027-01-01T00:00:00+00:00", "2027-01-01T05:30:00+00:00"),
}


class Clock(SystemClock):
    """Stands where it is set."""

    at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


async def bounds(connection: asyncpg.Connection, table: str) -> list[str]:
    rows = await connection.fetch(
        "SELECT pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = $1::regclass ORDER BY 1",
        table,
    )
    return [row["bound"] for row in rows if row["bound"] != "DEFAULT"]


def wanted(table: str, first: datetime, count: int) -> list[str]:
    tail = {"days": "", "plain": " 00:00:00"}.get(table, " 00:00:00+00")
    index = first.year * 12 + first.month - 1
    firsts = [f"{(index + n) // 12}-{(index + n) % 12 + 1:02d}-01{tail}" for n in range(count + 1)]
    return sorted(f"FOR VALUES FROM ('{low}') TO ('{high}')" for low, high in pairwise(firsts))


@pytest.mark.parametrize("style", ["ISO, MDY", "SQL, DMY", "Postgres, MDY"])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
async def test_two_runs_make_the_same_utc_months_in_every_zone(empty_database_dsn: str, zone: str, style: str) -> None:
    connection = await asyncpg.connect(empty_database_dsn)
    name = await connection.fetchval("SELECT current_database()")
    for table, kind in zip(TABLES, ("timestamptz", "timestamptz", "date", "timestamp"), strict=True):
        await connection.execute(f"CREATE TABLE {table} (at {kind} NOT NULL, x int) PARTITION BY RANGE (at)")
    await connection.execute("CREATE TABLE price_ticks_default PARTITION OF price_ticks DEFAULT")
    await connection.execute(
        f"ALTER DATABASE {name} SET timezone = '{zone}'; ALTER DATABASE {name} SET datestyle = '{style}'"
    )
    clock = Clock()
    base = make_settings(empty_database_dsn, NOWHERE)
    settings = replace(base, database=DatabaseSettings(dsn=base.database.dsn, pool_min=0, pgbouncer=True))
    await connection.execute("SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'")
    async with open_services(settings, clock) as services:
        async with services.database.session("test") as session:
            assert await session.fetchval("SHOW timezone") == zone, "the job's own sessions live there"
            assert await session.fetchval("SHOW datestyle") == style
        worker: Any = workers.load("partitions", services)
        given = decode(worker.kind.parameters, {"months_ahead": 13})
        for before, after in INSTANTS.values():
            clock.at = datetime.fromisoformat(before)
            first = clock.at
            await worker.run(FakeContext(), given)
            made = {table: await bounds(connection, table) for table in TABLES}
            clock.at = datetime.fromisoformat(after)
            assert (await worker.plan(given)).is_noop
            again = await worker.run(FakeContext(), given)
            assert (again["created"], [table["warnings"] for table in again["tables"]]) == (0, [[], [], [], []])
            assert {table: await bounds(connection, table) for table in TABLES} == made
            for table in TABLES:
                assert set(wanted(table, first, 14)) <= set(made[table])
                assert set(made[table]) <= set(wanted(table, datetime(2026, 11, 1, tzinfo=UTC), 18))
    rows = "INSERT INTO price_ticks SELECT t, 1 FROM generate_series($1::timestamptz, $2, interval '30 minutes') t"
    ends = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 12, 31, 23, 59, tzinfo=UTC))
    await connection.execute(rows, *ends)
    assert await connection.fetchval("SELECT count(*) FROM price_ticks_default") == 0, "no instant between two months"
    await connection.close()


async def test_a_month_that_went_before_it_could_be_told_is_told_by_the_next_attempt(empty_database_dsn: str) -> None:
    connection = await asyncpg.connect(empty_database_dsn)
    await connection.execute("CREATE TABLE ticks (at timestamptz NOT NULL) PARTITION BY RANGE (at)")
    clock, context = Clock(), FakeContext()
    clock.at = datetime(2026, 6, 15, tzinfo=UTC)
    for month in (1, 2, 3):
        await connection.execute(
            f"CREATE TABLE ticks_{month} PARTITION OF ticks FOR VALUES FROM ('2026-0{month}-01 00:00+00') "
            f"TO ('2026-0{month + 1}-01 00:00+00')"
        )
        await connection.execute(f"INSERT INTO ticks VALUES ('2026-0{month}-10 00:00+00')")

    async def lose(checkpoint: Any) -> None:
        if "going" not in checkpoint and len(checkpoint["removed"]) == 2:
            raise ConnectionResetError("cut between the commit and the note of it")
        await FakeContext.save(context, checkpoint)

    async with open_services(make_settings(empty_database_dsn, NOWHERE), clock) as services:
        worker: Any = workers.load("retention", services)
        given = decode(worker.kind.parameters, {"table": "ticks", "keep_months": 1, "removal": "drop"})
        context.save = lose  # type: ignore[method-assign]
        with pytest.raises(ConnectionResetError):
            await worker.run(context, given)
        assert await connection.fetchval("SELECT count(*) FROM ticks") == 1
        result = await worker.run(FakeContext(checkpoint=context.checkpoint), given)
    assert [(each["partition"], each["rows"]) for each in result["removed"]] == [
        ("ticks_1", 1),
        ("ticks_2", 1),
        ("ticks_3", 1),
    ]
    await connection.close()
