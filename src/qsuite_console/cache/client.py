"""The one factory of cache clients: two-second limits, no hidden retries, no secret in what it says.

The driver's defaults hang 59 s on a stopped server and run INCR, LPUSH and MULTI twice when a reply is lost; retries
belong to the job engine. Options in the URL never override the limits set here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from qsuite_console.cache.errors import CacheUnconfigured, translate
from qsuite_console.config.settings import CacheSettings

_FROM_URL: Final = frozenset({"host", "port", "db", "username", "password", "path", "connection_class"})
_TLS: Final = frozenset({"ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"})
MAX_CONNECTIONS: Final = 32
HEALTH_CHECK_S: Final = 15


class Cache:
    """A lazily connected client; nothing is opened before the first command."""

    def __init__(self, settings: CacheSettings, *, application: str = "qsuite-console") -> None:
        self._settings = settings
        self._application = application
        self._client: Redis | None = None

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
    def raw(self) -> Redis:
        """Return the driver's client (bytes in, bytes out); raises CacheUnconfigured. Wrap use in ``guard``."""
        if self._client is None:
            options: dict[str, Any] = dict(self._options())
            self._client = Redis.from_pool(
                ConnectionPool(
                    **options,
                    socket_timeout=self._settings.timeout_s,
                    socket_connect_timeout=self._settings.timeout_s,
                    health_check_interval=HEALTH_CHECK_S,
                    max_connections=MAX_CONNECTIONS,
                    retry=Retry(NoBackoff(), 0),
                    client_name=self._application,
                )
            )
        return self._client

    @asynccontextmanager
    async def guard(self) -> AsyncIterator[Redis]:
        """Give ``raw`` and turn the driver's failures into CacheError."""
        client = self.raw
        try:
            yield client
        except (RedisError, OSError) as error:
            raise translate(error, self.where) from error

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
        if client is not None:
            with suppress(RedisError, OSError):  # a dead server can't be told goodbye; sockets are closed regardless
                await client.aclose()

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
