"""An ordered list of keys with a cursor and marks that belong to keys, not to lines; how a key looks is not known here.

Rows that come or go never move another one under the cursor, and only lines that changed are repainted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from qsuite_console import commands

TAIL = 20  # lines before the end at which more rows are asked for
Key = int | str


class KeyList(ScrollView, can_focus=True):
    """The keys, the cursor, the marks and the messages of a table whose first line is its head."""

    SCOPE = "table"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("table")
    BINDING_GROUP_TITLE = commands.SCOPES["table"]

    cursor: reactive[int] = reactive(0, repaint=False)

    class Opened(Message, namespace="live_table"):
        """Enter, or a click on the line under the cursor."""

        def __init__(self, table: KeyList, key: Key) -> None:
            super().__init__()
            self.table = table
            self.key = key

    class Moved(Message, namespace="live_table"):
        """The cursor is on another key now; None in an empty table."""

        def __init__(self, table: KeyList, key: Key | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

    class TailReached(Message, namespace="live_table"):
        """The cursor or the view came near the end: time to load more."""

        def __init__(self, table: KeyList) -> None:
            super().__init__()
            self.table = table

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
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

    def set_keys(self, keys: Iterable[Key]) -> None:
        """Show these rows in this order; the cursor stays on its key and, when scrolled, on its line."""
        current, line = self.current, self.cursor - self.scroll_offset.y
        is_scrolled, was_empty = self.scroll_offset.y > 0, not self._keys
        self._keys = list(keys)
        self._index = {key: index for index, key in enumerate(self._keys)}
        self._marks = frozenset(key for key in self._marks if key in self._index)
        self._cache.clear()
        self.virtual_size = Size(0, len(self._keys) + 1)
        index = self._index.get(current) if current is not None else None
        self.set_reactive(KeyList.cursor, self.validate_cursor(self.cursor if index is None else index))
        if is_scrolled:
            self.scroll_to(y=max(0, self.cursor - line), animate=False, force=True)
        self._show_cursor()
        self.refresh()
        if was_empty is bool(self._keys):
            self.refresh_bindings()  # keys that need a row work now, or no longer
        self._announce()

    @property
    def hidden_above(self) -> int:
        """Return how many rows lie above the view."""
        return int(self.scroll_offset.y)

    @property
    def on_screen(self) -> Sequence[Key]:
        """Return the rows on the screen."""
        top = self.hidden_above
        return self._keys[top : top + self._page]

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
        regions = [Region(0, y + 1, self.size.width, 1) for y, key in enumerate(self.on_screen) if key in dirty]
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
