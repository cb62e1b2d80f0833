"""Crypto bars: every day is a session, days begin at 00:00Z, volumes have decimals the table may not keep."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal

import asyncpg
import pytest

from fakes.backfill import FakeContext, changed, make_settings, open_services, run
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.providers.alpaca import BarsQuery
from qsuite_console.sandbox.exchange.server import Exchange
from qsuite_console.workers import load
from qsuite_console.workers.backfill import BackfillParameters, BackfillWorker
from qsuite_console.workers.backfill.coverage import CoverageProbe

Starter = Callable[..., Awaitable[Exchange]]
MARCH = BackfillParameters(source="crypto", symbols="BTC/USD,DOGE/USD", start=date(2025, 3, 1), end=date(2025, 3, 31))


async def test_days_include_weekends_and_running_again_is_a_noop(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange()
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        plan = await BackfillWorker(services).plan(MARCH)
        first = await run(services, MARCH)
        again = await run(services, MARCH)
        found = await CoverageProbe(services).ask({"start": "2025-02", "end": "2025-04"})
    assert (plan.figures["sessions"], plan.figures["rows_expected"], plan.figures["requests"]) == (31, 62, 1)
    assert any("keeps whole units: fractions are rounded half to even" in line for line in plan.warnings)
    assert first["rows_written"] == first["rows_present"] == 62
    assert first["verified"]
    assert any("rounded half to even" in line for line in first["warnings"])
    assert (again["requests"], again["rows_written"]) == (0, 0)
    (asked,) = server.requests.bars()
    assert asked.path == "/v1beta3/crypto/us/bars"
    assert (asked.query["start"], asked.query["end"]) == ("2025-03-01T00:00:00Z", "2025-03-31T23:59:59Z")
    times = await connection.fetch('SELECT DISTINCT "timestamp" AS at FROM price_ticks ORDER BY 1')
    assert [row["at"] for row in times] == [datetime(2025, 3, day, tzinfo=UTC) for day in range(1, 32)]
    cells = {row.symbol: [cell.state.value for cell in row.cells] for row in found.rows}
    assert cells["BTC/USD"] == ["gap", "complete", "gap"]


async def test_minutes_run_round_the_clock_and_fill_a_day_of_1440(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange()
    sunday = changed(MARCH, symbols="all", timeframe="1Min", start=date(2025, 3, 9), end=date(2025, 3, 9))
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        context = FakeContext()
        result = await run(services, sunday, context)
    assert result["symbols"] == 6
    assert result["rows_present"] == 6 * 1440
    assert result["verified"]
    assert context.figures[-1]["requests"] == context.figures[-1]["requests_total"] == 1


@pytest.mark.parametrize(("column", "scale"), [("numeric(20,0)", 0), ("numeric(24,8)", 8), ("numeric(20,2)", 2)])
async def test_volumes_are_kept_or_rounded_half_to_even_and_prices_are_exact(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter, column: str, scale: int
) -> None:
    server = await exchange()
    await connection.execute(f"ALTER TABLE price_ticks ALTER volume TYPE {column}")
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        await run(services, MARCH)
        reply = await services.provider().bars(_query())
    sent = json.loads(reply.body, parse_float=Decimal)["bars"]
    rows = await connection.fetch("SELECT * FROM price_ticks WHERE symbol = 'DOGE/USD' ORDER BY \"timestamp\"")
    assert len(rows) == 31
    for row, bar in zip(rows, sent["DOGE/USD"], strict=True):
        assert row["volume"] == round(Decimal(bar["v"]), scale)
        assert (row["open"], row["high"], row["low"], row["close"]) == (bar["o"], bar["h"], bar["l"], bar["c"])


async def test_a_price_that_the_column_would_cut_is_refused_not_changed(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange()
    await connection.execute("ALTER TABLE price_ticks ALTER low TYPE numeric(18,2)")
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        result = await run(services, MARCH)
    reasons = await connection.fetch("SELECT symbol, reason FROM qsuite_console.quarantine")
    assert {(row["symbol"], row["reason"]) for row in reasons} == {
        ("DOGE/USD", "low has more than the 2 decimals that the table keeps")
    }
    assert result["quarantined"] == len(reasons) > 25
    assert result["rows_present"] == 62 - len(reasons)


async def test_all_is_what_the_tickers_table_calls_crypto_and_stocks_do_without_it(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange()
    await connection.execute(
        "INSERT INTO market_data_ticker (symbol, asset_class, is_active) VALUES"
        " ('ETH/USD', 'crypto', true), ('SOL/USD', 'crypto', false), ('AAPL', 'us_equity', true)"
    )
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        worker = BackfillWorker(services)
        plans = [
            await worker.plan(changed(MARCH, source=source, symbols=symbols))
            for source, symbols in (("crypto", "all"), ("crypto", "active"), ("stocks", "all"))
        ]
    assert [plan.figures["symbols"] for plan in plans] == [2, 1, 1]
    assert plans[2].warnings == ()


async def test_what_only_stocks_have_is_refused(database_dsn: str, exchange: Starter) -> None:
    server = await exchange()
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        worker = load("backfill", services)
        with pytest.raises(InvalidParameters) as caught:
            await worker.plan(changed(MARCH, symbols="BTCUSD", feed="sip", adjustment="all", path="x.csv"))
    assert set(caught.value.problems) == {"symbols", "feed", "adjustment", "path"}
    assert "pairs like BTC/USD" in caught.value.problems["symbols"]


def _query() -> BarsQuery:
    return BarsQuery(
        symbols=("DOGE/USD",),
        timeframe="1Day",
        start=datetime(2025, 3, 1, tzinfo=UTC),
        end=datetime(2025, 3, 31, tzinfo=UTC),
        adjustment="",
        path="/v1beta3/crypto/us/bars",
    )
