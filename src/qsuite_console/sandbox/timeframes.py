"""Timeframes as the provider writes them: ``5Min``, ``1H``, ``1Day``, ``3M``; case matters."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec


class Unit(StrEnum):
    """What a timeframe counts."""

    MINUTE = "Min"
    HOUR = "Hour"
    DAY = "Day"
    WEEK = "Week"
    MONTH = "Month"


_PATTERN: Final = re.compile(r"(\d{1,2})(Min|T|Hour|H|Day|D|Week|W|Month|M)")
_SHORT: Final = {"T": "Min", "H": "Hour", "D": "Day", "W": "Week", "M": "Month"}
_ALLOWED: Final = {
    Unit.MINUTE: range(1, 60),
    Unit.HOUR: range(1, 24),
    Unit.DAY: (1,),
    Unit.WEEK: (1,),
    Unit.MONTH: (1, 2, 3, 4, 6, 12),
}


class Timeframe(msgspec.Struct, frozen=True):
    """A number of units."""

    count: int
    unit: Unit

    @property
    def minutes(self) -> int:
        """Return its length for those within a day, 0 for longer ones."""
        return self.count * {Unit.MINUTE: 1, Unit.HOUR: 60}.get(self.unit, 0)

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"


def parse(text: str) -> Timeframe | None:
    """Return the timeframe, None when the text is not one at all; raises ValueError for one that is not offered."""
    match = _PATTERN.fullmatch(text)
    if match is None:
        return None
    unit = Unit(_SHORT.get(match[2], match[2]))
    count = int(match[1])
    if count not in _ALLOWED[unit]:
        raise ValueError(text)
    return Timeframe(count, unit)
