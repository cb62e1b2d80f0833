"""Candles over their volume: plotext draws the prices, and each candle has its own column of cells, two apart.

Rising candles are filled and falling ones shaded, so that the colours are not needed to tell them apart.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, tzinfo

from rich.text import Text
from textual.color import Color
from textual.content import Content
from textual.widget import Widget

from qsuite_console.model.market import Bar
from qsuite_console.widgets import figures

MINIMUM = (30, 8)
_STEP = 2  # cells from candle to candle
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_RISING, _FALLING = "\x1b[38;5;2m", "\x1b[38;5;1m"  # plotext's fixed colours of candles
_LABEL_CELLS = 14


def price_scale(low: float, high: float, height: int) -> tuple[list[float], list[str]]:
    """Return round prices inside [low, high], at most one every three lines, with labels of the same width."""
    wanted = max(1, height // 3)
    span = high - low or abs(high) * 0.01 or 1.0
    power = 10.0 ** math.floor(math.log10(span / wanted))
    step = next(m * power for m in (1, 2, 2.5, 5, 10, 20) if m * power * wanted >= span)
    decimals = max(0, min(6, math.ceil(-math.log10(step) - 1e-9) + (step / power == 2.5)))
    first = math.ceil(low / step - 1e-9)
    values = [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)] or [low]
    labels = [f"{value:,.{decimals}f}" for value in values]
    width = max(7, *map(len, labels))
    return values, [label.rjust(width) for label in labels]


def time_labels(times: Sequence[datetime], every: int, zone: tzinfo | None, *, is_daily: bool) -> dict[int, str]:
    """Return index -> label of every so-many-th bar, counted from the newest: the time, or the day where it changes."""
    labels: dict[int, str] = {}
    before = None
    for index in sorted(range(len(times) - 1, -1, -max(1, every))):
        if is_daily:  # labelled by the exchange's midnight, whose date is the day's in every zone west of it
            labels[index] = times[index].strftime("%d %b")
            continue
        local = times[index].astimezone(zone)
        labels[index] = local.strftime("%H:%M") if before == local.date() else local.strftime("%d %b")
        before = local.date()
    return labels


def volume_rows(volumes: Sequence[float], height: int) -> list[str]:
    """Return ``height`` lines with one column of eighths for each volume."""
    top = max(volumes, default=0.0)
    levels = [round(volume / top * height * 8) if top > 0 else 0 for volume in volumes]
    return ["".join(_EIGHTHS[max(0, min(8, level - 8 * row))] for level in levels) for row in range(height - 1, -1, -1)]


class Candles(Widget, can_focus=True):
    """Shows the bars given to ``show``, the newest at the right; drawn again only when they or the size differ."""

    DEFAULT_CSS = """
    Candles { height: 1fr; background: $background; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.zone: tzinfo | None = None  # of the time axis
        self._bars: tuple[Bar, ...] = ()
        self._is_daily = False
        self._empty = ""
        self._drawn: tuple[object, Content] | None = None

    @property
    def capacity(self) -> int:
        """Return how many candles there is room for."""
        return max(10, (self.content_size.width - 9) // _STEP)

    def show(self, bars: Sequence[Bar], *, is_daily: bool, empty: str = "") -> None:
        """Show these bars, oldest first; ``empty`` is said where there are none."""
        shown = (tuple(bars), is_daily, empty)
        if shown != (self._bars, self._is_daily, self._empty):
            self._bars, self._is_daily, self._empty = shown
            self.refresh()

    def render(self) -> Content:
        """Draw, or say why not."""
        width, height = self.content_size
        if not self._bars:
            return Content.styled(self._empty, "$dim")
        if width < MINIMUM[0] or height < MINIMUM[1]:
            return Content.styled("too small for a chart"[: max(0, width)], "$dim")
        key = (self._bars, self._is_daily, width, height, self.app.theme)
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = (key, self._draw(width, height))
        return self._drawn[1]

    def _draw(self, width: int, height: int) -> Content:
        rows = 3 if height >= 16 else 2
        shown = self._bars[-((width - 9) // _STEP) :]
        low, high = float(min(bar.low for bar in shown)), float(max(bar.high for bar in shown))
        values, labels = price_scale(low, high, height - rows - 3)
        margin = len(labels[0]) + 1
        columns = width - margin - 1
        shown = shown[-(columns // _STEP) :]
        places = [columns - 1 - _STEP * (len(shown) - index) + 1 for index in range(len(shown))]
        times = time_labels([b.at for b in shown], _LABEL_CELLS // _STEP, self.zone, is_daily=self._is_daily)
        chart = self._prices(shown, places, (width, height - rows), (low, high), (values, labels), times)
        lines = [Content.from_rich_text(chart)]
        volumes = [float(bar.volume) for bar in shown]
        for index, row in enumerate(volume_rows(volumes, rows)):
            name = figures.short(max(volumes)) if index == 0 else "volume" if index == rows - 1 else ""
            cells = [" "] * columns
            for place, cell in zip(places, row, strict=True):
                cells[place] = cell
            lines.append(Content.assemble((f"{name:>{margin - 1}} ", "$dim"), ("".join(cells), "$primary")))
        return Content("\n").join(lines)

    def _prices(
        self,
        shown: Sequence[Bar],
        places: Sequence[int],
        size: tuple[int, int],
        limits: tuple[float, float],
        scale: tuple[list[float], list[str]],
        times: dict[int, str],
    ) -> Text:
        import plotext  # 0.3 s of processor time: not before a chart is really on the screen

        dim = self._rgb("dim")
        grey = plotext.pixel(foreground=dim) if dim else plotext.pixel()
        plotext.add_theme("candles", canvas=None, text=grey, sequence=[grey])
        figure = plotext.figure.clear()
        plotext.terminal.limit(False, False)  # else clamped to the terminal of the process
        figure.plot_size(*size)
        figure.theme("candles")
        data = {name: [float(getattr(bar, name)) for bar in shown] for name in ("open", "close", "high", "low")}
        figure.draw(figure.candlestick({"date": list(places), **data}))
        columns = size[0] - len(scale[1][0]) - 2
        figure.ruler("x").lim(0, columns - 1)
        figure.ruler("x").ticks([places[index] for index in times], list(times.values()))
        figure.ruler("y").lim(limits[0], limits[1] if limits[1] > limits[0] else limits[0] * 1.01 + 1e-9)
        figure.ruler("y").ticks(*scale)
        drawn = re.sub(
            rf"({re.escape(_FALLING)})([^\x1b]*)",
            lambda m: m[1] + m[2].replace("█", "▒"),
            figure.build().string().rstrip("\n"),
        )
        for fixed, token in ((_RISING, "success"), (_FALLING, "error")):
            if rgb := self._rgb(token):
                drawn = drawn.replace(fixed, "\x1b[38;2;{};{};{}m".format(*rgb))
        return Text.from_ansi(drawn)

    def _rgb(self, token: str) -> tuple[int, int, int] | None:
        value = self.app.theme_variables.get(token, "")
        if not value or value.startswith("ansi_"):
            return None
        return Color.parse(value).rgb
