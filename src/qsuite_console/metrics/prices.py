"""The newest prices of some symbols, for programs that ask again and again: ``market.prices``.

Answers are kept for a moment in this process and, for all processes, in Redis; behind them stand the platform's own
cached prices, and for symbols that have none one statement over the bars, however many symbols are asked about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from qsuite_console.cache.answers import Lives, bars_of
from qsuite_console.cache.prices import CachedPrice, read_prices
from qsuite_console.db.market import reading
from qsuite_console.engine.parameters import decode
from qsuite_console.metrics.market import symbol_of
from qsuite_console.model.errors import ConsoleError, InvalidParameters
from qsuite_console.model.market import LatestPrice, LatestPrices, PriceSource
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.workers import Services

MOST: Final = 500
LIVES: Final = Lives(memory_s=1.0, shared_s=2.0)
_CACHE_BUDGET_S: Final = 0.5
_FEW: Final = 50


class PricesParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which symbols; ``source``: only what the cache or the database says. ``fresh``: not an answer that is kept."""

    symbols: tuple[str, ...]
    source: Annotated[
        Literal["any", "cache", "database"], msgspec.Meta(description="any: the cache, else the database")
    ] = "any"
    fresh: bool = False


class PricesProbe:
    """Answers ``market.prices``."""

    name = "market.prices"
    timeout_s = 4.0

    def __init__(self, services: Services) -> None:
        self._services = services

    async def ask(self, parameters: Mapping[str, Any]) -> LatestPrices:
        """Return a price for every symbol that has one, in the order asked for; raises DatabaseError."""
        wanted: PricesParameters = decode(PricesParameters, parameters)
        symbols = _symbols(wanted.symbols)
        answers = self._services.answers

        async def load() -> LatestPrices:
            return await self._read(sorted(symbols), wanted.source)

        if wanted.fresh:
            found = await load()
        else:
            asked = {"symbols": sorted(symbols), "source": wanted.source}
            found = await answers.ask(self.name, LatestPrices, load, asked, about=_about(symbols), lives=LIVES)
        known = {price.symbol: price for price in found.prices}
        return msgspec.structs.replace(
            found,
            prices=tuple(known[symbol] for symbol in symbols if symbol in known),
            missing=tuple(symbol for symbol in symbols if symbol not in known),
        )

    async def _read(self, symbols: Sequence[str], source: str) -> LatestPrices:
        services, now = self._services, self._services.clock.now()
        cached: Mapping[str, CachedPrice] = {}
        problem = ""
        if source != "database":
            try:
                async with asyncio.timeout(_CACHE_BUDGET_S):
                    cached = await read_prices(services.cache, symbols)
            except ConsoleError as error:
                problem = clean(error.message, 200)
            except TimeoutError:
                problem = "the cache does not answer"
        prices = [
            LatestPrice(symbol=symbol, price=price.price, at=price.at, source=PriceSource.CACHE)
            for symbol, price in cached.items()
        ]
        rest = [symbol for symbol in symbols if symbol not in cached]
        if rest and source != "cache":
            tables, budget_s = services.settings.tables, self.timeout_s - 0.5
            async with reading(services.database, tables, "prices", budget_s, needs_days=False) as reader:
                stored = await reader.latest_prices(rest)
            prices += [
                LatestPrice(symbol=symbol, price=price, at=at, source=PriceSource.DATABASE)
                for symbol, (price, at) in stored.items()
            ]
        return LatestPrices(at=now, prices=tuple(prices), cache_problem=problem)


def _about(symbols: Sequence[str]) -> tuple[str, ...]:
    """Return what an answer is made of: a few symbols' own bars, so that a backfill of others leaves it alone."""
    if len(symbols) > _FEW:
        return bars_of()
    return bars_of(symbols[0])[0], *(bars_of(symbol)[-1] for symbol in symbols)


def _symbols(given: Sequence[str]) -> list[str]:
    """Return them in capitals, each once, in their order; raises InvalidParameters."""
    symbols = list(dict.fromkeys(symbol_of(text, "symbols") for text in given if text.strip()))
    if not symbols:
        raise InvalidParameters({"symbols": "name some, for example AAPL,MSFT"})
    if len(symbols) > MOST:
        raise InvalidParameters({"symbols": f"at most {MOST} at a time, {len(symbols):,} were named"})
    return symbols
