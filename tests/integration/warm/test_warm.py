"""Warming: what lies in the cache equals the database to the last digit, lives as promised, and survives refusals."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis

from fakes.backfill import NOWHERE, FakeContext, make_settings, open_services
from fakes.failing import fails_for_good, fails_for_now
from qsuite_console import workers
from qsuite_console.cache import keys
from qsuite_console.cache.client import Cache
from qsuite_console.cache.writer import write_keys
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings, DatabaseSettings
from qsuite_console.db.market import Fold
from qsuite_console.engine.parameters import decode
from qsuite_console.model.cached import BookEntry, MarketEntry, PositionsEntry, PriceEntry

SYMBOLS = ("AAA", "BBB", "CCC", "OLD")


@pytest.fixture
async def platform(database_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Three active symbols with bars, one inactive, resting orders and fills of three users."""
    connection = await asyncpg.connect(database_dsn)
    dice = random.Random(7)
    await connection.execute(
        "INSERT INTO market_data_ticker (symbol, is_active) SELECT s, s <> 'OLD' FROM unnest($1::text[]) s", SYMBOLS
    )
    ids = {r["symbol"]: r["id"] for r in await connection.fetch("SELECT id, symbol FROM market_data_ticker")}
    now = (await connection.fetchval("SELECT date_trunc('minute', now())")) - timedelta(minutes=1)
    for number, symbol in enumerate(SYMBOLS):
        for back in range(400):
            price = Decimal(dice.randrange(1_000_000, 900_000_000)) / Decimal(1_000_000)
            await connection.execute(
                "INSERT INTO market_data_marketdata VALUES ($1, $2, $3, $4, $5, $3, $6)",
                ids[symbol], now - timedelta(minutes=back), price, price + 1, price / 2, (number + 1) * 100 + back,
            )  # fmt: skip
    await connection.execute(
        "INSERT INTO auth_user (id, username, last_login) VALUES (1, 'ann', now()), (2, 'bob', NULL), "
        "(3, 'old', now() - interval '30 days')"
    )
    for user in (1, 2, 3):
        for _ in range(20):
            age = 0 if user < 3 else 20
            side, symbol = dice.choice(("BUY", "SELL")), dice.choice(SYMBOLS[:3])
            await fill(connection, user, ids[symbol], side, dice, age)
    for symbol in ("AAA", "BBB"):
        for level in range(15):
            for side in ("BUY", "SELL"):
                price = Decimal(100 + (level + 1) * (1 if side == "SELL" else -1)) / 10
                await connection.execute(
                    "INSERT INTO execution_engine_order (created_by_id, ticker_id, side, order_type, status, quantity,"
                    " price) VALUES (2, $1, $2, 'LIMIT', 'PENDING', $3, $4)",
                    ids[symbol], side, Decimal(level + 1), price,
                )  # fmt: skip
    yield connection
    await connection.close()


async def fill(
    connection: asyncpg.Connection, user: int, ticker: int, side: str, dice: random.Random, age_days: int
) -> None:
    quantity, price = Decimal(dice.randrange(1, 500)), Decimal(dice.randrange(1, 10**8)) / Decimal(10**6)
    order = await connection.fetchval(
        "INSERT INTO execution_engine_order (created_by_id, ticker_id, side, order_type, status, quantity, "
        "filled_quantity, avg_fill_price, created_at) VALUES ($1, $2, $3, 'MARKET', 'FILLED', $4, $4, $5, "
        "now() - $6 * interval '1 day') RETURNING id",
        user, ticker, side, quantity, price, age_days,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO execution_engine_execution (order_id, quantity, price) VALUES ($1, $2, $3)",
        order, quantity, price,
    )  # fmt: skip


@pytest.fixture
async def services(platform: asyncpg.Connection, database_dsn: str, valkey_url: str) -> AsyncIterator[workers.Services]:
    async with open_services(make_settings(database_dsn, NOWHERE, redis=valkey_url)) as made:
        yield made


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(valkey_url)
    yield client
    await client.aclose()


async def warm(services: workers.Services, kind: str, worker: Any = None, **given: Any) -> Mapping[str, Any]:
    worker = worker or workers.load(kind, services)
    return await worker.run(FakeContext(), decode(worker.kind.parameters, given))


async def test_prices_equal_the_database_and_live_three_periods(
    services: workers.Services, platform: asyncpg.Connection, redis: Redis
) -> None:
    result = await warm(services, "warm.prices", period_s=60)
    assert (result["family"], result["keys"], result["failed"], result["life_s"]) == ("price", 3, 0, 180)
    rows = await platform.fetch(
        'SELECT DISTINCT ON (t.symbol) t.symbol, m.close, m."timestamp" FROM market_data_marketdata m '
        'JOIN market_data_ticker t ON t.id = m.ticker_id WHERE t.is_active ORDER BY t.symbol, m."timestamp" DESC'
    )
    assert sorted(await redis.keys("*")) == [f"price:{row['symbol']}".encode() for row in rows]
    lives = set()
    for row in rows:
        entry = keys.decode(await redis.get(f"price:{row['symbol']}"), PriceEntry)
        assert (entry.price, entry.timestamp) == (row["close"], row["timestamp"])
        assert str(entry.price) == str(row["close"])  # every digit, no float in between
        lives.add(await redis.pttl(f"price:{row['symbol']}"))
    assert all(160_000 < life <= 198_000 for life in lives)
    assert len(lives) == 3, "lives are spread"
    assert result["oldest"] == min(row["timestamp"] for row in rows).isoformat()


async def test_a_price_warmed_once_lives_as_long_as_the_family_says(services: workers.Services, redis: Redis) -> None:
    result = await warm(services, "warm.prices", symbols="aaa, OLD,AAA")
    assert (result["keys"], result["life_s"]) == (2, keys.PRICE.warmed_ttl_s)
    assert 26_000 < await redis.pttl("price:OLD") <= 33_000


async def test_market_data_of_the_most_traded(
    services: workers.Services, platform: asyncpg.Connection, redis: Redis
) -> None:
    result = await warm(services, "warm.market-data", most=2)
    assert result["keys"] == 2
    assert sorted(await redis.keys("*")) == [b"market_data:BBB", b"market_data:CCC"]
    row = await platform.fetchrow(
        "SELECT m.* FROM market_data_marketdata m JOIN market_data_ticker t ON t.id = m.ticker_id "
        "WHERE t.symbol = 'CCC' ORDER BY m.\"timestamp\" DESC LIMIT 1"
    )
    entry = keys.decode(await redis.get("market_data:CCC"), MarketEntry)
    for name in ("open", "high", "low", "close", "volume", "timestamp"):
        assert getattr(entry, name) == row[name]


async def test_order_books_hold_ten_levels_a_side_best_first(
    services: workers.Services, platform: asyncpg.Connection, redis: Redis
) -> None:
    result = await warm(services, "warm.order-books")
    assert result["keys"] == 2
    entry = keys.decode(await redis.get("order_book:AAA"), BookEntry)
    assert [str(level.price) for level in entry.bids[:2]] == ["9.900000", "9.800000"]
    assert [str(level.price) for level in entry.asks[:2]] == ["10.100000", "10.200000"]
    assert (len(entry.bids), len(entry.asks), entry.bids[1].quantity, entry.bids[1].orders) == (10, 10, 2, 1)


async def test_positions_equal_the_fold_of_all_fills_and_follow_new_ones(
    services: workers.Services, platform: asyncpg.Connection, redis: Redis
) -> None:
    worker = workers.load("warm.positions", services)
    result = await warm(services, "", worker)
    assert result["keys"] == 2  # the third user has been away for weeks
    assert await redis.exists("positions:3") == 0
    for user in (1, 2):
        assert await stored(redis, user) == await expected(platform, user)
    before = await redis.get("positions:1")
    ticker = await platform.fetchval("SELECT id FROM market_data_ticker WHERE symbol = 'CCC'")
    await fill(platform, 2, ticker, "BUY", random.Random(3), 0)
    await redis.flushall()
    assert (await warm(services, "", worker))["keys"] == 2
    assert await stored(redis, 2) == await expected(platform, 2)
    assert await redis.get("positions:1") == before, (
        "who has not traded is not folded again, and is written all the same"
    )


async def stored(redis: Redis, user: int) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
    entry = keys.decode(await redis.get(f"positions:{user}"), PositionsEntry)
    return {each.symbol: (each.net, each.average_cost, each.realised) for each in entry.positions}


async def expected(connection: asyncpg.Connection, user: int) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
    folds: dict[str, Fold] = {}
    for row in await connection.fetch(
        "SELECT t.symbol, o.side, e.quantity, e.price FROM execution_engine_execution e JOIN execution_engine_order o "
        "ON o.id = e.order_id JOIN market_data_ticker t ON t.id = o.ticker_id WHERE o.created_by_id = $1 "
        "ORDER BY e.executed_at, e.id",
        user,
    ):
        folds.setdefault(row["symbol"], Fold()).add(row["side"], row["quantity"], row["price"])
    found = {symbol: fold.position(symbol) for symbol, fold in folds.items()}
    return {s: (p.net, p.average_cost, p.realised) for s, p in found.items() if p.net}


async def test_keys_the_cache_refuses_are_named_and_the_rest_is_written(
    services: workers.Services, redis: Redis, valkey_url: str
) -> None:
    await redis.acl_setuser(
        "writer", enabled=True, passwords=["+secret"], keys=["price:A*", "price:C*"], commands=["+@all"]
    )
    address = valkey_url.split("@")[1]
    limited = Cache(CacheSettings(url=Secret(f"redis://writer:secret@{address}")))
    narrow = replace(services, cache=limited)
    try:
        result = await warm(narrow, "warm.prices")
        assert (result["keys"], result["failed"]) == (2, 1)
        assert result["refused"][0]["key"] == "price:BBB"
        assert "permission" in result["refused"][0]["reason"]
        with fails_for_now("refused every key"):
            await warm(narrow, "warm.prices", symbols="BBB")
    finally:
        await limited.close()
        await redis.acl_deluser("writer")


async def test_a_cache_that_is_away_is_waited_for(services: workers.Services) -> None:
    away = Cache(CacheSettings(url=Secret("redis://127.0.0.1:1/0")))
    with fails_for_now():
        await warm(replace(services, cache=away), "warm.prices")
    nothing = Cache(CacheSettings())
    with fails_for_good("no cache is configured"):
        await warm(replace(services, cache=nothing), "warm.prices")
    await away.close()


async def test_a_cancelled_write_leaves_no_answer_for_the_next_command(services: workers.Services) -> None:
    entries = [(f"k{n}", b"x" * 20_000) for n in range(5000)]
    for turns in (3, 10, 40):
        writing = asyncio.create_task(write_keys(services.cache, entries, life_s=60))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        async with services.cache.guard() as client:
            assert await client.echo("hello") == b"hello"


async def test_thousands_of_keys_take_batches(services: workers.Services, redis: Redis) -> None:
    entries = [(f"price:{n}", msgspec.json.encode({"n": n})) for n in range(1777)]
    written = await write_keys(services.cache, entries, life_s=60)
    assert (written.keys, written.failed) == (1777, 0)
    assert written.size == sum(len(value) for _, value in entries)
    assert await redis.dbsize() == 1777
    assert await redis.get("price:1776") == b'{"n":1776}'


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("warm.prices", {}),
        ("warm.prices", {"symbols": "aaa,OLD,NOBODY"}),
        ("warm.order-books", {"symbols": "AAA,NOBODY"}),
        ("warm.market-data", {"most": 2}),
        ("warm.market-data", {"symbols": "active"}),
        ("warm.order-books", {}),
        ("warm.positions", {}),
    ],
)
async def test_a_plan_counts_the_keys_that_a_run_writes(
    services: workers.Services, redis: Redis, kind: str, given: dict[str, Any]
) -> None:
    worker: Any = workers.load(kind, services)
    parameters = decode(worker.kind.parameters, given)
    plan = await worker.plan(parameters)
    assert await redis.dbsize() == 0, "a plan writes nothing"
    assert plan.figures["keys"] == (await worker.run(FakeContext(), parameters))["keys"] > 0


async def test_a_plan_tells_which_server_does_not_answer(services: workers.Services) -> None:
    settings = replace(
        services.settings,
        database=DatabaseSettings(dsn=Secret("postgresql://u@127.0.0.1:1/d"), pool_min=0),
        cache=CacheSettings(url=Secret("redis://127.0.0.1:1/0")),
    )
    async with open_services(settings) as away:
        worker: Any = workers.load("warm.prices", away)
        plan = await worker.plan(decode(worker.kind.parameters, {}))
    assert {line.label: line.note for line in plan.lines if line.label in ("database", "cache")} == {
        "database": "no answer", "cache": "no answer",
    }  # fmt: skip
    assert (len(plan.warnings), plan.figures["keys"], plan.is_noop) == (2, None, False)


async def test_plan_says_what_would_be_written(services: workers.Services) -> None:
    worker: Any = workers.load("warm.market-data", services)
    plan = await worker.plan(decode(worker.kind.parameters, {"period_s": 300}))
    assert plan.title == "warm market data of the 100 most traded symbols"
    told = {line.label: (line.value, line.note) for line in plan.lines}
    assert (told["named"][0], told["life"][0]) == ("market_data:{symbol}", "15 m")
    assert (told["database"][1], told["cache"][1], plan.warnings) == ("answers", "answers", ())
    assert worker.check(decode(worker.kind.parameters, {"symbols": " , "})) == {
        "symbols": "name symbols, or active for all of them"
    }
