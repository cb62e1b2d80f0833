"""Figures as people read them: short, with a unit, the same on every tile."""

from __future__ import annotations

from typing import Final

_BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def count(value: float) -> str:
    """Return 1234567 as "1,234,567"."""
    return f"{value:,.0f}"


def rate(value: float) -> str:
    """Return a per-second rate: "0.4 /s", "1,234 /s"."""
    return f"{value:,.1f} /s" if value < 10 else f"{value:,.0f} /s"


def percent(value: float) -> str:
    """Return 99.42 as "99.4 %" and 100 as "100 %"."""
    return f"{value:.0f} %" if value >= 99.95 or value == 0 else f"{value:.1f} %"


def size(value: float) -> str:
    """Return bytes in binary units with three digits: "12.3 MiB"."""
    for unit in _BINARY:
        if abs(value) < 1000 or unit == _BINARY[-1]:
            return f"{value:.0f} {unit}" if unit == "B" or abs(value) >= 100 else f"{value:.3g} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def span(seconds: float) -> str:
    """Return a duration: "3 ms", "4.2 s", "2 m 10 s", "3 h 5 m", "2 d 4 h", "5 m"."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = round(seconds)
    for big, small, names in ((86_400, 3600, "dh"), (3600, 60, "hm"), (60, 1, "ms")):
        if whole >= big:
            rest = whole % big // small
            return f"{whole // big} {names[0]}" + (f" {rest} {names[1]}" if rest else "")
    raise AssertionError("unreachable")


def age(seconds: float) -> str:
    """Return how old something is, in one unit: "12s", "3m", "4h", "2d"; "ago" or "old" follows it."""
    seconds = max(0.0, seconds)
    for limit, divisor, unit in ((60, 1, "s"), (3600, 60, "m"), (86_400, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // divisor)}{unit}"
    return f"{int(seconds // 86_400)}d"


def quantity(value: float, unit: str) -> str:
    """Return a value with its unit as limits are written: "85 %", "1,024 MiB", "0.5 s"; from a minute on "5 m 10 s"."""
    if unit == "s" and value >= 60:
        return span(value)
    number = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.1f}"
    return f"{number} {unit}".strip()
