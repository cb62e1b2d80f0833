"""The processes that use most, by processor time or by memory; Enter shows one whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content

from qsuite_console import commands
from qsuite_console.model.system import ProcessesView, ProcessRow
from qsuite_console.model.text import clean
from qsuite_console.screens.dialogs.text import TextDialog
from qsuite_console.screens.panes import Pane
from qsuite_console.widgets import figures, frames
from qsuite_console.widgets.entry_table import EntryTable
from qsuite_console.widgets.live_table import Cell, Column, Row

ORDERS: Final = {"cpu": "by processor time", "memory": "by memory"}
_COLUMNS: Final = (
    Column("pid", "PID", 7, is_right=True, keep=90),
    Column("name", "NAME", 16, keep=80, narrow=12),
    Column("user", "USER", 9, keep=20),
    Column("cpu", "CPU", 7, is_right=True, keep=85),
    Column("memory", "MEMORY", 9, is_right=True, keep=85),
    Column("share", "OF ALL", 6, is_right=True, keep=10),
    Column("threads", "THR", 4, is_right=True, keep=5),
    Column("state", "STATE", 10, keep=30),
    Column("age", "AGE", 4, is_right=True, keep=15),
    Column("command", "COMMAND", 12, is_flexible=True, keep=40),
)


class ProcessesPane(Pane[ProcessesView]):
    """One list, in either order."""

    NAME, TITLE, PROBE, KIND = "processes", "Processes", "system.processes", ProcessesView
    FILTER = "name, user or number of a process"
    SCOPE = "processes"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("processes")

    def __init__(self) -> None:
        super().__init__()
        self._order = "cpu"
        self._now: datetime | None = None
        self._table = EntryTable[ProcessRow](_COLUMNS, self._row, id="processes-list")

    def parameters(self) -> Mapping[str, Any]:
        """Ask for as many as may be looked through, in the order chosen."""
        return {"order": self._order, "limit": 100, "text": self.text}

    def compose_pane(self) -> ComposeResult:
        """One list."""
        yield self._table

    def show_answer(self, answer: ProcessesView, now: datetime) -> None:
        """Fill it."""
        self._now = now
        name = f"Processes /{clean(self.text, 40)}" if self.text else "Processes"
        frames.title(self._table, Content(name))
        states = ", ".join(
            f"{number:,} {state}" for state, number in sorted(answer.states.items(), key=lambda s: -s[1])
        )
        shown = f"{len(answer.rows)} of {figures.plural(answer.total, 'process', 'processes')}"
        frames.caption(self._table, Content(f"{shown} · {ORDERS[answer.order]} · {clean(states, 60)}"))
        self._table.empty = f"No process matches “{clean(self.text, 40)}”\nEsc clears the filter" if self.text else ""
        self._table.show({row.pid: row for row in answer.rows})

    def _row(self, row: ProcessRow) -> Row:
        age = None if row.started_at is None or self._now is None else (self._now - row.started_at).total_seconds()
        tone = "accent" if row.is_own else ""
        return {
            "pid": str(row.pid),
            "name": Cell(row.name + (" (this console)" if row.is_own else ""), tone),
            "user": Cell(row.user, "dim"),
            "cpu": figures.DASH if row.cpu is None else f"{row.cpu:.1f} %",
            "memory": figures.size(row.memory),
            "share": Cell(figures.DASH if row.share is None else f"{row.share:.1f} %", "dim"),
            "threads": Cell(figures.count(row.threads), "dim"),
            "state": Cell(row.state, "dim"),
            "age": Cell(figures.age(age), "dim"),
            "command": Cell(row.command, "dim"),
        }

    def on_live_table_opened(self) -> None:
        """Show a process whole."""
        row = self._table.entry
        if row is not None:
            started = figures.instant(row.started_at, self.paned.console.zone)
            lines = (
                f"user       {row.user or figures.DASH}",
                f"state      {row.state or figures.DASH}",
                f"started    {started}",
                f"processor  {figures.DASH if row.cpu is None else f'{row.cpu:.1f} % of one core'}",
                f"memory     {figures.size(row.memory)} resident",
                f"threads    {figures.count(row.threads)}",
                "",
                row.command or "Its command line can't be read.",
            )
            self.app.push_screen(TextDialog(f"Process {row.pid} · {row.name}", "\n".join(lines)))

    def action_order(self) -> None:
        """Order by memory, or by processor time again."""
        self._order = "memory" if self._order == "cpu" else "cpu"
        self._table.action_edge(0)
        self.ask_due()
