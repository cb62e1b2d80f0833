"""The console's own connections for watching: outside the pool, so that a busy pool can't blind them, never waited for.

Each question has a budget. One that overruns stays in flight and the next ask waits for it again, so a short stall
costs no reconnection; after ``PATIENCE_S`` the connection is cut. Nothing here retries faster than it is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import asyncpg

from qsuite_console.config.settings import DatabaseSettings
from qsuite_console.db import queries
from qsuite_console.db.counted import CountedConnection
from qsuite_console.db.database import describe_address
from qsuite_console.db.errors import DatabaseBusy, DatabaseDown, DatabaseError, is_database_failure, translate
from qsuite_console.db.given_up import take_exceptions
from qsuite_console.model.clock import Clock
from qsuite_console.model.text import clean

PATIENCE_S: Final = 4.0
_log: Final = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server itself enforces on every statement of a watching connection, in milliseconds."""

    statement_ms: int = 3000
    lock_ms: int = 50

    @property
    def session(self) -> dict[str, str]:
        """Return the parameters a connection starts with."""
        return {
            "statement_timeout": str(self.statement_ms),
            "lock_timeout": str(self.lock_ms),
            "default_transaction_read_only": "on",
            "search_path": "pg_catalog",
            "TimeZone": "UTC",
        }

    @property
    def transaction(self) -> str:
        """Return the statements that set the same for one transaction, for a connection lent by a pooler."""
        return (
            f"SET LOCAL statement_timeout = {self.statement_ms}; SET LOCAL lock_timeout = {self.lock_ms}; "
            "SET LOCAL search_path = pg_catalog; SET LOCAL TimeZone = 'UTC'"
        )


_NAMED_BY: Final = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE", "PGUSER", "PGPORT")


class WatchingConnection:
    """One lazily opened connection named ``<application>/<role>``; heals by itself. Use from one task at a time."""

    def __init__(
        self,
        settings: DatabaseSettings,
        clock: Clock,
        *,
        role: str,
        application: str = "qsuite-console",
        limits: Limits | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.where = describe_address(settings)
        self._settings = settings
        self._clock = clock
        self._name = f"{application}/{role}"
        self._limits = limits or Limits()
        self._patience_s = patience_s
        self._is_pooled = settings.pgbouncer
        self._connection: asyncpg.Connection | None = None
        self._connecting: asyncio.Task[asyncpg.Connection] | None = None
        self._asking: asyncio.Task[Any] | None = None
        self._asked_at = 0.0
        self._failure: DatabaseError | None = None
        self._not_before = 0.0

    @property
    def is_configured(self) -> bool:
        """Tell whether a server was named, by a DSN or by libpq's own variables."""
        return is_named(self._settings)

    async def run(self, work: Callable[[asyncpg.Connection], Awaitable[_Answer]], budget_s: float) -> _Answer:
        """Return what ``work`` answers on the connection, within about ``budget_s`` seconds; raises DatabaseError.

        Behind a pooler it runs inside one read-only transaction, elsewhere it opens its own where it needs one.
        """
        deadline = self._clock.monotonic() + budget_s
        await self._settle(deadline)
        connection = await self._connected(deadline)
        self._asked_at = self._clock.monotonic()
        self._asking = asyncio.create_task(self._perform(connection, work))
        return cast("_Answer", await self._answer(self._asking, deadline))

    async def close(self) -> None:
        """Cut the connection and whatever is under way."""
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
            if not connecting.cancelled() and connecting.exception() is None:
                connecting.result().terminate()
        await self._cut()

    async def _settle(self, deadline: float) -> None:
        """Wait for an earlier question that overran; its answer is too old to use."""
        if self._asking is not None:
            try:
                await self._answer(self._asking, deadline)
            except DatabaseDown:
                raise
            except Exception as error:  # that of somebody who no longer waits for it
                _log.debug("an answer came too late: %s", clean(error, 200))
        if self._connection is not None and self._connection.is_closed():
            await self._cut()

    async def _answer(self, asking: asyncio.Task[Any], deadline: float) -> Any:
        await asyncio.wait({asking}, timeout=max(0.0, deadline - self._clock.monotonic()))
        if not asking.done():
            silent_s = self._clock.monotonic() - self._asked_at
            if silent_s >= self._patience_s:
                await self._cut()
            raise DatabaseDown(f"PostgreSQL at {self.where} does not answer", hint="its process or the network hangs")
        self._asking = None
        try:
            return asking.result()
        except asyncio.CancelledError:
            raise DatabaseDown(f"the connection to PostgreSQL at {self.where} was cut") from None
        except Exception as error:
            if not is_database_failure(error):
                raise
            translated = translate(error, self.where)
            if isinstance(translated, DatabaseDown) or translated.sqlstate == "":
                await self._cut()
            raise translated from error

    async def _connected(self, deadline: float) -> asyncpg.Connection:
        connection = self._connection
        if connection is None and self._connecting is not None and self._connecting.done():
            connection = self._take(self._connecting)  # a failure between two questions is not today's answer
        if connection is None and self._connecting is None:
            if self._failure is not None and self._clock.monotonic() < self._not_before:
                raise self._failure.with_traceback(None)
            self._connecting = asyncio.create_task(self._connect())
        if connection is None and self._connecting is not None:
            connecting = self._connecting
            await asyncio.wait({connecting}, timeout=max(0.0, deadline - self._clock.monotonic()))
            connection = self._take(connecting) if connecting.done() else None
        if connection is None:
            raise (self._failure or self._pending()).with_traceback(None)
        return connection

    def _take(self, connecting: asyncio.Task[asyncpg.Connection]) -> asyncpg.Connection | None:
        self._connecting = None
        try:
            self._connection = connecting.result()
            self._failure = None
        except Exception as error:
            self._failure = translate(error, self.where)
            self._not_before = self._clock.monotonic() + _pause_after(self._failure)
        return self._connection

    def _pending(self) -> DatabaseDown:
        return DatabaseDown(f"PostgreSQL at {self.where} has not accepted a connection yet", hint="is it reachable?")

    async def _connect(self) -> asyncpg.Connection:
        if not self._is_pooled:
            try:
                session = {"application_name": self._name, **self._limits.session}
                return await self._open(session, statement_cache_size=20)
            except asyncpg.PostgresError as error:
                if "unsupported startup parameter" not in str(error):
                    raise
                _log.info("%s is a connection pooler; %s sends its limits with each question", self.where, self._name)
                self._is_pooled = True
        return await self._open({"application_name": self._name}, statement_cache_size=0)

    async def _open(self, session: dict[str, str], *, statement_cache_size: int) -> asyncpg.Connection:
        limit_s = self._settings.connect_timeout_s
        take_exceptions()
        async with asyncio.timeout(limit_s + 0.5):
            return await asyncpg.connect(
                self._settings.dsn.reveal() or None,
                timeout=limit_s,
                command_timeout=self._patience_s,
                statement_cache_size=statement_cache_size,
                server_settings=session,
                connection_class=CountedConnection,
            )

    async def _perform(
        self, connection: asyncpg.Connection, work: Callable[[asyncpg.Connection], Awaitable[_Answer]]
    ) -> _Answer:
        if self._is_pooled:
            async with connection.transaction(readonly=True):
                await connection.execute(self._limits.transaction)
                return await work(connection)
        return await work(connection)

    async def _cut(self) -> None:
        connection, self._connection = self._connection, None
        asking, self._asking = self._asking, None
        if connection is not None:
            with contextlib.suppress(asyncpg.InterfaceError):  # closed already
                connection.terminate()
        if asking is not None:
            asking.cancel()
            for outcome in await asyncio.gather(asking, return_exceptions=True):
                _log.debug("cut a question in flight: %s", clean(outcome, 200))


class MonitorConnection(WatchingConnection):
    """The health tile's connection: one row at a time, whatever else the console does."""

    def __init__(self, settings: DatabaseSettings, clock: Clock) -> None:
        super().__init__(settings, clock, role="monitor")

    async def row(self, name: str, budget_s: float) -> Mapping[str, Any]:
        """Return the single row of the named query within about ``budget_s`` seconds; raises DatabaseError."""

        async def fetch(connection: asyncpg.Connection) -> Mapping[str, Any]:
            return dict(await connection.fetchrow(queries.load(name, connection.get_server_version().major)))

        return await self.run(fetch, budget_s)


def is_named(settings: DatabaseSettings) -> bool:
    """Tell whether a server was named at all, by a DSN or by libpq's own variables."""
    return bool(settings.dsn) or any(os.environ.get(name) for name in _NAMED_BY)


def _pause_after(failure: DatabaseError) -> float:
    """Return how long not to knock again: a full or refusing server must not be hammered."""
    if isinstance(failure, DatabaseBusy):
        return 6.0
    return 0.0 if failure.is_transient else 15.0
