"""An index worker on a real server, a recording context, and ways to look at what the server then has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import asyncpg

from fakes.backfill import FakeContext
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings, TableSettings
from qsuite_console.db.database import Database
from qsuite_console.db.index_catalogue import CATALOGUE
from qsuite_console.db.panels import PanelReader
from qsuite_console.model.clock import SystemClock
from qsuite_console.workers import Services
from qsuite_console.workers.indexes import IndexesWorker
from qsuite_console.workers.indexes.survey import IndexesParameters

DEADLINE_S = 60.0
TABLES = TableSettings()
BOOK = "execution_engine_order_book_idx"


@asynccontextmanager
async def worker(dsn: str, tables: TableSettings = TABLES, **settings: Any) -> AsyncIterator[IndexesWorker]:
    chosen = DatabaseSettings(dsn=Secret(dsn), **settings)
    database, panels = Database(chosen), PanelReader(chosen, SystemClock())
    services = SimpleNamespace(
        database=database, panels=panels, settings=SimpleNamespace(database=chosen, tables=tables)
    )
    try:
        yield IndexesWorker(cast("Services", services))
    finally:
        await panels.close()
        await database.close()


def of(action: str, which: str = "all", **more: Any) -> IndexesParameters:
    return IndexesParameters(action=cast("Any", action), which=which, **more)


def run(indexes: IndexesWorker, parameters: IndexesParameters, context: FakeContext | None = None) -> Any:
    return indexes.run(cast("Any", context or FakeContext()), parameters)


async def execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def rows(dsn: str, query: str, *arguments: Any) -> list[Mapping[str, Any]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [dict(row) for row in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()


async def names(dsn: str, *, broken: bool = False) -> set[str]:
    """Return the indexes of the schema public, all or only those that are not sound."""
    found = await rows(
        dsn,
        "SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE c.relnamespace = 'public'::regnamespace "
        "AND (NOT $1 OR NOT (i.indisvalid AND i.indisready AND i.indislive))",
        broken,
    )
    return {row["name"] for row in found}


async def drop_recommended(dsn: str) -> None:
    await execute(dsn, *(f"DROP INDEX IF EXISTS {one.name(TABLES)}" for one in CATALOGUE))


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():
            await asyncio.sleep(0.05)
    assert await condition(), what


@asynccontextmanager
async def open_transaction(dsn: str, statement: str) -> AsyncIterator[asyncpg.Connection]:
    """Hold a transaction open that has run ``statement``."""
    connection = await asyncpg.connect(dsn)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(statement)
    try:
        yield connection
    finally:
        with contextlib.suppress(asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError):  # its server died
            await transaction.rollback()
            await connection.close()
