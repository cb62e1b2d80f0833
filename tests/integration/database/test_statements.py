"""Statements: shares, rates between two looks, hidden texts, and what is said where they can't be read."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest

from integration.database.conftest import Opening
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings
from qsuite_console.db.database import Database
from qsuite_console.db.panels import PanelReader
from qsuite_console.metrics import statements as probes
from qsuite_console.metrics.statements import StatementProbe, StatementsProbe
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.errors import Conflict, NotFound
from qsuite_console.model.statements import Statements, StatementText
from qsuite_console.operations.statistics import ResetParameters, ResetStatistics, StatisticsRefused
from qsuite_console.workers import Services

STAND_IN = Path(__file__).with_name("counted.sql")
COLUMNS = (
    "userid, dbid, toplevel, queryid, query, plans, total_plan_time, calls, total_exec_time, max_exec_time, rows,"
    " shared_blks_hit, shared_blks_read, temp_blks_read, temp_blks_written, shared_blk_read_time,"
    " shared_blk_write_time, wal_bytes, jit_generation_time, jit_inlining_time, jit_optimization_time,"
    " jit_emission_time, jit_deform_time"
)
COUNT = (
    f"INSERT INTO stats.counted ({COLUMNS}) SELECT current_user::regrole, d.oid, true, $1, $2, 0, 0, $3, $4::float8,"
    " $4::float8 / 2, $5, $6, $7, 0, $8, 1, 1, $9, 0, 0, 0, 0, 0 FROM pg_database d WHERE datname = current_database()"
)


@pytest.fixture
async def counting(empty_database_dsn: str, server_directory: Path) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database with the stand-in, three statements counted."""
    directory = server_directory / "share" / "extension"
    if not directory.exists():
        directory.mkdir(parents=True)
        control = "comment = 'stand-in'\ndefault_version = '1.12'\nrelocatable = false\nschema = stats\n"
        (directory / "pg_stat_statements.control").write_text(control)
        shutil.copy(STAND_IN, directory / "pg_stat_statements--1.12.sql")
    connection = await asyncpg.connect(empty_database_dsn)
    await connection.execute(f"SET extension_control_path = '{directory.parent}:$system'")
    await connection.execute("CREATE SCHEMA stats")
    await connection.execute("CREATE EXTENSION pg_stat_statements")
    await connection.execute(COUNT, 11, "SELECT *\n  FROM orders\tWHERE id = $1", 1000, 6000.0, 1000, 900, 100, 0, 0)
    await connection.execute(COUNT, 22, "UPDATE \x1b[31morders SET a = $1", 10, 3000.0, 40, 50, 950, 500, 4096)
    await connection.execute(COUNT, 33, "SELECT " + "x" * 30_000, 2, 1000.0, 2, 0, 0, 0, 0)
    yield connection
    await connection.close()


@pytest.fixture(autouse=True)
def without_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare any two looks, however close."""
    monkeypatch.setattr(probes, "_LEAST_S", 0.0)


def services(reader: PanelReader) -> Services:
    return cast("Services", SimpleNamespace(panels=reader))


async def ask(reader: PanelReader, **parameters: Any) -> Statements:
    return await StatementsProbe(services(reader)).ask(parameters)


async def test_totals_shares_and_orders_follow_the_counters(
    counting: asyncpg.Connection, empty_database_dsn: str, panels: Opening
) -> None:
    async with panels(empty_database_dsn) as reader:
        answer = await ask(reader)
        orders = {
            order: (await ask(reader, order=order)).statements[0].query_id
            for order in ("time", "mean", "calls", "rows", "reads", "temp", "wal")
        }
        found = await ask(reader, text="update ORDERS")
    first, second, third = answer.statements
    assert [one.query_id for one in answer.statements] == ["11", "22", "33"]
    assert first.all.calls == 1000
    assert first.all.mean_ms == 6.0
    assert first.share == 0.6
    assert first.all.hit_share == 0.9
    assert second.all.hit_share == 0.05
    assert third.all.hit_share is None, "it asked for no page"
    assert second.max_ms == 1500
    assert second.all.io_ms == 2
    assert (second.all.temp, second.all.wal) == (500, 4096)
    assert answer.total_ms == 10_000
    assert answer.evicted == 3
    assert answer.since is not None
    assert answer.since.isoformat() == "2026-11-01T00:00:00+00:00"
    assert orders == {"time": "11", "mean": "33", "calls": "11", "rows": "11", "reads": "22", "temp": "22", "wal": "22"}
    assert [one.query_id for one in found.statements] == ["22"]
    assert found.total == 1


async def test_texts_are_one_harmless_line_in_the_list_and_whole_in_the_detail(
    counting: asyncpg.Connection, empty_database_dsn: str, panels: Opening
) -> None:
    async with panels(empty_database_dsn) as reader:
        answer = await ask(reader)
        texts = [await StatementProbe(services(reader)).ask({"key": statement.key}) for statement in answer.statements]
        gone = await StatementProbe(services(reader)).ask({"key": "1/2/top"})
    first, second, third = (statement.query for statement in answer.statements)
    assert first == "SELECT * FROM orders WHERE id = $1"
    assert second == "UPDATE ␛[31morders SET a = $1"
    assert len(third) <= 401
    assert isinstance(texts[0], StatementText)
    assert texts[0].text == "SELECT *\n  FROM orders    WHERE id = $1"
    assert not texts[0].is_cut
    assert texts[2].is_cut
    assert gone.statement is None


async def test_recent_figures_are_the_difference_of_two_looks(
    counting: asyncpg.Connection, empty_database_dsn: str, panels: Opening
) -> None:
    async with panels(empty_database_dsn) as reader:
        before = await ask(reader, recent=True)
        assert before.interval_s is None
        assert before.statements == ()
        await counting.execute(
            "UPDATE stats.counted SET calls = calls + 50, total_exec_time = total_exec_time + 750, rows = rows + 7,"
            " shared_blks_read = shared_blks_read + 5 WHERE queryid = 22"
        )
        await counting.execute(COUNT, 44, "SELECT 44", 5, 250.0, 5, 0, 0, 0, 0)
        answer = await ask(reader, recent=True)
        everything = await ask(reader)
    assert answer.interval_s is not None
    assert answer.interval_s > 0
    assert [(one.query_id, one.recent_share) for one in answer.statements] == [("22", 0.75), ("44", 0.25)]
    recent = answer.statements[0].recent
    assert recent is not None
    assert (recent.calls, recent.total_ms, recent.rows, recent.read, recent.mean_ms) == (50, 750, 7, 5, 15)
    assert answer.recent_ms == 1000
    assert everything.total == 4


async def test_a_reset_between_two_looks_gives_no_rates_instead_of_wrong_ones(
    counting: asyncpg.Connection, empty_database_dsn: str, panels: Opening
) -> None:
    async with panels(empty_database_dsn) as reader:
        await ask(reader)
        await counting.execute("UPDATE stats.counted SET calls = 1, total_exec_time = 1 WHERE queryid = 11")
        one = next(found for found in (await ask(reader)).statements if found.query_id == "11")
        assert one.recent is None, "its own counters fell"
        await counting.execute("UPDATE stats.begun SET stats_reset = clock_timestamp()")
        answer = await ask(reader)
    assert answer.interval_s is None, "all of them were counted anew"


async def test_what_others_run_is_counted_but_hidden_from_a_role_without_rights(
    counting: asyncpg.Connection, empty_database_dsn: str, panels: Opening
) -> None:
    name = f"visitor_{empty_database_dsn.rpartition('/')[2]}"
    await counting.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    password = empty_database_dsn.split(":")[2].split("@")[0]
    dsn = empty_database_dsn.replace("//qsuite:", f"//{name}:").replace(password, "x")
    try:
        async with panels(dsn) as reader:
            answer = await ask(reader)
    finally:
        await counting.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
    (hidden,) = answer.statements
    assert hidden.query_id == ""
    assert hidden.all.total_ms == 10_000, "summed up, since they can't be told apart"
    assert "may not be seen" in hidden.query
    assert answer.unread[0].hint == f"GRANT pg_monitor TO {name}"


async def test_what_is_missing_is_said_with_what_to_do(
    counting: asyncpg.Connection, database_dsn: str, empty_database_dsn: str, panels: Opening
) -> None:
    async with panels(database_dsn) as reader:
        absent = await ask(reader)
    await counting.execute(
        "CREATE OR REPLACE FUNCTION stats.pg_stat_statements(showtext boolean) RETURNS SETOF stats.counted"
        " LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = '55000',"
        " MESSAGE = 'pg_stat_statements must be loaded via shared_preload_libraries'; END $$"
    )
    async with panels(empty_database_dsn) as reader:
        idle = await ask(reader)
    assert absent.statements == ()
    assert absent.unread[0].what == "statements"
    assert "installed without pg_stat_statements" in absent.unread[0].hint
    assert "shared_preload_libraries" in idle.unread[0].why
    assert "shared_preload_libraries" in idle.unread[0].hint


async def test_resetting_says_what_is_lost_and_only_resets_what_was_confirmed(
    counting: asyncpg.Connection, empty_database_dsn: str
) -> None:
    database = Database(DatabaseSettings(dsn=Secret(empty_database_dsn)))
    operation = ResetStatistics(cast("Services", SimpleNamespace(database=database, clock=SystemClock())))
    try:
        proposal = await operation.propose(ResetParameters(what="statements"))
        assert "counters of 3 statements, of all databases, counted since 2026-11-01 00:00 UTC" in proposal.lines[0]
        since = proposal.parameters["since"]
        outcome = await operation.perform(ResetParameters(what="statements", since=since))
        assert outcome.is_done
        assert await counting.fetchval("SELECT count(*) FROM stats.counted") == 0
        with pytest.raises(Conflict, match="reset meanwhile"):
            await operation.perform(ResetParameters(what="statements", since=since))
    finally:
        await database.close()


@pytest.mark.parametrize("what", ["wal", "io", "checkpoints", "archiver", "database"])
async def test_each_kind_of_statistics_is_reset_and_no_other(empty_database_dsn: str, what: Any) -> None:
    seen = (
        "SELECT (SELECT stats_reset FROM pg_stat_wal) AS wal, (SELECT max(stats_reset) FROM pg_stat_io) AS io,"
        " (SELECT stats_reset FROM pg_stat_checkpointer) AS checkpoints,"
        " (SELECT stats_reset FROM pg_stat_archiver) AS archiver,"
        " (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()) AS database"
    )
    database = Database(DatabaseSettings(dsn=Secret(empty_database_dsn)))
    operation = ResetStatistics(cast("Services", SimpleNamespace(database=database, clock=SystemClock())))
    connection = await asyncpg.connect(empty_database_dsn)
    try:
        before = dict(await connection.fetchrow(seen))
        proposal = await operation.propose(ResetParameters(what=what))
        await operation.perform(ResetParameters(**proposal.parameters))
        after = dict(await connection.fetchrow(seen))
    finally:
        await connection.close()
        await database.close()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {what}


async def test_a_table_forgets_its_counters_and_a_role_without_rights_is_refused(
    empty_database_dsn: str,
) -> None:
    connection = await asyncpg.connect(empty_database_dsn)
    await connection.execute("CREATE TABLE t (id int) WITH (autovacuum_enabled = false)")
    await connection.execute("INSERT INTO t SELECT generate_series(1, 100)")
    await connection.execute("SELECT pg_stat_force_next_flush()")
    counted = "SELECT pg_stat_get_tuples_inserted('t'::regclass)"
    name = f"visitor_{empty_database_dsn.rpartition('/')[2]}"
    await connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    password = empty_database_dsn.split(":")[2].split("@")[0]
    plain = empty_database_dsn.replace("//qsuite:", f"//{name}:").replace(password, "x")
    owner, visitor = (Database(DatabaseSettings(dsn=Secret(dsn))) for dsn in (empty_database_dsn, plain))
    clock = SystemClock()
    own, other = (
        ResetStatistics(cast("Services", SimpleNamespace(database=database, clock=clock)))
        for database in (owner, visitor)
    )
    try:
        assert await connection.fetchval(counted) == 100
        with pytest.raises(StatisticsRefused, match="may not reset"):
            await other.propose(ResetParameters(what="database"))
        with pytest.raises(StatisticsRefused, match="not created"):
            await own.propose(ResetParameters(what="statements"))
        with pytest.raises(NotFound):
            await own.propose(ResetParameters(what="table", name="nothing"))
        proposal = await own.propose(ResetParameters(what="table", name="public.t"))
        assert "public.t" in proposal.title
        await own.perform(ResetParameters(**proposal.parameters))
        assert await connection.fetchval(counted) == 0
    finally:
        await owner.close()
        await visitor.close()
        await connection.execute(f"DROP ROLE {name}")
        await connection.close()
