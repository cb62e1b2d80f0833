"""A table of minute bars as large as wanted, and the latest prices in the window-function form to compare with."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg

WINDOW_FORM: Final = """
    SELECT symbol, close, "timestamp"
      FROM (SELECT t.symbol, m.close, m."timestamp",
                   row_number() OVER (PARTITION BY m.ticker_id ORDER BY m."timestamp" DESC) AS place
              FROM market_data_marketdata m JOIN market_data_ticker t ON t.id = m.ticker_id
             WHERE t.symbol = ANY ($1::text[])) x WHERE place = 1"""


async def fill(connection: asyncpg.Connection, symbols: int, bars: int) -> list[str]:
    """Store ``bars`` minute bars of each of so many symbols, in the order in which they would arrive."""
    await connection.execute(
        "INSERT INTO market_data_ticker (symbol) SELECT 'S' || lpad(i::text, 4, '0') FROM generate_series(1, $1) i",
        symbols,
    )
    await connection.execute(
        """INSERT INTO market_data_marketdata
           SELECT t.id, timestamptz '2026-11-02 14:30+00' + n * interval '1 minute', p, p + 1, p - 1, p, 100 + n
             FROM generate_series(1, $1) n, market_data_ticker t, LATERAL (SELECT 100 + t.id % 50 + n % 7 AS p) x""",
        bars,
    )
    await connection.execute("VACUUM ANALYZE market_data_marketdata")
    await connection.execute("ANALYZE market_data_ticker")
    return [row["symbol"] for row in await connection.fetch("SELECT symbol FROM market_data_ticker ORDER BY symbol")]


async def best_of(times: int, work: Callable[[], Awaitable[Any]]) -> tuple[float, Any]:
    """Return the shortest time in seconds, and the last answer."""
    shortest, answer = float("inf"), None
    for _ in range(times):
        begun = time.perf_counter()
        answer = await work()
        shortest = min(shortest, time.perf_counter() - begun)
    return shortest, answer
