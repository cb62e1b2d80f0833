"""The worker without the console, an engine or a database: what it says, what it keeps, where it goes on."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from qsuite_console.engine.ports import Permanent
from stale_symbols import BATCH, Parameters, StaleWorker

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Platform:
    """Symbols with the age of their newest bar in days; None: no bar at all."""

    def __init__(self, ages: dict[str, float | None]) -> None:
        self.ages = ages
        self.questions: list[list[str]] = []

    @asynccontextmanager
    async def session(self, label: str) -> Any:
        yield self

    async def fetch(self, statement: str, symbols: list[str] | None = None) -> list[dict[str, Any]]:
        if symbols is None:
            return [{"symbol": symbol} for symbol in self.ages]
        self.questions.append(symbols)
        ages = {symbol: self.ages.get(symbol) for symbol in symbols}
        return [
            {"symbol": symbol, "newest": None if age is None else NOW - timedelta(days=age)}
            for symbol, age in ages.items()
        ]


class Context:
    """Keeps what a worker tells the engine; ``stop_at``: a pause at that checkpoint."""

    def __init__(self, checkpoint: dict[str, Any] | None = None, stop_at: int = -1) -> None:
        self.checkpoint = checkpoint
        self.log = logging.getLogger("test")
        self.told: list[float] = []
        self.stop_at = stop_at

    def progress(self, done: float, total: float | None = None, **_: Any) -> None:
        self.told.append(done / (total or 1))

    async def save(self, checkpoint: dict[str, Any]) -> None:
        self.checkpoint = msgspec.json.decode(msgspec.json.encode(checkpoint))

    async def breathe(self) -> None:
        if self.checkpoint and self.checkpoint["done"] == self.stop_at:
            raise InterruptedError


def worker(platform: Platform) -> StaleWorker:
    tables = SimpleNamespace(tickers="market_data_ticker", price_ticks="price_ticks")
    services: Any = SimpleNamespace(
        settings=SimpleNamespace(tables=tables), clock=SimpleNamespace(now=lambda: NOW), database=platform
    )
    return StaleWorker(services)


def test_old_bars_and_none_at_all_are_named() -> None:
    platform = Platform({"AAPL": 1, "MSFT": 9, "NEWCO": None})
    context = Context()
    result = asyncio.run(worker(platform).run(context, Parameters(days=5)))
    assert result == {"stale": {"MSFT": (NOW - timedelta(days=9)).isoformat(), "NEWCO": None}, "checked": 3, "days": 5}
    assert context.told == [1.0]


def test_a_run_that_was_cut_asks_nothing_twice() -> None:
    platform = Platform({f"S{number:03}": number % 10 for number in range(3 * BATCH)})
    first = Context(stop_at=BATCH)
    with pytest.raises(InterruptedError):
        asyncio.run(worker(platform).run(first, Parameters(days=5)))
    result = asyncio.run(worker(platform).run(Context(first.checkpoint), Parameters(days=5)))
    asked = [symbol for batch in platform.questions for symbol in batch]
    assert len(asked) == len(set(asked)) == 3 * BATCH
    assert len(result["stale"]) == sum(age > 5 for age in platform.ages.values())


def test_the_plan_counts_and_parameters_are_checked() -> None:
    plan = asyncio.run(worker(Platform({"AAPL": 1, "MSFT": 2})).plan(Parameters()))
    assert plan.figures == {"symbols": 2}
    assert worker(Platform({})).check(Parameters(symbols=["AAPL", " "])) == {"symbols": "a symbol is empty"}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"days": 0}, Parameters)
    with pytest.raises(Permanent):
        asyncio.run(worker(Platform({})).run(Context(), Parameters()))
