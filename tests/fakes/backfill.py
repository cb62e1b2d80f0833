"""A backfill without the engine: services on real servers, a recording JobContext, and a program that can be killed."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import msgspec

from qsuite_console.cache.client import Cache
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import (
    BackfillSettings,
    CacheSettings,
    DatabaseSettings,
    ProviderSettings,
    Settings,
    TableSettings,
)
from qsuite_console.db.database import Database
from qsuite_console.db.panels import PanelReader
from qsuite_console.db.pooler import PoolerConsole
from qsuite_console.model.clock import Clock, SystemClock
from qsuite_console.providers.alpaca import AlpacaClient
from qsuite_console.workers import Services
from qsuite_console.workers.backfill import BackfillParameters, BackfillWorker

YEAR = BackfillParameters(symbols="all", start=date(2025, 1, 2), end=date(2025, 12, 31))
WEEK = BackfillParameters(symbols="AAPL,MSFT", timeframe="1Min", start=date(2025, 6, 2), end=date(2025, 6, 6))


NOWHERE = {  # for services that ask no provider
    "APCA_API_DATA_URL": "http://127.0.0.1:1",
    "APCA_API_BASE_URL": "http://127.0.0.1:1",
    "APCA_API_KEY_ID": "K",
    "APCA_API_SECRET_KEY": "S",
}


class FakeContext:
    """Records what a worker says; ``on_breathe`` may raise, as a pause or a limit does."""

    def __init__(self, job_id: int = 1, checkpoint: Mapping[str, Any] | None = None) -> None:
        self.job_id = job_id
        self.attempt = 1
        self.correlation_id = f"test-{job_id}"
        self.origin = "test"
        self.checkpoint = checkpoint
        self.log = logging.getLogger(f"test.job.{job_id}")
        self.said: list[tuple[float, float | None, dict[str, Any]]] = []
        self.breaths = 0
        self.on_breathe: Any = None

    def progress(self, done: float, total: float | None = None, **said: Any) -> None:
        self.said.append((done, total, said))

    async def save(self, checkpoint: Mapping[str, Any]) -> None:
        self.checkpoint = json.loads(json.dumps(checkpoint))

    async def breathe(self) -> None:
        self.breaths += 1
        if self.on_breathe is not None:
            self.on_breathe()

    @property
    def figures(self) -> list[dict[str, Any]]:
        return [dict(said.get("figures") or {}) for _, _, said in self.said]


def make_settings(
    dsn: str, exchange: Mapping[str, str], *, redis: str = "", rate_limit: int = 200, **tables: str
) -> Settings:
    return Settings(
        database=DatabaseSettings(dsn=Secret(dsn), pool_min=0),
        cache=CacheSettings(url=Secret(redis)),
        provider=ProviderSettings(
            data_url=exchange["APCA_API_DATA_URL"],
            trading_url=exchange["APCA_API_BASE_URL"],
            key_id=Secret(exchange["APCA_API_KEY_ID"]),
            secret_key=Secret(exchange["APCA_API_SECRET_KEY"]),
            rate_limit=rate_limit,
        ),
        backfill=BackfillSettings(),
        tables=TableSettings(**tables),
    )


@asynccontextmanager
async def open_services(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Services]:
    database, cache = Database(settings.database), Cache(settings.cache)
    provider, clock = AlpacaClient(settings.provider), clock or SystemClock()
    panels, pooler = PanelReader(settings.database, clock), PoolerConsole(settings)
    try:
        yield Services(
            settings=settings,
            clock=clock,
            database=database,
            cache=cache,
            provider=lambda: provider,
            panels=panels,
            pooler=pooler,
        )
    finally:
        await panels.close()
        await pooler.close()
        await provider.close()
        await cache.close()
        await database.close()


async def run(services: Services, parameters: BackfillParameters, context: FakeContext | None = None) -> dict[str, Any]:
    return dict(await BackfillWorker(services).run(context or FakeContext(), parameters))


async def fill_tickers(connection: Any, exchange: Mapping[str, str]) -> None:
    async with open_services(make_settings("postgresql://unused/x", exchange)) as services:
        symbols = [asset.symbol for asset in await services.provider().assets()]
    await connection.execute(
        "INSERT INTO market_data_ticker (symbol) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", symbols
    )


def changed(parameters: BackfillParameters, **changes: Any) -> BackfillParameters:
    return msgspec.structs.replace(parameters, **changes)


async def _main() -> None:
    parameters = msgspec.convert(json.loads(sys.argv[1]), BackfillParameters)
    settings = make_settings(os.environ["DATABASE_URL"], os.environ, rate_limit=int(sys.argv[2]))
    async with open_services(settings) as services:
        result = await BackfillWorker(services).run(FakeContext(), parameters)
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(_main())
