"""What is stored, symbol by month, with what is being fetched laid over it; Enter on a gap fetches it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from qsuite_console.model.calendar import last_completed
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.jobs import Job, JobState, Receipt, Submission
from qsuite_console.model.kinds import Plan
from qsuite_console.model.market import CellState, CoverageCell, CoverageMap
from qsuite_console.model.text import clean
from qsuite_console.screens.backfill_form import panel_title, plain
from qsuite_console.screens.dialogs.confirm import ConfirmDialog
from qsuite_console.widgets import figures, looks
from qsuite_console.widgets.coverage_map import FILLABLE, LOOKS, CoverageGrid, describe
from qsuite_console.widgets.fields import Editor
from qsuite_console.widgets.keys import key_of

if TYPE_CHECKING:
    from qsuite_console.screens.base import ConsoleScreen

PROBE: Final = "backfill.coverage"
PAGE_LIMIT: Final = 200  # symbols read at once
MONTHS_LIMIT: Final = 60  # that the probe answers at once
UNITS: Final = {"1Week": "week", "1Month": "month"}  # what a cell counts; sessions otherwise
QUIET_S: Final = 0.15  # of typing, before the filter asks
SMALL_REQUESTS: Final = 20  # up to here a cell is fetched without a question
TABLES: Final = ("price_ticks", "market_data_marketdata")
TIMEFRAMES: Final = ("1Min", "5Min", "15Min", "30Min", "1Hour", "1Day", "1Week", "1Month")


def month_back(month: str, months: int) -> str:
    """Return the month that lies ``months`` before "2025-03"."""
    number = int(month[:4]) * 12 + int(month[5:7]) - 1 - months
    return f"{number // 12:04d}-{number % 12 + 1:02d}"


def month_days(month: str, last: date) -> tuple[date, date]:
    """Return the first and last day of a month, not beyond ``last``."""
    first = date(int(month[:4]), int(month[5:7]), 1)
    after = (first + timedelta(days=32)).replace(day=1)
    return first, min(after - timedelta(days=1), last)


class MapPane(Vertical):
    """The grid, what its cell says, and the legend; posts Queued."""

    class Queued(Message):
        """A cell's backfill was submitted."""

        def __init__(self, receipt: Receipt) -> None:
            super().__init__()
            self.receipt = receipt

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="panel")
        self.table = ""
        self.timeframe = ""
        self._text = ""
        self._end = ""  # the last month shown; "" is the present one
        self._next_after: str | None = None
        self._total = 0
        self._asked: dict[tuple[str, str], int] = {}
        self._jobs: tuple[Job, ...] = ()
        self._columns = 0
        self._stale = ""
        self._reading_since: float | None = None
        self.grid = CoverageGrid(id="grid")
        self._line = Editor(placeholder="symbols that begin with…", id="map-filter")
        self._cell = Static("", id="cell", markup=False)

    @property
    def _console_screen(self) -> ConsoleScreen:
        return cast("ConsoleScreen", self.screen)

    def compose(self) -> ComposeResult:
        """Yield the filter line, the grid and two lines under it."""
        yield self._line
        yield self.grid
        yield self._cell
        yield Static(legend(), id="legend")

    def on_mount(self) -> None:
        """Hide the filter until it is asked for."""
        self._title()
        self._line.display = False

    # loading

    def scope(self, table: str, timeframe: str) -> None:
        """Show another table or timeframe."""
        table, timeframe = table or self.table or TABLES[0], timeframe or self.timeframe or "1Day"
        if (table, timeframe) != (self.table, self.timeframe):
            self.table, self.timeframe = table, timeframe
            self.load()

    def on_resize(self) -> None:
        """Ask for as many months as there is room for."""
        columns = self._capacity() if self.grid.size.width else 0
        if columns and columns != self._columns and self.table:
            self._columns = columns
            self.load()

    def _page(self) -> int:
        return min(PAGE_LIMIT, max(20, 2 * self.grid.size.height))

    def _capacity(self) -> int:
        return min(self.grid.capacity(), MONTHS_LIMIT)

    @work(exclusive=True, group="map-load")
    async def load(self, quiet_s: float = 0.0) -> None:
        """Ask for the first page of the present window, once nothing else was wanted for ``quiet_s`` seconds."""
        if not self.table or not self.grid.size.width:
            return
        await asyncio.sleep(quiet_s)
        self._reading_since = time.monotonic()
        self.tick()
        try:
            found = await self._ask(None)
        finally:
            self._reading_since = None
        if found is not None:
            self._take(found, is_more=False)

    def tick(self) -> None:
        """Count the seconds of a first look that takes its time; what was read before stays."""
        if self._reading_since is not None and not self.grid.rows:
            seconds = int(time.monotonic() - self._reading_since)
            self.grid.say("reading what is stored…" + (f" {seconds} s" if seconds else ""))

    @work(exclusive=True, group="map-more")
    async def load_more(self, after: str) -> None:
        """Ask for the next symbols."""
        found = await self._ask(after)
        if found is not None and self._next_after == after:
            self._take(found, is_more=True)

    async def _ask(self, after: str | None) -> CoverageMap | None:
        end = self._end or self._console_screen.now.strftime("%Y-%m")
        parameters: dict[str, Any] = {
            "table": self.table, "timeframe": self.timeframe, "start": month_back(end, self._capacity() - 1),
            "end": end, "limit": self._page(), "text": self._text,
        }  # fmt: skip
        if after is not None:
            parameters["after"] = after
        try:
            answer = await self._console_screen.control.ask(PROBE, parameters)
        except ConsoleError as error:
            self._fail(error)
            return None
        self._stale = ""
        return answer if isinstance(answer, CoverageMap) else None

    def _fail(self, error: ConsoleError) -> None:
        message = clean(error.message, 200)
        if self.grid.rows:  # what was read stays, marked as old
            self._stale = message
            self._title()
            return
        hint = clean(error.hint, 200)
        again = f"{key_of(self, 'backfill.reload')} tries again"
        self.grid.say("\n".join(part for part in (f"✖ {message}", hint, again) if part))

    def _take(self, found: CoverageMap, *, is_more: bool) -> None:
        self._next_after, self._total = found.next_after, found.symbols_total
        self.grid.show(found, is_more=is_more)
        if not self.grid.rows:
            self.grid.say(
                f"no symbol begins with “{self._text}”\nEsc clears the filter"
                if self._text
                else "no symbols are known yet\na backfill of --symbols all or active reads them from the provider"
            )
        self._title()
        self._lay_over()

    def _title(self) -> None:
        shown = f"{figures.count(len(self.grid.rows))} of {figures.plural(self._total, 'symbol')}"
        parts = [f"filter {self._text}" if self._text else "", shown if self.grid.rows else ""]
        if self._stale:
            parts.append(f"old: {self._stale}")
        title = " · ".join(part for part in ("Coverage", self.table, self.timeframe) if part)
        self.border_title = panel_title(key_of(self, "backfill.map"), title)
        self.border_subtitle = plain(" · ".join(part for part in parts if part))

    def on_coverage_grid_tail_reached(self, event: CoverageGrid.TailReached) -> None:
        """Go on reading where the page ended."""
        event.stop()
        if self._next_after is not None:
            self.load_more(self._next_after)

    def on_coverage_grid_window_wanted(self, event: CoverageGrid.WindowWanted) -> None:
        """Show earlier or later months."""
        event.stop()
        present = self._console_screen.now.strftime("%Y-%m")
        end = min(month_back(self._end or present, -event.months), present)
        if end != (self._end or present):
            self._end = "" if end == present else end
            self.load()

    # live states

    def follow(self, jobs: Iterable[Job]) -> None:
        """Lay running and failed backfills over the map; ``jobs`` are newest first."""
        self._jobs = tuple(jobs)
        finished = {job.id for job in self._jobs if job.finished_at is not None}
        if any(job_id in finished for job_id in self._asked.values()):
            self._asked = {cell: job_id for cell, job_id in self._asked.items() if job_id not in finished}
        self._lay_over()

    def _lay_over(self) -> None:
        grid = self.grid
        symbols, months = {row.symbol for row in grid.rows}, grid.months
        states: dict[tuple[str, str], CellState] = {}
        for job in self._jobs:
            if job.state is JobState.RUNNING:
                state = CellState.RUNNING
            elif job.state is JobState.FAILED:
                state = CellState.FAILED
            else:
                continue
            for cell in cells_of(
                job, symbols, months, self.table, self.timeframe, is_live=job.state is JobState.RUNNING
            ):
                states.setdefault(cell, state)
        states.update(dict.fromkeys(self._asked, CellState.RUNNING))
        grid.overlay(states)

    # acting

    def on_coverage_grid_moved(self, event: CoverageGrid.Moved) -> None:
        """Say what the cell under the cursor holds."""
        event.stop()
        self._cell.update(self._cell_line())

    def _cell_line(self) -> Content:
        here = self.grid.current
        if here is None:
            return Content("")
        symbol, cell = here
        look = LOOKS[cell.state]
        tone = looks.TONES.get(look.tone, "$foreground")
        return Content.assemble(
            (f"{look.glyph} " if look.glyph.strip() else "", tone),
            (clean(describe(symbol, cell, UNITS.get(self.timeframe, "session")), 120), "$foreground"),
            (f"  {look.word}" if cell.state is not CellState.NONE else "", tone),
        )

    async def on_coverage_grid_queued(self, event: CoverageGrid.Queued) -> None:
        """Fetch what the cell lacks, unless there is nothing to fetch."""
        event.stop()
        if event.cell.state not in FILLABLE:
            self._console_screen.tell(f"{describe(event.symbol, event.cell)}: nothing to fetch")
            return
        self.fill(event.symbol, event.cell)

    @work(exclusive=True, group="map-fill")
    async def fill(self, symbol: str, cell: CoverageCell) -> None:
        """Submit a backfill of one symbol and month; asks first where it would be large."""
        screen = self._console_screen
        first, last = month_days(cell.month, last_completed(screen.now).day)
        parameters = {
            "symbols": symbol, "timeframe": self.timeframe, "start": first.isoformat(), "end": last.isoformat(),
            "table": self.table,
        }  # fmt: skip
        plan = await screen.attempt(screen.control.plan("backfill", parameters))
        if plan is None:
            return
        if plan.is_noop:
            screen.tell(f"{symbol} {cell.month}: the provider has nothing more to give")
            return
        if not await self._agrees(symbol, cell.month, plan):
            return
        submission = Submission(kind="backfill", parameters=parameters, origin="console")
        receipt = await screen.attempt(screen.control.submit(submission))
        if receipt is not None:
            self._asked[symbol, cell.month] = receipt.job_id
            screen.tell(f"Job {receipt.job_id} {'fetches' if receipt.joined else 'will fetch'} {symbol} {cell.month}")
            self._lay_over()
            self.post_message(self.Queued(receipt))

    async def _agrees(self, symbol: str, month: str, plan: Plan) -> bool:
        target = self._console_screen.state.target
        is_production = target.word.upper().startswith("PROD")
        requests = plan.figures.get("requests", 0)
        is_small = isinstance(requests, int | float) and requests <= SMALL_REQUESTS
        if is_small and not is_production:
            return True
        lines = [f"{line.label}: {line.value} {line.note}".strip() for line in plan.lines] + list(plan.warnings)
        typed = target.name if is_production else ""
        dialog = ConfirmDialog(f"Backfill {symbol} {month}?", lines, do="start it", typed=typed)
        is_agreed = await self.app.push_screen_wait(dialog)
        return is_agreed

    def on_coverage_grid_wished(self, event: CoverageGrid.Wished) -> None:
        """Do what the keys of the map ask for."""
        event.stop()
        {"filter": self.show_filter, "timeframe": self.next_timeframe, "table": self.next_table}[event.wish]()

    def next_timeframe(self) -> None:
        """Show the next timeframe."""
        at = TIMEFRAMES.index(self.timeframe) if self.timeframe in TIMEFRAMES else -1
        self.scope(self.table, TIMEFRAMES[(at + 1) % len(TIMEFRAMES)])

    def next_table(self) -> None:
        """Show the other table."""
        at = TABLES.index(self.table) if self.table in TABLES else -1
        self.scope(TABLES[(at + 1) % len(TABLES)], self.timeframe)

    # filter

    def show_filter(self) -> None:
        """Type the beginning of a symbol."""
        self._line.display = True
        self._line.value = self._text
        self._line.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter as it is typed."""
        event.stop()
        self._filter(event.value.strip().upper())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter and go to the map."""
        event.stop()
        self._leave_filter()

    def on_editor_reverted(self, event: Editor.Reverted) -> None:
        """Show all symbols again."""
        event.stop()
        self._leave_filter()
        self.clear_filter()

    def clear_filter(self) -> bool:
        """Show all symbols again; returns whether some were hidden."""
        had = bool(self._text)
        self._filter("")
        return had

    def _leave_filter(self) -> None:
        self.grid.focus()
        self._line.display = False

    def _filter(self, text: str) -> None:
        if text != self._text:
            self._text = text
            self.load(QUIET_S)


def cells_of(
    job: Job, symbols: set[str], months: tuple[str, ...], table: str, timeframe: str, *, is_live: bool
) -> Iterable[tuple[str, str]]:
    """Return the shown cells that a backfill works on; of a live one, only the symbols it says it is fetching."""
    wanted = job.parameters
    if str(wanted.get("table", TABLES[0])) != table or str(wanted.get("timeframe", "1Day")) != timeframe:
        return
    start, end = str(wanted.get("start", ""))[:7], str(wanted.get("end") or "9999-99")[:7]
    asked = str(wanted.get("symbols", "")).upper().strip()
    low, _, high = str(job.progress.figures.get("months_running", "") if is_live else "").partition("..")
    is_wide = asked in {"ALL", "ACTIVE"} or (not asked and bool(low))  # a file of symbols is known by its range only
    named = symbols if is_wide else {part.strip() for part in re.split("[,;\n]", asked)} & symbols
    for month in months:
        if start <= month <= end:
            for symbol in named:
                if not low or low <= symbol <= (high or low):
                    yield symbol, month


def legend() -> Content:
    """Return the glyphs with their words."""
    parts: list[Content] = []
    for look in LOOKS.values():
        if look.glyph.strip():
            tone = looks.TONES.get(look.tone, "$foreground")
            parts.append(Content.assemble((look.glyph, tone), (f" {look.word}", "$dim")))
    return Content("  ").join(parts)
