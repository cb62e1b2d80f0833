"""What fills a sandbox's servers, as the supervisor runs it: the seeded database, the sample exchange, the traffic."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, date, datetime
from typing import Final

from qsuite_console.cache.client import Cache
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings, DatabaseSettings
from qsuite_console.db.database import Database
from qsuite_console.sandbox.exchange.options import ExchangeOptions
from qsuite_console.sandbox.exchange.server import Exchange
from qsuite_console.sandbox.market import Market
from qsuite_console.sandbox.record import DATABASE, SandboxOptions, SandboxRecord
from qsuite_console.sandbox.seed import SeedOptions, is_seeded, seed
from qsuite_console.sandbox.traffic import Traffic

_SEED_S: Final = 300.0
_TRAFFIC_S: Final = 5.0


class Contents:
    """One market, and everything that shows it. ``postgres_url`` leads to the maintenance database."""

    def __init__(self, options: SandboxOptions, record: SandboxRecord, postgres_url: str, valkey_url: str) -> None:
        self._options = options
        self._keys = record.key_id, record.secret_key
        self._postgres_url = postgres_url
        self._valkey_url = valkey_url
        self._market = Market(symbols=options.symbols, seed=options.seed)
        self._exchange: Exchange | None = None
        self._traffic: asyncio.Task[None] | None = None
        self._database: Database | None = None
        self._cache: Cache | None = None

    async def seed(self) -> None:
        """Make the database and fill it, unless an earlier start has come so far."""
        maintenance = self._open(self._postgres_url, "sandbox")
        database = self._open(self._database_url, "sandbox")
        try:
            async with maintenance.session("create", _SEED_S) as connection:
                if not await connection.fetchval(
                    "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", DATABASE
                ):
                    await connection.execute(f"CREATE DATABASE {DATABASE}")
            async with database.session("seed", _SEED_S) as connection:
                if not await is_seeded(connection):
                    anchor = date.fromisoformat(self._options.anchor) if self._options.anchor else None
                    chosen = SeedOptions(sessions=self._options.sessions, anchor=anchor)
                    await seed(connection, self._market, chosen, now=datetime.now(UTC))
        finally:
            await maintenance.close()
            await database.close()

    async def start_exchange(self, port: int) -> int:
        """Serve the sample exchange; return its port."""
        key_id, secret_key = self._keys
        chosen = ExchangeOptions(
            symbols=self._options.symbols,
            seed=self._options.seed,
            rate_limit=self._options.rate_limit,
            latency_ms=self._options.latency_ms,
            fail_rate=self._options.fail_rate,
            bad_rate=self._options.bad_rate,
            key_id=key_id,
            secret_key=secret_key,
        )
        exchange = Exchange(chosen, market=self._market)
        await exchange.start(port)
        self._exchange = exchange
        return exchange.port

    def start_traffic(self) -> None:
        """Let trading begin."""
        self._database = self._open(self._database_url, "sandbox", _TRAFFIC_S)
        self._cache = Cache(CacheSettings(url=Secret(self._valkey_url)), application="sandbox-traffic")
        traffic = Traffic(self._database, self._cache, self._market, self._options.seed)
        self._traffic = asyncio.create_task(traffic.run())

    async def stop(self) -> None:
        """End traffic and exchange."""
        if self._traffic is not None:
            self._traffic.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._traffic
        if self._exchange is not None:
            await self._exchange.stop()
        if self._database is not None:
            await self._database.close()
        if self._cache is not None:
            await self._cache.close()

    @property
    def _database_url(self) -> str:
        return self._postgres_url.rpartition("/")[0] + f"/{DATABASE}"

    def _open(self, url: str, application: str, command_timeout_s: float = _SEED_S) -> Database:
        settings = DatabaseSettings(dsn=Secret(url), pool_max=2, command_timeout_s=command_timeout_s)
        return Database(settings, application=application)
