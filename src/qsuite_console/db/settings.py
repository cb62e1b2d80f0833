"""Reads a server's settings and statistics for the analysis; whatever can't be read is named and the rest stands.

Every question has a transaction of its own: within one, PostgreSQL answers statistics from its first look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from qsuite_console.db import queries
from qsuite_console.db.errors import DatabaseDown, is_database_failure, translate
from qsuite_console.model.advice import Unread

if TYPE_CHECKING:
    import asyncpg

    from qsuite_console.db.database import Database

_LIMITS: Final = "SET LOCAL statement_timeout = 5000; SET LOCAL lock_timeout = 50; SET LOCAL search_path = pg_catalog"
_UNITS: Final[Mapping[str, float]] = {
    "B": 1, "kB": 1024, "8kB": 8192, "16kB": 16384, "32kB": 32768, "64kB": 65536, "MB": 1024**2, "16MB": 16 * 1024**2,
    "us": 1e-6, "ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400,
}  # fmt: skip
_QUESTIONS: Final[Mapping[str, str]] = {
    "advice_checkpoints": "checkpoints",
    "advice_size": "size of the database",
    "advice_replication": "standbys",
    "advice_slots": "replication slots",
    "advice_archiver": "WAL archiver",
    "advice_wraparound": "age of transaction ids",
    "advice_tables": "vacuum state of tables",
    "advice_indexes_invalid": "invalid indexes",
    "advice_indexes_redundant": "redundant indexes",
    "advice_indexes_unused": "unused indexes",
    "advice_foreign_keys": "foreign keys without index",
    "advice_prepared": "prepared transactions",
    "advice_extensions": "extensions",
    "advice_memory": "huge pages",
    "advice_partitions": "partitions",
    "advice_scans": "full scans",
    "advice_horizon": "how far partitions reach",
}
NAMES: Final = (
    "archive_mode",
    "autovacuum",
    "autovacuum_work_mem",
    "checkpoint_completion_target",
    "checkpoint_timeout",
    "data_checksums",
    "data_directory",
    "effective_cache_size",
    "effective_io_concurrency",
    "fsync",
    "full_page_writes",
    "hash_mem_multiplier",
    "huge_pages",
    "idle_in_transaction_session_timeout",
    "io_method",
    "io_workers",
    "jit",
    "log_lock_waits",
    "log_temp_files",
    "maintenance_work_mem",
    "max_connections",
    "max_locks_per_transaction",
    "max_parallel_maintenance_workers",
    "max_parallel_workers",
    "max_parallel_workers_per_gather",
    "max_wal_size",
    "max_worker_processes",
    "random_page_cost",
    "shared_buffers",
    "shared_preload_libraries",
    "synchronous_commit",
    "track_io_timing",
    "wal_buffers",
    "wal_compression",
    "wal_level",
    "work_mem",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of pg_settings."""

    name: str
    setting: str
    unit: str | None = None
    source: str = "default"
    context: str = "user"
    vartype: str = "string"
    choices: tuple[str, ...] = ()

    @property
    def amount(self) -> float:
        """Return the number in bytes, seconds or as it is; -1 and its like keep their meaning."""
        number = float(self.setting)
        return number * _UNITS.get(self.unit or "", 1.0) if number > 0 else number

    @property
    def is_default(self) -> bool:
        """Tell whether nobody set it."""
        return self.source in ("default", "override")

    @property
    def needs_restart(self) -> bool:
        """Tell whether a change waits for the next start of the server."""
        return self.context == "postmaster"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What one server said. ``rows``: query -> its rows, absent where unreadable; counters frame ``seconds``."""

    server: Mapping[str, Any]
    settings: Mapping[str, Setting]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    sessions: Mapping[str, Any]
    rows: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    statements: Sequence[Mapping[str, Any]] = ()
    biggest: Sequence[Mapping[str, Any]] = ()
    unread: tuple[Unread, ...] = ()

    @property
    def version(self) -> int:
        """Return the major version."""
        return int(self.server["version_num"]) // 10_000

    @property
    def seconds(self) -> float:
        """Return how long the interval between both looks at the counters was, by the server's clock."""
        return float(self.after["at"] - self.before["at"])

    def grown(self, counter: str) -> float | None:
        """Return a counter's growth over the interval, None when it was reset meanwhile or can't be read."""
        before, after = self.before.get(counter), self.after.get(counter)
        if before is None or after is None or after < before or self.before["reset"] != self.after["reset"]:
            return None
        return float(after - before)


async def read_server(database: Database, *, interval_s: float, is_detailed: bool, budget_s: float) -> ServerFacts:
    """Return what the server says, its counters ``interval_s`` apart; raises DatabaseError when it doesn't answer."""
    async with database.session("analyze", budget_s) as connection:
        reader = _Reader(connection, database.where)
        server = (await reader.rows("advice_server"))[0]
        settings = await reader.rows("advice_settings", list(NAMES))
        before = (await reader.rows("advice_counters"))[0]
        await asyncio.sleep(interval_s)
        after = (await reader.rows("advice_counters"))[0]
        sessions = (await reader.rows("advice_sessions"))[0]
        found = {}
        for name, what in _QUESTIONS.items():
            answer = await reader.try_rows(name, what)
            if answer is not None:
                found[name] = answer
        statements, biggest = await reader.heavy(found) if is_detailed else ((), ())
    return ServerFacts(
        server=server,
        settings={row["name"]: setting_of(row) for row in settings},
        before=before,
        after=after,
        sessions=sessions,
        rows=found,
        statements=statements,
        biggest=biggest,
        unread=(*_hidden(server, sessions), *reader.unread),
    )


class _Reader:
    """Asks one question after the other on a connection and remembers which failed."""

    def __init__(self, connection: asyncpg.Connection, where: str) -> None:
        self._connection = connection
        self._where = where
        self._version = connection.get_server_version().major
        self.unread: list[Unread] = []

    async def rows(self, name: str, *arguments: Any, schema: str = "") -> list[Mapping[str, Any]]:
        """Return a query's rows."""
        sql = queries.load(name, self._version)
        if schema:
            sql = sql.replace("{schema}", schema)
        async with self._connection.transaction(readonly=True):
            await self._connection.execute(_LIMITS)
            return [dict(row) for row in await self._connection.fetch(sql, *arguments)]

    async def try_rows(self, name: str, what: str, *, schema: str = "") -> list[Mapping[str, Any]] | None:
        """Return a query's rows, None with a note when the server refuses; raises when it is gone."""
        try:
            return await self.rows(name, schema=schema)
        except Exception as error:
            if not is_database_failure(error):
                raise
            refused = translate(error, self._where)
            if isinstance(refused, DatabaseDown) or not refused.sqlstate:
                raise
            self.unread.append(Unread(what=what, why=refused.message, hint=refused.hint))
            return None

    async def heavy(
        self, found: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        """Return the costliest statements and the biggest tables."""
        schema = [one["schema"] for one in found.get("advice_extensions", ()) if one["name"] == "pg_stat_statements"]
        statements: Sequence[Mapping[str, Any]] | None = None
        if schema:
            quoted = '"' + schema[0].replace('"', '""') + '"'
            statements = await self.try_rows("advice_statements", "costliest statements", schema=quoted)
        else:
            hint = "preload pg_stat_statements, restart, then CREATE EXTENSION pg_stat_statements"
            self.unread.append(Unread(what="costliest statements", why="no pg_stat_statements here", hint=hint))
        return statements or (), await self.try_rows("advice_biggest", "biggest tables") or ()


def setting_of(row: Mapping[str, Any]) -> Setting:
    """Return a row of pg_settings as a Setting."""
    return Setting(
        name=row["name"],
        setting=row["setting"] or "",
        unit=row["unit"],
        source=row["source"],
        context=row["context"],
        vartype=row["vartype"],
        choices=tuple(row["choices"] or ()),
    )


def _hidden(server: Mapping[str, Any], sessions: Mapping[str, Any]) -> tuple[Unread, ...]:
    if not sessions["hidden"]:
        return ()
    why = f"{sessions['hidden']} sessions of other roles hide their state"
    return (Unread(what="queries and transactions of other roles", why=why, hint="grant the role pg_monitor"),)
