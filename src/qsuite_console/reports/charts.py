"""Charts as SVG, drawn here: pure text from numbers, nothing loaded, nothing that could be fetched.

Lines differ in dash and are named at their end, bars carry their figures: no state is told by colour alone. Every text
is escaped here, so that the result may be put into a page as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from qsuite_console.reports.axes import amount, plain, ticks, times
from qsuite_console.reports.document import BarChart, HeatMap, Limit, LineChart, Tone

WIDTH: Final = 720
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 14, 26
_HEIGHT: Final = 190
_BAR: Final = 22
_INKS: Final = ("#1f5fa8", "#b4540a", "#3d7a3d", "#7a3d8c", "#5b6770", "#a3263a")
_DASHES: Final = ("", "7 3", "2 3", "9 3 2 3", "4 2", "1 2")
_TONES: Final[dict[str, str]] = {
    "": "#1f5fa8",
    "good": "#3d7a3d",
    "warn": "#c07a00",
    "bad": "#b3261e",
    "faint": "#b8c1c9",
}
_FONT: Final = "font-family=\"'DejaVu Sans','Liberation Sans',Arial,sans-serif\""


def draw_lines(chart: LineChart) -> str:
    """Return figures over time with axes, units, limits and gaps."""
    values = [value for curve in chart.curves for _, value in curve.points if value is not None]
    if chart.is_hollow or not values:
        return _hollow("nothing was measured in this window")
    limits = [limit.value for limit in chart.limits if _is_near(limit.value, values)]
    low = min(0.0, *values, *limits) if chart.has_zero else min(*values, *limits, math.inf)
    marks = ticks(low, max(*values, *limits, -math.inf))
    frame = _Frame(chart.start, chart.end, marks[0], marks[-1])
    parts = [*_grid(frame, marks, chart.unit), *_time_axis(frame, chart.zone)]
    parts += _limits(frame, [limit for limit in chart.limits if limit.value in limits], chart.unit)
    for number, curve in enumerate(chart.curves):
        parts += _curve(frame, curve.points, number)
    height = _HEIGHT
    if len(chart.curves) > 1:
        parts += _legend([(curve.label, number) for number, curve in enumerate(chart.curves)], _HEIGHT + 12)
        height += 20
    return _svg(height, parts, chart.title)


def draw_bars(chart: BarChart) -> str:
    """Return horizontal bars, each with its figure at the end."""
    totals = [sum(value for value, _ in bar.parts) for bar in chart.bars]
    if not totals or max(totals) <= 0:
        return _hollow("there is nothing to compare")
    left = min(220.0, 14 + 6.2 * max(len(bar.label[:34]) for bar in chart.bars))
    texts = [bar.text or amount(total, chart.unit) for bar, total in zip(chart.bars, totals, strict=True)]
    room = WIDTH - left - 16 - 5.8 * max(map(len, texts))
    parts: list[str] = []
    for row, bar in enumerate(chart.bars):
        y, x = 6.0 + row * _BAR, left
        parts.append(_text(left - 6, y + 12, _short(bar.label, 34), anchor="end"))
        for value, tone in bar.parts:
            width = room * value / max(totals)
            parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="15" fill="{_TONES[tone]}"/>')
            x += width
        parts.append(_text(x + 5, y + 12, texts[row], fill="#333"))
    height = 10 + _BAR * len(chart.bars)
    x = left
    for label, tone in chart.legend:
        parts.append(f'<rect x="{x:.1f}" y="{height + 2}" width="9" height="9" fill="{_TONES[tone]}"/>')
        parts.append(_text(x + 13, height + 10, label, size=9))
        x += 30 + 5.6 * len(label)
    return _svg(height + (18 if chart.legend else 0), parts, chart.title)


def draw_map(chart: HeatMap) -> str:
    """Return rows of cells whose sign tells the state; columns are named by year and month where they are months."""
    if not chart.rows or not chart.columns:
        return _hollow("there is nothing to map")
    left = min(150.0, 14 + 6.4 * max(len(name[:20]) for name, _ in chart.rows))
    size = min(34.0, (WIDTH - left - 6) / len(chart.columns))
    tall = min(size, 14.0)
    parts, top = list[str](), 26.0
    for number, name in enumerate(chart.columns):
        year, _, month = name.partition("-")
        x = left + number * size
        is_crowded = number == 0 and len(chart.columns) > 1 and chart.columns[1].endswith("-01")
        if month in ("01", "") or (number == 0 and not is_crowded):
            parts.append(_text(x, 10, year, size=8.5, fill="#333"))
        if month and size >= 11:
            parts.append(_text(x + size / 2, 21, month, size=7.5, anchor="middle", fill="#666"))
    for row, (name, cells) in enumerate(chart.rows):
        y = top + row * (tall + 1)
        parts.append(_text(left - 6, y + tall - 3, _short(name, 20), size=9, anchor="end"))
        for number, each in enumerate(cells):
            x = left + number * size
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{size - 1:.1f}" height="{tall:.1f}" rx="1.5"'
                f' fill="{_TONES[each.tone]}" fill-opacity="{_opacity(each.tone)}"/>'
            )
            if size >= 9:
                parts.append(
                    _text(x + size / 2 - 0.5, y + tall - 3.5, each.sign, size=8.5, anchor="middle", fill="#111")
                )
    height = top + len(chart.rows) * (tall + 1) + 6
    x = left
    for sign, tone, label in chart.legend:
        parts.append(
            f'<rect x="{x:.1f}" y="{height:.1f}" width="13" height="12" rx="1.5" fill="{_TONES[tone]}"'
            f' fill-opacity="{_opacity(tone)}"/>'
        )
        parts.append(_text(x + 6.5, height + 9.5, sign, size=8.5, anchor="middle", fill="#111"))
        parts.append(_text(x + 18, height + 9.5, label, size=9))
        x += 34 + 5.6 * len(label)
    return _svg(height + (18 if chart.legend else 0), parts, chart.title)


def draw_spark(values: Sequence[float], width: int = 72, height: int = 16) -> str:
    """Return a small curve without axes for a field of a table; nothing for fewer than two values."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    points = " ".join(
        f"{1 + (width - 2) * at / (len(values) - 1):.1f},{height - 2 - (height - 4) * (value - low) / span:.1f}"
        for at, value in enumerate(values)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="spark" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}"><polyline points="{points}" fill="none" stroke="#1f5fa8"'
        ' stroke-width="1.2"/></svg>'
    )


class _Frame:
    """Turns seconds and values into places on the picture."""

    def __init__(self, start: float, end: float, low: float, high: float) -> None:
        self.start, self.end = start, max(end, start + 1.0)
        self.low, self.high = low, high

    def x(self, at: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (at - self.start) / (self.end - self.start)

    def y(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share


def _grid(frame: _Frame, marks: Sequence[float], unit: str) -> Iterator[str]:
    for mark, label in zip(marks, plain(marks, unit), strict=True):
        y = frame.y(mark)
        ends = f'x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
        yield f'<line {ends} stroke="#dfe4e8" stroke-width="0.8"/>'
        yield _text(_LEFT - 6, y + 3.2, label, size=9, anchor="end", fill="#555")
    if 0 < len(unit) <= 6:
        yield _text(_LEFT - 6, _TOP - 5, unit, size=8.5, anchor="end", fill="#555")


def _time_axis(frame: _Frame, zone: str) -> Iterator[str]:
    base = _HEIGHT - _BOTTOM
    yield f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{base}" y2="{base}" stroke="#7b8790" stroke-width="1"/>'
    for seconds, label in times(frame.start, frame.end, zone):
        x = frame.x(seconds)
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{base}" y2="{base + 4}" stroke="#7b8790" stroke-width="1"/>'
        yield _text(x, base + 14, label, size=9, anchor="middle", fill="#555")
    yield _text(WIDTH - _RIGHT, _HEIGHT - 1, zone, size=7.5, anchor="end", fill="#888")


def _limits(frame: _Frame, limits: Sequence[Limit], unit: str) -> Iterator[str]:
    """Yield the thresholds; names that would lie upon each other stand side by side."""
    taken: list[tuple[float, float]] = []  # (height, left end) of the names that are there
    for limit in sorted(limits, key=lambda limit: limit.value):
        y, ink = frame.y(limit.value), _TONES[limit.tone]
        ends = f'x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
        yield f'<line {ends} stroke="{ink}" stroke-width="1" stroke-dasharray="5 3"/>'
        text = f"{limit.label} {amount(limit.value, unit)}"
        right = min((left - 12 for height, left in taken if abs(height - y) < 10), default=WIDTH - _RIGHT - 3.0)
        taken.append((y, right - 5.0 * len(text)))
        place = f'x="{right - 4.9 * len(text):.1f}" y="{y - 11:.1f}" width="{4.9 * len(text) + 2:.1f}" height="10"'
        yield f'<rect {place} fill="#fff" fill-opacity="0.85"/>'
        yield _text(right, y - 3, text, size=8.5, anchor="end", fill=ink)


def _curve(frame: _Frame, points: Sequence[tuple[float, float | None]], number: int) -> Iterator[str]:
    ink, dash = _INKS[number % len(_INKS)], _DASHES[number % len(_DASHES)]
    style = f'fill="none" stroke="{ink}" stroke-width="1.5" stroke-linejoin="round"'
    style += f' stroke-dasharray="{dash}"' if dash else ""
    run: list[str] = []
    for at, value in (*points, (frame.end, None)):
        if value is not None and frame.start <= at <= frame.end:
            run.append(f"{frame.x(at):.1f},{frame.y(value):.1f}")
            continue
        if len(run) == 1:
            x, y = run[0].split(",")
            yield f'<circle cx="{x}" cy="{y}" r="1.6" fill="{ink}"/>'
        elif run:
            yield f'<polyline points="{" ".join(run)}" {style}/>'
        run = []


def _legend(labels: Sequence[tuple[str, int]], y: float) -> Iterator[str]:
    x = float(_LEFT)
    for label, number in labels:
        dash = _DASHES[number % len(_DASHES)]
        line = f'<line x1="{x:.1f}" x2="{x + 22:.1f}" y1="{y - 3}" y2="{y - 3}" stroke="{_INKS[number % len(_INKS)]}"'
        yield line + ' stroke-width="1.6"' + (f' stroke-dasharray="{dash}"' if dash else "") + "/>"
        yield _text(x + 27, y, _short(label, 30), size=9)
        x += 42 + 5.6 * min(len(label), 30)


def _is_near(limit: float, values: Sequence[float]) -> bool:
    """Return whether drawing the limit leaves the values room to be told apart."""
    high = max(values)
    return limit <= 2.5 * high or high <= 0 or (limit <= 100 and high >= 20)


def _opacity(tone: Tone) -> str:
    return "0.25" if tone == "faint" else "0.55"


def _hollow(text: str) -> str:
    return _svg(60, [_text(WIDTH / 2, 34, text, anchor="middle", fill="#777")], text)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(x: float, y: float, text: str, *, size: float = 9.5, anchor: str = "start", fill: str = "#222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" fill="{fill}" {_FONT}>'
        f"{escape(text)}</text>"
    )


def _svg(height: float, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" aria-label="{escape(title)}"'
        f' width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}">{"".join(parts)}</svg>'
    )
