"""Vacuum jobs on a real server: what they do, how they stop, and how they go on after the server was killed."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from fakes.failing import fails_for_good, fails_for_now
from fakes.stopwatch import Stopwatch
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings
from qsuite_console.db.database import Database
from qsuite_console.db.panels import PanelReader
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.sandbox import servers
from qsuite_console.workers import Services
from qsuite_console.workers.vacuum import VacuumParameters, VacuumWorker

DEADLINE_S = 30.0
ROWS, DELETED = 20_000, 12_000
SLOW = ("vacuum_cost_delay = '20ms'", "vacuum_cost_limit = 1")  # some seconds for a few hundred pages


class Context:
    """One attempt; ``saved`` outlives it, as the history does."""

    job_id, correlation_id, origin = 7, "correlation", "test"
    log = logging.getLogger("test.vacuum")

    def __init__(self, checkpoint: Mapping[str, Any] | None = None, attempt: int = 1) -> None:
        self.attempt, self.checkpoint = attempt, checkpoint
        self.saved: dict[str, Any] = dict(checkpoint or {})
        self.said: list[tuple[float, float | None, str]] = []

    def progress(self, done: float, total: float | None = None, **more: Any) -> None:
        self.said.append((done, total, more["message"]))

    async def save(self, checkpoint: Mapping[str, Any]) -> None:
        self.saved = dict(checkpoint)

    async def breathe(self) -> None:
        await asyncio.sleep(0)


@asynccontextmanager
async def worker(dsn: str, **settings: Any) -> AsyncIterator[VacuumWorker]:
    chosen = DatabaseSettings(dsn=Secret(dsn), **settings)
    database, panels = Database(chosen), PanelReader(chosen, SystemClock())
    services = SimpleNamespace(database=database, panels=panels, settings=SimpleNamespace(database=chosen))
    try:
        yield VacuumWorker(cast("Services", services))
    finally:
        await panels.close()
        await database.close()


async def execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def row(dsn: str, query: str, *arguments: Any) -> Mapping[str, Any]:
    connection = await asyncpg.connect(dsn)
    try:
        found = await connection.fetchrow(query, *arguments)
        return dict(found) if found is not None else {}
    finally:
        await connection.close()


async def until(condition: Any, what: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():
            await asyncio.sleep(0.05)
    assert await condition(), what


async def make(dsn: str, *names: str) -> None:
    """Make tables of which more than half is dead, without autovacuum, and wait until the server knows."""
    for name in names:
        await execute(
            dsn,
            f"CREATE TABLE {name} (id int PRIMARY KEY, note text) WITH (autovacuum_enabled = false)",
            f"INSERT INTO {name} SELECT n, repeat('x', 60) FROM generate_series(1, {ROWS}) n",
        )
        await execute(dsn, f"DELETE FROM {name} WHERE id > {ROWS - DELETED}")

        async def is_told(name: str = name) -> bool:
            found = await row(dsn, "SELECT pg_stat_get_dead_tuples($1::text::regclass) AS dead", name)
            return bool(found["dead"] == DELETED)

        await until(is_told, "the server knows the dead rows")


def of(table: str, **more: Any) -> VacuumParameters:
    return VacuumParameters(table=table, **more)


def run(vacuum: VacuumWorker, context: Context, parameters: VacuumParameters) -> Any:
    return vacuum.run(cast("Any", context), parameters)


async def test_dead_rows_go_and_the_result_has_the_figures_of_the_server(empty_database_dsn: str) -> None:
    dsn = empty_database_dsn
    await make(dsn, "orders")
    size = (await row(dsn, "SELECT pg_total_relation_size('orders') AS bytes"))["bytes"]
    async with worker(dsn) as vacuum:
        plan = await vacuum.plan(of("Orders"))
        context = Context()
        result = await run(vacuum, context, of("orders"))
    assert plan.title == "vacuum and analyze Orders"
    lines = {line.label: line.value for line in plan.lines}
    assert lines["tables"] == "1"
    assert lines["dead rows"] == "12,000"
    assert lines["last vacuum"] == "never"
    assert plan.figures["bytes"] == size
    assert result["dead_before"] == DELETED
    assert result["dead_after"] == 0
    assert result["bytes_before"] == size
    assert result["bytes_after"] == (await row(dsn, "SELECT pg_total_relation_size('orders') AS bytes"))["bytes"]
    assert result["bytes_after"] < size, "the last rows were deleted: the end of the file is empty"
    after = await row(dsn, "SELECT * FROM pg_stat_user_tables WHERE relname = 'orders'")
    assert (after["vacuum_count"], after["analyze_count"], after["n_dead_tup"]) == (1, 1, 0)
    assert context.said[-1][:2] == (context.said[-1][1], context.said[-1][1]), "all pages are done"


async def test_a_table_that_is_not_there_is_refused_with_what_may_be_meant(database_dsn: str) -> None:
    async with worker(database_dsn) as vacuum:
        with pytest.raises(InvalidParameters, match=r"did you mean public\.execution_engine_order"):
            await vacuum.plan(of("execution_engine_orders"))
        with fails_for_good("there is no table"):
            await run(vacuum, Context(), of('no "such" (table'))
        with pytest.raises(InvalidParameters, match="there is no table"):
            await vacuum.plan(of("pipelines_pkey"))
    assert vacuum.check(of(" ")) == {"table": "name a table, or needed"}
    assert "freeze" in vacuum.check(of("a", mode="analyze", freeze=True))


async def test_needed_takes_those_that_are_due_and_leaves_the_others(empty_database_dsn: str) -> None:
    dsn = empty_database_dsn
    await make(dsn, "first", "second")
    await execute(dsn, "CREATE TABLE well_kept (id int)", "INSERT INTO well_kept SELECT generate_series(1, 40)")
    async with worker(dsn) as vacuum:
        assert (await vacuum.plan(of("needed", mode="vacuum"))).figures["tables"] == ["public.first", "public.second"]
        result = await run(vacuum, Context(), of("needed", mode="vacuum"))
        again = await vacuum.plan(of("needed", mode="vacuum"))
    assert result["tables"] == 2
    assert result["dead_before"] == 2 * DELETED
    assert result["dead_after"] == 0
    assert again.is_noop


async def test_partitions_are_vacuumed_one_by_one_and_analyzed_through_their_root(empty_database_dsn: str) -> None:
    dsn = empty_database_dsn
    await execute(
        dsn, "CREATE TABLE parted (id int) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (100)",
        "CREATE TABLE high PARTITION OF parted FOR VALUES FROM (100) TO (200)",
        "INSERT INTO parted SELECT generate_series(0, 199)",
    )  # fmt: skip
    async with worker(dsn) as vacuum:
        plan = await vacuum.plan(of("parted"))
        result = await run(vacuum, Context(), of("parted"))
        await run(vacuum, Context(), of("parted", mode="analyze"))
    assert plan.figures["tables"] == ["public.low", "public.high"]
    assert {one["table"] for one in result["details"]} == {"public.low", "public.high", "public.parted"}
    counts = "SELECT min(vacuum_count) AS least, max(vacuum_count) AS most, min(analyze_count) AS seen"
    counts += " FROM pg_stat_user_tables WHERE relname IN ('low', 'high')"
    assert await row(dsn, counts) == {"least": 1, "most": 1, "seen": 2}
    root = await row(dsn, "SELECT reltuples::int AS rows FROM pg_class WHERE relname = 'parted'")
    assert root["rows"] == 200


async def test_freeze_makes_every_row_old_news(empty_database_dsn: str) -> None:
    dsn = empty_database_dsn
    await make(dsn, "orders")
    await execute(dsn, *["CREATE TEMPORARY TABLE t (id int)", "DROP TABLE t"] * 20)
    age = "SELECT age(relfrozenxid) AS age FROM pg_class WHERE relname = 'orders'"
    before = (await row(dsn, age))["age"]
    async with worker(dsn) as vacuum:
        await run(vacuum, Context(), of("orders", mode="vacuum", freeze=True))
    assert (await row(dsn, age))["age"] < before


async def test_a_locked_table_is_left_for_the_next_try_and_the_others_are_not_done_again(
    empty_database_dsn: str,
) -> None:
    dsn = empty_database_dsn
    await make(dsn, "busy", "free")
    holder = await asyncpg.connect(dsn)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("LOCK TABLE busy")
    parameters = of("needed", lock_timeout_s=0.1)
    first = Context()
    async with worker(dsn) as vacuum:
        try:
            with fails_for_now(r"public\.busy: locked by another session; the rest is done"):
                await run(vacuum, first, parameters)
        finally:
            await transaction.rollback()
            await holder.close()
        result = await run(vacuum, Context(first.saved, attempt=2), parameters)
    assert result["tables"] == 2
    assert result["dead_before"] == 2 * DELETED
    counts = await row(dsn, "SELECT sum(vacuum_count)::int AS n, max(vacuum_count) AS most FROM pg_stat_user_tables")
    assert counts == {"n": 2, "most": 1}


async def test_behind_a_pooler_a_locked_table_is_skipped_instead_of_waited_for(empty_database_dsn: str) -> None:
    dsn = empty_database_dsn
    await make(dsn, "busy")
    holder = await asyncpg.connect(dsn)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("LOCK TABLE busy")
    async with worker(dsn, pgbouncer=True) as vacuum:
        try:
            with fails_for_now("locked by another session"):
                await run(vacuum, Context(), of("busy", lock_timeout_s=600))
        finally:
            await transaction.rollback()
            await holder.close()
        result = await run(vacuum, Context(), of("busy"))
    assert result["dead_after"] == 0


async def test_a_role_that_may_not_is_told_so_before_anything_happens(
    empty_database_dsn: str, postgres: servers.Server
) -> None:
    dsn = empty_database_dsn
    await make(dsn, "orders")
    parts = urlsplit(dsn)
    name = f"visitor_{parts.path.strip('/')}"
    await execute(dsn, f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    try:
        async with worker(urlunsplit(parts._replace(netloc=f"{name}:x@{parts.hostname}:{parts.port}"))) as vacuum:
            with pytest.raises(InvalidParameters, match=f"{name} may not maintain public.orders"):
                await vacuum.plan(of("orders"))
            assert (await vacuum.plan(of("needed"))).is_noop
    finally:
        await execute(dsn, f"DROP ROLE {name}")
    assert (await row(dsn, "SELECT vacuum_count AS n FROM pg_stat_user_tables"))["n"] == 0


async def _slowly(dsn: str) -> None:
    name = urlsplit(dsn).path.strip("/")
    await execute(dsn, *(f"ALTER DATABASE {name} SET {setting}" for setting in SLOW))


async def test_cancelled_it_stops_its_own_backend_at_once(empty_database_dsn: str) -> None:
    dsn = empty_database_dsn
    await make(dsn, "orders")
    await _slowly(dsn)
    context = Context()
    async with worker(dsn) as vacuum:
        running = asyncio.create_task(run(vacuum, context, of("orders")))

        async def is_seen() -> bool:
            return running.done() or any("scanning heap" in message and done > 0 for done, _, message in context.said)

        await until(is_seen, "its progress is told")
        assert not running.done()
        backend = await row(dsn, "SELECT application_name AS name FROM pg_stat_activity WHERE query LIKE '%VACUUM (%'"
                                 " AND pid <> pg_backend_pid()")  # fmt: skip
        assert backend["name"] == "qsuite-console/vacuum/7"
        with Stopwatch() as taken:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        left = await row(dsn, "SELECT count(*) AS n FROM pg_stat_progress_vacuum")
    assert left["n"] == 0
    assert taken.seconds < 8, "it waited for the end on the server, which comes at the next page"
    done, total, _ = context.said[-1]
    assert total is not None
    assert 0 < done < total


async def test_after_a_kill_of_the_server_the_next_try_ends_with_the_figures_from_before() -> None:
    directory = Path(tempfile.mkdtemp(prefix="qsuite-vacuum-"))
    directory.chmod(0o711)
    password = servers.make_password()
    server = servers.start_postgres(directory, password=password)
    try:
        dsn = server.url
        await make(dsn, "second")
        await execute(dsn, "CHECKPOINT")
        await _slowly(dsn)
        context = Context()
        async with worker(dsn) as vacuum:
            running = asyncio.create_task(run(vacuum, context, of("second", mode="vacuum")))

            async def is_seen() -> bool:
                return running.done() or any(done > 0 for done, _, _ in context.said)

            await until(is_seen, "it is on its way")
            os.kill(server.process.pid, signal.SIGKILL)
            with fails_for_now():
                await running
            server.stop()
            server = servers.start_postgres(directory, password=password, port=server.port)
            await execute(dsn, "ALTER DATABASE postgres RESET ALL")
            assert (await row(dsn, "SELECT pg_stat_get_dead_tuples('second'::regclass) AS dead"))["dead"] == 0
            result = await run(vacuum, Context(context.saved, attempt=2), of("second", mode="vacuum"))
        assert result["dead_before"] == DELETED, "a server that crashed has forgotten it; the checkpoint has not"
        assert result["dead_after"] == 0
        assert (await row(dsn, "SELECT count(*) AS n FROM second"))["n"] == ROWS - DELETED
    finally:
        server.stop()
        shutil.rmtree(directory)
