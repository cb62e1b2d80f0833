"""Latest prices of 500 symbols from two million bars against the window-function form, in one run on one server."""

from __future__ import annotations

import asyncpg
import pytest

from fakes.many_bars import WINDOW_FORM, best_of, fill
from qsuite_console.config.settings import TableSettings
from qsuite_console.db.market import MarketReader

SYMBOLS, BARS = 500, 4000


@pytest.mark.timeout(600)
async def test_latest_prices_of_500_symbols_from_two_million_bars(database_dsn: str) -> None:
    connection = await asyncpg.connect(database_dsn)
    try:
        symbols = await fill(connection, SYMBOLS, BARS)
        assert await connection.fetchval("SELECT count(*) FROM market_data_marketdata") >= 2_000_000
        reader = MarketReader(connection, TableSettings(), connection.get_server_version().major)
        own_s, prices = await best_of(7, lambda: reader.latest_prices(symbols))
        window_s, rows = await best_of(2, lambda: connection.fetch(WINDOW_FORM, symbols))
        print(f"\nlatest prices: {1000 * own_s:.1f} ms; window form {1000 * window_s:.0f} ms: {window_s / own_s:.0f}x")
        assert prices == {row["symbol"]: (row["close"], row["timestamp"]) for row in rows}
        assert len(prices) == SYMBOLS
        assert own_s * 100 <= window_s
    finally:
        await connection.close()
