"""The TimescaleDB pane's question: hypertables, chunks, compression, aggregates, jobs, errors; absent is no failure."""

from __future__ import annotations

from datetime import UTC, datetime

import asyncpg
import pytest

from fakes.backfill import open_services
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings, Settings
from qsuite_console.metrics.timescale import TimescaleProbe
from qsuite_console.model.timescale import Timescale


async def ask(dsn: str) -> Timescale:
    settings = Settings(database=DatabaseSettings(dsn=Secret(dsn), pool_min=0))
    async with open_services(settings) as services:
        return await TimescaleProbe(services).ask({})


async def test_hypertables_with_chunks_and_compression(
    with_timescale: asyncpg.Connection, empty_database_dsn: str
) -> None:
    found = await ask(empty_database_dsn)
    assert (found.version, found.unread) == ("2.28.0", ())
    tables = {table.name: table for table in found.hypertables}
    ticks = tables["public.price_ticks_h"]
    assert (ticks.time_column, ticks.chunk_s, ticks.chunks, ticks.compressed, ticks.partial) == (
        "timestamp", 7 * 86_400, 3, 2, 1,
    )  # fmt: skip
    assert (ticks.oldest, ticks.newest) == (datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
    assert ticks.compressed_until == datetime(2026, 11, 16, tzinfo=UTC)
    assert (ticks.rows, ticks.ratio) == (4711, pytest.approx(7.6))
    size = await with_timescale.fetchval("SELECT pg_total_relation_size('price_ticks_h')")
    assert ticks.bytes == size + 1_000_000
    odd = tables['public."Odd name"']
    assert (odd.chunks, odd.is_compressing, odd.ratio, odd.chunk_s) == (0, False, None, None)


async def test_jobs_failed_first_and_their_errors_of_a_day(
    with_timescale: asyncpg.Connection, empty_database_dsn: str
) -> None:
    found = await ask(empty_database_dsn)
    assert found.jobs[0].id == 1000
    jobs = {job.id: job for job in found.jobs}
    failed = jobs[1000]
    assert (failed.outcome, failed.hypertable, failed.runs, failed.failures) == (
        "Failed",
        "public.price_ticks_h",
        40,
        4,
    )
    assert failed.started_s_ago == pytest.approx(600, abs=60)
    assert failed.succeeded_s_ago == pytest.approx(2 * 86_400, abs=60)
    assert failed.next_s == pytest.approx(300, abs=60)
    never = jobs[1]
    assert (never.started_s_ago, never.succeeded_s_ago, never.next_s, never.outcome) == (None, None, None, "")
    assert jobs[1002].is_scheduled is False
    (error,) = found.errors
    assert (error.id, error.code) == (1000, "53100")
    assert "\x1b" not in error.message
    assert "No space left" in error.message


async def test_aggregates_and_what_refreshes_them(with_timescale: asyncpg.Connection, empty_database_dsn: str) -> None:
    found = {one.name: one for one in (await ask(empty_database_dsn)).aggregates}
    hourly, daily = found["public.hourly"], found["public.daily"]
    assert (hourly.source, hourly.is_materialized_only, hourly.policies, hourly.every_s, hourly.outcome) == (
        "public.price_ticks_h", True, 1, 3600, "Success",
    )  # fmt: skip
    assert hourly.refreshed_s_ago == pytest.approx(29 * 60, abs=60)
    assert (daily.policies, daily.refreshed_s_ago, daily.outcome) == (0, None, "")


async def test_the_apache_licence_has_neither_compression_nor_aggregates(
    with_timescale: asyncpg.Connection, empty_database_dsn: str
) -> None:
    name = await with_timescale.fetchval("SELECT current_database()")
    await with_timescale.execute(f"ALTER DATABASE {name} SET timescaledb.license = 'apache'")
    found = await ask(empty_database_dsn)
    assert found.license == "apache"
    assert found.aggregates == ()
    assert {table.ratio for table in found.hypertables} == {None}
    assert found.jobs


async def test_what_is_locked_or_of_another_version_is_named_and_the_rest_stands(
    with_timescale: asyncpg.Connection, empty_database_dsn: str
) -> None:
    await with_timescale.execute("ALTER TABLE timescaledb_information.job_errors RENAME TO job_history")
    transaction = with_timescale.transaction()
    await transaction.start()
    await with_timescale.execute("LOCK TABLE timescaledb_information.chunks")
    found = await ask(empty_database_dsn)
    await transaction.rollback()
    assert {entry.what for entry in found.unread} == {"chunks", "errors of background jobs"}
    assert all(entry.hint for entry in found.unread)
    assert len(found.hypertables) == 2
    assert found.jobs


async def test_without_the_extension_there_is_nothing_to_say(empty_database_dsn: str) -> None:
    found = await ask(empty_database_dsn)
    assert (found.version, found.hypertables, found.unread) == ("", (), ())
