"""Warming 500 prices from two million bars: against the raw pipelined limit of the same payload, and against one query
and one SETEX per symbol, all in one run on the same servers.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from redis.asyncio import Redis

from fakes.backfill import FakeContext
from fakes.many_bars import best_of, fill
from qsuite_console import workers
from qsuite_console.cache import keys
from qsuite_console.cache.client import Cache
from qsuite_console.cache.writer import write_keys
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings, DatabaseSettings, Settings, TableSettings
from qsuite_console.db.database import Database
from qsuite_console.db.market import reading
from qsuite_console.db.panels import PanelReader
from qsuite_console.db.pooler import PoolerConsole
from qsuite_console.db.warming import WarmingReader
from qsuite_console.engine.parameters import decode
from qsuite_console.model.clock import SystemClock

SYMBOLS, BARS = 500, 4000


async def raw_setex(url: str, entries: list[tuple[str, bytes]]) -> Any:
    """Return a function that sends the payload as one pipeline over a bare socket: what redis-benchmark -P does."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(f"AUTH {address.password}\r\n".encode())
    assert await reader.readline() == b"+OK\r\n"

    async def send() -> None:
        parts = [
            b"*4\r\n$5\r\nSETEX\r\n$%d\r\n%b\r\n$2\r\n90\r\n$%d\r\n%b\r\n" % (len(k), k, len(v), v)
            for k, v in ((key.encode(), value) for key, value in entries)
        ]
        writer.write(b"".join(parts))
        got = 0
        while got < 5 * len(entries):
            got += len(await reader.read(65_536))

    return send, writer


@pytest.mark.timeout(600)
async def test_warming_500_prices_from_two_million_bars(database_dsn: str, valkey_url: str) -> None:
    connection = await asyncpg.connect(database_dsn)
    redis = Redis.from_url(valkey_url)
    settings = Settings(
        database=DatabaseSettings(dsn=Secret(database_dsn)), cache=CacheSettings(url=Secret(valkey_url))
    )
    database, cache, clock = Database(settings.database), Cache(settings.cache), SystemClock()
    panels, pooler = PanelReader(settings.database, clock), PoolerConsole(settings)
    services = workers.Services(
        settings=settings, clock=clock, database=database, cache=cache, provider=lambda: None,  # type: ignore[arg-type,return-value]
        panels=panels, pooler=pooler,
    )  # fmt: skip
    try:
        symbols = await fill(connection, SYMBOLS, BARS)
        worker: Any = workers.load("warm.prices", services)
        parameters = decode(worker.kind.parameters, {"period_s": 30})

        async def one_by_one() -> None:
            for symbol in symbols:
                price = await connection.fetchval(
                    "SELECT m.close::text FROM market_data_marketdata m WHERE m.ticker_id = "
                    '(SELECT id FROM market_data_ticker WHERE symbol = $1) ORDER BY m."timestamp" DESC LIMIT 1',
                    symbol,
                )
                await redis.setex(f"price:{symbol}", 90, price)

        ours_s, result = await best_of(5, lambda: worker.run(FakeContext(), parameters))
        plain_s, _ = await best_of(2, one_by_one)
        async with reading(database, TableSettings(), "bench", 30.0) as market:
            found = await WarmingReader(market).prices(None)
        entries = [(keys.PRICE.key(entry.symbol), keys.encode(entry)) for entry in found]
        send, writer = await raw_setex(valkey_url, entries)
        write_s, written = await best_of(30, lambda: write_keys(cache, entries, life_s=90))
        raw_s, _ = await best_of(30, send)
        writer.close()
        print(
            f"\nwarm prices: {1000 * ours_s:.1f} ms, one by one {1000 * plain_s:.0f} ms: {plain_s / ours_s:.0f}x; "
            f"writing {SYMBOLS / write_s:,.0f} keys/s, raw pipeline {SYMBOLS / raw_s:,.0f}: {raw_s / write_s:.2f}"
        )
        assert result["keys"] == written.keys == SYMBOLS
        assert plain_s >= 10 * ours_s
        assert raw_s >= 0.5 * write_s
    finally:
        for each in (panels, pooler, cache, database):
            await each.close()
        await redis.aclose()
        await connection.close()
