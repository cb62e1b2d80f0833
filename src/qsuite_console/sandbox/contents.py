"""What fills a sandbox's servers, as the supervisor runs it: the seeded database, the sample exchange, the traffic."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import UTC, date, datetime
from typing import Final

from qsuite_console.cache.client import Cache
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings, DatabaseSettings
from qsuite_console.db.database import Database
from qsuite_console.model.errors import ConsoleError
from qsuite_console.sandbox.exchange.options import ExchangeOptions
from qsuite_console.sandbox.exchange.server import Exchange
from qsuite_console.sandbox.harvest import Harvest
from qsuite_console.sandbox.market import Market
from qsuite_console.sandbox.record import DATABASE, SandboxOptions, SandboxRecord
from qsuite_console.sandbox.seed import SeedOptions, anchor_session, is_seeded, plant_troubles, seed
from qsuite_console.sandbox.traffic import Traffic

_log: Final = logging.getLogger(__name__)
_SEED_S: Final = 300.0
_TRAFFIC_S: Final = 5.0


class Contents:
    """One market, and everything that shows it. Making one begins with the bars, if there are none yet."""

    def __init__(self, options: SandboxOptions, record: SandboxRecord) -> None:
        self._options = options
        self._keys = record.key_id, record.secret_key
        self._postgres_url = self._valkey_url = ""
        self._now = datetime.now(UTC)
        anchor = date.fromisoformat(options.anchor) if options.anchor else None
        self._seed_options = SeedOptions(sessions=options.sessions, anchor=anchor)
        self._market = Market(symbols=options.symbols, seed=options.seed)
        self._harvest: Harvest | None = None
        if not record.is_seeded:
            self._harvest = Harvest(self._market, anchor_session(self._seed_options, self._now))
        self._exchange: Exchange | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._database: Database | None = None
        self._cache: Cache | None = None

    def use(self, postgres_url: str, valkey_url: str) -> None:
        """Take the running servers; ``postgres_url`` leads to the maintenance database."""
        self._postgres_url, self._valkey_url = postgres_url, valkey_url

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
                    await seed(connection, self._market, self._seed_options, now=self._now, harvest=self._harvest)
        finally:
            await maintenance.close()
            await database.close()

    async def _finish(self) -> None:
        """Plant what an operator should find, and gather the planner's figures of all that was loaded."""
        database = self._open(self._database_url, "sandbox")
        try:
            async with database.session("troubles", _SEED_S) as connection:
                await plant_troubles(connection)
            await database.close()  # what a session has counted is told at its end: ANALYZE must come after that
            async with database.session("analyze", _SEED_S) as connection:
                await connection.execute("ANALYZE")
        except ConsoleError as error:
            _log.warning("the sandbox is not finished: %s", error)
        finally:
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

    def start_upkeep(self, *, has_traffic: bool) -> None:
        """Let trading begin, if it is to, and finish in the background what nobody needs to wait for."""
        if self._harvest is not None:
            self._tasks.append(asyncio.create_task(self._finish()))
        if not has_traffic:
            return
        self._database = self._open(self._database_url, "sandbox", _TRAFFIC_S)
        self._cache = Cache(CacheSettings(url=Secret(self._valkey_url)), application="sandbox-traffic")
        traffic = Traffic(self._database, self._cache, self._market, self._options.seed)
        self._tasks.append(asyncio.create_task(traffic.run()))

    async def stop(self) -> None:
        """End traffic and exchange, and a harvest that nobody brings in."""
        if self._harvest is not None:
            self._harvest.close()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
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
