"""The whole worker against a real PostgreSQL and the sample exchange."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from fakes.backfill import WEEK, YEAR, FakeContext, changed, fill_tickers, make_settings, open_services, run
from fakes.failing import fails_for_good, fails_for_now
from fakes.stopwatch import Stopwatch
from qsuite_console.config.settings import BackfillSettings
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.providers.alpaca import AlpacaClient, BarsQuery
from qsuite_console.providers.errors import ProviderUnavailable
from qsuite_console.providers.session import Reply
from qsuite_console.sandbox.exchange.server import Exchange
from qsuite_console.workers.backfill import BackfillParameters, BackfillWorker

Starter = Callable[..., Awaitable[Exchange]]


async def test_a_year_of_days_takes_the_fewest_requests_and_running_again_is_a_noop(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange(symbols=90, rate_limit=200)
    await fill_tickers(connection, server.environment)
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
        await run(services, changed(WEEK, timeframe="1Hour"))
    rows = await connection.fetch('SELECT symbol, "timestamp", open, close, vwap FROM price_ticks LIMIT 50')

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


async def test_only_the_gap_is_fetched(database_dsn: str, connection: asyncpg.Connection, exchange: Starter) -> None:
    server = await exchange()
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        await run(services, WEEK)
        seen = len(server.requests.bars())
        wider = changed(WEEK, start=date(2025, 5, 1), end=date(2025, 6, 30))
        result = await run(services, wider)
    asked = [(r.query["start"][:10], r.query["end"][:10]) for r in server.requests.bars()[seen:]]
    assert sorted(set(asked)) == [("2025-05-01", "2025-06-02"), ("2025-06-07", "2025-07-01")]
    assert result["rows_present"] == await connection.fetchval("SELECT count(*) FROM price_ticks")
    ledger = await connection.fetch("SELECT symbol, count(*) AS n, sum(bars) AS bars FROM backfill_coverage GROUP BY 1")
    assert {row["symbol"]: row["n"] for row in ledger} == {"AAPL": 1, "MSFT": 1}
    assert sum(row["bars"] for row in ledger) == result["rows_present"]


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
        result = await run(services, changed(WEEK, refresh=True))
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
    await fill_tickers(connection, server.environment)
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        result = await run(services, changed(YEAR, start=date(2022, 1, 3)))
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
        result = await run(services, changed(WEEK, symbols="AAPL,ABC123,MSFT", timeframe="1Day"))
    assert result["rows_present"] == 10
    assert result["invalid_symbols"] == ["ABC123"]


async def test_unknown_symbols_alone_are_an_error(database_dsn: str, exchange: Starter) -> None:
    server = await exchange()
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        worker = BackfillWorker(services)
        with pytest.raises(InvalidParameters, match="the provider knows none of them: NOSUCH"):
            await worker.plan(changed(WEEK, symbols="NOSUCH"))


async def test_a_wrong_key_is_permanent_and_never_told(database_dsn: str, exchange: Starter) -> None:
    server = await exchange()
    wrong = {**server.environment, "APCA_API_SECRET_KEY": "sekret-value"}
    async with open_services(make_settings(database_dsn, wrong)) as services:
        with fails_for_good("the provider refused the key") as caught:
            await run(services, WEEK)
    assert "sekret-value" not in repr(caught.value) + caught.value.hint


async def test_a_database_that_is_away_is_retryable(exchange: Starter) -> None:
    server = await exchange()
    async with open_services(make_settings("postgresql://u:sekret@127.0.0.1:1/x", server.environment)) as services:
        with fails_for_now(r"127\.0\.0\.1:1/x is not reachable: nothing listens there") as caught:
            await run(services, WEEK)
    assert "sekret" not in str(caught.value)


async def test_cancelling_ends_within_a_second_and_running_again_goes_on(
    database_dsn: str, connection: asyncpg.Connection, exchange: Starter
) -> None:
    server = await exchange(latency_ms=150, symbols=8)
    await fill_tickers(connection, server.environment)
    long = changed(WEEK, symbols="all", end=date(2025, 7, 3))
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        context = FakeContext()
        task = asyncio.create_task(run(services, long, context))
        async with asyncio.timeout(30):
            while not context.breaths:
                await asyncio.sleep(0.01)
        with Stopwatch() as taken:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        assert taken.seconds < 1.0
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


async def test_what_did_not_come_in_time_is_asked_for_again_one_page_at_a_time(
    database_dsn: str, exchange: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await exchange(symbols=12)
    asked: set[tuple[str, ...]] = set()
    running, most, late = 0, 0, 0
    ask = AlpacaClient.bars

    async def overloaded(client: AlpacaClient, query: BarsQuery, page_token: str | None = None) -> Reply:
        nonlocal running, most, late
        if query.symbols not in asked:
            asked.add(query.symbols)
            late += 1
            await asyncio.sleep(0.05)
            raise ProviderUnavailable("it did not answer in time") from TimeoutError()
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running -= 1
        return await ask(client, query, page_token)

    monkeypatch.setattr(AlpacaClient, "bars", overloaded)
    settings = make_settings(database_dsn, server.environment)
    settings = replace(settings, backfill=BackfillSettings(batch_size=1, concurrent_requests=4))
    async with open_services(settings) as services:
        result = await run(services, changed(WEEK, symbols="AAPL,MSFT,GOOGL,AMZN"))
    assert result["verified"]
    assert (late, most) == (4, 1)


async def test_a_provider_that_is_away_is_said_at_once_and_no_reason_to_be_deaf(
    database_dsn: str, exchange: Starter, caplog: pytest.LogCaptureFixture
) -> None:
    class Pause(Exception):
        pass

    server = await exchange()
    context = FakeContext()
    async with open_services(make_settings(database_dsn, server.environment)) as services:
        await run(services, WEEK)

        def pause() -> None:
            if "not reachable" in caplog.text:
                raise Pause

        context.on_breathe = pause
        away = {**server.environment, "APCA_API_DATA_URL": "http://127.0.0.1:1"}
    async with open_services(make_settings(database_dsn, away)) as services:
        async with asyncio.timeout(20):
            with pytest.raises(Pause):
                await run(services, changed(WEEK, refresh=True), context)
    assert "waiting: 127.0.0.1:1 is not reachable: nothing listens there (connection refused)" in caplog.text
    assert any("is not reachable" in said.get("message", "") for *_, said in context.said)


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
