"""What the panes of objects share: a line above that says what is listed, a table, below it more of the row's own.

The order and the filter are the server's business: there may be ten thousand rows, of which the first few hundred come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from qsuite_console.model.text import clean
from qsuite_console.screens.dialogs.text import TextDialog
from qsuite_console.screens.panes import Pane
from qsuite_console.widgets import figures, looks
from qsuite_console.widgets.entry_table import EntryTable
from qsuite_console.widgets.live_table import Cell, Column, Key, Row

A = TypeVar("A", bound=msgspec.Struct)
E = TypeVar("E")
_GLYPHS = {"ok": "●", "warn": "▲", "error": "✖", "dim": "◌"}
MICROSECONDS = 0.01  # milliseconds below which they say nothing
TWO_DIGITS, THREE_DIGITS = 10, 100  # milliseconds from which a decimal says nothing any more


class Listing(Pane[A], Generic[A, E]):
    """A pane of one table. Subclasses name columns and orders, make entries of an answer and rows of entries."""

    COLUMNS: ClassVar[tuple[Column, ...]] = ()
    ORDERS: ClassVar[Mapping[str, str]] = {}  # what the probe takes -> "by size"

    DEFAULT_CSS = """
    Listing .listing--head {
        height: 1; padding: 0 1; color: $dim; text-wrap: nowrap; text-overflow: ellipsis;
    }
    Listing .listing--foot { height: auto; min-height: 2; max-height: 4; padding: 0 1; border-top: solid $track; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.order = next(iter(self.ORDERS), "")
        self._head = Static("", classes="listing--head", markup=False)
        self._foot = Static("", classes="listing--foot", markup=False)
        self.table: EntryTable[E] = EntryTable(self.COLUMNS, self.row, id=f"{self.NAME}-table")
        self._said: tuple[Content, Content] | None = None

    # to override

    def entries(self, answer: A) -> Mapping[Key, E]:
        """Return what is listed, in order."""
        raise NotImplementedError

    def row(self, entry: E) -> Row:
        """Return one line."""
        raise NotImplementedError

    def head(self, answer: A, now: datetime) -> str:
        """Return what is listed, of how many, in which order."""
        raise NotImplementedError

    def foot(self, entry: E, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield what the table has no room for: a tone (ok, warn, error, dim, text) and a sentence."""
        raise NotImplementedError

    # the same for all

    def compose_pane(self) -> ComposeResult:
        """One line, the table, a few lines."""
        yield self._head
        yield self.table
        yield self._foot

    def ask_due(self) -> None:
        """Ask what it is time to ask; what was answered in another order stays until the new one is here."""
        self.paned.feed.ask(self.question, self.parameters(), is_kept=True)

    def show_answer(self, answer: A, now: datetime) -> None:
        """Show the entries; the cursor stays on its own."""
        self.table.empty = (
            f"Nothing has {clean(self.text, 40)!r} in it\nEsc drops the filter" if self.text else self.EMPTY
        )
        self.table.show(self.entries(answer))
        self._say(answer, now)

    def _say(self, answer: A, now: datetime) -> None:
        head, entry = Content.styled(self.head(answer, now), "$dim"), self.table.entry
        lines = [] if entry is None else [self.sentence(*one) for one in self.foot(entry, now)]
        foot = Content("\n").join(lines) if lines else Content("")
        if (head, foot) != self._said:
            self._said = (head, foot)
            self._head.update(head)
            self._foot.update(foot)

    @staticmethod
    def sentence(tone: str, text: str) -> Content:
        """Return a sentence with the glyph of its tone before it."""
        glyph = _GLYPHS.get(tone, "")
        return Content.assemble((f"{glyph} " if glyph and tone != "dim" else "", looks.TONES[tone]),
                                (clean(text, 600), "$dim" if tone == "dim" else ""))  # fmt: skip

    def on_live_table_moved(self) -> None:
        """Tell of the row under the cursor."""
        super().on_live_table_moved()
        if self.answer is not None:
            self._say(self.answer, self.paned.now)

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        return self.table.entry is not None if condition == "row" else super().holds(condition)

    def action_sort(self) -> None:
        """Take the next order and say so."""
        names = list(self.ORDERS)
        self.order = names[(names.index(self.order) + 1) % len(names)]
        self.table.action_edge(0)
        self.filtered()
        self.paned.tell(f"Sorted {self.ORDERS[self.order]}")

    async def read(self, title: str, text: str) -> None:
        """Show a long text; y copies it."""
        await self.app.push_screen(TextDialog(title, text))


def glyph(tone: str) -> Cell:
    """Return the mark of a row: its form tells as much as its colour."""
    return Cell(_GLYPHS.get(tone, " "), tone)


def milliseconds(value: float | None) -> str:
    """Return a short time: 4 µs, 0.04 ms, 4.20 ms, 420 ms, 1.2 s, 02:41."""
    if value is None:
        return figures.DASH
    if value >= 1000:
        return figures.duration(value / 1000)
    if value >= THREE_DIGITS:
        return f"{value:.0f} ms"
    if 0 < value < MICROSECONDS:
        return f"{value * 1000:.0f} µs"
    return f"{value:.1f} ms" if value >= TWO_DIGITS or value == 0 else f"{value:.2f} ms"


def share(value: float | None) -> str:
    """Return a share: 0 %, 0.3 %, 12 %, 100 %."""
    if value is None:
        return figures.DASH
    percent = 100 * value
    if 0 < percent < 1:
        return f"{percent:.1f} %" if percent >= 0.05 else "<0.1 %"
    return f"{percent:.0f} %"


def ago(at: datetime | None, now: datetime, *, never: str = "never") -> str:
    """Return how long ago something was, in one unit."""
    return never if at is None else figures.age((now - at).total_seconds())


def since(at: datetime | None, now: datetime, started: datetime | None = None) -> str:
    """Return since when the server counts: "reset 3d ago"; where never, at least since its start: "up for 3d"."""
    if at is not None:
        return f"reset {figures.age((now - at).total_seconds())} ago"
    up = "" if started is None else f", up for {figures.age((now - started).total_seconds())}"
    return f"never reset{up}"


def labelled(pairs: Iterable[tuple[str, Any]]) -> str:
    """Return facts one a line, their values in one column."""
    known = [(label, clean(value, 400)) for label, value in pairs if value not in ("", None)]
    width = max((len(label) for label, _ in known), default=0)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in known)
