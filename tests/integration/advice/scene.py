"""A database and a cache with known trouble, and load of known proportions while they are looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
from redis.asyncio import Redis

TABLE = 'public."we""ird t"'
ROWS, DELETED = 24_000, 10_000
LASTING, FADING, BROKER = 12, 30, 5


async def prepare_database(dsn: str) -> None:
    """Make a table full of dead rows that nobody vacuums, an invalid index and a redundant one."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"CREATE TABLE {TABLE} (a int, b int) WITH (autovacuum_enabled = false)")
        await connection.execute(f"INSERT INTO {TABLE} SELECT n, n % 10 FROM generate_series(1, {ROWS}) n")
        await connection.execute(f"DELETE FROM {TABLE} WHERE a <= {DELETED}")
        await connection.execute(f"CREATE INDEX weird_ab ON {TABLE} (a, b)")
        await connection.execute(f"CREATE INDEX weird_a ON {TABLE} (a)")
        with suppress(asyncpg.UniqueViolationError):  # leaves the invalid index behind
            await connection.execute(f"CREATE UNIQUE INDEX CONCURRENTLY weird_b ON {TABLE} (b)")
    finally:
        await connection.close()  # its statistics are told to the server at its end


async def prepare_cache(url: str) -> None:
    """Make a cache that is a broker too, and may evict."""
    client = Redis.from_url(url)
    try:
        for number in range(LASTING):
            await client.set(f"price:{number}", "1")
        for number in range(FADING):
            await client.set(f"ohlcv:{number}", "1", ex=600)
        await client.sadd("_kombu.binding.celery", "celery\x06\x16\x06\x16celery")
        await client.rpush("celery", "message")
        await client.rpush("celery\x06\x163", "message")
        await client.hset("unacked", "tag", "message")
        await client.zadd("unacked_index", {"tag": 1})
        await client.config_set("maxmemory-policy", "allkeys-lru")
    finally:
        await client.aclose()


async def restore_cache(url: str) -> None:
    """Undo what other tests could trip over."""
    client = Redis.from_url(url)
    try:
        await client.config_set("maxmemory-policy", "allkeys-lru")
    finally:
        await client.aclose()


@asynccontextmanager
async def loaded(dsn: str, url: str) -> AsyncIterator[None]:
    """Run transactions, one in four rolled back, and lookups, three in four hits; one session waits for another."""
    holder, waiter, worker = [await asyncpg.connect(dsn) for _ in range(3)]
    client = Redis.from_url(url)
    await holder.execute("CREATE TABLE IF NOT EXISTS public.held ()")
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("LOCK TABLE public.held")
    waiting = asyncio.create_task(waiter.execute("SELECT count(*) FROM public.held"))
    ended = asyncio.Event()  # not cancelled: drivers may lose a cancellation that comes within a reply
    work = asyncio.gather(_transactions(worker, ended), _lookups(client, ended))
    try:
        async with asyncio.timeout(10):
            while not await worker_sees_waiting(dsn):
                await asyncio.sleep(0.05)
        yield
    finally:
        ended.set()
        await work
        await transaction.rollback()
        await waiting
        await client.aclose()
        for connection in (holder, waiter, worker):
            connection.terminate()


async def worker_sees_waiting(dsn: str) -> bool:
    """Return whether a session waits for a lock."""
    connection = await asyncpg.connect(dsn)
    try:
        return bool(await connection.fetchval("SELECT count(*) FROM pg_locks WHERE waitstart IS NOT NULL"))
    finally:
        await connection.close()


async def _transactions(connection: asyncpg.Connection, ended: asyncio.Event) -> None:
    while not ended.is_set():
        for number in range(4):
            transaction = connection.transaction()
            await transaction.start()
            await connection.fetchval("SELECT count(*) FROM pg_class")
            await (transaction.rollback() if number == 3 else transaction.commit())
            await asyncio.sleep(0.002)


async def _lookups(client: Redis, ended: asyncio.Event) -> None:
    while not ended.is_set():
        for key in ("price:1", "price:2", "price:3", "price:none"):
            await client.get(key)
        await asyncio.sleep(0.002)
