"""How warm the cache is said to be, against what is really there; a read-only target's Redis stays untouched."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from fakes.backfill import NOWHERE, FakeContext, make_settings, open_services
from fakes.many_bars import fill
from qsuite_console import workers
from qsuite_console.cache import keys
from qsuite_console.engine.parameters import decode
from qsuite_console.engine.ports import Claiming
from qsuite_console.metrics.warmth import POPULAR, WarmthProbe
from qsuite_console.model.cached import PriceEntry
from qsuite_console.model.warmth import Warmth, WarmthPanel
from qsuite_console.paths import resolve
from qsuite_console.runtime import open_runtime

SYMBOLS = 130


@pytest.fixture
async def platform(database_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_dsn)
    await fill(connection, SYMBOLS, 3)
    await connection.execute("INSERT INTO market_data_ticker (symbol) VALUES ('NEW')")  # has no bar yet
    await connection.execute(
        "INSERT INTO auth_user (username, last_login) SELECT 'u' || n, now() FROM generate_series(1, 7) n"
    )
    await connection.execute(
        "INSERT INTO execution_engine_order (created_by_id, ticker_id, side, order_type, status, quantity, price) "
        "SELECT 1, id, 'BUY', 'LIMIT', 'PENDING', 1, 1 FROM market_data_ticker ORDER BY id LIMIT 20"
    )
    yield connection
    await connection.close()


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(valkey_url)
    yield client
    await client.aclose()


@pytest.fixture
async def services(platform: asyncpg.Connection, database_dsn: str, valkey_url: str) -> AsyncIterator[workers.Services]:
    async with open_services(make_settings(database_dsn, NOWHERE, redis=valkey_url)) as made:
        yield made


async def look(services: workers.Services) -> tuple[WarmthPanel, dict[str, Warmth]]:
    panel = await WarmthProbe(services).ask({})
    return panel, {one.family: one for one in panel.families}


async def warm(services: workers.Services, kind: str) -> None:
    worker: Any = workers.load(kind, services)
    await worker.run(FakeContext(), decode(worker.kind.parameters, {}))


async def test_what_is_expected_is_counted_and_its_age_is_the_datas(services: workers.Services, redis: Redis) -> None:
    _, cold = await look(services)
    assert {name: (one.present, one.expected) for name, one in cold.items()} == {
        "price": (0, SYMBOLS),
        "market_data": (0, POPULAR),
        "order_book": (0, 20),
        "positions": (0, 7),
    }
    assert all(one.coverage == 0.0 and one.newest is None for one in cold.values())
    for one in cold.values():
        await warm(services, one.kind)
    await redis.delete("price:S0001", "price:S0002")
    old = PriceEntry(symbol="S0003", price=Decimal(1), timestamp=datetime(2020, 1, 1, tzinfo=UTC))
    await redis.set("price:S0003", keys.encode(old))
    await redis.set("price:S0004", "12.5")  # a bare number tells no age
    await redis.rpush("positions:99", "not a string")
    panel, found = await look(services)
    assert not panel.unread
    assert {name: (one.present, one.coverage) for name, one in found.items()} == {
        "price": (SYMBOLS - 2, (SYMBOLS - 2) / SYMBOLS),
        "market_data": (POPULAR, 1.0),
        "order_book": (20, 1.0),
        "positions": (7, 1.0),
    }
    price = found["price"]
    assert (price.read, price.oldest) == (SYMBOLS - 3, old.timestamp)
    assert price.newest == datetime(2026, 11, 2, 14, 33, tzinfo=UTC)
    book = found["order_book"]
    assert book.oldest is not None
    assert datetime.now(UTC) - book.oldest < timedelta(minutes=5)


async def test_the_hit_rate_does_not_count_what_the_panel_itself_looks_up(
    services: workers.Services, redis: Redis
) -> None:
    await warm(services, "warm.prices")
    await look(services)
    await redis.config_resetstat()
    own = services.cache.lookups
    hits, misses = own.hits, own.misses
    await look(services)
    said = await redis.info("stats")
    assert (said["keyspace_hits"], said["keyspace_misses"]) == (own.hits - hits, own.misses - misses)


async def test_a_database_that_cannot_tell_leaves_the_rest_known(valkey_url: str, services: workers.Services) -> None:
    nobody = make_settings("postgresql://nobody@127.0.0.1:1/none", NOWHERE, redis=valkey_url)
    async with open_services(nobody) as lonely:
        panel, found = await look(lonely)
    assert len(found) == 4
    assert all(one.expected is None and one.present is None for one in found.values())
    assert [one.what for one in panel.unread] == [
        "which symbols the cache should know",
        "which users the cache should know",
    ]
    await _connection_of(services, "DROP TABLE execution_engine_order CASCADE")
    panel, found = await look(services)
    assert found["price"].expected == SYMBOLS
    assert found["order_book"].expected is None
    assert panel.unread


async def _connection_of(services: workers.Services, statement: str) -> None:
    async with services.database.session("test") as connection:
        await connection.execute(statement)


@pytest.mark.parametrize("is_read_only", [False, True])
async def test_answers_are_kept_in_redis_but_never_in_that_of_a_read_only_target(
    platform: asyncpg.Connection, database_dsn: str, valkey_url: str, redis: Redis, tmp_path: Path, is_read_only: bool
) -> None:
    made = make_settings(database_dsn, NOWHERE, redis=valkey_url)
    settings = dataclasses.replace(made, target=dataclasses.replace(made.target, read_only=is_read_only))
    with open_runtime(settings, resolve(str(tmp_path)), claim=Claiming.ALL, origin="test") as runtime:
        runtime.grace_s = 0.0
        for _ in range(2):
            await runtime.control.ask("market.volatility", {"symbol": "S0001"})
            await runtime.control.ask("market.positions", {"user": 1})
            await runtime.control.ask("cache.warmth", {})
        panel: Any = await runtime.control.ask("cache.answers", {})
        uses = {one.name: one for one in panel.uses}
        assert panel.is_shared is not is_read_only
        assert set(uses) == {"market.volatility", "market.positions", "cache.expected"}
        assert all(one.loads >= 1 and one.asked >= 2 for one in uses.values())
        stored = [key async for key in redis.scan_iter("*")]
        assert bool(stored) is not is_read_only, stored
        if is_read_only:
            assert uses["market.positions"].memory_hits == 1
