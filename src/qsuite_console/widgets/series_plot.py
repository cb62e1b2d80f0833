"""Recorded figures over time: a line for each, and their limits as level lines that are named with their values.

A limit is drawn where the figure comes near it, or where the axis is percent anyway; its name stands in the frame in
any case, so that a calm curve is not pressed flat by a limit far above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Final

from textual.content import Content

from qsuite_console.model import series as model
from qsuite_console.model.health import Level
from qsuite_console.model.text import clean
from qsuite_console.widgets import figures, frames, looks, plot
from qsuite_console.widgets.plot import Plot

NEAR: Final = 0.4  # of a limit, from which the limit is drawn
_LIMITS: Final = (("▲ warning", "warning", "warning"), ("✖ critical", "critical", "error"))


class SeriesPlot(Plot):
    """Shows the lines ``names`` of an answer of ``metrics.series``; all share a unit."""

    DEFAULT_CSS = """
    SeriesPlot { height: 1fr; padding: 0 1; }
    """

    def __init__(self, title: str, names: Sequence[str], *, zone: tzinfo | None = None, id: str | None = None) -> None:
        super().__init__(zone=zone, id=id)
        self.names = tuple(names)
        self._title = title
        self.add_class("panel")

    def show_series(self, answer: model.Series | None, *, problem: str = "") -> None:
        """Show the lines, or say why there are none: ``problem``, or that nothing has been recorded yet."""
        lines = () if answer is None else tuple(line for line in answer.lines if line.name in self.names)
        why = problem or (answer.problem if answer is not None else "")
        self.say_empty(clean(why, 200) or ("Loading…" if answer is None else "Nothing recorded in this time yet"))
        window = "" if answer is None else measured_window(lines, answer)
        frames.title(self, Content(f"{self._title}, {window}" if window else self._title))
        frames.caption(self, Content("  ".join(limit_words(lines))))
        self.show(drawable(lines), unit=clean(lines[0].unit, 10) if lines else None)


def drawable(lines: Sequence[model.Line]) -> list[plot.Series]:
    """Return the lines, and the limits that lie where the lines are."""
    found: list[plot.Series] = []
    for line in lines:
        points = tuple((point.at, point.mean) for point in line.points)
        found.append(plot.Series(clean(line.title, 30), points))
    for line in lines:
        measured = [point for point in line.points if point.mean is not None]
        if len(measured) < 2:
            continue
        highest = max(point.mean or 0.0 for point in measured)
        for word, field, tone in _LIMITS:
            limit = getattr(line, field)
            if limit is not None and (line.unit == "%" or highest >= NEAR * limit):
                drawn = _limit(line, word, limit, tone, (measured[0].at, measured[-1].at))
                found.extend(one for one in drawn if all(one.name != other.name for other in found))
    return found


def limit_words(lines: Sequence[model.Line]) -> list[str]:
    """Return each line's newest value and limits in words."""
    words = []
    for line in lines:
        newest = next((point.mean for point in reversed(line.points) if point.mean is not None), None)
        sign = "below " if line.is_low_bad else ""
        limits = " ".join(
            f"{looks.LEVELS[level].glyph} {sign}{_quantity(limit, line.unit)}"
            for level, limit in ((Level.WARNING, line.warning), (Level.CRITICAL, line.critical))
            if limit is not None
        )
        name = f"{clean(line.title, 30)} " if len(lines) > 1 else ""
        words.append(f"{name}{_quantity(newest, line.unit)}{' ' + limits if limits else ''}")
    return words


def _quantity(value: float | None, unit: str) -> str:
    return f"{figures.short(value)} {clean(unit, 10)}".strip()


def between_limits(line: model.Line, start: datetime, end: datetime, name: str = "value") -> tuple[plot.Series, ...]:
    """Return the worst of each step of a line, and its limits from ``start`` to ``end`` whatever they are."""
    worst = "low" if line.is_low_bad else "high"
    limits = ((word, getattr(line, field), tone) for word, field, tone in _LIMITS)
    levels = (one for word, limit, tone in limits for one in _limit(line, word, limit, tone, (start, end)))
    points = tuple((point.at, getattr(point, worst)) for point in line.points)
    return (*levels, plot.Series(name, points))  # the value last: where they meet, it is the value that is seen


def _limit(
    line: model.Line, word: str, limit: float | None, tone: str, between: tuple[datetime, datetime]
) -> tuple[plot.Series, ...]:
    value = _quantity(limit, line.unit)
    return plot.level(f"{word} {value}", limit, *between, tone, brief=f"{word.split()[0]} {value}")


def first_measured(lines: Sequence[model.Line]) -> datetime | None:
    """Return when the first of what was measured is from: there the time axis begins."""
    return min((point.at for line in lines for point in line.points if point.mean is not None), default=None)


def measured_window(lines: Sequence[model.Line], answer: model.Series) -> str:
    """Return how far back a curve reaches: "last 30 min", "last 2 h"; less than asked for in a young console."""
    first = first_measured(lines)
    if first is None:
        return ""
    minutes = round((answer.end - max(first, answer.start)).total_seconds() / 60)
    if minutes <= 1:
        return "last minute"
    return f"last {minutes} min" if minutes < 120 else f"last {minutes / 60:.0f} h"
