"""Faults planted on purpose: failing requests and damaged bars, both decided by the seed alone."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from qsuite_console.sandbox.minutes import Bar

FAULTS: Final = ("500", "502", "503", "504", "reset", "truncate")
_RANGE: Final = 1 << 32


class FaultPlan:
    """Says for each request in turn whether and how it fails."""

    def __init__(self, seed: int, rate: float) -> None:
        self._random = random.Random(f"faults/{seed}")
        self._rate = rate

    def next(self) -> str:
        """Return the next request's fault, "" for none."""
        if self._random.random() >= self._rate:
            return ""
        return self._random.choice(FAULTS)


def bad_kind(seed: int, symbol: str, timeframe: str, label: str, rate: float, kinds: tuple[str, ...]) -> str:
    """Return how the bar with this label is damaged, "" when it isn't; a pure function."""
    number = zlib.crc32(f"{seed}/bad/{symbol}/{timeframe}/{label}".encode())
    # A second hash chooses the kind: the first one's low values are what made the bar bad.
    return kinds[zlib.crc32(label.encode(), number) % len(kinds)] if number < rate * _RANGE else ""


def damage(bars: Iterable[Bar], kind_of: dict[str, str]) -> list[Any]:
    """Return the bars as sent, with those labelled in ``kind_of`` damaged; only a duplicate adds one."""
    sent: list[Any] = []
    for bar in bars:
        kind = kind_of.get(bar.t, "")
        if not kind:
            sent.append(bar)
        elif kind == "duplicate":
            sent += [bar, bar]
        elif kind == "disorder" and sent:
            sent.insert(len(sent) - 1, bar)
        else:
            sent.append(_broken(bar, kind))
    return sent


def _broken(bar: Bar, kind: str) -> Any:
    if kind == "high_low":
        return msgspec.structs.replace(bar, h=bar.low, low=bar.h + 0.01)
    if kind == "negative_volume":
        return msgspec.structs.replace(bar, v=-1 - bar.v)
    if kind == "outside":
        return msgspec.structs.replace(bar, t="1999-01-04T05:00:00Z")
    broken: dict[str, Any] = msgspec.to_builtins(bar)
    broken["c"] = msgspec.Raw(b"NaN") if kind == "nan" else None
    return broken
