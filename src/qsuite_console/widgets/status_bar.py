"""The line on top of every screen: which platform this is, how it is, what runs, what time it is.

At any width the target stays readable; what is least needed leaves first. It repaints when its text changes; the clock
is a widget of its own, because a widget's line is always sent as a whole.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Final

from textual.app import ComposeResult
from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget

from qsuite_console.engine.state import ConsoleState, TargetView
from qsuite_console.model.health import Level, Reading, tally
from qsuite_console.model.jobs import JobState
from qsuite_console.model.text import clean
from qsuite_console.widgets import figures, looks

PRODUCT: Final = "qsuite"
LIGHTS: Final = (("postgresql", "PG", "PostgreSQL"), ("redis", "Redis", "Redis"))
GAP: Final = "  "
ROOMY: Final = 110  # cells from which words stand beside the glyphs


class Clock(Widget):
    """The time, at the right end of the bar."""

    DEFAULT_CSS = """
    Clock { dock: right; height: 1; width: auto; background: $bar; padding: 0 1; }
    """

    text: reactive[str] = reactive("")

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """Return the width of a time in this zone, whatever the time is."""
        return len(self.text)

    def watch_text(self, before: str, after: str) -> None:
        """Take more or less room where the zone's name is longer or shorter."""
        if len(before) != len(after):
            self.refresh(layout=True)

    def render(self) -> Content:
        """Write it."""
        return Content.styled(self.text, "$dim")


class StatusBar(Widget):
    """Shows a ConsoleState; ``tick`` moves the clock."""

    DEFAULT_CSS = """
    StatusBar { height: 1; dock: top; background: $bar; color: $foreground; }
    """

    state: reactive[ConsoleState] = reactive(ConsoleState, repaint=False)
    now: reactive[datetime | None] = reactive(None, repaint=False)

    def __init__(self, zone: tzinfo | None = None) -> None:
        super().__init__()
        self._zone = zone
        self._looks: tuple[str, ...] = ()
        self._told = ""
        self._clock = Clock()

    def compose(self) -> ComposeResult:
        """Only the time has a widget of its own."""
        yield self._clock

    def on_resize(self) -> None:
        """Show the time only where everything else has room."""
        self._arrange()

    def _arrange(self) -> None:
        clock, now = self._clock, self.now
        clock.text = "" if now is None else now.astimezone(self._zone).strftime("%H:%M:%S %Z")
        parts = [*self._left(is_roomy=self._is_roomy), *self._right()]
        needed = sum(part.cell_length + len(GAP) for _, part in parts) + len(clock.text) + 2
        if clock.display != (needed <= self.size.width):
            clock.display = not clock.display
            self.refresh()

    @property
    def _is_roomy(self) -> bool:
        return self.size.width >= ROOMY

    def watch_state(self) -> None:
        """Repaint when something else is told; most samples change nothing here."""
        told = "|".join(part.markup for _, part in (*self._left(is_roomy=True), *self._right()))
        if told != self._told:
            self._told = told
            self._arrange()
            self.refresh()

    def tick(self, now: datetime) -> None:
        """Show the time; repaints the clock, and the lights only if one went stale."""
        self.now = now
        seen = tuple(_light(self.state, source, now).glyph for source, _, _ in LIGHTS)
        self._arrange()
        if seen != self._looks:
            self._looks = seen
            self.refresh()

    def render(self) -> Content:
        """Fill the line from both ends; parts that don't fit leave by their weight."""
        clock = self._clock
        width = self.size.width - (len(clock.text) + 1 if clock.display and clock.text else 0)
        left, right = self._left(is_roomy=self._is_roomy), self._right()
        parts = sorted([*left, *right], key=lambda part: part[0])
        while parts and sum(p[1].cell_length + len(GAP) for p in parts) > width and len(parts) > 1:
            parts.pop()
        kept = {id(part[1]) for part in parts}
        start = Content(GAP).join([c for _, c in left if id(c) in kept])
        end = Content(GAP).join([c for _, c in right if id(c) in kept])
        room = max(1, width - start.cell_length - end.cell_length - 2)
        return Content.assemble(" ", start, " " * room, end, " ")

    def _left(self, *, is_roomy: bool) -> list[tuple[int, Content]]:
        state, now = self.state, self.now
        parts = [(1, Content.styled(PRODUCT, "bold $primary")), (0, badge(state))]
        for source, short, name in LIGHTS:
            look = _light(state, source, now)
            parts.append((3, Content.assemble((look.glyph, looks.TONES[look.tone]), f" {name if is_roomy else short}")))
        parts.extend((2, part) for part in alert_parts(state, is_roomy=is_roomy))
        running, queued = (state.counts.get(s, 0) for s in (JobState.RUNNING, JobState.QUEUED))
        failed = failed_lately(state)
        parts.append((2, _tally(looks.JOBS[JobState.RUNNING], running, is_roomy=is_roomy)))
        if queued or is_roomy:
            parts.append((4, _tally(looks.JOBS[JobState.QUEUED], queued, is_roomy=is_roomy)))
        if failed:
            look = looks.JOBS[JobState.FAILED]
            parts.append((4, _tally(look._replace(word="failed in 1 h"), failed, is_roomy=is_roomy)))
        return parts

    def _right(self) -> list[tuple[int, Content]]:
        state, parts = self.state, []
        if state.is_read_only or state.target.is_read_only:
            parts.append((0, Content.styled("read-only", "bold $warning")))
        if state.is_attached:
            parts.append((5, Content.styled(f"engine: {clean(state.owner, 30)}", "$dim")))
        return parts


def badge(state: ConsoleState) -> Content:
    """Return the target's badge."""
    return target_badge(state.target)


def target_badge(target: TargetView, *, has_name: bool = True) -> Content:
    """Return a target as a badge: filled for production and whatever is marked as dangerous, plain otherwise.

    Production says so in a word, whatever the configuration calls it: colours are not seen by everyone.
    """
    word = clean(target.word, 24) or ("PRODUCTION" if target.is_production else clean(target.name, 24))
    is_told = not has_name or target.name in ("default", word, word.lower())
    name = "" if is_told else f" {clean(target.name, 24)}"
    if target.colour == "error" or target.is_production:
        return Content.styled(f" {word}{name} ", "bold $badge-text on $badge")
    token = target.colour if target.colour in ("primary", "success", "warning", "accent") else "primary"
    return Content.styled(word + name, f"bold ${token}")


def _light(state: ConsoleState, source: str, now: datetime | None) -> looks.Look:
    reading = next((r for r in state.snapshot.readings if r.source == source), None)
    if reading is None or now is None:
        return looks.LEVELS[Level.UNKNOWN]
    return looks.of_reading(reading, now)


def alert_parts(state: ConsoleState, *, is_roomy: bool) -> list[Content]:
    """Return the alerts that burn: the loud ones, and those that somebody took or silenced; nothing while all is well.

    Each of the three has a glyph and, where there is room, a word of its own.
    """
    found = tally(state.snapshot.alerts)
    level = looks.LEVELS[Level.CRITICAL if found.critical else Level.WARNING]
    shown = (
        (found.burning, level.glyph, looks.TONES[level.tone], "alert" if found.burning == 1 else "alerts"),
        (found.acknowledged, "✓", "$dim", "acknowledged"),
        (found.silenced, "∅", "$dim", "silenced"),
    )
    return [
        Content.assemble((f"{glyph} ", tone), (f"{number}", "bold"), (f" {word}" if is_roomy else "", "$dim"))
        for number, glyph, tone, word in shown
        if number
    ]


def failed_lately(state: ConsoleState) -> int:
    """Return how many jobs failed in the last hour: those of the whole history are no news."""
    reading = reading_of(state, "jobs")
    value = next((f.value for f in reading.figures if f.name == "failed_1h"), None) if reading is not None else None
    return round(value or 0)


def _tally(look: looks.Look, number: int, *, is_roomy: bool) -> Content:
    tone = looks.TONES[look.tone] if number else "$dim"
    word = f" {look.word}" if is_roomy else ""
    return Content.assemble(
        (f"{look.glyph} ", tone), (figures.count(number), "bold" if number else "$dim"), (word, "$dim")
    )


def reading_of(state: ConsoleState, source: str) -> Reading | None:
    """Return the reading of a source, if it is watched."""
    return next((r for r in state.snapshot.readings if r.source == source), None)
