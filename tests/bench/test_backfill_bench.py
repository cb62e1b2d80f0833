"""Figures of the backfill against their limits in the same run, so that a slow machine slows both sides.

Rows: the whole pipeline (decode, judge, encode, COPY, ledger, checkpoint) against a bare COPY of the same rows.
Requests: packed pages against one request a symbol.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from io import BytesIO
from typing import Any

import asyncpg
import msgspec

from fakes.backfill import FakeContext, make_settings, open_services
from qsuite_console.model import calendar
from qsuite_console.model.market import Session
from qsuite_console.model.markets import STOCKS
from qsuite_console.model.quota import Quota
from qsuite_console.model.timeframes import Grid
from qsuite_console.providers.alpaca import Asset, BarsQuery
from qsuite_console.providers.session import Reply
from qsuite_console.workers.backfill import BackfillParameters, BackfillWorker
from qsuite_console.workers.backfill.encode import Layout, encode_page
from qsuite_console.workers.backfill.planner import make_batches, make_periods

START, END = date(2025, 3, 3), date(2025, 3, 31)
SYMBOLS = [f"S{number:03d}" for number in range(40)]
NOWHERE = {
    "APCA_API_DATA_URL": "http://127.0.0.1:1",
    "APCA_API_BASE_URL": "http://127.0.0.1:1",
    "APCA_API_KEY_ID": "K",
    "APCA_API_SECRET_KEY": "S",
}


class CannedProvider:
    """Answers from prepared pages with a fixed latency: the network costs the same for everybody."""

    def __init__(self, latency_s: float = 0.03) -> None:
        self.latency_s = latency_s
        self.requests = 0
        self.stamps = [
            (session.open_at + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")
            for session in calendar.sessions(START, END)
            for minute in range(390)
        ]
        self.pages: dict[tuple[tuple[str, ...], str | None], bytes] = {}

    def prepare(self, symbols: Sequence[str]) -> None:
        """Make the pages of a request of these symbols."""
        rows = [(symbol, index) for symbol in symbols for index in range(len(self.stamps))]
        for first in range(0, len(rows), 10_000):
            bars: dict[str, list[dict[str, Any]]] = {}
            for symbol, index in rows[first : first + 10_000]:
                bars.setdefault(symbol, []).append(self._bar(symbol, index))
            following = str(first + 10_000) if first + 10_000 < len(rows) else None
            body = msgspec.json.encode({"bars": bars, "next_page_token": following})
            self.pages[(tuple(symbols), str(first) if first else None)] = body

    def _bar(self, symbol: str, index: int) -> dict[str, Any]:
        base = 50 + (hash(symbol) + index * 7) % 20_000 / 100
        low, high = round(base - 0.31, 2), round(base + 0.42, 2)
        return {
            "t": self.stamps[index], "o": round(base, 2), "h": high, "l": low, "c": round(base + 0.07, 4),
            "v": 1000 + index % 977, "n": 10 + index % 91, "vw": round(base + 0.0123, 6),
        }  # fmt: skip

    async def bars(self, query: BarsQuery, page_token: str | None = None) -> Reply:
        self.requests += 1
        if (query.symbols, page_token) not in self.pages:
            self.prepare(query.symbols)
        await asyncio.sleep(self.latency_s)
        return Reply(200, self.pages[(query.symbols, page_token)], Quota(), "application/json", self.latency_s)

    async def assets(self, *, status: str = "", asset_class: str = "us_equity") -> Sequence[Asset]:
        return [Asset(symbol) for symbol in SYMBOLS]

    async def calendar(self, start: date, end: date) -> Sequence[Session]:
        return calendar.sessions(start, end)


async def _empty(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("TRUNCATE price_ticks; TRUNCATE backfill_coverage")
    await connection.close()


async def _bare_copy(dsn: str, pages: Sequence[bytes]) -> float:
    columns = [
        "symbol", "timeframe", "timestamp", "open", "high", "low", "close", "volume", "trade_count", "vwap",
    ]  # fmt: skip
    connection = await asyncpg.connect(dsn)
    started = time.perf_counter()
    for page in pages:
        await connection.copy_to_table("price_ticks", source=BytesIO(page), columns=columns, format="text")
    spent = time.perf_counter() - started
    await connection.close()
    return spent


async def test_rows_per_second_against_a_bare_copy(database_dsn: str) -> None:
    provider = CannedProvider()
    settings = make_settings(database_dsn, NOWHERE, rate_limit=100_000)
    parameters = BackfillParameters(symbols=",".join(SYMBOLS), timeframe="1Min", start=START, end=END)
    async with open_services(settings) as opened:
        services = replace(opened, provider=lambda: provider)
        worker = BackfillWorker(services)
        await worker.run(FakeContext(), parameters)  # makes pages and partitions
        bodies = list(provider.pages.values())
        prefixes = {symbol: f"{symbol}\t1Min\t" for symbol in SYMBOLS}
        started = time.process_time()
        made = [
            encode_page(body, Layout(prefixes, Grid("1Min", *STOCKS.day_bounds(START, END)), True, True), {})
            for body in bodies
        ]
        encode_s = time.process_time() - started
        rows = sum(page.count for page in made)
        ratios = []
        for _ in range(3):
            await _empty(database_dsn)
            bare_s = await _bare_copy(database_dsn, [page.rows for page in made])
            await _empty(database_dsn)
            provider.requests = 0
            result = await worker.run(FakeContext(), parameters)
            assert result["verified"]
            assert result["rows_written"] == rows
            ratios.append(bare_s / result["fetch_s"])
            print(
                f"\n{rows:,} rows: bare COPY {rows / bare_s:,.0f}/s, pipeline {rows / result['fetch_s']:,.0f}/s "
                f"({bare_s / result['fetch_s']:.0%}), decode + judge + encode {encode_s / rows * 1e6:.2f} µs a row"
            )
    single = len(SYMBOLS)
    print(f"requests: {provider.requests} packed, {single} with one a symbol")
    assert provider.requests <= -(-rows // 10_000) * 1.02 + 1
    assert max(ratios) > 0.35


async def test_requests_of_a_daily_year_against_one_a_symbol() -> None:
    start, end = date(2025, 1, 2), date(2025, 12, 31)
    days = make_periods("1Day", start, end, calendar.sessions(start, end))
    symbols = [f"S{number:04d}" for number in range(1000)]
    started = time.perf_counter()
    batches = make_batches(days, {symbol: [(0, len(days) - 1)] for symbol in symbols}, set(), None)
    spent = time.perf_counter() - started
    requests = sum(batch.pages for batch in batches)
    print(
        f"\n1,000 symbols, a year of days: {requests} requests packed, 1,000 one by one; "
        f"planned in {spent * 1e3:.0f} ms"
    )
    assert requests * 38 < 1000
