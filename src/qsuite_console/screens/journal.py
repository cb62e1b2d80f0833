"""The engine's own log, followed live: of this process, or of the one this console is attached to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

import msgspec
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content

from qsuite_console import commands
from qsuite_console.model.jobs import LogLine
from qsuite_console.model.logtail import LogTail
from qsuite_console.model.text import clean
from qsuite_console.screens.panes import Pane, PaneScreen
from qsuite_console.widgets import figures, frames
from qsuite_console.widgets.log_view import LogView

LIMIT: Final = 500  # lines an answer: more than a second brings, unless something floods it
_HARMLESS: Final = frozenset({"DEBUG", "INFO"})


class LogPane(Pane[LogTail]):
    """One text that grows at its end."""

    NAME, TITLE, PROBE, KIND = "log", "Log", "system.log", LogTail
    PERIOD_S = 1.0
    SOURCE = "engine"  # no reading speaks for it: it is asked by itself
    SCOPE = "journal"
    EMPTY = "Nothing was logged yet"
    FILTER = "words  !not  job 12  error"

    def __init__(self) -> None:
        super().__init__()
        self._process = ""
        self._seen = 0  # the number of the newest line that was looked at
        self._only_wrong = False
        self._view: LogView | None = None

    def parameters(self) -> Mapping[str, Any]:
        """Ask for the newest."""
        return {"limit": LIMIT}

    def compose_pane(self) -> ComposeResult:
        """One view."""
        self._view = LogView(zone=self.paned.console.zone, id="journal", classes="panel")
        yield self._view

    def has_nothing(self, answer: LogTail) -> bool:
        """Return whether the process has said nothing so far."""
        return not answer.lines

    def show_answer(self, answer: LogTail, now: datetime) -> None:
        """Append what is new; another process begins anew."""
        view = self._view
        if view is None:
            return
        if answer.process != self._process:
            self._process = answer.process
            self._begin()
        view.extend(tuple(self._told(answer.lines)))
        what = "warnings and errors of" if self._only_wrong else "log of"
        frames.title(view, Content(f"{what.capitalize()} {clean(answer.process, 80)}"))
        view.say_empty(
            "No warning and no error in these lines; e shows them all" if self._only_wrong else "No line yet"
        )

    def _begin(self) -> None:
        self._seen = 0
        if self._view is not None:
            self._view.clear()

    def _told(self, lines: Iterable[LogLine]) -> Iterable[LogLine]:
        """Yield the new lines with their job named; a hole is told where it is."""
        for line in lines:
            if line.number <= self._seen:
                continue
            if self._seen and line.number > self._seen + 1:
                missed = figures.plural(line.number - self._seen - 1, "line")
                yield msgspec.structs.replace(
                    line,
                    number=line.number - 1,
                    level="WARNING",
                    message=f"{missed} came too fast: they are in the file",
                )
            self._seen = line.number
            text = f"job {line.job_id} {line.message}" if line.job_id else line.message
            if not (self._only_wrong and line.level in _HARMLESS):
                yield msgspec.structs.replace(line, message=text)

    def filtered(self) -> None:
        """Show only lines with these words."""
        if self._view is not None:
            self._view.filter = self.text

    def action_wrong(self) -> None:
        """Show warnings and errors only, or everything again."""
        self._only_wrong = not self._only_wrong
        self._begin()
        self.refresh_pane()

    def action_copy(self) -> None:
        """Copy what is shown."""
        if self._view is not None:
            self.paned.console.copy_text(clean(self._view.plain, 200_000, one_line=False))
            self.paned.tell("Copied: the lines shown")


class JournalScreen(PaneScreen):
    """The log alone."""

    SCOPE = "journal"
    SOURCE = "engine"
    CSS_PATH = "journal.tcss"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("journal")
    BINDING_GROUP_TITLE = commands.SCOPES["journal"]
    PANES: ClassVar[tuple[type[Pane[Any]], ...]] = (LogPane,)

    async def take(self, command: commands.Command, argument: str) -> None:
        """Use what is typed after :log as the filter."""
        if command.id == f"go.{self.SCOPE}":
            await self.turn_to(LogPane.NAME, argument)
        else:
            await super().take(command, argument)

    def action_wrong(self) -> None:
        """Pass it to the pane."""
        if isinstance(self.pane, LogPane):
            self.pane.action_wrong()

    def action_copy(self) -> None:
        """Pass it to the pane."""
        if isinstance(self.pane, LogPane):
            self.pane.action_copy()
