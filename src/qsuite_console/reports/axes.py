"""Where the ticks of an axis are and what they are called: round numbers, round times of the report's own zone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from qsuite_console.model import units

_STEPS_S: Final = (60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
_STEPS_DAYS: Final = (1, 2, 7, 14, 30, 61, 91, 182, 365)


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Return round values from at or below ``low`` to at or above ``high``, about ``about`` steps apart."""
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("an axis needs finite ends")
    if high <= low:
        high = low + (abs(low) or 1.0)
    raw = (high - low) / about
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def times(start: float, end: float, zone: str, most: int = 7) -> list[tuple[float, str]]:
    """Return (seconds since 1970, label) of round local times within [start, end]."""
    span = max(end - start, 1.0)
    local = ZoneInfo(zone)
    step_s = next((step for step in _STEPS_S if span / step <= most), 0)
    begin = datetime.fromtimestamp(start, local)
    if step_s:
        midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        at = midnight + timedelta(
            seconds=int((begin.replace(tzinfo=None) - midnight).total_seconds() // step_s * step_s)
        )
        step = timedelta(seconds=step_s)
    else:
        days = next((days for days in _STEPS_DAYS if span / (days * 86_400) <= most), 365)
        at = begin.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        step = timedelta(days=days)
    found: list[tuple[float, str]] = []
    while True:
        aware = at.replace(tzinfo=local)
        seconds = aware.timestamp()
        if seconds > end:
            return found
        is_real = aware.astimezone(UTC).astimezone(local).replace(tzinfo=None) == at  # not in a gap of summer time
        if seconds >= start and is_real and (not found or seconds > found[-1][0]):
            found.append((seconds, _label(at, step, span)))
        at += step


def amount(value: float, unit: str) -> str:
    """Return a value with its unit, short: "1.5 GiB", "95 %", "1,200 /s"."""
    if unit in ("B", "bytes"):
        return units.size(value)
    if unit == "s":
        return units.span(value) if value >= 0 else f"{value:g} s"
    text = f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:,.3g}"
    return f"{text} {unit}".rstrip()


def plain(values: Sequence[float], unit: str) -> list[str]:
    """Return the labels of an axis: all with the same number of decimals."""
    if unit in ("B", "bytes", "s"):
        return [amount(value, unit) for value in values]
    step = abs(values[1] - values[0]) if len(values) > 1 else 1.0
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    if step * 10**decimals % 1 > 1e-6:
        decimals += 1
    return [f"{value:,.{decimals}f}" for value in values]


def _label(at: datetime, step: timedelta, span: float) -> str:
    if step >= timedelta(days=28) or span > 200 * 86_400:
        return f"{at:%b %Y}"
    if step >= timedelta(days=1):
        return f"{at.day} {at:%b}"
    return f"{at.day} {at:%b}" if at.hour == at.minute == 0 else f"{at:%H:%M}"
