"""The crypto pairs of the sample exchange: like its shares pure functions of seed, pair and time, but without a close.

A day of UTC opens where the last one closed and its minutes are a bridge within it, shared out as those of shares.
Inside, prices are whole hundredths of a dollar (of a thousandth for pairs under a dollar) and volumes ten-thousandths
of a coin, hence exact on the wire.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import Final

from qsuite_console.sandbox.market import LABEL, merged, normal_table, weight_table
from qsuite_console.sandbox.minutes import Bar, bridge
from qsuite_console.sandbox.timeframes import Timeframe, Unit

FIRST_DAY: Final = date(2021, 1, 1)
_MINUTES: Final = 1440
_COIN: Final = 10_000
_DAY: Final = timedelta(days=1)
_CLOCK: Final = tuple(f"T{m // 60:02}:{m % 60:02}:00Z" for m in range(_MINUTES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One pair. ``price`` in dollars, ``volume`` in coins a day; inner prices are ``divisor`` times as big."""

    symbol: str
    name: str
    price: float
    volatility: float
    volume: int
    divisor: int = 1
    delisted: date | None = None


PAIRS: Final = (
    Pair(symbol="AVAX/USD", name="Avalanche / US Dollar", price=38.0, volatility=0.05, volume=21_000),
    Pair(symbol="BTC/USD", name="Bitcoin / US Dollar", price=93_000.0, volatility=0.025, volume=480),
    Pair(symbol="DOGE/USD", name="Dogecoin / US Dollar", price=0.34, volatility=0.055, volume=90_000, divisor=1000),
    Pair(symbol="ETH/USD", name="Ethereum / US Dollar", price=3_350.0, volatility=0.035, volume=5_200),
    Pair(symbol="LTC/USD", name="Litecoin / US Dollar", price=104.0, volatility=0.04, volume=3_100),
    Pair(symbol="SOL/USD", name="Solana / US Dollar", price=188.0, volatility=0.045, volume=16_000),
)


class CryptoMarket:
    """All pairs and their bars."""

    def __init__(self, *, seed: int) -> None:
        self.seed = seed
        self.by_symbol = {pair.symbol: pair for pair in PAIRS}

    def bars(
        self, symbol: str, timeframe: Timeframe, first: str, last: str, *, until: datetime, descending: bool = False
    ) -> Iterator[Sequence[Bar]]:
        """Yield pieces of the bars labelled ``first`` to ``last`` (inclusive); only those whole at ``until``."""
        pair = self.by_symbol[symbol]
        if timeframe.minutes:
            final = min(last, (until - timedelta(minutes=timeframe.minutes)).strftime(LABEL))
            days = _days(first, final)
            for day in reversed(days) if descending else days:
                found = _grouped(self.minutes(pair, day), timeframe.minutes)
                found = [bar for bar in found if first <= bar.t <= final]
                yield found[::-1] if descending else found
            return
        whole = [self._sent(pair, self._day(pair, day)) for day in _days("", (until - _DAY).strftime(LABEL))]
        if timeframe.unit is not Unit.DAY:
            whole = merged(whole, [_label(_period_start(date.fromisoformat(bar.t[:10]), timeframe)) for bar in whole])
        found = [_rounded(bar) for bar in whole if first <= bar.t <= last]
        yield found[::-1] if descending else found

    def minutes(self, pair: Pair, day: date) -> list[Bar]:
        """Return the minute bars of a day."""
        noise = memoryview(hashlib.shake_128(self._key(pair, day)).digest(_MINUTES * 8)).cast("H")
        walk = list(accumulate(map(normal_table().__getitem__, noise[:_MINUTES])))
        text = day.isoformat()
        labels = [text + clock for clock in _CLOCK]
        edges, shares = noise[_MINUTES : 3 * _MINUTES], noise[3 * _MINUTES :]
        weights = list(map(weight_table().__getitem__, shares))
        made = bridge(self._day(pair, day), pair.volatility, walk, edges, weights)
        return [self._sent(pair, bar) for bar in made.bars(labels)]

    def _day(self, pair: Pair, day: date) -> Bar:
        """Return a day in inner units."""
        noise = hashlib.shake_128(self._key(pair, day) + b"/day").digest(6)
        up, down, size = (int.from_bytes(noise[k : k + 2], "big") for k in (0, 2, 4))
        opened, close = self._close(pair, day - _DAY), self._close(pair, day)
        high, low = max(opened, close), min(opened, close)
        high += 1 + int(high * 0.5 * pair.volatility * abs(normal_table()[up]))
        low -= 1 + int(low * 0.5 * pair.volatility * abs(normal_table()[down]))
        volume = 10_000 + int(pair.volume * _COIN * weight_table()[size])
        average = (opened + high + low + close) / 400
        trades = _MINUTES + volume // 90
        return Bar(close / 100, high / 100, low / 100, trades, opened / 100, _label(day), volume, average)

    def _close(self, pair: Pair, day: date) -> int:
        """Return the close in hundredths: slow waves with a noise of their own for each day."""
        noise = hashlib.shake_128(self._key(pair, day) + b"/close").digest(2)
        number, phase = (day - FIRST_DAY).days, sum(pair.symbol.encode()) + self.seed
        wave = 0.3 * math.sin(number / 171 + phase) + 0.1 * math.sin(number / 29 + 2 * phase)
        wave += pair.volatility * 0.7 * normal_table()[int.from_bytes(noise, "big")]
        return int(pair.price * pair.divisor * 100 * math.exp(wave))

    def _key(self, pair: Pair, day: date) -> bytes:
        return f"{self.seed}/{pair.symbol}/{day}".encode()

    def _sent(self, pair: Pair, bar: Bar) -> Bar:
        bar.v /= _COIN
        for name in ("o", "h", "low", "c", "vw"):
            setattr(bar, name, round(getattr(bar, name) / pair.divisor, 7))
        return bar


def _days(first: str, last: str) -> list[date]:
    """Return the days that the labels touch, none before the first one there is."""
    start = max(FIRST_DAY, date.fromisoformat(first[:10])) if first else FIRST_DAY
    end = date.fromisoformat(last[:10])
    return [start + _DAY * number for number in range((end - start).days + 1)]


def _grouped(bars: list[Bar], length: int) -> list[Bar]:
    """Return bars of ``length`` minutes, aligned to the day."""
    if length == 1:
        return bars
    day = bars[0].t[:10]
    return [_rounded(bar) for bar in merged(bars, [day + _CLOCK[k // length * length] for k in range(len(bars))])]


def _rounded(bar: Bar) -> Bar:
    """Undo the crumbs that adding up volumes leaves."""
    bar.v = round(bar.v, 4)
    return bar


@lru_cache(maxsize=8192)
def _label(day: date) -> str:
    return datetime.combine(day, time(0), UTC).strftime(LABEL)


def _period_start(day: date, timeframe: Timeframe) -> date:
    if timeframe.unit is Unit.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(month=(day.month - 1) // timeframe.count * timeframe.count + 1, day=1)
