"""Reports that were made and are still there: what each is, how long it stays, and what it says, read as text.

A new one is a job of the kind ``report``, filled in by the form that all kinds have; it is seen here once it is whole.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final

from textual import work
from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.jobs import Job
from qsuite_console.model.reports import ReportInfo, ReportList, ReportPreview
from qsuite_console.model.text import clean
from qsuite_console.screens import files, running, telling
from qsuite_console.screens.dialogs.file import FileDialog
from qsuite_console.screens.dialogs.text import TextDialog
from qsuite_console.screens.listing import Listing
from qsuite_console.screens.operating import announced, operate
from qsuite_console.screens.panes import Pane, PaneScreen
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Key, Row

KIND: Final = "report"
_SOON_S: Final = 86_400.0
_COLUMNS: Final = (
    Column("made", "MADE", 9, keep=90),
    Column("title", "REPORT", 22, is_flexible=True, keep=100),
    Column("format", "AS", 5, keep=85),
    Column("pages", "PAGES", 5, keep=60, is_right=True),
    Column("size", "SIZE", 8, keep=70, is_right=True),
    Column("left", "EXPIRES IN", 10, keep=80, is_right=True),
    Column("target", "OF", 12, keep=40),
    Column("job", "JOB", 6, keep=30, is_right=True),
)


class ReportsPane(Listing[ReportList, ReportInfo]):
    """One list, newest first; Enter reads the report under the cursor."""

    NAME, TITLE, PROBE, KIND = "reports", "Reports", "reports.list", ReportList
    SOURCE = "history"  # no reading speaks for it: it is asked by itself
    EMPTY = "No report was made yet\nn makes one"
    FILTER = "words of the title, the target or the file"
    SCOPE = "report-list"
    DEFAULT_CSS = "ReportsPane .listing--foot { max-height: 5; }"  # a window in words, a warning and a path
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("report-list")
    BINDING_GROUP_TITLE = commands.SCOPES["report-list"]
    COLUMNS: ClassVar[tuple[Column, ...]] = _COLUMNS

    def __init__(self) -> None:
        super().__init__()
        self._copied: tempfile.TemporaryDirectory[str] | None = None

    def parameters(self) -> Mapping[str, Any]:
        """Return the filter."""
        return {"text": self.text}

    def has_nothing(self, answer: ReportList) -> bool:
        """Return whether there is none, nor one to come; a filter without a match keeps its list."""
        return not answer.reports and not self.text and _being_made(self.paned.state) is None

    def entries(self, answer: ReportList) -> Mapping[Key, ReportInfo]:
        """Return the reports by their files."""
        return {report.file: report for report in answer.reports}

    def row(self, entry: ReportInfo) -> Row:
        """Return one line."""
        now = self.paned.now
        left_s = (entry.expires_at - now).total_seconds()
        return {
            "made": Cell(figures.moment(entry.created_at, self.paned.console.zone, now), "dim"),
            "title": Cell(f"▲ {entry.title}" if entry.is_partial else entry.title, "warn" if entry.is_partial else ""),
            "format": entry.format,
            "pages": str(entry.pages) if entry.pages else Cell(figures.DASH, "dim"),
            "size": figures.size(entry.bytes),
            "left": Cell("expired", "error") if left_s <= 0 else Cell(figures.age(left_s), _left_tone(left_s)),
            "target": Cell(entry.target, "dim"),
            "job": Cell(str(entry.job_id), "dim"),
        }

    def head(self, answer: ReportList, now: datetime) -> str:
        """Return how many there are, the room they take, and what is being made."""
        made = _being_made(self.paned.state)
        doing = f" · being made: {clean(made.title, 40)} {_done(made)}" if made is not None else ""
        room = f"{figures.size(answer.bytes)} of {figures.size(answer.limit)}"
        return f"{figures.plural(len(answer.reports), 'report')}, newest first · {room}{doing}"

    def foot(self, entry: ReportInfo, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield what it is about and where it lies."""
        yield "dim", f"{entry.title} · {entry.window}"
        if entry.is_partial:
            yield "warn", "something could not be read, or there was nothing: its first page says what"
        yield "dim", entry.path

    def action_copy(self) -> None:
        """Copy the path."""
        if self.table.entry is not None:
            self.paned.console.copy_text(self.table.entry.path)
            self.paned.tell("Copied the path")

    @work(exclusive=True, group="operate")
    async def action_send(self) -> None:
        """Send it to somebody of the configuration."""
        if self.table.entry is not None:
            await telling.send_report(self.paned, self.table.entry)

    @work(exclusive=True, group="operate")
    async def action_remove(self) -> None:
        """Remove it, after asking."""
        entry = self.table.entry
        if entry is not None and await operate(self.paned, "reports.remove", {"file": entry.file}):
            self.reload()

    @work(exclusive=True, group="operate")
    async def action_export(self) -> None:
        """Write a copy of it to a file of the operator's choice."""
        entry = self.table.entry
        content = None if entry is None else await self._fetched(entry)
        if entry is None or content is None:
            return
        what = f"{entry.title}, {figures.size(len(content))}; readable by you only"
        dialog = FileDialog(
            "Export the report",
            what,
            entry.file,
            lambda path, is_forced: files.write(path, content, is_forced=is_forced),
        )
        written = await self.app.push_screen_wait(dialog)
        if written is not None:
            self.paned.tell(f"Written to {written.path}")

    @work(exclusive=True, group="operate")
    async def action_launch(self) -> None:
        """Open it with the desktop's program: the file itself, or a copy where the engine is elsewhere."""
        entry = self.table.entry
        if entry is None:
            return
        path = Path(entry.path)
        if not files.is_here(entry):
            content = await self._fetched(entry)
            if content is None:
                return
            path = self._copies() / entry.file
            files.write(path, content, is_forced=True)
        why = await asyncio.to_thread(files.open_file, str(path))
        self.paned.tell(f"{why.capitalize()}: e exports it, Enter reads it as text" if why else f"Opening {entry.file}")

    async def _fetched(self, entry: ReportInfo) -> bytes | None:
        screen = self.paned
        return await screen.attempt(announced(screen, files.fetch(screen.control, entry), "Fetching the file …"))

    def _copies(self) -> Path:
        """Return a directory for copies that go with the console."""
        if self._copied is None:
            self._copied = tempfile.TemporaryDirectory(prefix="qsuite-console-")
        return Path(self._copied.name)

    @work(exclusive=True, group="preview")
    async def on_live_table_opened(self) -> None:
        """Read the report as text."""
        entry = self.table.entry
        if entry is None:
            return
        answer = await self.paned.attempt(self.paned.control.ask("reports.preview", {"file": entry.file}))
        if isinstance(answer, ReportPreview):
            await self.app.push_screen(TextDialog(entry.file, "\n".join(answer.lines)))


class ReportsScreen(PaneScreen):
    """What was made, and how a new one is."""

    SCOPE = "reports"
    SOURCE = "history"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("reports")
    BINDING_GROUP_TITLE = commands.SCOPES["reports"]
    PANES: ClassVar[tuple[type[Pane[Any]], ...]] = (ReportsPane,)

    async def take(self, command: commands.Command, argument: str) -> None:
        """Use what is typed after :reports as the filter."""
        if command.id == "go.reports":
            await self.turn_to(ReportsPane.NAME, argument)
        else:
            await super().take(command, argument)

    def show(self, state: ConsoleState) -> None:
        """Tell how far the one is that is being made."""
        super().show(state)
        if (pane := self.pane) is not None:
            pane.refresh_pane()

    @work(exclusive=True, group="operate")
    async def action_new(self) -> None:
        """Fill in a report and start it."""
        kinds = await self.attempt(self.control.kinds())
        kind = next((kind for kind in kinds or () if kind.name == KIND), None)
        if kind is not None:
            await running.fill_in(self, kind)


def _being_made(state: ConsoleState) -> Job | None:
    return next((job for job in state.running if job.kind == KIND), None)


def _done(job: Job) -> str:
    fraction = job.progress.fraction
    return "" if fraction is None else f"{100 * fraction:.0f} %"


def _left_tone(left_s: float) -> str:
    return "warn" if left_s < _SOON_S else "dim"
