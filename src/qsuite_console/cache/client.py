"""The one factory of cache clients: two-second limits, no hidden retries, no secret in what it says.

The driver's defaults hang 59 s on a stopped server and run INCR, LPUSH and MULTI twice when a reply is lost; retries
belong to the job engine. Options in the URL never override the limits set here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.connection import Connection, ConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from qsuite_console.cache.connections import reading_many
from qsuite_console.cache.errors import CacheUnconfigured, translate
from qsuite_console.cache.lookups import OwnLookups
from qsuite_console.cache.panels import Panel, name_connection
from qsuite_console.config.settings import CacheSettings
from qsuite_console.model.text import clean

_FROM_URL: Final = frozenset({"host", "port", "db", "username", "password", "path", "connection_class"})
_TLS: Final = frozenset({"ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"})
MAX_CONNECTIONS: Final = 32
HEALTH_CHECK_S: Final = 15


class Cache:
    """A lazily connected client; nothing is opened before the first command."""

    def __init__(
        self, settings: CacheSettings, *, application: str = "qsuite-console", lookups: OwnLookups | None = None
    ) -> None:
        """``lookups`` of another client of the same server are counted together with its own."""
        self._settings = settings
        self._application = application
        self._client: Redis | None = None
        self._panel: Panel | None = None
        self.lookups = lookups or OwnLookups()

    @property
    def is_configured(self) -> bool:
        """Tell whether a cache was named at all."""
        return bool(self._settings.url)

    @property
    def where(self) -> str:
        """Return host:port/db or the socket's path, without credentials; "" when unconfigured or unreadable."""
        try:
            options = self._options()
        except CacheUnconfigured:
            return ""
        if "path" in options:
            return str(options["path"])
        return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}/{options.get('db', 0)}"

    @property
    def database(self) -> int:
        """Return the number of the database the URL leads to."""
        try:
            return int(self._options().get("db") or 0)
        except CacheUnconfigured:
            return 0

    @property
    def raw(self) -> Redis:
        """Return the driver's client (bytes in, bytes out); raises CacheUnconfigured. Wrap use in ``guard``."""
        if self._client is None:
            options: dict[str, Any] = dict(self._options())
            options["connection_class"] = reading_many(options.get("connection_class", Connection))
            self._client = Redis.from_pool(
                ConnectionPool(
                    **options,
                    socket_timeout=self._settings.timeout_s,
                    socket_connect_timeout=self._settings.timeout_s,
                    health_check_interval=HEALTH_CHECK_S,
                    max_connections=MAX_CONNECTIONS,
                    retry=Retry(NoBackoff(), 0),
                    redis_connect_func=self._greet,
                )
            )
        return self._client

    @property
    def panel(self) -> Panel:
        """Return the connection that all panels share; raises CacheUnconfigured when it is asked."""
        if self._panel is None:
            self._panel = self.line("panels")
        return self._panel

    def line(self, purpose: str) -> Panel:
        """Return a connection beside the others, to be closed by whoever asked for it; nothing is opened yet."""
        return Panel(
            self._options,
            self.lookups,
            where=self.where,
            user=self.user,
            name=f"{self._application}/{purpose}",
            timeout_s=self._settings.timeout_s,
        )

    @property
    def user(self) -> str:
        """Return the ACL user the URL names, "default" where it names none or can't be read."""
        try:
            return clean(self._options().get("username") or "default", 60)
        except CacheUnconfigured:
            return "default"

    @asynccontextmanager
    async def guard(self) -> AsyncIterator[Redis]:
        """Give ``raw`` and turn the driver's failures into CacheError.

        The driver may take the cancellation of a job for a timeout of its own, or drop it; it is raised again here.
        """
        client, task = self.raw, asyncio.current_task()
        before = task.cancelling() if task is not None else 0
        try:
            yield client
        except (RedisError, OSError) as error:
            if task is not None and task.cancelling() > before:
                raise asyncio.CancelledError from error
            raise translate(error, self.where) from error
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError

    async def ping(self) -> None:
        """Raise CacheError unless the cache answers within the time limit."""
        async with self.guard() as client:
            await client.ping()

    async def info(self, *sections: str) -> Mapping[str, Any]:
        """Return INFO as a flat mapping (all default sections when none is named); raises CacheError."""
        async with self.guard() as client:
            answer = await client.info(*sections)
        return dict(answer)

    async def close(self) -> None:
        """Close every connection; the next command opens new ones."""
        client, self._client = self._client, None
        panel, self._panel = self._panel, None
        if panel is not None:
            await panel.close()
        if client is not None:
            with suppress(RedisError, OSError):  # a dead server can't be told goodbye; sockets are closed regardless
                await client.aclose()

    async def _greet(self, connection: Any) -> None:
        await connection.on_connect()
        await name_connection(connection, self._application)

    def _options(self) -> Mapping[str, Any]:
        url = self._settings.url.reveal()
        if not url:
            raise CacheUnconfigured("no cache is configured", hint="set REDIS_URL or run `qsuite-console init`")
        try:
            given = dict(parse_url(url))
        except (ValueError, TypeError):
            raise CacheUnconfigured(
                "REDIS_URL can't be read: expected redis://[user:password@]host[:port][/db], rediss:// or unix://path",
                hint="percent-encode special characters of the password",
            ) from None
        return {name: value for name, value in given.items() if name in _FROM_URL | _TLS}
