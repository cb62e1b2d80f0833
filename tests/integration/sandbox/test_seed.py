"""The seeded platform: true to the exchange's bars, its ledger true to its rows, its gaps where they were planted."""

from __future__ import annotations

from datetime import UTC, date, datetime

import asyncpg
import pytest

from qsuite_console.model import calendar
from qsuite_console.sandbox import harvest, seed, timeframes
from qsuite_console.sandbox.market import Market

NOW = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
ANCHOR = date(2026, 11, 20)
OPTIONS = seed.SeedOptions(sessions=5, anchor=ANCHOR)
MARKET = Market(symbols=120, seed=42)


@pytest.fixture
async def connection(database_dsn):
    found = await asyncpg.connect(database_dsn)
    assert not await seed.is_seeded(found)
    await seed.seed(found, MARKET, OPTIONS, now=NOW)
    assert await seed.is_seeded(found)
    yield found
    await found.close()


async def test_bars_are_the_exchange_s_own(connection):
    rows = await connection.fetch(
        "SELECT t.symbol, d.* FROM market_data_marketdata d JOIN market_data_ticker t ON t.id = d.ticker_id"
    )
    stored = {(r["symbol"], r["timestamp"]): r for r in rows}
    assert len(stored) > 110 * 380
    for instrument in MARKET.instruments[::17]:
        for piece in MARKET.bars(
            instrument.symbol, timeframes.parse("1Min"), "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z", until=NOW
        ):
            for bar in piece:
                row = stored.get((instrument.symbol, datetime.fromisoformat(bar.t)))
                if row is None:
                    assert instrument.number % 25 == 3
                    continue
                assert tuple(map(float, (row["open"], row["high"], row["low"], row["close"], row["volume"]))) == (
                    bar.o,
                    bar.h,
                    bar.low,
                    bar.c,
                    bar.v,
                )
    days = await connection.fetch("SELECT * FROM price_ticks WHERE symbol = 'AAPL' ORDER BY \"timestamp\"")
    assert days[-1]["timestamp"] == calendar.midnight(ANCHOR)
    assert days[0]["timestamp"] >= datetime(2026, 8, 1, tzinfo=UTC)


async def test_nothing_of_2025_and_nothing_in_default_partitions(connection):
    assert await connection.fetchval('SELECT min("timestamp") FROM price_ticks') >= datetime(2026, 8, 1, tzinfo=UTC)
    assert await connection.fetchval("SELECT count(*) FROM price_ticks_default") == 0
    assert await connection.fetchval("SELECT count(*) FROM task_runs_partitioned_default") == 0


async def test_the_ledger_counts_the_rows_it_covers_but_for_planted_losses(connection):
    daily = await connection.fetch(
        """SELECT c.symbol, c.bars - (SELECT count(*) FROM price_ticks p WHERE p.symbol = c.symbol
                                         AND p.timeframe = '1Day' AND c.period @> p."timestamp") AS lost
             FROM backfill_coverage c WHERE c.timeframe = $1""",
        harvest.DAILY_LEDGER,
    )
    numbers = {i.symbol: i.number for i in MARKET.instruments}
    assert len(daily) >= 110
    assert all(r["lost"] in ((0, 1) if numbers[r["symbol"]] % 100 == 17 else (0,)) for r in daily)
    assert sum(r["lost"] for r in daily) >= 1
    minutes = await connection.fetch(
        """SELECT c.symbol, count(*) AS pieces, sum(c.bars) AS bars,
                  (SELECT count(*) FROM market_data_marketdata m JOIN market_data_ticker t ON t.id = m.ticker_id
                    WHERE t.symbol = c.symbol) AS stored
             FROM backfill_coverage c WHERE c.timeframe = $1 GROUP BY c.symbol""",
        harvest.MINUTE_LEDGER,
    )
    assert len(minutes) == 120
    assert all(r["bars"] == r["stored"] for r in minutes)
    assert {numbers[r["symbol"]] % 25 for r in minutes if r["pieces"] == 2} == {3}


async def test_months_are_complete_partial_and_missing(connection):
    rows = await connection.fetch(
        """SELECT symbol, date_trunc('month', "timestamp")::date AS month, count(*) AS days
             FROM price_ticks WHERE timeframe = '1Day' GROUP BY 1, 2"""
    )
    days = {(r["symbol"], r["month"].month): r["days"] for r in rows}
    by_number = {i.number: i.symbol for i in MARKET.instruments}
    assert days[("AAPL", 9)] == len(calendar.sessions(date(2026, 9, 1), date(2026, 9, 30)))
    assert (by_number[3], 9) not in days
    assert (by_number[8], 11) not in days
    assert 0 < days[(by_number[5], 10)] < days[("AAPL", 10)]


async def test_trading_data_is_consistent_and_deterministic(connection):
    async def totals():
        return dict(
            await connection.fetchrow(
                """SELECT (SELECT count(*) FROM execution_engine_order) AS orders,
                          (SELECT sum(quantity * price) FROM execution_engine_execution) AS traded,
                          (SELECT sum(filled_quantity) FROM execution_engine_order) AS filled,
                          (SELECT sum(quantity) FROM execution_engine_execution) AS executed,
                          (SELECT max(created_at) FROM execution_engine_order) AS newest,
                          (SELECT count(*) FROM pipeline_runs) AS runs, (SELECT count(*) FROM task_runs) AS tasks,
                          (SELECT count(*) FROM task_runs_partitioned) AS twins"""
            )
        )

    first = await totals()
    assert first["orders"] == 80 * 120
    assert first["filled"] == first["executed"]
    assert first["newest"] == calendar.session(ANCHOR).close_at
    assert first["tasks"] == first["twins"] == 5 * first["runs"]
    orphans = await connection.fetchval(
        """SELECT count(*) FROM execution_engine_order o
            WHERE NOT EXISTS (SELECT FROM auth_user u WHERE u.id = o.created_by_id)
               OR NOT EXISTS (SELECT FROM market_data_ticker t WHERE t.id = o.ticker_id)"""
    )
    assert orphans == 0
    await connection.execute("INSERT INTO auth_user (username) VALUES ('new')")  # the sequences know what is taken
    await connection.execute(
        "TRUNCATE auth_user, market_calendar, market_data_ticker, price_ticks, backfill_coverage, price_ticks_staging,"
        " pipelines CASCADE"
    )
    await seed.seed(connection, MARKET, OPTIONS, now=NOW)
    assert await totals() == first


def test_deeper_history_asks_for_the_sessions_wanted():
    asked = seed.deeper_history(OPTIONS, now=NOW)
    assert asked["kind"] == "backfill"
    parameters = asked["parameters"]
    assert (parameters["start"], parameters["end"]) == ("2026-11-16", "2026-11-20")
    assert (parameters["timeframe"], parameters["table"]) == ("1Min", "market_data_marketdata")
