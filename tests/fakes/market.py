"""Answers about a market of forty symbols: risers, fallers, one without a trade, one that the cache contradicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from qsuite_console.model.market import (
    Bar,
    Bars,
    Depth,
    HourVolume,
    Level,
    Position,
    Positions,
    Quote,
    Volatility,
    Watch,
)

Answer = Callable[[Mapping[str, Any]], msgspec.Struct]
SYMBOLS = tuple(sorted(("AAPL", "AMD", "AMZN", "BRK.B", "DEAD", "GOOGL", "META", "MSFT", "NVDA", "TSLA", *(
    f"{a}{b}X" for a in "CDEFG" for b in "ACEGIK"
))))  # fmt: skip
_MINUTES = {"1Min": 1, "5Min": 5, "15Min": 15, "1Hour": 60, "1Day": 1440}


def close_of(symbol: str, step: int) -> Decimal:
    """A price that wanders: waves of several lengths, another phase for each symbol."""
    seed = sum(map(ord, symbol))
    wave = sum(math.sin((step + seed * k) / (3.0 * k * k)) * k for k in (1, 2, 3))
    return Decimal(f"{40 + seed % 300 + wave:.2f}")


def quote_of(symbol: str, now: datetime) -> Quote:
    """One line; DEAD has no bar, AMD a cached price far from the database's, BRK.B an old one, META none."""
    if symbol == "DEAD":
        return Quote(symbol=symbol)
    price, seed = close_of(symbol, 400), sum(map(ord, symbol))
    cached = None if symbol == "META" else price * 2 if symbol == "AMD" else price + Decimal("0.01")
    return Quote(
        symbol=symbol,
        price=price,
        priced_at=now - timedelta(seconds=48),
        previous_close=close_of(symbol, 10),
        trend=tuple(float(close_of(symbol, step)) for step in range(376, 400)),
        cached=cached,
        cached_at=None if cached is None else now - timedelta(seconds=90 if symbol == "BRK.B" else seed % 9),
    )


def watch(parameters: Mapping[str, Any], now: datetime) -> Watch:
    """The page asked for."""
    found = [s for s in SYMBOLS if s.startswith(str(parameters.get("text", "")))]
    quotes = [quote_of(symbol, now) for symbol in found]
    if (order := parameters.get("order", "symbol")) != "symbol":
        sign = -1 if order == "gainers" else 1
        quotes = sorted((q for q in quotes if q.change is not None), key=lambda q: sign * (q.change or 0))
    opened = now.replace(hour=14, minute=30, second=0)
    return Watch(at=now, session_open=opened, quotes=tuple(quotes), symbols_total=len(found), cost_s=0.012)


def bars(parameters: Mapping[str, Any], now: datetime) -> Bars:
    """Candles of the timeframe asked for."""
    symbol, timeframe = str(parameters["symbol"]), str(parameters["timeframe"])
    count = 0 if symbol == "DEAD" else int(parameters["limit"])
    step = timedelta(minutes=_MINUTES[timeframe])
    made = []
    for index in range(count):
        first, last = close_of(symbol, 399 - count + index), close_of(symbol, 400 - count + index)
        wick = Decimal(index * 7 % 5) / 10
        made.append(
            Bar(
                at=now.replace(second=0) - step * (count - index),
                open=first,
                high=max(first, last) + wick,
                low=min(first, last) - wick,
                close=last,
                volume=Decimal(900 + index * 7919 % 4000),
            )
        )
    return Bars(symbol=symbol, timeframe=timeframe, bars=tuple(made))


def depth(parameters: Mapping[str, Any]) -> Depth:
    """Ten levels a side."""
    symbol = str(parameters["symbol"])
    if symbol == "DEAD":
        return Depth(symbol=symbol)
    middle = close_of(symbol, 400)

    def levels(sign: int) -> tuple[Level, ...]:
        return tuple(
            Level(price=middle + sign * Decimal(n) / 50, quantity=Decimal(100 + n * 977 % 2400), orders=1 + n % 4)
            for n in range(1, 11)
        )

    return Depth(symbol=symbol, bids=levels(-1), asks=levels(1))


def positions(parameters: Mapping[str, Any]) -> Positions:
    """Longs and shorts of twelve traders."""
    symbol = str(parameters["symbol"])
    if symbol == "DEAD":
        return Positions(subject=symbol)
    price = close_of(symbol, 300)
    held = [Decimal(10 * (n * 37 % 61 - 22)) for n in range(14)]
    made = tuple(
        Position(owner=f"trader{n:04d}", net=net, average_cost=price + n % 5, realised=Decimal(n * 100))
        for n, net in enumerate(held, 1)
        if net
    )
    largest = tuple(sorted(made, key=lambda p: -abs(p.net)))
    return Positions(
        subject=symbol,
        positions=largest,
        open_total=len(made) + 40,
        long=sum((p.net for p in made if p.net > 0), Decimal(0)),
        short=-sum((p.net for p in made if p.net < 0), Decimal(0)),
        realised=Decimal("-1234.50"),
    )


def volatility(parameters: Mapping[str, Any], now: datetime) -> Volatility:
    """A month of returns and the hours of a session."""
    symbol = str(parameters["symbol"])
    if symbol == "DEAD":
        return Volatility(symbol=symbol, returns=3)
    hour = now.replace(minute=0, second=0, microsecond=0)
    hours = tuple(
        HourVolume(
            hour=hour - timedelta(hours=n),
            symbol=symbol,
            volume=Decimal(40_000 + n * 31_337 % 90_000),
            bars=60,
            vwap=close_of(symbol, 400 - 60 * n),
        )
        for n in range(7)
    )
    return Volatility(
        symbol=symbol, volatility=0.2874, log_return=0.1312, worst=-0.0411, best=0.0372, returns=30, hours=hours,
        window="last 24 h",
    )  # fmt: skip


def market_answers(now: Callable[[], datetime]) -> dict[str, Answer]:
    """Every question of the market screen, at the time of the clock."""
    return {
        "market.watch": lambda parameters: watch(parameters, now()),
        "market.bars": lambda parameters: bars(parameters, now()),
        "market.depth": depth,
        "market.positions": positions,
        "market.volatility": lambda parameters: volatility(parameters, now()),
    }
