"""Each job on the cache loses Valkey, or PostgreSQL, in the middle; it comes back, goes on and ends right."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis

from integration.kills.killing import Kills, result_of
from qsuite_console.cache import keys
from qsuite_console.cache.client import Cache
from qsuite_console.cache.writer import write_keys
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings
from qsuite_console.model.cached import BookEntry, MarketEntry, PositionsEntry, PriceEntry
from qsuite_console.model.jobs import JobDetail

SYMBOLS = 40
MANY, FEWER = 120_000, 50_000
WARMING = ("warm.prices", "warm.market-data", "warm.order-books", "warm.positions")
TABLES = {"warm.order-books": "execution_engine_order", "warm.positions": "execution_engine_execution"}


@asynccontextmanager
async def connect(kills: Kills) -> AsyncIterator[Redis]:
    client = Redis.from_url(kills.redis_url)
    try:
        yield client
    finally:
        await client.aclose()


async def trade(kills: Kills) -> None:
    """Symbols with bars, a resting order of each side, and fills of three users."""
    await kills.execute(
        "INSERT INTO auth_user (username, last_login) SELECT 'u' || n, now() FROM generate_series(1, 3) n",
        f"INSERT INTO market_data_ticker (symbol) SELECT 'S' || n FROM generate_series(1, {SYMBOLS}) n",
        "INSERT INTO market_data_marketdata SELECT t.id, date_trunc('minute', now()) - n * interval '1 minute', "
        "t.id + n, t.id + n + 1, t.id + n - 1, t.id + n + 0.123456, 5 "
        "FROM market_data_ticker t, generate_series(1, 9) n",
        "INSERT INTO execution_engine_order (created_by_id, ticker_id, side, order_type, status, quantity, price) "
        "SELECT 1, t.id, s, 'LIMIT', 'PENDING', 10, CASE s WHEN 'BUY' THEN 9.5 ELSE 10.5 END "
        "FROM market_data_ticker t, unnest(ARRAY['BUY', 'SELL']) s",
        "INSERT INTO execution_engine_order (created_by_id, ticker_id, side, order_type, status, quantity, "
        "filled_quantity, avg_fill_price) SELECT u.id, t.id, 'BUY', 'MARKET', 'FILLED', u.id, u.id, 7 "
        "FROM market_data_ticker t, auth_user u",
        "INSERT INTO execution_engine_execution (order_id, quantity, price) "
        "SELECT id, quantity, 7 FROM execution_engine_order WHERE status = 'FILLED'",
    )


async def check(kills: Kills, kind: str) -> None:
    """Compare every key of a family with the tables."""
    async with connect(kills) as redis:
        stored = {key.decode(): await redis.get(key) for key in await redis.keys("*") if b"qsuite-console" not in key}
    if kind == "warm.positions":
        assert sorted(stored) == ["positions:1", "positions:2", "positions:3"]
        for user in (1, 2, 3):
            held = keys.decode(stored[f"positions:{user}"], PositionsEntry).positions
            assert [(one.net, one.average_cost) for one in held] == [(user, 7)] * SYMBOLS
        return
    prefix = {"warm.prices": "price", "warm.market-data": "market_data", "warm.order-books": "order_book"}[kind]
    assert sorted(stored) == sorted(f"{prefix}:S{n}" for n in range(1, SYMBOLS + 1))
    for number in range(1, SYMBOLS + 1):
        value, close = stored[f"{prefix}:S{number}"], Decimal(number + 1) + Decimal("0.123456")
        if kind == "warm.prices":
            assert keys.decode(value, PriceEntry).price == close
        elif kind == "warm.market-data":
            assert keys.decode(value, MarketEntry).close == close
        else:
            book = keys.decode(value, BookEntry)
            assert [(side[0].price, side[0].quantity) for side in (book.bids, book.asks)] == [
                (Decimal("9.5"), 10),
                (Decimal("10.5"), 10),
            ]


def retried(detail: JobDetail) -> None:
    assert len(detail.attempts) > 1
    assert "retry" in {str(attempt.outcome) for attempt in detail.attempts}


@pytest.mark.parametrize("kind", WARMING)
async def test_warming_loses_postgresql(kills: Kills, kind: str) -> None:
    await trade(kills)
    table = TABLES.get(kind, "market_data_marketdata")
    async with kills.holding(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"):
        job = await kills.submit(kind)
        await kills.until_held(job)
        await kills.kill("postgres")
    await kills.start("postgres")
    retried(await kills.end(job))
    await check(kills, kind)


@pytest.mark.parametrize("kind", WARMING)
async def test_warming_loses_valkey(kills: Kills, kind: str) -> None:
    """Valkey stops taking writes, so that the job is met while it writes; then it dies with all it held."""
    await trade(kills)
    assert await kills.valkey("CLIENT", "PAUSE", "600000", "WRITE") == b"+OK"
    job = await kills.submit(kind)
    async with connect(kills) as redis:

        async def is_writing() -> bool:
            return any(client["cmd"] == "set" for client in await redis.client_list())

        await kills.wait(is_writing, lambda: f"{kind} writes nothing")
    await kills.kill("valkey")
    await kills.until_failed_once(job)
    await kills.start("valkey")
    detail = await kills.end(job)
    retried(detail)
    assert result_of(detail)["failed"] == 0
    await check(kills, kind)


async def fill(kills: Kills, count: int) -> None:
    """Write many keys and keep them over a crash: a server that comes back has them all again."""
    cache = Cache(CacheSettings(url=Secret(kills.redis_url)))
    try:
        await write_keys(cache, [(f"price:{number}", b"x") for number in range(count)], life_s=3600)
        await write_keys(cache, [(f"flag:{number}", b"x") for number in range(50)], life_s=3600)
    finally:
        await cache.close()


def forget_dump(kills: Kills) -> None:
    (kills.pair.directory / "dump.rdb").unlink(missing_ok=True)


async def test_invalidation_loses_valkey(kills: Kills) -> None:
    await fill(kills, MANY)
    assert await kills.valkey("SAVE") == b"+OK"
    try:
        job = await kills.submit("cache.invalidate", by="family", value="price")
        met = await kills.until(job, lambda job: float(job.progress.figures.get("removed", 0)) > 0)
        await kills.kill("valkey")
        assert float(met.progress.figures["removed"]) < MANY, "in the middle"
        await kills.until_failed_once(job)
        await kills.start("valkey")
        assert await kills.valkey("DBSIZE") == f":{MANY + 50}".encode(), "what was removed is back"
        detail = await kills.end(job)
        retried(detail)
        removed = result_of(detail)["removed"]
        assert removed >= MANY + met.progress.figures["removed"], "all attempts count, also what came back"
        assert await kills.valkey("DBSIZE") == b":50"
    finally:
        forget_dump(kills)


async def test_clean_up_loses_valkey(kills: Kills) -> None:
    await fill(kills, FEWER)
    async with connect(kills) as redis:
        for first in range(0, FEWER, 5_000):
            pipeline = redis.pipeline(transaction=False)
            for number in range(first, first + 5_000):
                pipeline.persist(f"price:{number}")
            await pipeline.execute()
        await redis.mset({f"strange:{number}": "x" for number in range(7)})
    assert await kills.valkey("SAVE") == b"+OK"
    try:
        job = await kills.submit("cache.cleanup", life_s=900)
        met = await kills.until(job, lambda job: float(job.progress.figures.get("given", 0)) > 0)
        await kills.kill("valkey")
        assert float(met.progress.figures["given"]) < FEWER, "in the middle"
        await kills.until_failed_once(job)
        await kills.start("valkey")
        detail = await kills.end(job)
        retried(detail)
        result: Any = result_of(detail)
        assert result["given"]["price"] >= FEWER + float(met.progress.figures["given"]), "all attempts count"
        assert (list(result["given"]), result["reported"]) == (["price"], {"strange:*": 7})
        async with connect(kills) as redis:
            lives = [await redis.ttl(f"price:{number}") for number in range(0, FEWER, 10_000)]
            assert all(0 < life <= 900 for life in lives)
            assert await redis.ttl("strange:3") == -1
    finally:
        forget_dump(kills)
