"""Guarded sessions on a lazy asyncpg pool.

asyncpg can wait for ever on a server that hangs: acquiring, running and giving back are each bounded here, and a
connection whose session was cancelled or timed out is cleaned up behind the caller's back or terminated.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import asyncpg

from qsuite_console.config.settings import DatabaseSettings
from qsuite_console.db.counted import CountedConnection
from qsuite_console.db.errors import (
    DatabaseBusy,
    DatabaseDown,
    DatabaseError,
    DatabaseReadOnly,
    DatabaseSlow,
    is_database_failure,
    translate,
)
from qsuite_console.db.given_up import take_exceptions
from qsuite_console.model.text import clean

_log = logging.getLogger(__name__)
_RELEASE_S: Final = 1.0  # how long a cancelled connection may take to come clean before it is cut
_NAME_LIMIT: Final = 63  # bytes PostgreSQL keeps of application_name
_STARTUP: Final = {
    "lock_timeout": "2000",
    "idle_in_transaction_session_timeout": "30000",
    "tcp_keepalives_idle": "15",
    "TimeZone": "UTC",
}


class Database:
    """One platform's PostgreSQL. Connects on first use, on the loop of the first caller; every error is translated."""

    def __init__(self, settings: DatabaseSettings, *, application: str = "qsuite-console") -> None:
        self.settings = settings
        self.application = application
        self.where = describe_address(settings)
        self._pool: asyncpg.Pool | None = None
        self._opening: asyncio.Lock | None = None
        self._chores: set[asyncio.Task[None]] = set()
        self._version = 0

    @property
    def version(self) -> int:
        """Return the server's major version, 0 before the first session."""
        return self._version

    @contextlib.asynccontextmanager
    async def session(self, label: str, budget_s: float | None = None) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection named ``<application>/<label>`` on the server; all of it within ``budget_s`` seconds.

        Raises DatabaseError for whatever the driver raises inside; other exceptions pass unchanged.
        """
        # Any driver error that leaves the block is translated here, so no caller needs to know asyncpg.
        try:
            async with asyncio.timeout(budget_s) as deadline:
                async with self._borrowed(label, budget_s) as connection:
                    yield connection
        except TimeoutError as error:
            if deadline.expired():
                raise DatabaseSlow(
                    f"PostgreSQL at {self.where} did not finish {label} within {budget_s:g} s",
                    hint="check its load and locks, then try again",
                ) from error
            raise translate(error, self.where) from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            translated = translate(error, self.where)
            if isinstance(translated, DatabaseReadOnly) and self._pool is not None:
                await self._pool.expire_connections()  # after a failover the name may lead to the new primary
            raise translated from error

    async def close(self) -> None:
        """Close the pool within a few seconds, whatever the server does; a later session opens it again."""
        pool, self._pool, self._opening = self._pool, None, None
        if self._chores:
            await asyncio.wait(self._chores, timeout=2 * _RELEASE_S)
        if pool is None:
            return
        try:
            async with asyncio.timeout(2.0):
                await pool.close()
        except TimeoutError:
            pool.terminate()
        except Exception as error:
            _log.debug("closing the connection pool: %s", clean(error, 200))
            pool.terminate()

    @contextlib.asynccontextmanager
    async def _borrowed(self, label: str, budget_s: float | None) -> AsyncIterator[asyncpg.Connection]:
        pool = await self._ready()
        connection = await self._acquire(pool, budget_s)
        is_clean = False
        # A rollback on a server that hangs must not outlive the budget: the connection is cut a little after it.
        later = asyncio.get_running_loop().call_later
        cutter = None if budget_s is None else later(budget_s + _RELEASE_S, _cut, connection)
        try:
            if not self.settings.pgbouncer:
                await connection.execute(_name_statement(f"{self.application}/{label}"))
            yield connection
            is_clean = True
        finally:
            if cutter is not None:
                cutter.cancel()
            chore = asyncio.create_task(_give_back(pool, connection))
            self._chores.add(chore)
            chore.add_done_callback(self._chores.discard)
            if is_clean:
                await asyncio.shield(chore)

    async def _acquire(self, pool: asyncpg.Pool, budget_s: float | None) -> asyncpg.Connection:
        wait_s = max(self.settings.connect_timeout_s, min(self.settings.command_timeout_s, budget_s or 1e9))
        if budget_s is not None:
            wait_s = min(wait_s, 0.9 * budget_s)  # the reason must be told before the budget itself runs out
        try:
            return await pool.acquire(timeout=wait_s)
        except TimeoutError as error:
            if pool.get_size() >= pool.get_max_size() and pool.get_idle_size() == 0:
                raise DatabaseBusy(
                    f"all {pool.get_max_size()} connections of the console to {self.where} are in use",
                    hint="wait for a job to end or raise DB_POOL_MAX_SIZE",
                ) from error
            raise DatabaseDown(
                f"PostgreSQL at {self.where} accepts no connection within {wait_s:g} s",
                hint="check that it runs and is not overloaded",
            ) from error
        except Exception as error:
            raise translate(error, self.where) from error

    async def _ready(self) -> asyncpg.Pool:
        if self._pool is not None:
            return self._pool
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._pool is None:
                try:
                    self._pool = await self._open()
                except DatabaseError:
                    raise
                except Exception as error:
                    if is_database_failure(error) or isinstance(error, ValueError):
                        raise translate(error, self.where) from error
                    raise
        return self._pool

    async def _open(self) -> asyncpg.Pool:
        settings = self.settings
        startup = {
            **_STARTUP,
            "application_name": self.application,
            # A safety net behind command_timeout: it also ends what a lost client left running.
            "statement_timeout": str(int(settings.command_timeout_s * 3000)),
        }
        take_exceptions()
        async with asyncio.timeout(settings.connect_timeout_s * 2):
            # The pool's floor is not kept by asyncpg (min_size=0): it logs tracebacks while a server is down.
            return await asyncpg.create_pool(
                settings.dsn.reveal() or None,
                init_size=min(settings.pool_min, settings.pool_max),
                min_size=0,
                max_size=settings.pool_max,
                timeout=settings.connect_timeout_s,
                command_timeout=settings.command_timeout_s,
                statement_cache_size=0 if settings.pgbouncer else 100,
                server_settings=None if settings.pgbouncer else startup,
                init=self._note_version,
                connection_class=CountedConnection,
            )

    async def _note_version(self, connection: asyncpg.Connection) -> None:
        self._version = connection.get_server_version().major


def describe_address(settings: DatabaseSettings) -> str:
    """Return host:port/database as the settings or PG* name them, never with user or password."""
    host, port, name = os.environ.get("PGHOST", ""), os.environ.get("PGPORT", ""), os.environ.get("PGDATABASE", "")
    dsn = settings.dsn.reveal()
    if dsn:
        try:
            parts = urlsplit(dsn)
            host = unquote(parts.hostname or "") or _query_value(parts.query, "host") or host
            port = str(parts.port or "") or _query_value(parts.query, "port") or port
            name = unquote(parts.path.lstrip("/")) or _query_value(parts.query, "dbname") or name
        except ValueError:
            return "the address in DATABASE_URL"
    return clean(f"{host or 'localhost'}:{port or '5432'}/{name or 'postgres'}", 200)


def identify(settings: DatabaseSettings) -> tuple[str, ...]:
    """Return what tells this database as this user sees it from any other, wherever it is asked for."""
    address, dsn = describe_address(settings), settings.dsn.reveal()
    try:
        parts = urlsplit(dsn)
        user = parts.username or _query_value(parts.query, "user") or os.environ.get("PGUSER", "")
    except ValueError:
        user = ""
    host = address.rpartition(":")[0].strip("[]")
    is_local = host in ("localhost", "::1") or host.startswith(("127.", "/"))
    return address, user, socket.gethostname() if is_local else ""


def _query_value(query: str, key: str) -> str:
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name == key:
            return unquote(value)
    return ""


def _name_statement(name: str) -> str:
    text = clean(name).encode("ascii", "replace")[:_NAME_LIMIT].decode("ascii").replace("'", "''").replace("\\", "/")
    return f"SET application_name = '{text}'"


async def _give_back(pool: asyncpg.Pool, connection: Any) -> None:
    try:
        async with asyncio.timeout(2 * _RELEASE_S):
            await pool.release(connection, timeout=_RELEASE_S)
    except Exception as error:  # the server hangs or is gone: the connection is of no more use
        _log.debug("cutting a connection that did not come clean: %s", clean(error, 200))
        _cut(connection)


def _cut(connection: Any) -> None:
    with contextlib.suppress(asyncpg.InterfaceError):  # released or terminated already
        connection.terminate()
