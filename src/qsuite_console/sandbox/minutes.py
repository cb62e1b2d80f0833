"""The minutes of a session as columns: a bridge from the day's open to its close, and the bars cut from it.

Longer bars are cut from the columns without making the minutes first: a page of hours is made of sixty times as many
minutes, and each as an object of its own would take a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from operator import mul, sub
from typing import NamedTuple

import msgspec


class Bar(msgspec.Struct, gc=False, rename={"low": "l"}):
    """A bar under the provider's names: prices in dollars, ``t`` its start."""

    c: float
    h: float
    low: float
    n: int
    o: float
    t: str
    v: float  # whole for shares, with decimals for crypto
    vw: float


class Minutes(NamedTuple):
    """One entry a minute; prices in cents, ``opens`` is where the minute before ended."""

    opens: Sequence[int]
    highs: Sequence[int]
    lows: Sequence[int]
    closes: Sequence[int]
    volumes: Sequence[int]
    trades: Sequence[int]
    averages: Sequence[float]  # in dollars

    def bars(self, labels: Sequence[str]) -> list[Bar]:
        """Return a bar for each minute."""
        return [
            Bar(close / 100, high / 100, low / 100, trades, opened / 100, label, volume, average)
            for opened, high, low, close, volume, trades, average, label in zip(*self, labels, strict=True)
        ]

    def grouped(self, starts: Sequence[int], labels: Sequence[str]) -> list[Bar]:
        """Return a bar for each group of minutes; ``starts`` are the groups' first indexes, beginning with 0."""
        found = []
        for start, stop, label in zip(starts, [*starts[1:], len(self.closes)], labels, strict=True):
            volumes, averages = self.volumes[start:stop], self.averages[start:stop]
            volume, average = sum(volumes), averages[0]
            if volume and stop > start + 1:
                (worth,) = deque(accumulate(map(mul, averages, volumes)), 1)
                average = round(worth / volume, 4)
            found.append(
                Bar(
                    self.closes[stop - 1] / 100,
                    max(self.highs[start:stop]) / 100,
                    min(self.lows[start:stop]) / 100,
                    sum(self.trades[start:stop]),
                    self.opens[start] / 100,
                    label,
                    volume,
                    average,
                )
            )
        return found


def bridge(day: Bar, volatility: float, walk: Sequence[float], edges: memoryview, shares: Sequence[float]) -> Minutes:
    """Return minutes from the day's open to its close, within and touching its range, with all of its volume.

    ``walk`` is a random walk, ``edges`` 16-bit noise for highs and then for lows, ``shares`` weights of the volume.
    """
    count = len(walk)
    opened, close = round(day.o * 100), round(day.c * 100)
    highest, lowest = round(day.h * 100), round(day.low * 100)
    scale = opened * volatility / 20  # about the square root of 390
    slope = (close - opened - scale * walk[-1]) / count
    path = [int(opened + scale * w + slope * (k + 1)) for k, w in enumerate(walk)]
    path[-1] = close
    path = [lowest if p < lowest else highest if p > highest else p for p in path]
    top, bottom = path.index(max(path)), path.index(min(path))
    reach = max(1, int(scale * 0.6))
    before = [opened, *path[:-1]]
    highs = [(b if b > a else a) + (up * reach >> 16) for b, a, up in zip(before, path, edges[:count], strict=True)]
    lows = [
        (a if b > a else b) - (down * reach >> 16)
        for b, a, down in zip(before, path, edges[count : 2 * count], strict=True)
    ]
    highs = [highest if high > highest else high for high in highs]
    lows = [lowest if low < lowest else low for low in lows]
    highs[top], lows[bottom] = highest, lowest
    weights = list(accumulate(shares))
    unit = day.v / weights[-1]
    sold = [int(weight * unit) for weight in weights]
    volumes = [sold[0], *map(sub, sold[1:], sold)]
    trades = [1 + volume // 90 for volume in volumes]
    trades[-1] = max(1, day.n - sum(trades[:-1]))
    volumes[-1] += int(day.v) - sold[-1]
    averages = [(b + h + low + a) / 400 for b, h, low, a in zip(before, highs, lows, path, strict=True)]
    return Minutes(before, highs, lows, path, volumes, trades, averages)
