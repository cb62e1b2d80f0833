"""Who did what on this platform, from where, with what result: every attempt, those that were refused too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from textual.app import ComposeResult
from textual.content import Content

from qsuite_console.model.audit import AuditLine, AuditPage
from qsuite_console.model.text import clean
from qsuite_console.screens.dialogs.text import TextDialog
from qsuite_console.screens.panes import Pane
from qsuite_console.widgets import figures, frames
from qsuite_console.widgets.entry_table import EntryTable
from qsuite_console.widgets.live_table import Cell, Column, Row

LIMIT: Final = 500
_COLUMNS: Final = (
    Column("at", "AT", 9, keep=90),
    Column("verdict", "RESULT", 11, keep=95),
    Column("what", "WHAT", 24, keep=85, narrow=18),
    Column("subject", "ABOUT", 12, is_flexible=True, keep=60),
    Column("origin", "FROM", 8, keep=40),
    Column("who", "WHO", 18, keep=50, narrow=10),
)
_LOOKS: Final[Mapping[str, tuple[str, str]]] = {
    "done": ("●", "ok"),
    "not done": ("○", "warn"),
    "refused": ("■", "warn"),
    "failed": ("✖", "error"),
    "timed out": ("✖", "error"),
    "unknown": ("?", "error"),
    "asked": ("▶", "run"),
}


class AuditPane(Pane[AuditPage]):
    """One list, newest first; Enter shows an entry whole."""

    NAME, TITLE, PROBE, KIND = "audit", "Audit", "audit", AuditPage
    SOURCE = "history"  # no reading speaks for it: it is asked by itself
    EMPTY = "Nothing was done here yet"
    FILTER = "words of who, from where, what, about what or the result"

    def __init__(self) -> None:
        super().__init__()
        self._now: datetime | None = None
        self._table = EntryTable[AuditLine](_COLUMNS, self._row, id="audit-list")

    def parameters(self) -> Mapping[str, Any]:
        """Ask for as many as may be looked through."""
        return {"limit": LIMIT, "text": self.text}

    def compose_pane(self) -> ComposeResult:
        """One list."""
        yield self._table

    def has_nothing(self, answer: AuditPage) -> bool:
        """Return whether nothing was ever done; a filter that finds nothing is another matter."""
        return not answer.lines and not self.text

    def show_answer(self, answer: AuditPage, now: datetime) -> None:
        """Fill it."""
        self._now = now
        name = f"Audit /{clean(self.text, 40)}" if self.text else "Audit"
        frames.title(self._table, Content(name))
        refused = sum(line.verdict != "done" for line in answer.lines)
        more = " · older ones: qsuite-console audit" if answer.next_before is not None else ""
        what = figures.plural(len(answer.lines), "entry", "entries")
        frames.caption(self._table, Content(f"newest {what} · {figures.count(refused)} not done{more}"))
        self._table.empty = f"No entry matches “{clean(self.text, 40)}”\nEsc clears the filter" if self.text else ""
        self._table.show({line.number: line for line in answer.lines})

    def _row(self, line: AuditLine) -> Row:
        glyph, tone = _LOOKS.get(line.verdict, _LOOKS["done"])
        zone = self.paned.console.zone
        at = figures.moment(line.at, zone, self._now) if self._now is not None else figures.instant(line.at, zone)
        return {
            "at": Cell(at, "dim"),
            "verdict": Cell(f"{glyph} {line.verdict}", tone),
            "what": line.action,
            "subject": line.subject,
            "origin": Cell(line.origin or figures.DASH, "dim"),
            "who": Cell(line.who, "dim"),
        }

    def on_live_table_opened(self) -> None:
        """Show an entry whole."""
        line = self._table.entry
        if line is not None:
            lines = (
                f"at       {figures.instant(line.at, self.paned.console.zone)}",
                f"who      {line.who}",
                f"from     {line.origin or 'not told'}",
                f"what     {line.action}",
                f"about    {line.subject}",
                f"result   {line.verdict}",
                "",
                line.words or "No more was written down.",
            )
            self.app.push_screen(TextDialog(f"Audit entry {line.number}", "\n".join(lines)))
