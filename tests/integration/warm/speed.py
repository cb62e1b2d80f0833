"""Warming prices against the raw pipelined limit of the same payload, and against a query and a SETEX per symbol.

All in one run on the same servers, the best of several rounds each, in turns: what disturbs one disturbs the other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from redis.asyncio import Redis

from fakes.backfill import NOWHERE, FakeContext, make_settings, open_services
from fakes.many_bars import best_of, fill
from qsuite_console import workers
from qsuite_console.cache import keys
from qsuite_console.cache.writer import write_keys
from qsuite_console.config.settings import DatabaseSettings, TableSettings
from qsuite_console.db.database import Database
from qsuite_console.db.market import reading
from qsuite_console.db.warming import WarmingReader
from qsuite_console.engine.parameters import decode
from qsuite_console.model.cached import PriceEntry

Work = Callable[[], Awaitable[Any]]


async def raw_setex(url: str, entries: list[tuple[str, bytes]]) -> tuple[Work, asyncio.StreamWriter]:
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


async def in_turns(rounds: int, ours: Work, theirs: Work) -> tuple[float, float, Any]:
    """Return the shortest time of either in seconds, and our last answer."""
    best_ours = best_theirs = float("inf")
    answer = None
    for _ in range(rounds):
        spent, answer = await best_of(1, ours)
        best_ours = min(best_ours, spent)
        best_theirs = min(best_theirs, (await best_of(1, theirs))[0])
    return best_ours, best_theirs, answer


async def compare_with_the_raw_limit(dsn: str, url: str, *, symbols: int, bars: int) -> None:
    """Warm the prices of ``symbols`` symbols with ``bars`` bars each; check cost, speed and every value."""
    connection, redis = await asyncpg.connect(dsn), Redis.from_url(url)
    try:
        names = await fill(connection, symbols, bars)
        async with open_services(make_settings(dsn, NOWHERE, redis=url)) as services:
            await _costs(services, redis, symbols)
            await _equals(connection, redis)
            await _speeds(services, connection, redis, url, names)
    finally:
        await redis.aclose()
        await connection.close()


async def _warm(services: workers.Services) -> Any:
    worker: Any = workers.load("warm.prices", services)
    return await worker.run(FakeContext(), decode(worker.kind.parameters, {"period_s": 30}))


class Watched(Database):
    """Notes every statement that is run on its sessions."""

    def __init__(self, settings: DatabaseSettings) -> None:
        super().__init__(settings)
        self.statements: list[str] = []

    @contextlib.asynccontextmanager
    async def session(self, label: str, budget_s: float | None = None) -> AsyncIterator[asyncpg.Connection]:
        async with super().session(label, budget_s) as connection:
            with connection.query_logger(lambda record: self.statements.append(record.query)):
                yield connection


async def _costs(services: workers.Services, redis: Redis, symbols: int) -> None:
    """One statement reads all prices and one pipeline writes them, by what is seen of both."""
    database = Watched(services.settings.database)
    try:
        await _warm(services)  # connections are open now
        await redis.config_resetstat()
        await _warm(replace(services, database=database))
        said, calls = await redis.info("stats"), await redis.info("commandstats")
    finally:
        await database.close()
    assert sum("market_data_marketdata" in statement for statement in database.statements) == 1
    assert len([one for one in database.statements if not one.startswith(("BEGIN", "SET ", "COMMIT"))]) <= 2
    assert calls["cmdstat_set"]["calls"] == symbols
    assert said["total_reads_processed"] <= 20, "a request for each key would be as many reads"


async def _equals(connection: asyncpg.Connection, redis: Redis) -> None:
    """Every value is the newest bar's, to the last digit and as it is written there."""
    rows = await connection.fetch(
        'SELECT DISTINCT ON (t.symbol) t.symbol, m.close, m."timestamp" FROM market_data_marketdata m '
        'JOIN market_data_ticker t ON t.id = m.ticker_id ORDER BY t.symbol, m."timestamp" DESC'
    )
    values = await redis.mget([f"price:{row['symbol']}" for row in rows])
    for row, value in zip(rows, values, strict=True):
        entry = keys.decode(value, PriceEntry)
        assert (entry.symbol, str(entry.price), entry.timestamp) == (row["symbol"], str(row["close"]), row["timestamp"])


async def _speeds(
    services: workers.Services, connection: asyncpg.Connection, redis: Redis, url: str, names: Sequence[str]
) -> None:
    async def one_by_one() -> None:
        for name in names:
            price = await connection.fetchval(
                "SELECT m.close::text FROM market_data_marketdata m WHERE m.ticker_id = "
                '(SELECT id FROM market_data_ticker WHERE symbol = $1) ORDER BY m."timestamp" DESC LIMIT 1',
                name,
            )
            await redis.execute_command("SETEX", f"price:{name}", 90, price)

    async with reading(services.database, TableSettings(), "bench", 30.0) as market:
        found = await WarmingReader(market).prices(None)
    entries = [(keys.PRICE.key(entry.symbol), keys.encode(entry)) for entry in found]
    send, writer = await raw_setex(url, entries)
    ours_s, plain_s, result = await in_turns(5, lambda: _warm(services), one_by_one)
    write_s, raw_s, written = await in_turns(200, lambda: write_keys(services.cache, entries, life_s=90), send)
    writer.close()
    await writer.wait_closed()
    print(
        f"\nwarm prices: {1000 * ours_s:.1f} ms, one by one {1000 * plain_s:.0f} ms: {plain_s / ours_s:.0f}x; writing "
        f"{len(names) / write_s:,.0f} keys/s, raw pipeline {len(names) / raw_s:,.0f}: {raw_s / write_s:.2f}"
    )
    assert result["keys"] == written.keys == len(names)
    assert plain_s >= 10 * ours_s
    assert raw_s >= 0.5 * write_s
