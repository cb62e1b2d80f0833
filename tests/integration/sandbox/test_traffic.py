"""Traffic moves every panel: orders, fills, bars, runs, cache keys with hits and misses; and it outlasts outages."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from qsuite_console.cache.client import Cache
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings, DatabaseSettings
from qsuite_console.db.database import Database
from qsuite_console.sandbox import seed, traffic
from qsuite_console.sandbox.market import Market

MARKET = Market(symbols=30, seed=42)
COUNTS = """SELECT (SELECT count(*) FROM execution_engine_order) AS orders,
                   (SELECT count(*) FROM execution_engine_execution) AS fills,
                   (SELECT count(*) FROM market_data_marketdata) AS bars,
                   (SELECT count(*) FROM pipeline_runs) AS runs,
                   (SELECT count(*) FROM pipeline_runs WHERE completed_at > now() - interval '1 minute') AS ended"""


@pytest.fixture
async def parts(database_dsn, valkey_url, monkeypatch):
    monkeypatch.setattr(traffic, "_TICK_S", 0.01)
    monkeypatch.setattr(traffic, "_RETRY_S", 0.05)
    connection = await asyncpg.connect(database_dsn)
    await seed.seed(connection, MARKET, seed.SeedOptions(), now=datetime.now(UTC) - timedelta(hours=1))
    database = Database(DatabaseSettings(dsn=Secret(database_dsn), pool_max=2))
    cache = Cache(CacheSettings(url=Secret(valkey_url)))
    made = traffic.Traffic(database, cache, MARKET, 42)
    made._minute -= timedelta(minutes=1)  # the first tick closes a minute
    yield connection, database, cache, made
    await database.close()
    await cache.close()
    await connection.close()


@contextlib.asynccontextmanager
async def running(made):
    task = asyncio.create_task(made.run())
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 30)


async def until(is_so, limit_s=60.0):
    async with asyncio.timeout(limit_s):
        while not await is_so():
            await asyncio.sleep(0.05)


async def test_every_kind_of_traffic_flows(parts):
    connection, _, cache, made = parts
    before = await connection.fetchrow(COUNTS)

    async def has_grown():
        now = await connection.fetchrow(COUNTS)
        return all(later > earlier for later, earlier in zip(now, before, strict=True))

    async with running(made):
        await until(has_grown)

        async def is_warm():
            info = await cache.raw.info("stats")
            return info["keyspace_hits"] > 50 and info["keyspace_misses"] > 5

        await until(is_warm)
        for family, longest in (("price", 10), ("order_book", 5), ("positions", 300)):
            keys = [key async for key in cache.raw.scan_iter(f"{family}:*", count=1000)]
            assert keys
            assert all([-2 <= await cache.raw.ttl(key) <= longest for key in keys])
    books = await connection.fetchval(
        """SELECT count(*) FROM execution_engine_order o WHERE o.created_at > now() - interval '1 minute'
            AND o.filled_quantity <> coalesce((SELECT sum(quantity) FROM execution_engine_execution e
                                                WHERE e.order_id = o.id), 0)"""
    )
    assert books == 0


async def test_it_waits_for_the_database_and_goes_on(parts, caplog):
    connection, _, _, made = parts
    async with running(made):
        await connection.execute("ALTER TABLE execution_engine_order RENAME TO hidden")

        async def is_waiting():
            return "traffic on PostgreSQL waits" in caplog.text

        await until(is_waiting)
        await connection.execute("ALTER TABLE hidden RENAME TO execution_engine_order")
        before = await connection.fetchval("SELECT count(*) FROM execution_engine_order")

        async def flows_again():
            return await connection.fetchval("SELECT count(*) FROM execution_engine_order") > before

        await until(flows_again)
    assert caplog.text.count("traffic on PostgreSQL waits") == 1
