"""How one moves about the overview, and where its tiles and alerts lead: to causes, jobs, figures."""

from __future__ import annotations

from textual.widget import Widget

from qsuite_console.model.health import Alert
from qsuite_console.model.jobs import Job
from qsuite_console.screens import causes
from qsuite_console.screens.base import ConsoleScreen
from qsuite_console.screens.dialogs.reading import ReadingDialog
from qsuite_console.screens.dialogs.scores import ScoreDialog
from qsuite_console.widgets.live_table import Key, LiveTable
from qsuite_console.widgets.status_bar import reading_of
from qsuite_console.widgets.strips import ReadingLine, ScoreLine, Strip
from qsuite_console.widgets.tile import Tile, worst_figure

LISTS = ("running", "attention", "finished")
TILES = (("postgresql", "PostgreSQL"), ("redis", "Redis"), ("host", "Host"), ("jobs", "Jobs"))
STRIPS = {  # source -> title, the figures that come first, name of the line; a source that is not there has none
    "application": ("Trading", ("bar_age", "orders_1m", "pending"), "trading"),
    "pgbouncer": ("PgBouncer", ("waiting", "max_wait", "clients"), "pooler"),
    "celery": ("Celery", ("waiting", "workers", "in_flight", "failures"), "celery"),
}


class OverviewWays(ConsoleScreen):
    """The keys of the overview; ``_attention`` is what its list of alerts and failures shows."""

    def __init__(self) -> None:
        super().__init__()
        self._attention: dict[Key, Alert | Job] = {}

    def _panels(self) -> list[Widget]:
        lists = (self.query_one(f"#{name}") for name in LISTS)
        strips = (strip for strip in self.query(Strip) if strip.display)
        return [*self.query(Tile), *strips, *(table for table in lists if table.display)]

    def action_step(self, by: int) -> None:
        """Focus the next or previous panel."""
        panels = self._panels()
        here = panels.index(self.focused) if self.focused in panels else -1
        panels[(here + by) % len(panels)].focus()

    def action_sink(self, by: int) -> None:
        """Focus the panel below or above a tile; lists move their own cursor."""
        tiles = list(self.query(Tile))
        if self.focused not in tiles:
            return
        columns = max(1, len({tile.region.x for tile in tiles}))
        target = tiles.index(self.focused) + by * columns
        if 0 <= target < len(tiles):
            tiles[target].focus()
        elif by > 0:
            self.query_one("#running").focus()

    async def action_open(self) -> None:
        """Go where the cause of what the focused tile or line shows is to be seen."""
        if isinstance(self.focused, Tile | ReadingLine):
            await self._go_to(self.focused.source)
        elif isinstance(self.focused, ScoreLine):
            self.app.push_screen(ScoreDialog(self.control, lambda: self.state.snapshot.scores))

    async def on_strip_opened(self, message: Strip.Opened) -> None:
        """Open a line that was clicked."""
        message.strip.focus()
        await self.action_open()

    async def on_tile_opened(self, message: Tile.Opened) -> None:
        """Go where a clicked tile leads."""
        await self._go_to(message.source)

    async def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Open a job, or the pane that shows the cause of an alert."""
        if isinstance(message.key, int):
            self.console.open_page("job", message.key)
        else:
            alert = self._attention.get(message.key)
            if isinstance(alert, Alert):
                await self._go(causes.cause_of(alert.id))

    async def _go_to(self, source: str) -> None:
        """Go where a source's worst figure has its cause; where all are well, to the source's own screen."""
        reading = reading_of(self.state, source)
        worst = worst_figure(reading) if reading is not None and reading.error is None else None
        await self._go(causes.source_of(source) if worst is None else causes.cause_of(f"{source}.{worst.name}"))

    async def _go(self, cause: causes.Cause) -> None:
        await self.console.go(cause.place, pane=cause.pane, filter=cause.filter)

    def action_figures(self) -> None:
        """Show every figure of the reading behind the tile or the alert."""
        focused = self.focused
        if isinstance(focused, Tile | ReadingLine):
            self._open_reading(focused.source)
        elif isinstance(focused, LiveTable) and focused.current is not None:
            entry = self._attention.get(focused.current)
            if isinstance(entry, Alert):
                self._open_reading(entry.source)

    def holds(self, condition: str) -> bool:
        """Return whether there is a reading to show the figures of."""
        if condition != "reading":
            return super().holds(condition)
        focused = self.focused
        if isinstance(focused, LiveTable):
            return focused.id == "attention" and isinstance(self._attention.get(focused.current or ""), Alert)
        return isinstance(focused, Tile | ReadingLine)

    def on_live_table_moved(self) -> None:
        """Dim and light the keys that depend on the row."""
        self.refresh_bindings()

    def _open_reading(self, source: str) -> None:
        title = STRIPS[source][0] if source in STRIPS else dict(TILES).get(source, source)
        self.app.push_screen(ReadingDialog(source, title, lambda: (reading_of(self.state, source), self.now)))
