"""A table for rows that change all the time: only the lines on the screen are formatted, only changed ones repainted.

The owner gives the keys in order and a function from key to row; the row is asked for when its line is drawn. The
cursor belongs to a key, not to a line: rows that come or go never move another row under it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from qsuite_console import commands
from qsuite_console.model.text import clean
from qsuite_console.widgets import figures
from qsuite_console.widgets.cells import GAP, Cell, Column, Meter, Row, fit, gap_after

CACHE_LIMIT = 2000
NARROW = 100
TAIL = 20  # lines before the end at which more rows are asked for
Key = int | str

__all__ = ["Cell", "Column", "Key", "LiveTable", "Meter", "Row", "fit"]


class LiveTable(ScrollView, can_focus=True):
    """Keys in order plus ``row_of``; posts Opened, Moved and TailReached."""

    SCOPE = "table"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("table")
    BINDING_GROUP_TITLE = commands.SCOPES["table"]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "live-table--head",
        "live-table--cursor",
        "live-table--ok",
        "live-table--warn",
        "live-table--error",
        "live-table--run",
        "live-table--dim",
        "live-table--accent",
        "live-table--bold",
        "live-table--track",
    }
    DEFAULT_CSS = """
    LiveTable {
        height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; background: $background;
        & > .live-table--head { color: $dim; }
        & > .live-table--cursor {
            background: $block-cursor-blurred-background; color: $block-cursor-blurred-foreground;
        }
        &:focus > .live-table--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
        & > .live-table--ok { color: $success; }
        & > .live-table--warn { color: $warning; }
        & > .live-table--error { color: $error; }
        & > .live-table--run { color: $primary; }
        & > .live-table--dim { color: $dim; }
        & > .live-table--accent { color: $accent; text-style: bold; }
        & > .live-table--bold { text-style: bold; }
        & > .live-table--track { color: $track; }
    }
    """

    cursor: reactive[int] = reactive(0, repaint=False)

    class Opened(Message):
        """Enter, or a click on the line under the cursor."""

        def __init__(self, table: LiveTable, key: Key) -> None:
            super().__init__()
            self.table = table
            self.key = key

    class Moved(Message):
        """The cursor is on another key now; None in an empty table."""

        def __init__(self, table: LiveTable, key: Key | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

    class TailReached(Message):
        """The cursor or the view came near the end: time to load more."""

        def __init__(self, table: LiveTable) -> None:
            super().__init__()
            self.table = table

    def __init__(
        self,
        columns: Sequence[Column],
        row_of: Callable[[Key], Row],
        *,
        empty: str = "Nothing here",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._columns = tuple(columns)
        self._row_of = row_of
        self._empty = empty
        self._keys: list[Key] = []
        self._index: dict[Key, int] = {}
        self._marks: frozenset[Key] = frozenset()
        self._cache: dict[tuple[Key, int, bool], Strip] = {}
        self._dirty: set[Key] = set()
        self._announced: Key | None = None

    # what is in it

    @property
    def keys(self) -> Sequence[Key]:
        """Return the keys in order."""
        return self._keys

    @property
    def current(self) -> Key | None:
        """Return the key under the cursor."""
        return self._keys[self.cursor] if 0 <= self.cursor < len(self._keys) else None

    @property
    def marks(self) -> frozenset[Key]:
        """Return the marked keys; every one is in the table."""
        return self._marks

    @marks.setter
    def marks(self, keys: Iterable[Key]) -> None:
        marks = frozenset(key for key in keys if key in self._index)
        changed, self._marks = marks ^ self._marks, marks
        self.touch(changed)

    @property
    def empty(self) -> str:
        """Return what an empty table says: why it is empty and which key to press."""
        return self._empty

    @empty.setter
    def empty(self, text: str) -> None:
        if text != self._empty:
            self._empty = text
            if not self._keys:
                self.refresh()

    def set_keys(self, keys: Iterable[Key]) -> None:
        """Show these rows in this order; the cursor stays on its key and, when scrolled, on its line."""
        current, line = self.current, self.cursor - self.scroll_offset.y
        is_scrolled = self.scroll_offset.y > 0
        self._keys = list(keys)
        self._index = {key: index for index, key in enumerate(self._keys)}
        self._marks = frozenset(key for key in self._marks if key in self._index)
        self._cache.clear()
        self.virtual_size = Size(0, len(self._keys) + 1)
        index = self._index.get(current) if current is not None else None
        self.set_reactive(LiveTable.cursor, self.validate_cursor(self.cursor if index is None else index))
        if is_scrolled:
            self.scroll_to(y=max(0, self.cursor - line), animate=False, force=True)
        self._show_cursor()
        self.refresh()
        self._announce()

    @property
    def hidden_above(self) -> int:
        """Return how many rows lie above the view."""
        return int(self.scroll_offset.y)

    def touch(self, keys: Iterable[Key]) -> None:
        """Say that these rows have changed; those on the screen are repainted, once per turn of the loop."""
        keys = set(keys)
        if not keys:
            return
        if not self._dirty:
            self.call_next(self._flush)
        self._dirty |= keys

    def touch_all(self) -> None:
        """Say that every row may have changed (a clock tick, another zone)."""
        self._cache.clear()
        self.refresh()

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, set()
        for key in dirty:
            for is_cursor in (False, True):
                self._cache.pop((key, self.size.width, is_cursor), None)
        top, page = self.scroll_offset.y, self._page
        visible = self._keys[top : top + page]
        regions = [Region(0, y + 1, self.size.width, 1) for y, key in enumerate(visible) if key in dirty]
        if regions:
            self.refresh(*regions)

    # moving

    @property
    def _page(self) -> int:
        return max(1, self.size.height - 1)

    def validate_cursor(self, value: int) -> int:
        """Keep the cursor inside the table."""
        return max(0, min(value, len(self._keys) - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        """Repaint the two lines, or scroll."""
        top = self.scroll_offset.y
        if not self._show_cursor():
            self.refresh(*(Region(0, i - top + 1, self.size.width, 1) for i in (old, new) if 0 <= i - top < self._page))
        self._announce()

    def _show_cursor(self) -> bool:
        top, target = self.scroll_offset.y, None
        if self.cursor < top:
            target = self.cursor
        elif self.cursor >= top + self._page:
            target = self.cursor - self._page + 1
        if target is None:
            return False
        self.scroll_to(y=target, animate=False, force=True)
        return True

    def _announce(self) -> None:
        if self.current != self._announced:
            self._announced = self.current
            self.post_message(self.Moved(self, self.current))
        if self.is_near_end:
            self.post_message(self.TailReached(self))

    @property
    def is_near_end(self) -> bool:
        """Return whether it is time to load more."""
        return bool(self._keys) and self.cursor >= len(self._keys) - TAIL

    def on_resize(self) -> None:
        """Keep the cursor in sight when the terminal shrinks."""
        self._cache.clear()
        self.call_after_refresh(self._show_cursor)

    def action_move(self, lines: int) -> None:
        """Move the cursor by lines."""
        self.cursor += lines

    def action_page(self, pages: int) -> None:
        """Move the cursor by pages."""
        self.cursor += pages * max(1, self._page - 1)

    def action_edge(self, end: int) -> None:
        """Move to the first (0) or last (1) line."""
        self.cursor = len(self._keys) - 1 if end else 0

    def action_open(self) -> None:
        """Open the row under the cursor."""
        if (key := self.current) is not None:
            self.post_message(self.Opened(self, key))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim what needs a row while there is none."""
        if commands.condition(self.SCOPE, action, parameters) == "row" and not self._keys:
            return None
        return True

    def on_click(self, event: events.Click) -> None:
        """Move to the line that was clicked; a second click opens it."""
        index = event.y - 1 + self.scroll_offset.y
        if event.y < 1 or index >= len(self._keys):
            return
        if index == self.cursor and event.chain > 1:
            self.action_open()
        self.cursor = index

    # drawing

    def notify_style_update(self) -> None:
        """Forget drawn lines when theme or focus changes."""
        super().notify_style_update()
        self._cache.clear()

    def columns_for(self, width: int) -> list[tuple[Column, int]]:
        """Return the columns that fit into ``width`` cells, with their widths."""
        columns = [(c, c.narrow if c.narrow is not None and width < NARROW else c.width) for c in self._columns]
        room = width - 2  # the mark before, a blank after

        def used() -> int:
            return sum(cells + gap_after(cells) for _, cells in columns) - GAP

        while len(columns) > 1 and used() > room:
            columns.remove(min(columns, key=lambda column: column[0].keep))
        spare = max(0, room - used())
        flexible = next((c for c, _ in columns if c.is_flexible), None)
        return [(c, cells + (spare if c is flexible else 0)) for c, cells in columns]

    def render_line(self, y: int) -> Strip:
        """Draw one line of the view: the head, a row, the empty text."""
        width, base = self.size.width, self.rich_style
        if y == 0:
            head = "".join(
                fit(c.title, n, is_right=c.is_right) + " " * gap_after(n) for c, n in self.columns_for(width)
            )
            style = self.get_component_rich_style("live-table--head")
            return Strip([Segment(" " + head if self._keys else "", style)]).adjust_cell_length(width, base)
        index = y - 1 + self.scroll_offset.y
        if index >= len(self._keys):
            return self._render_beyond(y, width, base)
        key, is_cursor = self._keys[index], index == self.cursor
        strip = self._cache.get((key, width, is_cursor))
        if strip is None:
            if len(self._cache) > CACHE_LIMIT:
                self._cache.clear()
            strip = self._cache[key, width, is_cursor] = self._render_row(key, width, is_cursor=is_cursor)
        return strip

    def _render_beyond(self, y: int, width: int, base: Style) -> Strip:
        lines = self._empty.split("\n") if not self._keys else []
        at = y - max(0, (self.size.height - len(lines)) // 2 if self.size.height < 8 else 3)
        if not 0 <= at < len(lines):
            return Strip.blank(width, base)
        style = self.get_component_rich_style("live-table--dim")
        text = clean(lines[at], 400)
        return Strip(
            [Segment(set_cell_size(text, min(width, cell_len(text))).center(width), style)]
        ).adjust_cell_length(width, base)

    def _render_row(self, key: Key, width: int, *, is_cursor: bool) -> Strip:
        line = self.get_component_rich_style("live-table--cursor") if is_cursor else self.rich_style
        row = self._row_of(key)
        # The focused cursor has a colour of its own, on which tones would be hard to read; glyph and word remain.
        tone = self._plain if is_cursor and self.has_focus else self._tone
        segments = [Segment("▌", line + tone("accent")) if key in self._marks else Segment(" ", line)]
        for column, cells in self.columns_for(width):
            content = row.get(column.key, "")
            if isinstance(content, Meter):
                segments.extend(self._render_meter(content, cells, line, tone))
            else:
                cell = Cell(content) if isinstance(content, str) else content
                segments.append(Segment(fit(cell.text, cells, is_right=column.is_right), line + tone(cell.tone)))
            segments.append(Segment(" " * gap_after(cells), line))
        return Strip(segments[:-1]).adjust_cell_length(width, line)

    @staticmethod
    def _render_meter(meter: Meter, width: int, line: Style, tone: Callable[[str], Style]) -> list[Segment]:
        done, rest = figures.bar(meter.fraction, max(0, width - 5))
        return [
            Segment(done, line + tone(meter.tone)),
            Segment(rest, line + tone("track")),
            Segment(f" {figures.percent(meter.fraction):>4}", line),
        ]

    @staticmethod
    def _plain(tone: str) -> Style:
        return Style.null()

    def _tone(self, tone: str) -> Style:
        if not tone:
            return Style.null()
        style = self.get_component_rich_style(f"live-table--{tone}")
        return Style(color=style.color if tone != "bold" else None, bold=style.bold)
