"""The cost of the latest prices follows the number of symbols, not of bars; the bench has the large figure."""

from __future__ import annotations

import asyncpg

from fakes.many_bars import WINDOW_FORM, best_of, fill
from qsuite_console.config.settings import TableSettings
from qsuite_console.db.market import MarketReader


async def test_latest_prices_are_ten_times_faster_than_a_window_function(database_dsn: str) -> None:
    connection = await asyncpg.connect(database_dsn)
    try:
        symbols = await fill(connection, 100, 2000)
        reader = MarketReader(connection, TableSettings(), connection.get_server_version().major)
        own_s, prices = await best_of(3, lambda: reader.latest_prices(symbols))
        window_s, rows = await best_of(2, lambda: connection.fetch(WINDOW_FORM, symbols))
        assert prices == {row["symbol"]: (row["close"], row["timestamp"]) for row in rows}
        assert len(prices) == 100
        assert window_s >= 10 * own_s, f"{window_s:.4f} s against {own_s:.4f} s"
        plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {reader.sql('latest_prices')}", symbols)
        assert "market_data_marketdata_pkey" in plan
    finally:
        await connection.close()
