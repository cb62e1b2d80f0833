"""A chart with a time axis and units, drawn by plotext: the only module that imports it, and only when it is drawn.

plotext 6 aborts the whole process on a NaN in a line, so points are filtered here; each point costs one foreign call,
so they are thinned to what the cells can show, keeping the extremes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from rich.text import Text
from textual.color import Color
from textual.content import Content
from textual.widget import Widget

from qsuite_console.model.text import clean
from qsuite_console.widgets import figures

MINIMUM = (24, 6)
LEGEND_IN_FULL = 60  # cells from which limits are named in full, so that charts beside each other agree
_FRAME = 3  # lines of a figure that are no canvas: the frame above and below, the times
Point = tuple[datetime, float | None]
_TONES = ("primary", "accent", "success", "error")
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)


@dataclass(frozen=True, slots=True)
class Series:
    """A named line; None is a gap in what was measured. ``tone`` is a theme token; "" takes the next of the usual.

    ``brief`` is its name where there is no room for the names in full.
    """

    name: str
    points: tuple[Point, ...]
    tone: str = ""
    brief: str = ""


def level(
    name: str, value: float | None, start: datetime, end: datetime, tone: str, *, brief: str = ""
) -> tuple[Series, ...]:
    """Return a limit as a level line from start to end; nothing for None."""
    return () if value is None else (Series(name, ((start, value), (end, value)), tone, brief),)


def finite(points: Sequence[Point], limit: int) -> list[tuple[float, float]]:
    """Return at most ``limit`` (epoch seconds, value) pairs that can be drawn: lowest and highest of each step."""
    good = [(at.timestamp(), float(v)) for at, v in points if v is not None and math.isfinite(v)]
    if len(good) <= limit:
        return good
    steps, number, thinned = max(1, limit // 2), len(good), []
    for step in range(steps):
        part = good[step * number // steps : (step + 1) * number // steps]
        low, high = min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])
        thinned.extend(sorted({low, high}))
    return thinned


def unbroken(points: Sequence[Point]) -> Iterator[Sequence[Point]]:
    """Yield the stretches between gaps, so that no line leads over what was not measured."""
    part: list[Point] = []
    for point in points:
        if point[1] is not None and math.isfinite(point[1]):
            part.append(point)
        elif part:
            yield part
            part = []
    if part:
        yield part


def time_ticks(start: float, end: float, width: int, zone: tzinfo | None) -> tuple[list[float], list[str]]:
    """Return round local times for an axis of ``width`` cells, at most one every fourteen."""
    span = max(1.0, end - start)
    wanted = max(1, width // 14)
    step = next((s for s in _STEPS_S if span / s <= wanted), 86_400 * math.ceil(span / 86_400 / wanted))
    form = "%H:%M:%S" if step < 60 else "%H:%M" if step < 86_400 else "%d %b"
    first = datetime.fromtimestamp(start, zone).astimezone(zone)
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    offset = math.ceil((first - midnight).total_seconds() / step) * step
    positions: list[float] = []
    at = midnight + timedelta(seconds=offset)
    while at.timestamp() <= end and len(positions) < 200:
        positions.append(at.timestamp())
        at += timedelta(seconds=step)
    return positions, [datetime.fromtimestamp(p, zone).astimezone(zone).strftime(form) for p in positions]


def value_axis(high: float, height: int) -> tuple[int, list[float]]:
    """Return how many of ``height`` lines to draw on, at most three fewer, and the round values to label.

    The values lie on whole lines, equally far apart: that decides how many there are. The first is zero, the last is
    ``high`` or the next round one.
    """
    high = high if high > 0 else 1.0
    best: tuple[float, int, list[float]] | None = None
    for spare in range(4):
        gaps = height - _FRAME - 1 - spare
        for number in (n for n in range(1, 7) if gaps > 0 and gaps % n == 0 and (gaps >= 2 * n or n == 1)):
            step = _round_step(high / number)
            cost = number * step / high + 0.05 * spare + 0.08 * abs(gaps / number - 3)
            if best is None or cost < best[0]:
                best = (cost, height - spare, [i * step for i in range(number + 1)])
    return (best[1], best[2]) if best is not None else (height, [0.0, _round_step(high)])


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next((m * power for m in (1, 2, 2.5, 4, 5) if m * power >= least * 0.999), 10 * power)


def legend(title: str, tone_of: Mapping[Series, str], width: int) -> Content:
    """Return units and legend; where the names in full have no room, the brief ones."""
    named = sorted(tone_of.items(), key=lambda one: bool(one[0].tone))

    def with_legend(*, is_brief: bool) -> Content:
        names = [(series.brief if is_brief else "") or series.name for series, _ in named]
        legend = [
            Content.assemble(("  ━ ", f"${tone}"), (clean(name, 30), "$dim"))
            for name, (_, tone) in zip(names, named, strict=True)
        ]
        return Content.assemble((title, "$dim"), *legend)

    full = with_legend(is_brief=False)
    is_brief = width < LEGEND_IN_FULL or full.cell_length > width
    return (with_legend(is_brief=True) if is_brief else full).truncate(width, ellipsis=True)


class Plot(Widget):
    """Shows the series given to ``show``; redrawn only when they, the size or the theme differ."""

    DEFAULT_CSS = """
    Plot { height: 1fr; background: $background; }
    """

    def __init__(
        self, *, unit: str = "", empty: str = "No data yet", zone: tzinfo | None = None, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self._unit = unit
        self._empty = empty
        self.zone = zone  # of the time axis
        self._series: tuple[Series, ...] = ()
        self._drawn: tuple[object, Content] | None = None

    def show(self, series: Sequence[Series], *, unit: str | None = None) -> None:
        """Show these lines; values are in ``unit``."""
        series = tuple(series)
        if series != self._series or (unit is not None and unit != self._unit):
            self._series, self._unit = series, self._unit if unit is None else unit
            self.refresh()

    def say_empty(self, text: str) -> None:
        """Say this where there is nothing to draw."""
        if text != self._empty:
            self._empty, self._drawn = text, None
            self.refresh()

    def render(self) -> Content:
        """Draw, or say why not."""
        width, height = self.content_size
        if width < MINIMUM[0] or height < MINIMUM[1]:
            return Content.styled("too small for a chart"[: max(0, width)], "$dim")
        key = (self._series, self._unit, width, height, self.app.theme)
        if self._drawn is None or self._drawn[0] != key:
            lines = [(s, finite(part, 2 * width)) for s in self._series for part in unbroken(s.points)]
            lines = [(series, points) for series, points in lines if len(points) > 1]
            is_measured = any(not series.tone for series, _ in lines)
            drawn = self._draw(lines, width, height) if is_measured else Content.styled(self._empty, "$dim")
            self._drawn = (key, drawn)
        return self._drawn[1]

    def _draw(self, lines: Sequence[tuple[Series, list[tuple[float, float]]]], width: int, height: int) -> Content:
        import plotext  # 0.3 s of processor time: not before a chart is really on the screen

        drawn = list(dict.fromkeys(series for series, _ in lines))  # each once, however many stretches it has
        usual = iter(_TONES * len(lines))
        tone_of = {series: series.tone or next(usual) for series in drawn}
        tones = [tone_of[series] for series, _ in lines]
        colours = {name: self._rgb(name) for name in (*tones, "dim", "track")}
        pixels = {name: plotext.pixel(foreground=rgb) if rgb else plotext.pixel() for name, rgb in colours.items()}
        plotext.add_theme("console", canvas=None, text=pixels["dim"], sequence=[pixels[name] for name in tones])
        figure = plotext.figure.clear()
        plotext.terminal.limit(False, False)  # else clamped to the terminal of the process
        high = max(value for _, points in lines for _, value in points)
        used, values = value_axis(high, height - 1)
        figure.plot_size(width, used)
        figure.theme("console")
        start = min(points[0][0] for _, points in lines)
        end = max(points[-1][0] for _, points in lines)
        labelled: set[Series] = set()
        has_levels = any(series.tone for series, _ in lines)  # a legend would cover them: they are named above
        for series, points in lines:
            signal = figure.signal([x - start for x, _ in points], [y for _, y in points], marker="braille").lines(True)
            is_first = series not in labelled
            labelled.add(series)
            is_named = len(drawn) > 1 and not has_levels and is_first
            figure.draw(signal.label(clean(series.name, 30)) if is_named else signal)
        positions, labels = time_ticks(start, end, width, self.zone)
        figure.ruler("x").lim(0, max(1.0, end - start))
        figure.ruler("x").ticks([p - start for p in positions], labels)
        figure.ruler("y").lim(0, values[-1])
        figure.ruler("y").ticks(values, [figures.short(v) for v in values])
        text = Text.from_ansi(figure.build().string())
        title = " · ".join(
            part
            for part in (self._unit, datetime.fromtimestamp(end, self.zone).astimezone(self.zone).strftime("%Z"))
            if part
        )
        head = legend(title, tone_of if has_levels else {}, width)
        return Content("\n").join([head, Content.from_rich_text(text)])

    def _rgb(self, token: str) -> tuple[int, int, int] | None:
        value = self.app.theme_variables.get(token, "")
        if not value or value.startswith("ansi_"):
            return None
        return Color.parse(value).rgb
