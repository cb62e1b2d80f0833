"""Lines of braille dots for small trends: a tenth of the cost of a plot library, and spikes are never averaged away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

_BIT = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


class _Column(NamedTuple):
    first: float
    last: float
    low: float
    high: float


def finite(values: Sequence[float | None]) -> list[float]:
    """Return the values that can be drawn."""
    return [v for v in values if v is not None and math.isfinite(v)]


def rows(
    values: Sequence[float | None], width: int, height: int, low: float | None = None, high: float | None = None
) -> list[str]:
    """Return ``height`` lines of ``width`` cells, oldest value left; None, NaN and infinity are gaps.

    Without ``low`` and ``high`` the values' own range is used; a flat line lies at the bottom.
    """
    good = finite(values)
    if not good or width <= 0 or height <= 0:
        return [" " * max(0, width)] * max(0, height)
    floor = min(good) if low is None else low
    ceiling = max(good) if high is None else high
    span = (ceiling - floor) or 1.0
    top = height * 4 - 1

    def line_of(value: float) -> int:
        return max(0, min(top, round((floor + span - value) / span * top)))

    grid = [[0] * width for _ in range(height)]
    previous: float | None = None
    for x, column in enumerate(_columns(values, width * 2)):
        if column is None:
            previous = None
            continue
        start, end = line_of(column.high), line_of(column.low)
        if previous is not None:
            before = line_of(previous)
            if before < start:
                start = min(before + 1, end)
            elif before > end:
                end = max(before - 1, start)
        previous = column.last
        for y in range(start, end + 1):
            grid[y >> 2][x >> 1] |= _BIT[y & 3][x & 1]
    return ["".join(chr(0x2800 + dots) if dots else " " for dots in row) for row in grid]


def _columns(values: Sequence[float | None], pixels: int) -> list[_Column | None]:
    count = len(values)
    columns: list[_Column | None] = [None] * pixels
    if count >= pixels:
        for index, value in enumerate(values):
            if value is None or not math.isfinite(value):
                continue
            at = index * pixels // count
            known = columns[at]
            columns[at] = (
                _Column(value, value, value, value)
                if known is None
                else _Column(known.first, value, min(known.low, value), max(known.high, value))
            )
        return columns
    for at in range(pixels):
        position = at * (count - 1) / max(1, pixels - 1)
        index = int(position)
        left, right = values[index], values[min(index + 1, count - 1)]
        if left is None or right is None or not (math.isfinite(left) and math.isfinite(right)):
            continue
        value = left + (right - left) * (position - index)
        columns[at] = _Column(value, value, value, value)
    return columns
