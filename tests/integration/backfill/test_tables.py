"""Both destinations, tables of an existing platform, rows of others, and the map of what is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date

import asyncpg
import pytest

from fakes.backfill import WEEK, changed, fill_tickers, make_settings, open_services, run
from fakes.failing import fails_for_good
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.sandbox.exchange.server import Exchange
from qsuite_console.workers.backfill import BackfillParameters, BackfillWorker
from qsuite_console.workers.backfill.coverage import CoverageProbe

Starter = Callable[..., Awaitable[Exchange]]


async def test_the_table_s_own_constraints_cost_single_rows(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange()
    await connection.execute('ALTER TABLE price_ticks ADD CONSTRAINT odd CHECK (extract(minute FROM "timestamp") <> 7)')
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        result = await run(services, changed(WEEK, symbols="AAPL", end=date(2025, 6, 2)))
    assert result["quarantined"] == await connection.fetchval(
        "SELECT count(*) FROM qsuite_console.quarantine WHERE reason = 'the table refuses it: odd'"
    )
    assert 0 < result["quarantined"] <= 7
    assert result["verified"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("DROP TABLE price_ticks CASCADE", "there is no table price_ticks"),
        ("ALTER TABLE price_ticks DROP COLUMN vwap", ""),
        ("ALTER TABLE price_ticks RENAME COLUMN close TO last", "price_ticks lacks the column close"),
        ("ALTER TABLE price_ticks ADD venue text NOT NULL", "demands a value for venue"),
        ("ALTER TABLE price_ticks DROP CONSTRAINT price_ticks_pkey", "no unique key on (symbol, timeframe, timestamp)"),
    ],
)
async def test_adopted_tables(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter, change: str, words: str
) -> None:
    server = await exchange()
    await connection.execute(change)
    day = changed(WEEK, timeframe="1Day")
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        if not words:
            assert (await run(services, day))["rows_written"] == 10
            return
        with fails_for_good() as caught:
            await run(services, day)
    assert words in str(caught.value)


async def test_the_map_shows_what_is_there_and_what_is_not(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange()
    await fill_tickers(connection, server.environment)
    month = BackfillParameters(symbols="AAPL,MSFT", start=date(2025, 6, 1), end=date(2025, 6, 30))
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        await run(services, month)
        await run(services, changed(month, symbols="MSFT", start=date(2025, 7, 1), end=date(2025, 7, 9)))
        probe = CoverageProbe(services)
        window = {"table": "price_ticks", "timeframe": "1Day", "start": "2025-06", "end": "2025-07"}
        found = await probe.ask({**window, "text": "m"})
        page = await probe.ask({**window, "limit": 3})
        following = await probe.ask({**window, "limit": 3, "after": page.next_after})
        with pytest.raises(InvalidParameters):
            await probe.ask({**window, "start": "2025-13"})
    rows = {row.symbol: [(cell.state.value, cell.present, cell.expected) for cell in row.cells] for row in found.rows}
    assert rows["MSFT"] == [("complete", 20, 20), ("partial", 6, 22)]
    assert all(symbol.startswith("M") for symbol in rows)
    first = {row.symbol: row for row in page.rows}
    assert [cell.state.value for cell in first["AAPL"].cells] == ["complete", "gap"]
    assert page.symbols_total == 20
    assert len(page.rows) == len(following.rows) == 3
    assert page.rows[-1].symbol < following.rows[0].symbol


async def test_rows_of_others_count_and_a_hole_among_them_is_filled(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange()
    month = BackfillParameters(symbols="AAPL,MSFT", start=date(2025, 6, 2), end=date(2025, 6, 30))
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        await run(services, month)
        before = await connection.fetch('SELECT * FROM price_ticks ORDER BY symbol, "timestamp"')
        await connection.execute("DELETE FROM backfill_coverage")
        await connection.execute(
            "DELETE FROM price_ticks WHERE symbol = 'MSFT' AND \"timestamp\" = '2025-06-11 04:00+00'"
        )
        seen = len(server.requests.bars())
        result = await run(services, month)
    (asked,) = server.requests.bars()[seen:]
    assert (asked.symbols, asked.query["start"][:10]) == (("MSFT",), "2025-06-11")
    assert result["rows_written"] == 1
    after = await connection.fetch('SELECT * FROM price_ticks ORDER BY symbol, "timestamp"')
    assert [row[:10] for row in map(tuple, after)] == [row[:10] for row in map(tuple, before)]


async def test_minute_bars_go_to_the_platform_s_table_by_ticker(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange()
    await connection.execute("INSERT INTO market_data_ticker (symbol) VALUES ('AAPL')")
    parameters = changed(WEEK, table="market_data_marketdata", symbols="AAPL,MSFT,NOSUCH")
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        result = await run(services, parameters)
        again = await run(services, parameters)
    assert result["unknown_symbols"] == ["NOSUCH"]
    assert result["skipped_symbols"] == ["MSFT"]
    assert result["rows_written"] == await connection.fetchval("SELECT count(*) FROM market_data_marketdata") > 1900
    assert result["verified"]
    assert again["requests"] == 0


async def test_a_missing_table_of_tickers_is_told_from_an_empty_one(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange(symbols=3)
    every = changed(WEEK, symbols="all", timeframe="1Day")
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        empty = await BackfillWorker(services).plan(every)
        await connection.execute("DROP TABLE market_data_ticker CASCADE")
        missing = await BackfillWorker(services).plan(every)
    assert "market_data_ticker holds no tickers: the provider's 3 symbols are taken" in empty.warnings
    (told,) = [line for line in missing.warnings if "provider's 3 symbols" in line]
    assert told.startswith("there is no table market_data_ticker (setting tables.tickers; `qsuite-console db init`")
