"""Four processes on the same orders: each filled exactly once, sums exact, no deadlock; also when one of them dies.

QSUITE_TEST_ORDERS is how many there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from integration.orders.settler import START

ORDERS = int(os.environ.get("QSUITE_TEST_ORDERS", "10000"))
WORKERS = 4
TESTS = Path(__file__).parents[2]
PRICES = {1: Decimal("10.123456"), 2: Decimal(20), 3: Decimal("0.333333")}


@pytest.fixture
async def connection(database_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    made = await asyncpg.connect(database_dsn)
    await made.execute("INSERT INTO auth_user (id, username) VALUES (1, 'ann')")
    for ticker, price in PRICES.items():
        await made.execute("INSERT INTO market_data_ticker (id, symbol) VALUES ($1, $2)", ticker, f"S{ticker}")
        bar = "INSERT INTO market_data_marketdata VALUES ($1, now(), $2::numeric, $2::numeric, $2::numeric, $2, 5)"
        await made.execute(bar, ticker, price)
    await made.execute(
        "INSERT INTO execution_engine_order (created_by_id, ticker_id, side, order_type, status, quantity) "
        "SELECT 1, 1 + n % 3, CASE WHEN n % 7 < 3 THEN 'SELL' ELSE 'BUY' END, 'MARKET', 'PENDING', n % 97 + 0.0001 * n "
        "FROM generate_series(1, $1) n",
        ORDERS,
    )
    yield made
    await made.close()


def wanted(number: int) -> tuple[Decimal, Decimal, Decimal]:
    """Return quantity, price and commission of the order ``number``, by hand."""
    quantity = number % 97 + Decimal(number) / 10_000
    slip = Decimal("0.9999") if number % 7 < 3 else Decimal("1.0001")
    price = (PRICES[1 + number % 3] * slip).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
    return quantity, price, (quantity * Decimal("0.005")).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)


async def start(dsn: str, redis_url: str, number: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "integration.orders.settler", str(number)),
        cwd=TESTS,
        env={**os.environ, "DATABASE_URL": dsn, "REDIS_URL": redis_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def together(connection: asyncpg.Connection, dsn: str, redis_url: str) -> list[asyncio.subprocess.Process]:
    """Start the processes and let them go at the same moment."""
    await connection.execute(f"SELECT pg_advisory_lock({START})")
    started = [await start(dsn, redis_url, number) for number in range(1, WORKERS + 1)]
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = $1"
    try:
        async with asyncio.timeout(150):
            while await connection.fetchval(waiting, START) < WORKERS:
                assert all(process.returncode is None for process in started)
                await asyncio.sleep(0.02)
    except BaseException:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()
        raise
    await connection.execute(f"SELECT pg_advisory_unlock({START})")
    return started


async def check(connection: asyncpg.Connection) -> None:
    """Compare every order and execution with what it should be."""
    rows = await connection.fetch(
        "SELECT o.id, o.status, o.quantity AS asked, o.filled_quantity, o.avg_fill_price, e.quantity, e.price, "
        "e.commission FROM execution_engine_order o LEFT JOIN execution_engine_execution e ON e.order_id = o.id "
        "ORDER BY o.id"
    )
    assert [row["id"] for row in rows] == list(range(1, ORDERS + 1)), "each is filled exactly once"
    for row in rows:
        assert (row["quantity"], row["price"], row["commission"]) == wanted(row["id"])
        assert row["status"] == "FILLED"
        assert row["asked"] == row["filled_quantity"] == row["quantity"]
        assert row["avg_fill_price"] == row["price"]


async def deadlocks(connection: asyncpg.Connection) -> int:
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    return int(await connection.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"))


def told(directory: Path) -> int:
    """Return how many deadlocks the server's log tells of."""
    return (directory / "postgres.log").read_text(errors="replace").count("deadlock detected")


async def results_of(processes: list[asyncio.subprocess.Process]) -> list[dict[str, Any]]:
    found = []
    for process in processes:
        stdout, stderr = await process.communicate()
        assert process.returncode == 0, stderr.decode()[-2000:]
        found.append(json.loads(stdout))
    return found


async def test_four_processes_fill_each_order_once(
    connection: asyncpg.Connection, database_dsn: str, valkey_url: str, server_directory: Path
) -> None:
    before, told_before = await deadlocks(connection), told(server_directory)
    results = await results_of(await together(connection, database_dsn, valkey_url))
    assert sum(result["filled"] for result in results) == ORDERS
    assert sum(1 for result in results if result["filled"]) > 1, "more than one of them worked"
    await check(connection)
    hand = [wanted(number) for number in range(1, ORDERS + 1)]
    for name, total in (
        ("quantity", sum(quantity for quantity, _, _ in hand)),
        ("notional", sum(quantity * price for quantity, price, _ in hand)),
        ("commission", sum(commission for _, _, commission in hand)),
    ):
        assert sum(Decimal(result[name]) for result in results) == total
    assert await deadlocks(connection) == before
    assert told(server_directory) == told_before


async def test_one_of_four_is_killed_and_no_order_is_lost_or_filled_twice(
    connection: asyncpg.Connection, database_dsn: str, valkey_url: str
) -> None:
    processes = await together(connection, database_dsn, valkey_url)
    async with asyncio.timeout(60):
        while not await connection.fetchval("SELECT EXISTS (SELECT FROM execution_engine_execution)"):
            await asyncio.sleep(0.001)
    processes[0].send_signal(signal.SIGKILL)
    await processes[0].communicate()
    await results_of(processes[1:])
    last = await start(database_dsn, valkey_url, 9)
    await results_of([last])
    await check(connection)
