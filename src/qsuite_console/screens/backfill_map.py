"""What is stored, symbol by month, with what is being fetched laid over it; Enter on a gap fetches it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.jobs import Job, Receipt
from qsuite_console.model.market import CellState, CoverageCell, CoverageMap
from qsuite_console.model.text import clean
from qsuite_console.screens import backfill_cells as cells
from qsuite_console.screens.backfill_form import panel_title, plain
from qsuite_console.widgets import figures, frames, looks
from qsuite_console.widgets.coverage_map import FILLABLE, LOOKS, CoverageGrid, describe
from qsuite_console.widgets.fields import Editor
from qsuite_console.widgets.keys import key_of

if TYPE_CHECKING:
    from qsuite_console.screens.base import ConsoleScreen

PROBE: Final = "backfill.coverage"
RETRY_S: Final = 5.0  # after a look that failed
QUIET_S: Final = 0.15  # of typing, before the filter asks


class SymbolFilter(Vertical):
    """The line over the map while the beginning of a symbol is typed; shown only then."""

    class Filtered(Message):
        """Symbols that begin with ``text`` are wanted."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Closed(Message):
        """The typing is over."""

    def __init__(self) -> None:
        super().__init__(id="map-filter")
        self._editor = Editor(placeholder="symbols that begin with…")
        self.display = False

    def compose(self) -> ComposeResult:
        """Yield the line."""
        yield self._editor

    def open(self, text: str) -> None:
        """Type, beginning with ``text``."""
        self.display = True
        self._editor.value = text
        self._editor.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter as it is typed."""
        event.stop()
        self.post_message(self.Filtered(event.value.strip().upper()))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter."""
        event.stop()
        self.post_message(self.Closed())

    def on_editor_reverted(self, event: Editor.Reverted) -> None:
        """Show all symbols again."""
        event.stop()
        self._editor.value = ""
        self.post_message(self.Closed())


class MapPane(Vertical):
    """The grid, what its cell says, and the legend; posts Queued."""

    class Queued(Message):
        """A cell's backfill was submitted."""

        def __init__(self, receipt: Receipt) -> None:
            super().__init__()
            self.receipt = receipt

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="panel")
        self._window = cells.Window()
        self._next_after: str | None = None
        self._total = 0
        self._asked: dict[cells.Place, int] = {}
        self._jobs: tuple[Job, ...] = ()
        self._columns = 0
        self._stale = ""
        self._failed_at: float | None = None
        self._shown: cells.Place = ("", "")  # table and timeframe of the rows in the grid
        self._reading_since: float | None = None
        self._filter = SymbolFilter()
        self.grid = CoverageGrid(id="grid")
        self._cell = Static("", id="cell", markup=False)

    @property
    def _console_screen(self) -> ConsoleScreen:
        return cast("ConsoleScreen", self.screen)

    def compose(self) -> ComposeResult:
        """Yield the filter line, the grid and two lines under it."""
        yield self._filter
        yield self.grid
        yield self._cell
        yield Static(legend(), id="legend")

    def on_mount(self) -> None:
        """Name the panel."""
        self._title()

    # loading

    def scope(self, table: str, timeframe: str) -> None:
        """Show another table or timeframe."""
        self._show_window(self._window.of(table, timeframe))

    def _show_window(self, window: cells.Window, quiet_s: float = 0.0) -> None:
        if window != self._window:
            self._window = window
            self.load(quiet_s)

    def on_resize(self) -> None:
        """Ask for as many months as there is room for."""
        columns = self.grid.capacity() if self.grid.size.width else 0
        if columns and columns != self._columns and self._window.table:
            self._columns = columns
            self.load()

    @work(exclusive=True, group="map-load")
    async def load(self, quiet_s: float = 0.0) -> None:
        """Ask for the first page of the present window, once nothing else was wanted for ``quiet_s`` seconds."""
        if not self._window.table or not self.grid.size.width:
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
        """Count the seconds of a look that takes its time, and look again a while after one that failed."""
        if self._reading_since is None:
            if self._failed_at is not None and time.monotonic() - self._failed_at > RETRY_S:
                self.load()
            return
        seconds = int(time.monotonic() - self._reading_since)
        reading = f"reading what is stored in {self._window.table}, {self._window.timeframe}…"
        if not self.grid.rows:
            self.grid.say(reading + (f" {seconds} s" if seconds else ""))
        elif seconds:
            self.border_subtitle = plain(f"{reading} {seconds} s")

    @work(exclusive=True, group="map-more")
    async def load_more(self, after: str) -> None:
        """Ask for the next symbols."""
        found = await self._ask(after)
        if found is not None and self._next_after == after:
            self._take(found, is_more=True)

    async def _ask(self, after: str | None) -> CoverageMap | None:
        screen, grid = self._console_screen, self.grid
        question = self._window.question(
            f"{screen.now:%Y-%m}", months=grid.capacity(), symbols=2 * grid.size.height, after=after
        )
        try:
            answer = await screen.control.ask(PROBE, question)
        except ConsoleError as error:
            self._fail(error)
            return None
        self._stale, self._failed_at = "", None
        return answer if isinstance(answer, CoverageMap) else None

    def _fail(self, error: ConsoleError) -> None:
        message = clean(error.message, 200)
        self._failed_at = time.monotonic()
        if self.grid.rows and self._shown == (self._window.table, self._window.timeframe):  # it stays, marked as old
            self._stale = message
            self._title()
            return
        self.grid.clear()
        self._title()
        again = f"{key_of(self, 'backfill.reload')} tries again"
        self.grid.say("\n".join(part for part in (f"✖ {message}", clean(error.hint, 200), again) if part))

    def _take(self, found: CoverageMap, *, is_more: bool) -> None:
        self._next_after, self._total = found.next_after, found.symbols_total
        self._shown = (self._window.table, self._window.timeframe)
        self.grid.show(found, is_more=is_more)
        if not self.grid.rows:
            self.grid.say(
                f"no symbol begins with “{self._window.text}”\nEsc clears the filter"
                if self._window.text
                else "no symbols are known yet\na backfill of --symbols all or active reads them from the provider"
            )
        self._title()
        self._lay_over()

    def _title(self) -> None:
        window = self._window
        shown_of = self._shown if self.grid.rows else (window.table, window.timeframe)
        title = " · ".join(part for part in ("Coverage", *shown_of) if part)
        shown = f"{figures.count(len(self.grid.rows))} of {figures.plural(self._total, 'symbol')}"
        parts = [f"filter {window.text}" if window.text else "", shown if self.grid.rows else ""]
        if self._stale:
            parts.append(f"old: {self._stale}")
        frames.title(self, panel_title(key_of(self, "backfill.map"), title))
        frames.caption(self, plain(" · ".join(part for part in parts if part)))

    def on_coverage_grid_tail_reached(self, event: CoverageGrid.TailReached) -> None:
        """Go on reading where the page ended."""
        event.stop()
        if self._next_after is not None:
            self.load_more(self._next_after)

    def on_coverage_grid_window_wanted(self, event: CoverageGrid.WindowWanted) -> None:
        """Show earlier or later months."""
        event.stop()
        self._show_window(self._window.moved(event.months, f"{self._console_screen.now:%Y-%m}"))

    # live states

    def follow(self, jobs: Iterable[Job]) -> None:
        """Lay running and failed backfills over the map; ``jobs`` are newest first."""
        self._jobs = tuple(jobs)
        finished = {job.id for job in self._jobs if job.finished_at is not None}
        self._asked = {place: job_id for place, job_id in self._asked.items() if job_id not in finished}
        self._lay_over()

    def _lay_over(self) -> None:
        symbols = {row.symbol for row in self.grid.rows}
        self.grid.overlay(cells.live_states(self._jobs, self._asked, symbols, self.grid.months, self._window))

    # acting

    def on_coverage_grid_moved(self, event: CoverageGrid.Moved) -> None:
        """Say what the cell under the cursor holds."""
        event.stop()
        unit = cells.UNITS.get(self._window.timeframe, "session")
        self._cell.update(cell_line(*self.grid.current, unit) if self.grid.current else "")

    def on_coverage_grid_queued(self, event: CoverageGrid.Queued) -> None:
        """Fetch what the cell lacks, unless there is nothing to fetch."""
        event.stop()
        if event.cell.state in FILLABLE:
            self.fill(event.symbol, event.cell)
        else:
            self._console_screen.tell(f"{describe(event.symbol, event.cell)}: nothing to fetch")

    @work(exclusive=True, group="map-fill")
    async def fill(self, symbol: str, cell: CoverageCell) -> None:
        """Submit the cell's backfill and show the cell as running."""
        receipt = await cells.fill(self._console_screen, symbol, cell, self._window)
        if receipt is not None:
            self._asked[symbol, cell.month] = receipt.job_id
            self._lay_over()
            self.post_message(self.Queued(receipt))

    def on_coverage_grid_wished(self, event: CoverageGrid.Wished) -> None:
        """Do what the keys of the map ask for."""
        event.stop()
        match event.wish:
            case "filter":
                self._filter.open(self._window.text)
            case "timeframe":
                offered = cells.timeframes(self._window.table)
                if len(offered) > 1:
                    self.scope("", cells.following(offered, self._window.timeframe))
                else:
                    self._console_screen.tell(f"{self._window.table} holds {offered[0]} bars only")
            case "table":
                self.scope(cells.following(cells.TABLES, self._window.table), "")

    def on_symbol_filter_filtered(self, event: SymbolFilter.Filtered) -> None:
        """Show only what begins so."""
        event.stop()
        self._show_window(replace(self._window, text=event.text), QUIET_S)

    def on_symbol_filter_closed(self, event: SymbolFilter.Closed) -> None:
        """Go back to the map."""
        event.stop()
        self.grid.focus()
        self._filter.display = False

    def clear_filter(self) -> bool:
        """Show all symbols again; returns whether some were hidden."""
        had = bool(self._window.text)
        self._show_window(replace(self._window, text=""))
        return had


def cell_line(symbol: str, cell: CoverageCell, unit: str) -> Content:
    """Return glyph, exact figures and word of a cell."""
    look = LOOKS[cell.state]
    tone = looks.TONES.get(look.tone, "$foreground")
    return Content.assemble(
        (f"{look.glyph} " if look.glyph.strip() else "", tone),
        (clean(describe(symbol, cell, unit), 120), "$foreground"),
        (f"  {look.word}" if cell.state is not CellState.NONE else "", tone),
    )


def legend() -> Content:
    """Return the glyphs with their words."""
    parts: list[Content] = []
    for look in LOOKS.values():
        if look.glyph.strip():
            tone = looks.TONES.get(look.tone, "$foreground")
            parts.append(Content.assemble((look.glyph, tone), (f" {look.word}", "$dim")))
    return Content("  ").join(parts)
