"""Numbers as people read them, all in one place so that every screen writes a duration the same way. Pure."""

from __future__ import annotations

import math
from datetime import datetime, tzinfo

from qsuite_console.model import units

DASH = "—"


def count(value: float | None) -> str:
    """Return a whole number with thousands separators: 1,204,331."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:,.0f}"


def short(value: float | None) -> str:
    """Return a number in at most five cells: 18.2k, 1.2M, 640, 3.4."""
    if value is None or not math.isfinite(value):
        return DASH
    size = abs(value)
    for limit, divisor, suffix in ((999.95e6, 1e9, "G"), (999.95e3, 1e6, "M"), (9_999.5, 1e3, "k")):
        if size >= limit:
            scaled = value / divisor
            return f"{scaled:.0f}{suffix}" if abs(scaled) >= 99.95 else f"{scaled:.1f}{suffix}"
    if size >= 99.95 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 0.05 or size == 0 else f"{value:.2g}"


def rate(value: float | None, unit: str = "") -> str:
    """Return a rate: 18.2k rows/s."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{short(value)} {unit}/s" if unit else f"{short(value)}/s"


def size(value: float | None) -> str:
    """Return bytes with a binary unit: 1.4 MiB."""
    if value is None or not math.isfinite(value):
        return DASH
    sign, left = ("-", -value) if value < 0 else ("", value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if left < 1024:
            return f"{sign}{left:.0f} {unit}" if unit == "B" or left >= 100 else f"{sign}{left:.1f} {unit}"
        left /= 1024
    return f"{sign}{left:.1f} TiB"


def duration(seconds: float | None) -> str:
    """Return a length of time: 0.4 s, 12 s, 02:41, 1:02:41, 2d 03:10."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    seconds = max(0.0, seconds)
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    if hours == 0:
        return f"{minute:02d}:{second:02d}"
    days, hour = divmod(hours, 24)
    return f"{hours}:{minute:02d}:{second:02d}" if days == 0 else f"{days}d {hour:02d}:{minute:02d}"


def countdown(seconds: float | None) -> str:
    """Return a remaining time with constant width, so that it can tick in a column: 00:12, 02:41, 1:02:41."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    minutes, second = divmod(round(max(0.0, seconds)), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour:02d}h"
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute:02d}:{second:02d}"


def age(seconds: float | None) -> str:
    """Return how old something is in one unit: 12s, 3m, 4h, 2d."""
    return DASH if seconds is None or not math.isfinite(seconds) else units.age(seconds)


def ago(seconds: float) -> str:
    """Return how long ago something was: just now, 12s ago, 3m ago."""
    return "just now" if seconds < 1 else f"{age(seconds)} ago"


def whole(seconds: float) -> str:
    """Return a length of time in whole seconds, so that it keeps its form while it ticks: 3 s, 02:41."""
    return f"{int(seconds)} s" if seconds < 60 else duration(seconds)


def moment(at: datetime | None, zone: tzinfo | None, now: datetime) -> str:
    """Return a local time in eight cells: 06:02:11 today, "11-20 06h" in this year, else the date."""
    if at is None:
        return DASH
    local, today = at.astimezone(zone), now.astimezone(zone)
    if local.date() == today.date():
        return local.strftime("%H:%M:%S")
    return local.strftime("%d %b") if local.year == today.year else local.strftime("%Y-%m")


def instant(at: datetime | None, zone: tzinfo | None) -> str:
    """Return a full local time: 2026-11-22 06:02:11. The zone stands in the status bar."""
    return DASH if at is None else at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def within(text: str, width: int) -> str:
    """Return a figure's text in ``width`` cells: a repeated unit leaves first, then the whole of which it is a part,
    what follows a comma, words.

    "1.65 GiB / 23.5 GiB" becomes "1.65 / 23.5 GiB", then "1.65 GiB"; "26.2 %, 74.8 GiB free" becomes "26.2 %".
    """
    if len(text) <= width:
        return text
    left, slash, right = text.partition(" / ")
    if slash and left.rpartition(" ")[2] == right.rpartition(" ")[2]:
        text = f"{left.rpartition(' ')[0]} / {right}"
    if len(text) > width:
        text = left if slash else text.partition(", ")[0]
    while len(text) > width and " " in text:
        text = text.rpartition(" ")[0]
    return text if len(text) <= width else text[: max(0, width - 1)] + "…" if width > 0 else ""


def percent(fraction: float | None) -> str:
    """Return a fraction in four cells; 100 % only when all is done."""
    if fraction is None or not math.isfinite(fraction):
        return DASH
    return "100%" if fraction >= 1 else f"{min(99, max(0, math.floor(fraction * 100)))}%"


def bar(fraction: float | None, width: int) -> tuple[str, str]:
    """Return the done and the open part of a progress bar of ``width`` cells."""
    if fraction is None or not math.isfinite(fraction) or width <= 0:
        return "", "─" * max(0, width)
    halves = math.floor(min(1.0, max(0.0, fraction)) * width * 2)
    done = "━" * (halves // 2) + ("╸" if halves % 2 else "")
    return done, "─" * (width - len(done))


def plural(number: float, word: str, many: str | None = None) -> str:
    """Return "1 job", "3 jobs"."""
    return f"{count(number)} {word if number == 1 else many or word + 's'}"
