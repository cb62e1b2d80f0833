"""Symbol by month: one cell each, its state as a glyph of its own so that colour is only a second telling.

Rows are formatted when drawn, so the map costs the same at ten and at ten thousand symbols. The cursor has two
dimensions and belongs to a symbol and a month: rows that arrive never move it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from qsuite_console import commands
from qsuite_console.model.market import CellState, CoverageCell, CoverageMap, CoverageRow
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import fit
from qsuite_console.widgets.looks import Look

LOOKS: Final = {
    CellState.COMPLETE: Look("■", "complete", "ok"),
    CellState.PARTIAL: Look("▄", "partial", "warn"),
    CellState.GAP: Look("·", "gap", "gap"),
    CellState.RUNNING: Look("▶", "running", "run"),
    CellState.FAILED: Look("✖", "failed", "error"),
    CellState.NONE: Look(" ", "nothing expected", "dim"),
}
FILLABLE: Final = frozenset({CellState.GAP, CellState.PARTIAL, CellState.FAILED})
HEAD: Final = 2  # the lines of years and months
SYMBOL_CELLS: Final = 8
SHARE_CELLS: Final = 5
TAIL: Final = 15  # symbols before the end at which more are asked for
_MONTHS: Final = "JFMAMJJASOND"
Overlay = Mapping[tuple[str, str], CellState]


class CoverageGrid(ScrollView, can_focus=True):
    """Shows CoverageMap pages; posts Moved, Queued, TailReached and WindowWanted."""

    SCOPE = "coverage"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("coverage")
    BINDING_GROUP_TITLE = commands.SCOPES["coverage"]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "coverage-grid--head",
        "coverage-grid--here",
        "coverage-grid--cursor",
        *(f"coverage-grid--{look.tone}" for look in LOOKS.values()),
    }
    DEFAULT_CSS = """
    CoverageGrid {
        height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; background: $background;
        & > .coverage-grid--head { color: $dim; }
        & > .coverage-grid--here { color: $foreground; text-style: bold; }
        & > .coverage-grid--cursor {
            background: $block-cursor-blurred-background; color: $block-cursor-blurred-foreground;
        }
        &:focus > .coverage-grid--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
        & > .coverage-grid--ok { color: $success; }
        & > .coverage-grid--warn { color: $warning; }
        & > .coverage-grid--error { color: $error; }
        & > .coverage-grid--run { color: $primary; text-style: bold; }
        & > .coverage-grid--gap { color: $foreground; text-style: bold; }
        & > .coverage-grid--dim { color: $dim; }
    }
    """

    class Moved(Message):
        """The cursor is on another cell, or the cell under it is another one."""

    class Queued(Message):
        """The operator wants this cell filled."""

        def __init__(self, symbol: str, cell: CoverageCell) -> None:
            super().__init__()
            self.symbol = symbol
            self.cell = cell

    class TailReached(Message):
        """The cursor or the view came near the last symbol: time to load more."""

    class WindowWanted(Message):
        """The cursor left the months shown: ``months`` later (negative: earlier) ones are wanted."""

        def __init__(self, months: int) -> None:
            super().__init__()
            self.months = months

    class Wished(Message):
        """Something that is the owner's to do: "filter", "timeframe", "table"."""

        def __init__(self, wish: str) -> None:
            super().__init__()
            self.wish = wish

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.months: tuple[str, ...] = ()
        self._rows: list[CoverageRow] = []
        self._overlay: Overlay = {}
        self._row = 0
        self._column = 0
        self._message = ""

    # what is in it

    @property
    def rows(self) -> Sequence[CoverageRow]:
        """Return the symbols loaded so far."""
        return self._rows

    @property
    def current(self) -> tuple[str, CoverageCell] | None:
        """Return symbol and cell under the cursor, as they are shown."""
        if not (0 <= self._row < len(self._rows) and 0 <= self._column < len(self.months)):
            return None
        row = self._rows[self._row]
        return row.symbol, self._shown(row, self._column)

    def capacity(self) -> int:
        """Return how many months fit beside a scroll bar, whether there is one now or not."""
        return max(1, (self.outer_size.width - SYMBOL_CELLS - SHARE_CELLS - 4) // 2)

    def say(self, message: str) -> None:
        """Show a message instead of rows: why there are none and which key to press."""
        if message != self._message:
            self._message = message
            self.refresh()

    def show(self, page: CoverageMap, *, is_more: bool = False) -> None:
        """Show a page; with ``is_more`` it continues the rows shown. The cursor stays on its symbol and month."""
        here = self.current
        month = self.months[self._column] if 0 <= self._column < len(self.months) else ""
        self.months = page.months
        self._rows = [*self._rows, *page.rows] if is_more else list(page.rows)
        self._message = ""
        symbols = {row.symbol: index for index, row in enumerate(self._rows)}
        if not is_more:
            self._row = symbols.get(here[0], 0) if here else 0
            self._column = page.months.index(month) if month in page.months else len(page.months) - 1
        self.virtual_size = Size(0, len(self._rows) + HEAD)
        self._reveal()
        self.refresh()
        self.post_message(self.Moved())
        self._watch_tail()

    def clear(self) -> None:
        """Show no symbol."""
        self._rows = []
        self._row = 0
        self.virtual_size = Size(0, HEAD)
        self.refresh()
        self.post_message(self.Moved())

    def overlay(self, states: Overlay) -> None:
        """Show live states of (symbol, month) over the stored ones."""
        if dict(states) != dict(self._overlay):
            self._overlay = dict(states)
            self.refresh()
            self.post_message(self.Moved())

    def _shown(self, row: CoverageRow, column: int) -> CoverageCell:
        cell = row.cells[column] if column < len(row.cells) else None
        month = self.months[column]
        if cell is None:
            return CoverageCell(month=month, state=CellState.NONE)
        state = self._overlay.get((row.symbol, month))
        if state is None or cell.state in (CellState.COMPLETE, CellState.NONE):
            return cell
        return CoverageCell(month=month, state=state, present=cell.present, expected=cell.expected)

    # moving

    @property
    def _page(self) -> int:
        return max(1, self.size.height - HEAD)

    def action_move(self, columns: int, rows: int) -> None:
        """Move the cursor by columns and rows; past the first or last month other months are asked for."""
        column = self._column + columns
        if columns and self.months and not 0 <= column < len(self.months):
            self.post_message(self.WindowWanted(columns * max(1, len(self.months) // 2)))
            return
        self._move_to(self._row + rows, column)

    def action_page(self, pages: int) -> None:
        """Move by pages of symbols."""
        self._move_to(self._row + pages * max(1, self._page - 1), self._column)

    def action_edge(self, end: int) -> None:
        """Move to the first (0) or the last (1) symbol loaded."""
        self._move_to(len(self._rows) - 1 if end else 0, self._column)

    def action_months(self, direction: int) -> None:
        """Ask for the months before or after those shown."""
        self.post_message(self.WindowWanted(direction * max(1, len(self.months) // 2)))

    def action_queue(self) -> None:
        """Ask for the missing part of the cell under the cursor."""
        if (here := self.current) is not None:
            self.post_message(self.Queued(*here))

    def action_wish(self, wish: str) -> None:
        """Ask the owner for a filter, another timeframe or another table."""
        self.post_message(self.Wished(wish))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim Enter where nothing can be fetched."""
        if commands.condition(self.SCOPE, action, parameters) == "fillable":
            here = self.current
            return True if here is not None and here[1].state in FILLABLE else None
        return True

    def _move_to(self, row: int, column: int) -> None:
        if not self._rows:
            return
        row = max(0, min(row, len(self._rows) - 1))
        column = max(0, min(column, len(self.months) - 1))
        if (row, column) == (self._row, self._column):
            self._watch_tail()
            return
        before, self._row, self._column = self._row, row, column
        if not self._reveal():
            top = self.scroll_offset.y
            lines = {0, 1, *(HEAD + r - top for r in (before, row) if 0 <= r - top < self._page)}
            self.refresh(*(Region(0, y, self.size.width, 1) for y in lines))
        self.post_message(self.Moved())
        self.refresh_bindings()
        self._watch_tail()

    def _reveal(self) -> bool:
        top = self.scroll_offset.y
        target = self._row if self._row < top else self._row - self._page + 1 if self._row >= top + self._page else None
        if target is None:
            return False
        self.scroll_to(y=target, animate=False, force=True)
        return True

    def _watch_tail(self) -> None:
        if self._rows and max(self._row, self.scroll_offset.y + self._page) >= len(self._rows) - TAIL:
            self.post_message(self.TailReached())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Load more when the wheel, too, comes near the end."""
        super().watch_scroll_y(old_value, new_value)
        self._watch_tail()

    def on_click(self, event: events.Click) -> None:
        """Move to the cell that was clicked; a second click asks for it."""
        row, column = event.y - HEAD + self.scroll_offset.y, (event.x - SYMBOL_CELLS - 1) // 2
        if event.y < HEAD or not (row < len(self._rows) and 0 <= column < len(self.months)):
            return
        if (row, column) == (self._row, self._column) and event.chain > 1:
            self.action_queue()
        self._move_to(row, column)

    # drawing

    def render_line(self, y: int) -> Strip:
        """Draw one line of the view: years, months, a symbol, or the message."""
        width, base = self.size.width, self.rich_style
        if not self._rows:
            text, tone = message_line(self._message, y, width, self.size.height)
            style = self.get_component_rich_style(f"coverage-grid--{tone}")
            return Strip([Segment(text, style)]).adjust_cell_length(width, base)
        if y < HEAD:
            return Strip(self._head(y)).adjust_cell_length(width, base)
        index = y - HEAD + self.scroll_offset.y
        if index >= len(self._rows):
            return Strip.blank(width, base)
        return Strip(self._line(self._rows[index], index == self._row)).adjust_cell_length(width, base)

    def _head(self, y: int) -> list[Segment]:
        style = self.get_component_rich_style
        head, here = style("coverage-grid--head"), style("coverage-grid--here")
        years = y == 0
        segments = [Segment(f" {'' if years else 'SYMBOL':<{SYMBOL_CELLS}}", head)]
        if years:
            line = [" "] * (2 * len(self.months) + 2)
            for index, month in enumerate(self.months):
                if index == 0 or month.endswith("-01"):
                    label = month[:4]
                    is_room = index > 0 or not any(m.endswith("-01") for m in self.months[1:3])
                    line[2 * index : 2 * index + 4] = label if is_room else "    "
            segments.append(Segment("".join(line), head))
            return segments
        for index, month in enumerate(self.months):
            letter = _MONTHS[int(month[5:7]) - 1]
            segments.append(Segment(letter + " ", here if index == self._column else head))
        segments.append(Segment(f"{'%':>{SHARE_CELLS}}", head))
        return segments

    def _line(self, row: CoverageRow, is_row: bool) -> list[Segment]:
        style = self.get_component_rich_style
        base, cursor = self.rich_style, style("coverage-grid--cursor")
        name = style("coverage-grid--here") if is_row else base
        segments = [Segment(("▌" if is_row and self.has_focus else " "), base + style("coverage-grid--run"))]
        segments.append(Segment(fit(row.symbol, SYMBOL_CELLS - 1, is_right=False) + " ", name))
        present = expected = 0
        for column in range(len(self.months)):
            cell = self._shown(row, column)
            look = LOOKS[cell.state]
            present, expected = present + min(cell.present, cell.expected), expected + cell.expected
            line = base + style(f"coverage-grid--{look.tone}")
            if is_row and column == self._column:
                line = cursor + Style(bold=True)
            segments.append(Segment(look.glyph, line))
            segments.append(Segment(" ", base))
        share = figures.percent(present / expected) if expected else figures.DASH
        segments.append(
            Segment(f"{share:>{SHARE_CELLS}}", style("coverage-grid--here" if is_row else "coverage-grid--head"))
        )
        return segments


def message_line(message: str, y: int, width: int, height: int) -> tuple[str, str]:
    """Return line ``y`` of a message in the upper middle, and its tone."""
    lines = message.split("\n")
    at = y - max(0, min(3, (height - len(lines)) // 2))
    if not 0 <= at < len(lines):
        return "", "head"
    text = fit(lines[at], min(width, len(lines[at])), is_right=False)
    return text.center(width), "error" if text.startswith("✖") else "head"


def describe(symbol: str, cell: CoverageCell, unit: str = "session") -> str:
    """Return the exact figures of a cell: "AAPL 2025-03: 14 of 21 sessions, 7 missing"."""
    if cell.state is CellState.NONE:
        return f"{symbol} {cell.month}: no {unit} expected"
    text = f"{symbol} {cell.month}: {cell.present} of {figures.plural(cell.expected, unit)}"
    if cell.state not in FILLABLE:
        return text
    missing = max(0, cell.expected - cell.present)
    return f"{text}, {missing} missing" if missing else f"{text}, some of them in part"
