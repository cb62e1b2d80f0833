"""The one connection behind all panels of the Database screen: questions one after another, each within its budget.

What a role may not read, or a server does not have, becomes an ``Unread`` that says why and what to do: a panel shows
the rest. What the server is and what the role may do is looked at first, and again once a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

import asyncpg

from qsuite_console.config.settings import DatabaseSettings
from qsuite_console.db import queries
from qsuite_console.db.errors import DatabaseBusy, DatabaseDown, DatabaseError, DatabaseMisconfigured
from qsuite_console.db.monitoring import Limits, WatchingConnection, is_named
from qsuite_console.model.advice import Unread
from qsuite_console.model.clock import Clock

BUDGET_S: Final = 2.5
_STATEMENT_MS: Final = 5000
_PATIENCE_S: Final = 6.0
_FRESH_S: Final = 60.0
_Answer = TypeVar("_Answer")
Rows = Sequence[Mapping[str, Any]]

_HINTS: Final[Mapping[str, str]] = {
    "42501": "GRANT pg_monitor TO {role}",
    "42P01": "this server does not have it; an extension may be missing",
    "42883": "this server does not have it; an extension may be missing or older than the console expects",
    "42703": "the extension is of another version than the server: ALTER EXTENSION … UPDATE",
    "3F000": "this server does not have it; an extension may be missing",
    "55000": "it must be in shared_preload_libraries, then restart the server",
    "55P03": "a lock stands in the way just now; it is tried again by itself",
    "57014": "it takes the server longer than the panel waits; it is tried again by itself",
    "25006": "it can't be done on a standby",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What the console's role may see and do on this server."""

    role: str = ""
    is_superuser: bool = False
    is_monitor: bool = False  # has pg_monitor
    reads_all_stats: bool = False  # sees other roles' statements and states
    can_signal: bool = False  # may cancel and end other roles' sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What was found at the other end. ``extensions``: name -> its schema, quoted."""

    version: int
    database: str
    is_standby: bool
    rights: Rights
    extensions: Mapping[str, str]


class PanelReader:
    """Asks the panels' questions on a connection named ``<application>/panels``; safe from many tasks at once.

    ``version``, ``rights``, ``is_standby`` and ``has_extension`` are known after the first question, or ``look()``.
    """

    def __init__(self, settings: DatabaseSettings, clock: Clock, *, application: str = "qsuite-console") -> None:
        limits = Limits(statement_ms=_STATEMENT_MS)
        self._watch = WatchingConnection(
            settings, clock, role="panels", application=application, limits=limits, patience_s=_PATIENCE_S
        )
        self._settings = settings
        self._clock = clock
        self._turn = asyncio.Lock()
        self._server: Server | None = None
        self._looked_at = 0.0
        self.application = application

    @property
    def where(self) -> str:
        """Return host:port/database, without credentials."""
        return self._watch.where

    @property
    def version(self) -> int:
        """Return the server's major version, 0 before the first question."""
        return 0 if self._server is None else self._server.version

    @property
    def rights(self) -> Rights:
        """Return what the role may do; nothing before the first question."""
        return Rights() if self._server is None else self._server.rights

    @property
    def is_standby(self) -> bool:
        """Tell whether the server is in recovery."""
        return self._server is not None and self._server.is_standby

    def has_extension(self, name: str) -> bool:
        """Tell whether the extension is created in this database."""
        return bool(self.schema_of(name))

    def schema_of(self, name: str) -> str:
        """Return the quoted schema of an extension, "" when it isn't there."""
        return "" if self._server is None else self._server.extensions.get(name, "")

    async def look(self, budget_s: float = BUDGET_S) -> Server:
        """Return what the server is, at most a minute old; raises DatabaseError."""
        server = self._server
        if server is None or self._clock.monotonic() - self._looked_at >= _FRESH_S:
            row = (await self._turned(lambda c: _fetch(c, "panels_server", ()), self._clock.monotonic() + budget_s))[0]
            server = _server(row)
            self._server, self._looked_at = server, self._clock.monotonic()
        return server

    async def rows(self, name: str, *arguments: Any, budget_s: float = BUDGET_S, schema: str = "") -> Rows:
        """Return the rows of the named query; ``{schema}`` in it becomes ``schema``. Raises DatabaseError.

        The budget covers the wait for the turn, the connection and the answer.
        """
        return await self.run(lambda connection: _fetch(connection, name, arguments, schema), budget_s=budget_s)

    async def run(
        self, work: Callable[[asyncpg.Connection], Awaitable[_Answer]], *, budget_s: float = BUDGET_S
    ) -> _Answer:
        """Return what ``work`` answers on the connection when it is its turn; raises DatabaseError.

        ``work`` may be given a connection of a pooler, then inside one read-only transaction.
        """
        deadline = self._clock.monotonic() + budget_s
        await self.look(budget_s)
        try:
            return await self._turned(work, deadline)
        except DatabaseDown:
            self._server = None  # another server, version or role may stand there when it answers again
            raise

    def begin(self, budget_s: float = BUDGET_S) -> Look:
        """Return a look that asks several questions within one budget and remembers what could not be read."""
        return Look(self, self._clock, budget_s)

    def unread(self, what: str, error: DatabaseError) -> Unread | None:
        """Return why ``what`` can't be read when the server itself refused it, None when the server is the trouble."""
        hint = _HINTS.get(error.sqlstate)
        if hint is None:
            return None
        return Unread(what=what, why=error.message, hint=hint.format(role=self.rights.role or "the console's role"))

    async def close(self) -> None:
        """Cut the connection; a later question opens it again."""
        await self._watch.close()

    async def _turned(self, work: Callable[[asyncpg.Connection], Awaitable[_Answer]], deadline: float) -> _Answer:
        if not is_named(self._settings):
            raise DatabaseMisconfigured("no PostgreSQL is configured", hint="set DATABASE_URL or run init")
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock.monotonic())):
                await self._turn.acquire()
        except TimeoutError as error:
            raise DatabaseBusy(
                f"the panels' connection to PostgreSQL at {self.where} is busy with another panel",
                hint="the question before takes long; it is asked again by itself",
            ) from error
        try:
            return await self._watch.run(work, max(0.0, deadline - self._clock.monotonic()))
        finally:
            self._turn.release()


class Look:
    """One panel's questions: one budget, the cost of all of them, and what could not be read."""

    def __init__(self, panels: PanelReader, clock: Clock, budget_s: float) -> None:
        self.panels = panels
        self.at: datetime = clock.now()
        self._clock = clock
        self._deadline = clock.monotonic() + budget_s
        self._unread: list[Unread] = []
        self._cost_s = 0.0

    @property
    def unread(self) -> tuple[Unread, ...]:
        """Return what could not be read until now."""
        return tuple(self._unread)

    @property
    def cost_ms(self) -> float:
        """Return how long the server and the way to it took over the questions, without the wait for the turn."""
        return round(1000 * self._cost_s, 1)

    @property
    def left_s(self) -> float:
        """Return how many seconds of the budget are left."""
        return max(0.0, self._deadline - self._clock.monotonic())

    def note(self, what: str, why: str, hint: str = "") -> None:
        """Remember something that can't be shown."""
        self._unread.append(Unread(what=what, why=why, hint=hint))

    async def rows(self, name: str, *arguments: Any, schema: str = "") -> Rows:
        """Return the rows of the named query; raises DatabaseError."""
        return await self.run(lambda connection: _fetch(connection, name, arguments, schema))

    async def try_rows(self, what: str, name: str, *arguments: Any, schema: str = "") -> Rows | None:
        """Return the rows, or None with a note of ``what`` is missing when the server refuses; raises DatabaseError."""
        try:
            return await self.rows(name, *arguments, schema=schema)
        except DatabaseError as error:
            note = self.panels.unread(what, error)
            if note is None:
                raise
            self._unread.append(note)
            return None

    async def run(self, work: Callable[[asyncpg.Connection], Awaitable[_Answer]]) -> _Answer:
        """Return what ``work`` answers on the connection; raises DatabaseError."""

        async def timed(connection: asyncpg.Connection) -> _Answer:
            started = self._clock.monotonic()
            try:
                return await work(connection)
            finally:
                self._cost_s += self._clock.monotonic() - started

        return await self.panels.run(timed, budget_s=self.left_s)


async def _fetch(connection: asyncpg.Connection, name: str, arguments: Sequence[Any], schema: str = "") -> Rows:
    sql = queries.load(name, connection.get_server_version().major)
    if schema:
        sql = sql.replace("{schema}", schema)
    return [dict(row) for row in await connection.fetch(sql, *arguments)]


def _server(row: Mapping[str, Any]) -> Server:
    return Server(
        version=row["version_num"] // 10_000,
        database=row["database"],
        is_standby=row["is_standby"],
        rights=Rights(**{name: row[name] for name in Rights.__dataclass_fields__}),
        extensions=dict(zip(row["extensions"] or (), row["schemas"] or (), strict=True)),
    )
