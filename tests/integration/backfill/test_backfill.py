"""The whole worker against a real PostgreSQL and the sample exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from fakes.backfill import FakeContext, make_settings, open_services
from qsuite_console.engine.ports import Permanent, Retryable
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.sandbox.exchange.server import Exchange
from qsuite_console.workers import Services
from qsuite_console.workers.backfill import BackfillParameters, BackfillWorker
from qsuite_console.workers.backfill.coverage import CoverageProbe

Starter = Callable[..., Awaitable[Exchange]]
YEAR = BackfillParameters(symbols="all", start=date(2025, 1, 2), end=date(2025, 12, 31))
WEEK = BackfillParameters(symbols="AAPL,MSFT", timeframe="1Min", start=date(2025, 6, 2), end=date(2025, 6, 6))


@pytest.fixture
async def connection(database_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_dsn)
    yield opened
    await opened.close()


async def fill_tickers(connection: asyncpg.Connection, exchange: Exchange) -> None:
    symbols = [asset["symbol"] for asset in await _assets(exchange)]
    await connection.execute(
        "INSERT INTO market_data_ticker (symbol) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", symbols
    )


async def _assets(exchange: Exchange) -> list[dict[str, Any]]:
    async with open_services(make_settings("postgresql://unused/x", exchange.environment)) as services:
        return [{"symbol": asset.symbol} for asset in await services.provider().assets()]


async def run(services: Services, parameters: BackfillParameters, context: FakeContext | None = None) -> dict[str, Any]:
    return dict(await BackfillWorker(services).run(context or FakeContext(), parameters))


async def test_a_year_of_days_takes_the_fewest_requests_and_running_again_is_a_noop(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange(symbols=90, rate_limit=200)
    await fill_tickers(connection, server)
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        plan = await BackfillWorker(services).plan(YEAR)
        context = FakeContext()
        first = await run(services, YEAR, context)
        asked = len(server.requests.bars())
        second = await run(services, YEAR)
    assert plan.figures["requests"] == first["requests"] == asked == 3
    assert first["rows_written"] == first["rows_present"] == first["rows_expected"]
    assert first["rows_present"] == await connection.fetchval("SELECT count(*) FROM price_ticks")
    assert first["verified"]
    assert first["http_429"] == first["quarantined"] == first["retries"] == 0
    assert len(server.requests.bars()) == asked
    assert (second["requests"], second["rows_written"]) == (0, 0)
    assert second["verified"]
    assert second["rows_present"] == first["rows_present"]
    figures = context.figures[-1]
    assert figures["phase"] == "verify"
    assert figures["symbols_done"] == figures["symbols_total"] == 90
    assert figures["requests"] == figures["requests_total"] == 3
    assert await connection.fetchval("SELECT count(*) FROM price_ticks_default") == 0


async def test_prices_are_the_provider_s_to_the_last_digit(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange()
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        await run(services, replace_parameters(WEEK, timeframe="1Hour"))
    rows = await connection.fetch('SELECT symbol, "timestamp", open, close, vwap FROM price_ticks LIMIT 50')
    import json
    import urllib.request

    def fetch() -> dict[str, Any]:
        request = urllib.request.Request(
            f"{server.data_url}/v2/stocks/bars?symbols=AAPL,MSFT&timeframe=1Hour&limit=10000"
            "&start=2025-06-02T04:00:00Z&end=2025-06-07T03:59:59Z",
            headers={
                "APCA-API-KEY-ID": server.options.key_id,
                "APCA-API-SECRET-KEY": server.options.secret_key,
            },
        )
        with urllib.request.urlopen(request) as answer:
            return dict(json.loads(answer.read(), parse_float=Decimal))

    sent = {
        (symbol, bar["t"]): bar for symbol, bars in (await asyncio.to_thread(fetch))["bars"].items() for bar in bars
    }
    assert rows
    for row in rows:
        bar = sent[(row["symbol"], row["timestamp"].strftime("%Y-%m-%dT%H:%M:%SZ"))]
        assert (row["open"], row["close"], row["vwap"]) == (bar["o"], bar["c"], bar["vw"])


def replace_parameters(parameters: BackfillParameters, **changes: Any) -> BackfillParameters:
    import msgspec

    return msgspec.structs.replace(parameters, **changes)


async def test_minute_bars_go_to_the_platform_s_table_by_ticker(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange()
    await connection.execute("INSERT INTO market_data_ticker (symbol) VALUES ('AAPL')")
    parameters = replace_parameters(WEEK, table="market_data_marketdata", symbols="AAPL,MSFT,NOSUCH")
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        result = await run(services, parameters)
        again = await run(services, parameters)
    assert result["unknown_symbols"] == ["NOSUCH"]
    assert result["skipped_symbols"] == ["MSFT"]
    assert result["rows_written"] == await connection.fetchval("SELECT count(*) FROM market_data_marketdata") > 1900
    assert result["verified"]
    assert again["requests"] == 0


async def test_only_the_gap_is_fetched(database_dsn: str, connection: asyncpg.Connection, exchange: Starter) -> None:
    server = await exchange()
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        await run(services, WEEK)
        seen = len(server.requests.bars())
        wider = replace_parameters(WEEK, start=date(2025, 5, 1), end=date(2025, 6, 30))
        result = await run(services, wider)
    asked = [(r.query["start"][:10], r.query["end"][:10]) for r in server.requests.bars()[seen:]]
    assert sorted(set(asked)) == [("2025-05-01", "2025-06-02"), ("2025-06-07", "2025-07-01")]
    assert result["rows_present"] == await connection.fetchval("SELECT count(*) FROM price_ticks")
    ledger = await connection.fetch("SELECT symbol, count(*) AS n, sum(bars) AS bars FROM backfill_coverage GROUP BY 1")
    assert {row["symbol"]: row["n"] for row in ledger} == {"AAPL": 1, "MSFT": 1}
    assert sum(row["bars"] for row in ledger) == result["rows_present"]


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


async def test_refresh_corrects_what_changed_and_touches_nothing_else(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange()
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        await run(services, WEEK)
        await connection.execute(
            "UPDATE price_ticks SET close = close - 0.01 "
            "WHERE symbol = 'AAPL' AND \"timestamp\" = '2025-06-03 15:00+00'"
        )
        result = await run(services, replace_parameters(WEEK, refresh=True))
        again = await run(services, WEEK)
    assert result["rows_written"] == 1
    assert result["verified"]
    assert again["requests"] == 0


async def test_bad_bars_are_kept_apart_with_their_reason_and_stop_nothing(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange(bad_rate=0.02)
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        result = await run(services, WEEK)
        again = await run(services, WEEK)
    assert result["verified"]
    assert result["quarantined"] == await connection.fetchval("SELECT count(*) FROM qsuite_console.quarantine") > 30
    reasons = {row["reason"] for row in await connection.fetch("SELECT DISTINCT reason FROM qsuite_console.quarantine")}
    assert {"c is null", "high < low", "negative volume", "duplicate", "outside the requested range"} <= reasons
    assert result["rows_present"] == await connection.fetchval("SELECT count(*) FROM price_ticks") > 3500
    assert again["requests"] == 0


async def test_a_failing_provider_is_outlasted_and_its_limit_obeyed(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange(symbols=60, fail_rate=0.2, rate_limit=6, rate_window_s=2.0)
    await fill_tickers(connection, server)
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        result = await run(services, replace_parameters(YEAR, start=date(2022, 1, 3)))
    answered = [record for record in server.requests.bars() if record.status == 200 and not record.fault]
    assert result["verified"]
    assert result["http_429"] == 0
    assert result["retries"] > 0
    assert result["waited_s"] > 0
    assert len(answered) == len({(r.query["symbols"], r.page_token) for r in answered})  # each page came once
    assert len(answered) == -(-result["rows_present"] // 10_000)
    assert result["rows_present"] == await connection.fetchval("SELECT count(*) FROM price_ticks")


async def test_a_symbol_the_provider_calls_invalid_costs_only_itself(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await exchange()

    async def no_assets(*_: object) -> dict[str, Any]:
        return {}

    monkeypatch.setattr("qsuite_console.workers.backfill.universe.AssetList.get", no_assets)
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        result = await run(services, replace_parameters(WEEK, symbols="AAPL,ABC123,MSFT", timeframe="1Day"))
    assert result["rows_present"] == 10
    assert result["invalid_symbols"] == ["ABC123"]


async def test_unknown_symbols_alone_are_an_error(database_dsn: str, exchange: Starter) -> None:
    server = await exchange()
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        worker = BackfillWorker(services)
        with pytest.raises(InvalidParameters, match="the provider knows none of them: NOSUCH"):
            await worker.plan(replace_parameters(WEEK, symbols="NOSUCH"))


async def test_a_wrong_key_is_permanent_and_never_told(database_dsn: str, exchange: Starter) -> None:
    server = await exchange()
    wrong = {**server.environment, "APCA_API_SECRET_KEY": "sekret-value"}
    async with open_services(make_settings(database_dsn, wrong)) as services:
        with pytest.raises(Permanent, match="the provider refused the key") as caught:
            await run(services, WEEK)
    assert "sekret-value" not in repr(caught.value) + caught.value.hint


async def test_a_database_that_is_away_is_retryable(exchange: Starter) -> None:
    server = await exchange()
    async with open_services(make_settings("postgresql://u:sekret@127.0.0.1:1/x", server.environment)) as services:
        with pytest.raises(Retryable, match=r"127\.0\.0\.1:1/x is not reachable: nothing listens there") as caught:
            await run(services, WEEK)
    assert "sekret" not in str(caught.value)


async def test_cancelling_ends_within_a_second_and_running_again_goes_on(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange(latency_ms=150, symbols=8)
    await fill_tickers(connection, server)
    long = replace_parameters(WEEK, symbols="all", end=date(2025, 7, 3))
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        context = FakeContext()
        task = asyncio.create_task(run(services, long, context))
        async with asyncio.timeout(30):
            while not context.breaths:
                await asyncio.sleep(0.01)
        loop = asyncio.get_running_loop()
        asked = loop.time()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        assert loop.time() - asked < 1.0
        stored = await connection.fetchval("SELECT count(*) FROM price_ticks")
        assert stored > 0
        result = await run(services, long, FakeContext(checkpoint=context.checkpoint))
    assert result["verified"]
    assert result["rows_present"] == await connection.fetchval("SELECT count(*) FROM price_ticks") > stored


async def test_what_breathe_raises_reaches_the_engine(database_dsn: str, exchange: Starter) -> None:
    server = await exchange()

    class Pause(Exception):
        pass

    def pause() -> None:
        raise Pause

    context = FakeContext()
    context.on_breathe = pause
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        with pytest.raises(Pause):
            await run(services, WEEK, context)
        assert not [task for task in asyncio.all_tasks() if "Fetcher" in repr(task)]


async def test_two_consoles_take_turns_on_one_table(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange(latency_ms=50)
    settings = make_settings(database_dsn, server.environment)
    contexts = [FakeContext(1), FakeContext(2)]
    async with open_services(settings) as one, open_services(settings) as two:
        results = await asyncio.gather(run(one, WEEK, contexts[0]), run(two, WEEK, contexts[1]))
    assert sorted(result["requests"] for result in results) == [0, 1]
    waiting = [said["message"] for context in contexts for _, _, said in context.said if "waiting" in said["message"]]
    assert waiting
    assert "qsuite-console/backfill/" in waiting[0]


async def test_the_table_s_own_constraints_cost_single_rows(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange()
    await connection.execute('ALTER TABLE price_ticks ADD CONSTRAINT odd CHECK (extract(minute FROM "timestamp") <> 7)')
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        result = await run(services, replace_parameters(WEEK, symbols="AAPL", end=date(2025, 6, 2)))
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
    day = replace_parameters(WEEK, timeframe="1Day")
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        if not words:
            assert (await run(services, day))["rows_written"] == 10
            return
        with pytest.raises(Permanent) as caught:
            await run(services, day)
    assert words in str(caught.value)


async def test_the_map_shows_what_is_there_and_what_is_not(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange()
    await fill_tickers(connection, server)
    month = BackfillParameters(symbols="AAPL,MSFT", start=date(2025, 6, 1), end=date(2025, 6, 30))
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        await run(services, month)
        await run(services, replace_parameters(month, symbols="MSFT", start=date(2025, 7, 1), end=date(2025, 7, 9)))
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


async def test_late_corrections_are_fetched_once_the_next_day(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange()
    evening = datetime(2025, 6, 6, 21, 0, tzinfo=UTC)

    class Clock:
        at = evening

        def now(self) -> datetime:
            return self.at

        def monotonic(self) -> float:
            return asyncio.get_running_loop().time()

    clock = Clock()
    parameters = BackfillParameters(symbols="AAPL", start=date(2025, 6, 2))
    settings = replace(make_settings(database_dsn, server.environment))
    async with open_services(settings, clock) as services:
        await run(services, parameters)
        await connection.execute("UPDATE backfill_coverage SET fetched_at = $1", evening)
        assert (await run(services, parameters))["requests"] == 0
        clock.at = evening + timedelta(hours=12)
        once_more = await run(services, parameters)
        again = await run(services, parameters)
    assert (once_more["requests"], once_more["rows_written"]) == (1, 0)
    assert again["requests"] == 0
