"""The platform's pulse against a real PostgreSQL: figures, freshness, cost at ten times the size, missing rights."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings, TableSettings
from qsuite_console.db import queries
from qsuite_console.db.application import BOUND, Pulse, PulseReader
from qsuite_console.db.errors import DatabaseDown
from qsuite_console.metrics.from_application import ApplicationSource, bar_age, run_figures
from qsuite_console.metrics.sources import OwnLoad
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.health import Level

OPEN = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)  # a Friday, eleven in New York

SYMBOLS = "INSERT INTO market_data_ticker (symbol) SELECT 'S' || n FROM generate_series(1, $1) n"
BARS = """
INSERT INTO market_data_marketdata SELECT t.id, date_trunc('minute', now()) - make_interval(mins => m), 1, 1, 1, 1, 1
  FROM market_data_ticker t CROSS JOIN generate_series($1::int, $2::int) m"""
ORDERS = """
INSERT INTO execution_engine_order (created_by_id, ticker_id, side, order_type, status, quantity, price, created_at)
SELECT u.id, t.id, 'BUY', $2, $3, 1, CASE $2 WHEN 'LIMIT' THEN 1 END, now() - n * $4::interval
  FROM generate_series(1, $1::int) n, (SELECT min(id) AS id FROM auth_user) u,
       (SELECT min(id) AS id FROM market_data_ticker) t"""

COUNTED = """
SELECT count(*) FILTER (WHERE created_at > now() - interval '1 hour') AS hour,
       count(*) FILTER (WHERE created_at > now() - interval '1 minute') AS minute,
       (SELECT count(*) FROM market_data_marketdata WHERE "timestamp" > now() - interval '1 hour') AS bars,
       (SELECT max("timestamp") FROM market_data_marketdata) AS newest
  FROM execution_engine_order"""


def reader_of(dsn: str) -> PulseReader:
    settings = DatabaseSettings(dsn=Secret(dsn))
    return PulseReader(settings, TableSettings(), SystemClock())


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[tuple[asyncpg.Connection, PulseReader]]:
    connection = await asyncpg.connect(dsn)
    reader = reader_of(dsn)
    await connection.execute("INSERT INTO auth_user (username) VALUES ('ada')")
    try:
        yield connection, reader
    finally:
        await reader.close()
        await connection.close()


async def fill(connection: asyncpg.Connection, *, symbols: int = 3) -> None:
    await connection.execute(SYMBOLS, symbols)
    await connection.execute(BARS, 2, 90)
    for number, kind, status, apart in (
        (5, "LIMIT", "FILLED", timedelta(seconds=10)),
        (7, "LIMIT", "PENDING", timedelta(minutes=10)),  # five in the last hour, two before it: all rest in the book
        (4, "MARKET", "PENDING", timedelta(minutes=20)),  # two within the last hour
    ):
        await connection.execute(ORDERS, number, kind, status, apart)


async def test_it_counts_what_happened_lately(database_dsn: str) -> None:
    async with connected(database_dsn) as (connection, reader):
        await fill(connection)
        expected, after = await connection.fetchrow(COUNTED), None
        while expected != after:  # an instant of either count passes now and then: it must not be between these two
            pulse = await reader.read()
            after, expected = expected, await connection.fetchrow(COUNTED)
    assert (pulse.orders_hour, pulse.orders_minute) == (expected["hour"], expected["minute"])
    assert (pulse.bars_hour, pulse.newest_bar) == (expected["bars"], expected["newest"])
    assert pulse.pending == 7 + 2
    assert pulse.unread == {}


async def test_an_old_newest_bar_is_found_too(database_dsn: str) -> None:
    async with connected(database_dsn) as (connection, reader):
        await connection.execute(SYMBOLS, 2)
        empty = await reader.read()
        await connection.execute(BARS, 300, 301)
        pulse = await reader.read()
    assert (empty.bars_hour, empty.newest_bar) == (0, None)
    assert pulse.bars_hour == 0
    assert pulse.newest_bar is not None
    assert timedelta(minutes=299) < datetime.now(UTC) - pulse.newest_bar < timedelta(minutes=302)


async def test_each_question_goes_by_an_index_and_no_further_than_its_bound(database_dsn: str) -> None:
    """Ten times the rows must not be read: the plans name the index, and none reads the table from end to end."""
    async with connected(database_dsn) as (connection, _):
        await connection.execute(SYMBOLS, 50)
        await connection.execute(BARS, 0, 2000)
        for _ in range(2):
            await connection.execute(ORDERS, 20_000, "LIMIT", "FILLED", timedelta(seconds=7))
        await connection.execute(ORDERS, 500, "LIMIT", "PENDING", timedelta(minutes=1))
        await connection.execute("ANALYZE execution_engine_order; ANALYZE market_data_marketdata")
        await connection.execute("VACUUM execution_engine_order")
        read = {}
        for name, table, arguments in (
            ("application_orders", "execution_engine_order", (BOUND + 1,)),
            ("application_resting", "execution_engine_order", (BOUND + 1,)),
            ("application_bars", "market_data_marketdata", ()),
            ("application_newest", "market_data_marketdata", ()),
        ):
            nodes = _nodes(await _plan(connection, name, *arguments))
            scans = [node for node in nodes if "Scan" in node["Node Type"]]
            whole = [node for node in scans if node["Node Type"] == "Seq Scan" and node["Relation Name"] == table]
            assert not whole, name
            read[name] = sum(node["Actual Rows"] * node["Actual Loops"] for node in scans)
        assert read["application_resting"] <= 501
        assert read["application_newest"] <= 2 * 50 + 50


async def _plan(connection: asyncpg.Connection, name: str, *arguments: object) -> Any:
    text = (
        queries.load(name)
        .replace("{{tickers}}", "market_data_ticker")
        .replace("{{market_data}}", "market_data_marketdata")
    )
    row = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", *arguments)
    return json.loads(row)[0]["Plan"]


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in _nodes(child))]


async def test_a_missing_table_costs_its_own_figures_and_is_named(empty_database_dsn: str) -> None:
    reader = reader_of(empty_database_dsn)
    try:
        nothing = await reader.read()
    finally:
        await reader.close()
    assert nothing.unread == {
        "orders": "no execution_engine_order",
        "pending": "no execution_engine_order",
        "bars": "no market_data_ticker or market_data_marketdata",
        "runs": "no pipeline_runs",
    }
    assert run_figures(nothing, datetime.now(UTC)) == ((), {})
    assert nothing.pending is None


async def test_failed_and_stuck_pipeline_runs_are_counted_and_judged(database_dsn: str) -> None:
    async with connected(database_dsn) as (connection, reader):
        await connection.execute("INSERT INTO pipelines (name) VALUES ('a')")
        quiet = await reader.read()
        assert (quiet.runs_ended, quiet.runs_failed, quiet.oldest_run) == (0, 0, None)
        await connection.execute(
            "INSERT INTO pipeline_runs (pipeline_id, status, created_at, started_at, completed_at)"
            " SELECT 1, CASE WHEN i <= 3 THEN 'failed' ELSE 'success' END, at, at, at FROM"
            " (SELECT i, now() - i * interval '1 minute' AS at FROM generate_series(1, 10) i) s;"
            "INSERT INTO pipeline_runs (pipeline_id, status, created_at, started_at) VALUES"
            " (1, 'failed', now() - interval '61 minutes', now()), (1, 'cancelled', now(), now()),"
            " (1, 'running', now() - interval '5 hours', now() - interval '5 hours'), (1, 'pending', now(), NULL)"
        )
        pulse = await reader.read()
    assert (pulse.runs_ended, pulse.runs_failed) == (10, 3)
    now = datetime.now(UTC)
    assert pulse.oldest_run is not None
    assert now - pulse.oldest_run > timedelta(hours=5)
    (failed, age), watched = run_figures(pulse, now)
    assert (failed.text, failed.level) == ("3 of 10 ended", Level.WARNING)
    assert age.level is Level.CRITICAL
    assert watched["application.runs_failed"] == pytest.approx(30.0)
    few, _ = run_figures(Pulse(runs_ended=4, runs_failed=4), now)
    assert [figure.level for figure in few] == [Level.OK, Level.OK]


async def test_a_missing_privilege_is_named_and_the_rest_stands(database_dsn: str) -> None:
    async with connected(database_dsn) as (connection, _):
        await fill(connection)
        await connection.execute("DROP ROLE IF EXISTS half_blind")
        await connection.execute("CREATE ROLE half_blind LOGIN PASSWORD 'x'")
        await connection.execute("GRANT SELECT ON market_data_ticker, market_data_marketdata TO half_blind")
        parts = database_dsn.split("@", 1)
        limited = reader_of(f"postgresql://half_blind:x@{parts[1]}")
        try:
            pulse = await limited.read()
        finally:
            await limited.close()
            await connection.execute("DROP OWNED BY half_blind; DROP ROLE half_blind")
    assert pulse.bars_hour is not None
    assert pulse.unread["orders"] == "grant SELECT on execution_engine_order"


async def test_a_locked_table_is_told_and_not_waited_for(database_dsn: str) -> None:
    async with connected(database_dsn) as (connection, reader):
        await fill(connection)
        async with connection.transaction():
            await connection.execute("LOCK TABLE execution_engine_order")
            pulse = await reader.read()
    assert pulse.unread["orders"] == "execution_engine_order is locked"
    assert pulse.bars_hour


async def test_the_tile_tells_all_of_it(database_dsn: str) -> None:
    async with connected(database_dsn) as (connection, reader):
        await fill(connection)
        source = ApplicationSource(reader, SystemClock(), OwnLoad())
        try:
            sample = await source.read()
            while sample.headline.value is None:
                sample = await source.read()
        finally:
            await source.close()
    texts = {one.name: one.text for one in (sample.headline, *sample.figures)}
    assert texts["orders_1m"] == "5"
    assert texts["pending"] == "9"
    assert texts["bar_age"].startswith("1 m") or "s old" in texts["bar_age"]
    response = sample.watched["application.response_time"]
    assert response is not None
    assert response < 2


async def _read_for_ever(source: ApplicationSource) -> None:
    while True:
        await source.read()


async def test_a_server_that_is_down_is_raised_not_counted_as_zero() -> None:
    source = ApplicationSource(reader_of("postgresql://u:x@127.0.0.1:1/none"), SystemClock(), OwnLoad())
    try:
        with pytest.raises(DatabaseDown):
            await asyncio.wait_for(_read_for_ever(source), 30)
    finally:
        await source.close()


@pytest.mark.parametrize(
    ("now", "old_s", "text", "level", "watched"),
    [
        (OPEN, 90, "30 s old", Level.OK, 30),
        (OPEN, 30, "0 ms old", Level.OK, 0),
        (OPEN, 360 + 60, "6 m old", Level.WARNING, 360),
        (OPEN, 1000 + 60, "16 m 40 s old", Level.CRITICAL, 1000),
        (OPEN.replace(hour=14, minute=32), 61_000, "16 h 55 m old, exchange closed", Level.OK, 0),  # just opened
        (OPEN + timedelta(days=1), 86_400, "23 h 59 m old, exchange closed", Level.OK, 0),  # Saturday
    ],
)
def test_the_newest_bar_matters_only_while_the_exchange_is_open(
    now: datetime, old_s: float, text: str, level: Level, watched: float
) -> None:
    shown, value = bar_age(Pulse(newest_bar=now - timedelta(seconds=old_s)), now)
    assert (shown.text, shown.level, value) == (text, level, watched)


@pytest.mark.parametrize(
    ("pulse", "text"),
    [(Pulse(), "there is none"), (Pulse(unread={"bars": "no market_data_ticker"}), "no market_data_ticker")],
)
def test_without_a_bar_nothing_is_claimed(pulse: Pulse, text: str) -> None:
    shown, value = bar_age(pulse, OPEN)
    assert (shown.text, shown.level, value) == (text, Level.UNKNOWN, None)
