"""One watched source in a few cells: state, headline with its limits, trend, and as many figures as there is room for.

A calm tile costs few bytes: the headline line is repainted when its text changes, the trend at most every ten seconds.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final

from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.widget import Widget

from qsuite_console.model.health import Figure, Level, Reading
from qsuite_console.model.text import clean
from qsuite_console.widgets import braille, figures, looks

TREND_EVERY_S: Final = 10.0
ROOM_FOR_FIGURES: Final = 5  # lines from which the figures are shown, not the headline alone
_TONE_CLASSES: Final = ("-ok", "-warn", "-error", "-dim")


class Tile(Widget, can_focus=True):
    """Shows the reading given to ``show``; posts Opened on a click."""

    BINDINGS: ClassVar[list[BindingType]] = []
    DEFAULT_CSS = """
    Tile {
        height: 4; border: round $border-blurred; border-title-color: $dim; border-subtitle-color: $dim;
        padding: 0 1; background: $background;
        &.-warn { border: round $warning; border-title-color: $warning; border-subtitle-color: $warning; }
        &.-error { border: round $error; border-title-color: $error; border-subtitle-color: $error; }
        &:focus { border: heavy $border; border-title-color: $foreground; border-title-style: bold; }
        &:focus.-warn { border: heavy $warning; }
        &:focus.-error { border: heavy $error; }
    }
    """

    class Opened(Message):
        """The tile was opened; ``source`` names its reading."""

        def __init__(self, source: str) -> None:
            super().__init__()
            self.source = source

    def __init__(self, source: str, title: str) -> None:
        super().__init__(id=f"tile-{source}")
        self.source = source
        self._title = title
        self._reading: Reading | None = None
        self._now: datetime | None = None
        self._trend: tuple[float | None, ...] = ()
        self._trend_at: datetime | None = None
        self._drawn = ""
        self._framed: tuple[Content, Content] | None = None
        self._look = looks.LOADING

    def would_look_different(self, reading: Reading | None, now: datetime) -> bool:
        """Return whether a reading has another level, or another age class, than the one shown."""
        return (looks.LOADING if reading is None else looks.of_reading(reading, now)) != self._look

    def show(self, reading: Reading | None, now: datetime) -> None:
        """Show a reading as it is at ``now``; call it for every sample and every second."""
        self._now = now
        if reading is not self._reading:
            self._reading = reading
            self._take_trend(reading, now)
        look = looks.LOADING if reading is None else looks.of_reading(reading, now)
        if look != self._look or not self.border_title:
            self._look = look
            for name in _TONE_CLASSES:
                self.set_class(name == f"-{look.tone}", name)
            self.refresh()
        title = clean(reading.title if reading else self._title, 40)
        self._frame(Content.assemble(title, f" · {look.word}"), Content(self._age()))
        content = self.render().plain
        if content != self._drawn:
            before, self._drawn = self._drawn.split("\n"), content
            self._repaint(before, content.split("\n"))

    def _frame(self, title: Content, subtitle: Content) -> None:
        if (title, subtitle) != self._framed:
            self._framed = (title, subtitle)
            self.border_title, self.border_subtitle = title, subtitle

    def _repaint(self, before: Sequence[str], after: Sequence[str]) -> None:
        if len(before) != len(after):
            self.refresh()
            return
        width = self.content_size.width
        self.refresh(*(Region(0, y, width, 1) for y, line in enumerate(after) if line != before[y]))

    def _take_trend(self, reading: Reading | None, now: datetime) -> None:
        is_due = self._trend_at is None or abs((now - self._trend_at).total_seconds()) >= TREND_EVERY_S
        if reading is None or (is_due or len(braille.finite(self._trend)) < 2):
            self._trend, self._trend_at = (reading.history if reading else ()), now

    def _age(self) -> str:
        reading, now = self._reading, self._now
        if reading is None or now is None:
            return ""
        age = looks.age_of(reading, now)
        if age is None:
            return "never measured" if reading.error else ""
        if looks.is_stale(reading, now):
            return f"stale {figures.whole(age)}"
        if age > 2 * reading.interval_s:
            return f"{figures.age(age)} ago"
        seconds = len(self._trend) * reading.interval_s
        if seconds < 120:  # a frame that changes repaints its whole tile: it shall not with every sample
            return "last minute" if len(self._trend) > 1 else ""
        return f"last {span(seconds - seconds % 60)}"

    def on_click(self) -> None:
        """Open the tile that already has the focus; the first click gives it."""
        self.post_message(self.Opened(self.source))

    # drawing

    def render(self) -> Content:
        """Draw as many of headline, trend and figures as there are lines."""
        width, height = self.content_size
        if width <= 0 or height <= 0:
            return Content("")
        reading = self._reading
        if reading is None:
            return Content.styled("waiting for the first sample…"[:width], "$dim")
        is_small = height < ROOM_FOR_FIGURES
        lines = [self._headline(reading, width, with_title=height == 1, with_worst=is_small)]
        if reading.error and height > 1:
            cause = textwrap.wrap(clean(reading.error, 400), max(8, width))[: max(1, (height - 1) // 2)]
            lines.extend(Content.styled(part, looks.TONES[self._look.tone]) for part in cause)
        shown = () if is_small else reading.figures
        room = height - len(lines) - min(len(shown), max(0, height - len(lines) - 3))
        if room > 0 and len(braille.finite(self._trend)) > 1:
            lines.extend(trend(self._trend, width, min(room, 5), reading.headline.unit, self._tone()))
        is_old = self._look.tone == "dim" or reading.error is not None
        lines.extend(figure_line(figure, width, is_old=is_old) for figure in shown[: max(0, height - len(lines))])
        return Content("\n").join(lines[:height])

    def _tone(self) -> str:
        return {"ok": "$primary", "dim": "$dim"}.get(self._look.tone, looks.TONES[self._look.tone])

    def _headline(self, reading: Reading, width: int, *, with_title: bool, with_worst: bool) -> Content:
        value = "$dim" if self._look.tone == "dim" else "bold $foreground"
        cause = worst_figure(reading) if with_worst and self._look.tone in ("warn", "error") else None
        if cause is not None and cause is not reading.headline and reading.error is None:
            return self._cause(reading, cause, width, with_title=with_title)
        left = Content.assemble(
            (self._look.glyph + " ", looks.TONES[self._look.tone]),
            (f"{clean(reading.title, 24)} " if with_title else "", "$dim"),
            (clean(reading.headline.text, 40) if reading.sampled_at else figures.DASH, value),
            (f" {clean(reading.headline.label, 40)}", "$dim"),
        )
        right = Content.styled(limits(reading.headline.limit), "$dim")
        if left.cell_length > width or not right:
            return left.truncate(width, ellipsis=True)
        if left.cell_length + right.cell_length + 1 > width:
            return left
        return Content.assemble(left, " " * (width - left.cell_length - right.cell_length), right)

    def _cause(self, reading: Reading, cause: Figure, width: int, *, with_title: bool) -> Content:
        """Return the figure that is not well in the headline's place, and that behind it if there is room."""
        tone = looks.TONES[self._look.tone]
        left = Content.assemble(  # the number before its label: where the line is cut, it is the label that suffers
            (f"{self._look.glyph} ", tone),
            (f"{clean(reading.title, 24)} " if with_title else "", "$dim"),
            (clean(cause.text, 40), f"bold {tone}"),
            (f" {clean(cause.label, 40)}", "$dim"),
        )
        right = Content.styled(clean(reading.headline.text, 40), "$dim")
        if left.cell_length + right.cell_length + 2 > width:
            return left.truncate(width, ellipsis=True)
        return Content.assemble(left, " " * (width - left.cell_length - right.cell_length), right)


def worst_figure(reading: Reading) -> Figure | None:
    """Return the figure that is worst of all beyond its limits, the headline before others; None: all are well."""
    figures_of = (reading.headline, *reading.figures)
    for bad in (Level.CRITICAL, Level.WARNING):
        found = next((one for one in figures_of if one.level is bad), None)
        if found is not None:
            return found
    return None


def limits(text: str) -> str:
    """Return limits in the glyphs of their levels: "warn 80 %, critical 95 %" as "▲ 80 %  ✖ 95 %"."""
    text = re.sub(r"\bwarn(?:ing)?\b:?", "▲", clean(text, 80))
    return re.sub(r"\bcrit(?:ical)?\b:?", "✖", text).replace(", ", "  ")


def span(seconds: float) -> str:
    """Return how far a trend reaches back: 90 s, 8 min, 3 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def scale(values: Sequence[float], unit: str) -> tuple[float, float]:
    """Return round ends of an axis around the values, apart by a tenth of their size or more.

    Round ends hold still while the values move; the least distance keeps calm noise from looking like an alarm. Per
    cent never leave 0 to 100.
    """
    low, high = min(values), max(values)
    least = 10.0 if unit == "%" else max(abs(high), abs(low)) / 10 or 1.0
    room = max(high - low, least)
    step = 10.0 ** math.floor(math.log10(room))
    step = next(m * step for m in (1, 2, 5, 10) if room / (m * step) <= 4)
    floor, ceiling = math.floor(low / step) * step, math.ceil(high / step) * step
    if ceiling - floor < least:
        floor, ceiling = floor - step, ceiling + step
    if low >= 0:
        floor = max(0.0, floor)
    return (floor, min(100.0, ceiling)) if unit == "%" and high <= 100 else (floor, ceiling)


def trend(values: Sequence[float | None], width: int, height: int, unit: str, tone: str) -> list[Content]:
    """Return a trend of ``height`` lines with the ends of its axis at the left."""
    low, high = scale(braille.finite(values), unit)
    top, bottom = figures.short(high), figures.short(low)
    suffix = unit if unit and len(unit) <= 3 else ""
    if height == 1:
        label = f"{bottom}–{top}{' ' + suffix if suffix else ''} "
        line = braille.rows(values, max(1, width - len(label)), 1, low, high)[0]
        return [Content.assemble((label, "$dim"), (line, tone))]
    top = f"{top} {suffix}".rstrip()
    labels = [top, *[""] * (height - 2), bottom]
    margin = max(len(label) for label in labels)
    drawn = braille.rows(values, max(1, width - margin - 1), height, low, high)
    return [
        Content.assemble((f"{label:>{margin}} ", "$dim"), (line, tone))
        for label, line in zip(labels, drawn, strict=True)
    ]


def figure_line(figure: Figure, width: int, *, is_old: bool = False) -> Content:
    """Return one labelled number: label left and whole, figure right, its level before it where it is not well."""
    look = looks.LEVELS[figure.level]
    is_well = figure.level is Level.OK or is_old
    glyph = "" if is_well else f"{look.glyph} "
    label = Content.styled(clean(figure.label, 60), "$dim").truncate(max(1, width - 4), ellipsis=True)
    text = figures.within(clean(figure.text, 40), width - label.cell_length - len(glyph) - 1)
    value = Content.assemble(
        (glyph, looks.TONES[look.tone]),
        (text, "$dim" if is_old else "$foreground" if is_well else looks.TONES[look.tone]),
    )
    return Content.assemble(label, " " * max(1, width - label.cell_length - value.cell_length), value)
