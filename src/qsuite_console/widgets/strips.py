"""One line each: the scores of the platform, a source that needs no tile. Painted when what they say differs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from qsuite_console.model.advice import Score
from qsuite_console.model.health import Figure, Level, Reading
from qsuite_console.model.text import clean
from qsuite_console.widgets import figures, looks

GOOD: Final = 80.0  # below this a score has recommendations
POOR: Final = 50.0
OVERALL: Final = "overall"
_GAP: Final = "  "
_BAD: Final = (Level.WARNING, Level.CRITICAL)
_CSS: Final = """
    {name} {{
        height: 1; padding: 0 1; background: $background;
        &:focus {{ background: $block-cursor-background; color: $block-cursor-foreground; }}
    }}
"""


def look_of(score: Score) -> looks.Look:
    """Return how a score looks; one that is not known is neither good nor bad."""
    if score.value is None:
        return looks.LEVELS[Level.UNKNOWN]
    level = Level.OK if score.value >= GOOD else Level.WARNING if score.value >= POOR else Level.CRITICAL
    return looks.LEVELS[level]


def value_text(score: Score) -> str:
    """Return a score as a whole number; 99.6 is not 100."""
    return figures.DASH if score.value is None else f"{math.floor(score.value)}"


class Strip(Widget, can_focus=True):
    """A line that can be opened."""

    class Opened(Message):
        """It was clicked while it had the focus."""

        def __init__(self, strip: Strip) -> None:
            super().__init__()
            self.strip = strip

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._parts: tuple[Content, ...] = ()
        self.display = False

    def put(self, parts: Sequence[Content]) -> None:
        """Show as many of these parts as there is room for; none takes no room."""
        kept = tuple(part for part in parts if part.plain)
        if kept != self._parts:
            self._parts = kept
            if self.display != bool(kept):
                self.display = bool(kept)
            self.refresh()

    def on_click(self) -> None:
        """Open it; the first click only gives it the focus."""
        self.post_message(self.Opened(self))

    def render(self) -> Content:
        """Draw the parts that fit whole; only a single one that doesn't is cut."""
        return whole(self._parts, max(0, self.content_size.width))


def whole(parts: Sequence[Content], width: int) -> Content:
    """Return the first parts that fit into ``width`` cells, none torn but the second, which would leave a bare name."""
    line = Content("")
    for number, part in enumerate(parts):
        longer = line + _GAP + part if number else part
        if longer.cell_length > width:
            return line if number > 1 else longer.truncate(width, ellipsis=True)
        line = longer
    return line


class ScoreLine(Strip):
    """Overall first, then each area; the worst word of it in a glyph."""

    DEFAULT_CSS = _CSS.format(name="ScoreLine")

    def show(self, scores: Sequence[Score]) -> None:
        """Show these scores."""
        if not scores:
            self.put(())
            return
        parts = []
        for score in scores:
            look = look_of(score)
            name = "Score" if score.area == OVERALL else score.area
            is_told = score.area == OVERALL or look.tone not in ("ok", "dim")
            glyph = f"{look.glyph} " if is_told else ""
            tone = looks.TONES[look.tone] if is_told else "$foreground"
            parts.append(Content.assemble((glyph, tone), (f"{name} ", "$dim"), (value_text(score), f"bold {tone}")))
        tail = Content.styled("of 100", "$dim")
        self.put([parts[0] + Content(" ") + tail, *parts[1:]])


class ReadingLine(Strip):
    """Headline and figures of a reading, as many as there is room for: what is not well, then the first named."""

    DEFAULT_CSS = _CSS.format(name="ReadingLine")

    def __init__(self, source: str, title: str, first: Sequence[str] = (), *, id: str) -> None:
        super().__init__(id=id)
        self.source = source
        self.title = title
        self._first = tuple(first)

    def show(self, reading: Reading | None, now: datetime) -> None:
        """Show a reading as it is now; one that is not watched here takes no room."""
        if reading is None or (reading.sampled_at is None and reading.level is Level.UNKNOWN):
            self.put(())
            return
        look = looks.of_reading(reading, now)
        tone = looks.TONES[look.tone]
        head = Content.assemble((f"{look.glyph} ", tone), (clean(reading.title, 24), "$dim"))
        age = looks.age_of(reading, now)
        if reading.error or looks.is_stale(reading, now):
            old = f"stale {figures.duration(math.floor(age))}" if age is not None else look.word
            parts = [Content.styled(old, tone), Content.styled(clean(reading.error or "", 200), tone)]
        else:
            parts = [_part(one) for one in self._ordered(reading)]
        self.put([head, *parts])

    def _ordered(self, reading: Reading) -> list[Figure]:
        found = [reading.headline, *reading.figures]
        rank = {name: index for index, name in enumerate(self._first)}
        return sorted(found, key=lambda one: (one.level not in _BAD, rank.get(one.name, len(rank))))


def _part(figure: Figure) -> Content:
    look = looks.LEVELS[figure.level]
    is_bad = figure.level in _BAD
    tone = looks.TONES[look.tone] if is_bad else "$foreground"
    return Content.assemble(
        (f"{look.glyph} " if is_bad else "", tone),
        (f"{clean(figure.label, 40)} ", "$dim"),
        (clean(figure.text, 60), tone),
    )
