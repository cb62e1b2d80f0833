"""The first screen: scores, tiles of health, trading, what runs, what needs attention. All of it opens with Enter."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.css.scalar import Scalar

from qsuite_console import commands
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.health import Alert, tally
from qsuite_console.model.jobs import Job, JobState
from qsuite_console.screens.overview_ways import LISTS, STRIPS, TILES, OverviewWays
from qsuite_console.widgets import alert_rows, figures, frames, job_rows, looks
from qsuite_console.widgets.live_table import Cell, Column, Key, LiveTable, Row
from qsuite_console.widgets.status_bar import reading_of
from qsuite_console.widgets.strips import ReadingLine, ScoreLine
from qsuite_console.widgets.tile import Tile

ATTENTION = 50
LOOK_S = 0.25  # between looks at the ages of the tiles
INTERVALS_S = (0, 5, 15, 60)  # between new figures in the tiles; 0 is with every sample

_ATTENTION_COLUMNS = (
    Column("look", "", 1, keep=9),
    Column("when", "SINCE", 8, keep=5),
    Column("state", "STATE", 12, keep=3),
    Column("source", "SOURCE", 12, keep=4),
    Column("message", "WHAT", 20, is_flexible=True, keep=8),
)


class OverviewScreen(OverviewWays):
    """Tiles, running jobs, alerts and failures."""

    SCOPE = "overview"
    CSS_PATH = "overview.tcss"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("overview")
    BINDING_GROUP_TITLE = commands.SCOPES["overview"]
    AUTO_FOCUS = "#running"

    def __init__(self) -> None:
        super().__init__()
        self._live: dict[Key, Job] = {}
        self._finished: dict[Key, Job] = {}
        self._interval_s = INTERVALS_S[0]
        self._tiles_at: datetime | None = None
        self._has_led = False  # from an empty list to what needs attention; once, so that it never surprises

    def compose_body(self) -> ComposeResult:
        """Tiles above, lists below."""
        with Container(id="tiles"):
            for source, title in TILES:
                yield Tile(source, title)
        with Container(id="strips"):
            yield ScoreLine(id="scores")
            for source, (title, first, name) in STRIPS.items():
                yield ReadingLine(source, title, first, id=name)
        running = LiveTable(job_rows.RUNNING_COLUMNS, self._running_row, id="running", classes="panel")
        running.border_title = "Running"
        yield running
        attention = LiveTable(_ATTENTION_COLUMNS, self._attention_row, id="attention", classes="panel")
        attention.border_title = "Alerts and failures"
        finished = LiveTable(job_rows.FINISHED_COLUMNS, self._finished_row, id="finished", classes="panel")
        finished.border_title = "Just finished"
        finished.empty = "No job has finished yet"
        with Container(id="lower"):
            yield attention
            yield finished

    def on_mount(self) -> None:
        """See within a quarter of a second that a tile grew stale."""
        super().on_mount()
        self.set_interval(LOOK_S, self._look)

    def _look(self) -> None:
        if self in self.app.screen_stack:
            now = self.now
            for tile in self.query(Tile):
                reading = reading_of(self.state, tile.source)
                if tile.would_look_different(reading, now):
                    tile.show(reading, now)

    # what it shows

    def show(self, state: ConsoleState) -> None:
        """Update tiles and lists; rows that are the same are not drawn again."""
        self._show_tiles(state, self.now)
        self._show_running(state)
        self._show_attention(state)
        table = self.query_one("#finished", LiveTable)
        before, self._finished = self._finished, {job.id: job for job in state.recent}
        _refill(table, before, self._finished)
        self._lead()
        self._arrange()

    def _lead(self) -> None:
        """Put the focus on what needs attention while nothing runs: there Enter leads to the cause."""
        needs = any(isinstance(entry, Job) or entry.is_burning for entry in self._attention.values())
        if needs and not self._has_led and not self._live and self.focused is self.query_one("#running"):
            self._has_led = True
            self.query_one("#attention").focus()

    def on_resize(self) -> None:
        """Share the lines again."""
        self.call_after_refresh(self._arrange)

    def _arrange(self) -> None:
        """Give each list the lines it needs, so that an empty one leaves its room to the others."""
        above = sum(self.query_one(f"#{name}").outer_size.height for name in ("tiles", "strips"))
        room = self.size.height - 2 - above
        running, attention, finished = (self.query_one(f"#{name}", LiveTable) for name in LISTS)
        lines = _lines_for(len(self._live), most=room // 2)
        _set_height(running, lines)
        is_beside = self.has_class("-wide")
        has_below = finished.display and not is_beside
        _set_height(attention, _lines_for(len(self._attention), most=(room - lines) // 2) if has_below else None)

    def _show_tiles(self, state: ConsoleState, now: datetime) -> None:
        """Show new figures when the interval is over; what became stale or changed its level is shown at once."""
        is_due = self._tiles_at is None or abs((now - self._tiles_at).total_seconds()) >= self._interval_s
        if is_due:
            self._tiles_at = now
        for tile in self.query(Tile):
            reading = reading_of(state, tile.source)
            if is_due or tile.would_look_different(reading, now):
                tile.show(reading, now)
        if is_due:
            self.query_one(ScoreLine).show(state.snapshot.scores)
        for line in self.query(ReadingLine):
            reading = reading_of(state, line.source)
            if is_due or (reading is not None and looks.is_stale(reading, now)):
                line.show(reading, now)

    def _show_running(self, state: ConsoleState) -> None:
        table = self.query_one("#running", LiveTable)
        before, self._live = self._live, {job.id: job for job in state.running}
        key = commands.spoken(commands.BY_ID["go.backfill"].keys)
        waiting = state.counts.get(JobState.QUEUED, 0)
        table.empty = (
            f"No job is running; {figures.plural(waiting, 'job waits', 'jobs wait')} for a free slot"
            if waiting
            else f"No job is running · {key} to start a backfill"
        )
        _refill(table, before, self._live)
        frames.caption(table, Content(f"{len(self._live)} running · {figures.count(waiting)} queued"))

    def _show_attention(self, state: ConsoleState) -> None:
        table = self.query_one("#attention", LiveTable)
        alerts: dict[Key, Alert | Job] = {f"{alert.id} {alert.since}": alert for alert in state.snapshot.alerts}
        failed = [job for job in state.recent if job.state is JobState.FAILED]
        alerts.update({job.id: job for job in failed})
        before, self._attention = self._attention, dict(list(alerts.items())[:ATTENTION])
        table.empty = "Nothing needs attention: no alert, no failed job"
        _refill(table, before, self._attention)
        self._raise_cursor(table)
        quiet = tally(state.snapshot.alerts)
        counts = [(quiet.acknowledged, "acknowledged"), (quiet.silenced, "silenced"), (len(failed), "failed")]
        told = [f"{number} {word}" for number, word in counts if number or word == "failed"]
        frames.caption(table, Content(" · ".join([f"{quiet.burning} firing", *told])))

    def _raise_cursor(self, table: LiveTable) -> None:
        """Leave an alert that is over while nobody is in the list, so that what burns above it is in sight."""
        under = self._attention.get(table.current) if table.current is not None else None
        if table.cursor and not table.has_focus and isinstance(under, Alert) and not under.is_burning:
            table.cursor = 0

    def tick(self, now: datetime) -> None:
        """Let readings grow old."""
        self._show_tiles(self.state, now)
        if now.second == 0:  # ages are in minutes
            self.query_one("#finished", LiveTable).touch_all()

    def _running_row(self, key: Key) -> Row:
        return job_rows.running_row(self._live[key], self.now, self.console.zone)

    def _finished_row(self, key: Key) -> Row:
        return job_rows.finished_row(self._finished[key], self.now, self.console.zone)

    def _attention_row(self, key: Key) -> Row:
        entry, now, zone = self._attention[key], self.now, self.console.zone
        if isinstance(entry, Job):
            look = looks.JOBS[entry.state]
            message = f"{entry.title}: {entry.error or 'no reason given'}"
            at, word, source = entry.finished_at, look.word, f"job {entry.id}"
        else:
            look = alert_rows.look_of(entry)
            at, source, message, word = entry.since, entry.source, entry.message, look.word
        return {
            "look": Cell(look.glyph, look.tone),
            "when": Cell(figures.moment(at, zone, now), "dim"),
            "state": Cell(word, look.tone),
            "source": Cell(source, "dim"),
            "message": Cell(message, "dim" if look.tone == "dim" else ""),
        }

    def neighbour_of(self, job_id: int, by: int) -> int | None:
        """Return the job ``by`` lines below in the list that has the focus, and move the cursor there."""
        table = self.focused
        keys = [key for key in table.keys if isinstance(key, int)] if isinstance(table, LiveTable) else []
        if job_id not in keys or not 0 <= keys.index(job_id) + by < len(keys):
            return None
        other = keys[keys.index(job_id) + by]
        if isinstance(table, LiveTable):
            table.cursor = list(table.keys).index(other)
        return other

    def action_optimize(self) -> None:
        """Show what would put the platform in shape."""
        self.console.action_optimize()

    def action_interval(self) -> None:
        """Show new figures more seldom, or with every sample again."""
        self._interval_s = INTERVALS_S[(INTERVALS_S.index(self._interval_s) + 1) % len(INTERVALS_S)]
        every = f"every {self._interval_s} s" if self._interval_s else "with every sample"
        self.tell(f"Tiles show new figures {every}")


def _lines_for(rows: int, *, most: int) -> int:
    """Return the height of a list in its frame: a line that says why it is empty, else room for three rows or more."""
    return min(max(3, most), max(rows, 3) + 3 if rows else 3)


def _set_height(table: LiveTable, lines: int | None) -> None:
    height = Scalar.from_number(lines) if lines is not None else Scalar.parse("1fr")
    if table.styles.height != height:
        table.styles.height = height


def _refill(
    table: LiveTable, before: dict[Key, Job] | dict[Key, Alert | Job], after: dict[Key, Job] | dict[Key, Alert | Job]
) -> None:
    if list(table.keys) != list(after):
        table.set_keys(after)
    else:
        table.touch(key for key, entry in after.items() if before[key] != entry)
