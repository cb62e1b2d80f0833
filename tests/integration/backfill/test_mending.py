"""Rows that were fetched once and are gone: found, fetched again, and the ledger true again."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import date

import asyncpg
import pytest

from fakes.backfill import WEEK, YEAR, changed, fill_tickers, make_settings, open_services, run
from qsuite_console.sandbox.exchange.server import Exchange

Starter = Callable[..., Awaitable[Exchange]]


async def test_days_that_vanished_are_fetched_again_and_nothing_else(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "test.job.1")
    server = await exchange(symbols=20)
    await fill_tickers(connection, server.environment)
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        first = await run(services, YEAR)
        truth = await connection.fetch('SELECT * FROM price_ticks ORDER BY symbol, "timestamp"')
        await connection.execute(
            "DELETE FROM price_ticks WHERE symbol = 'AAPL' AND \"timestamp\" = '2025-03-07 05:00+00' "
            "OR symbol = 'MSFT' AND \"timestamp\" BETWEEN '2025-06-02' AND '2025-06-10'"
        )
        seen = len(server.requests.bars())
        mended = await run(services, YEAR)
        asked = server.requests.bars()[seen:]
        again = await run(services, YEAR)
    found = await connection.fetch('SELECT * FROM price_ticks ORDER BY symbol, "timestamp"')
    assert [{**row, "ingested_at": None} for row in found] == [{**row, "ingested_at": None} for row in truth]
    assert mended["verified"]
    assert (mended["missing"], mended["rows_present"]) == ([], first["rows_present"])
    assert mended["rows_written"] == 7
    assert [(item["symbol"], item["fetched"] - item["present"]) for item in mended["restored"]] == [
        ("AAPL", 1),
        ("MSFT", 6),
    ]
    assert mended["symbols_fetched"] == 2
    assert sum(len(request.query["symbols"].split(",")) for request in asked) <= 4  # not the other eighteen
    assert any("2 symbols hold fewer rows than were fetched" in line for line in caplog.messages)
    ledger = await connection.fetch("SELECT symbol, count(*) AS n, sum(bars) AS bars FROM backfill_coverage GROUP BY 1")
    assert {row["n"] for row in ledger} == {1}
    assert sum(row["bars"] for row in ledger) == first["rows_present"]
    assert (again["requests"], again["restored"], again["verified"]) == (0, [], True)


async def test_minutes_that_vanished_are_fetched_again_by_session(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange()
    minutes = changed(WEEK, timeframe="1Min")
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        first = await run(services, minutes)
        await connection.execute(
            "DELETE FROM price_ticks WHERE symbol = 'AAPL' AND \"timestamp\" >= '2025-06-04 14:00+00' "
            "AND \"timestamp\" < '2025-06-04 14:45+00'"
        )
        seen = len(server.requests.bars())
        mended = await run(services, minutes)
        asked = [(r.query["symbols"], r.query["start"][:10]) for r in server.requests.bars()[seen:]]
    assert mended["verified"]
    assert (mended["rows_written"], mended["rows_present"]) == (45, first["rows_present"])
    assert asked == [("AAPL", "2025-06-04")]


async def test_a_hole_outside_the_range_is_taken_off_the_ledger_and_fetched_when_it_is_asked_for(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange()
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        whole = changed(WEEK, timeframe="1Day", start=date(2025, 1, 2), end=date(2025, 6, 6))
        await run(services, whole)
        await connection.execute("DELETE FROM price_ticks WHERE symbol = 'AAPL' AND \"timestamp\" < '2025-02-01'")
        narrow = await run(services, changed(WEEK, timeframe="1Day"))
        wide = await run(services, whole)
    assert (narrow["verified"], narrow["requests"], narrow["rows_written"]) == (True, 0, 0)
    assert (wide["verified"], wide["requests"], wide["rows_written"]) == (True, 1, 20)


async def test_a_table_that_keeps_losing_rows_is_reported_and_not_asked_for_ever(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange()
    await connection.execute(
        "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER lose BEFORE INSERT ON price_ticks FOR EACH ROW WHEN (NEW.symbol = 'AAPL') "
        "EXECUTE FUNCTION lose()"
    )
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        result = await run(services, changed(WEEK, timeframe="1Day"))
    assert not result["verified"]
    assert [(item["symbol"], item["fetched"], item["present"]) for item in result["missing"]] == [("AAPL", 5, 0)]
    assert result["requests"] == 2
