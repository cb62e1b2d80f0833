"""A LiveTable that holds its entries and knows which of them look different now: what did not change is not painted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from qsuite_console.widgets.live_table import Column, Key, LiveTable, Row

E = TypeVar("E")


class EntryTable(LiveTable, Generic[E]):
    """Shows the entries given to ``show``, in their order; ``draw`` makes the row of one, at this moment."""

    def __init__(
        self,
        columns: Sequence[Column],
        draw: Callable[[E], Row],
        *,
        empty: str = "Nothing here",
        id: str | None = None,
        classes: str | None = "panel",
        opens: bool = True,
    ) -> None:
        """``opens``: Enter leads somewhere from a row; otherwise no key says that it would."""
        super().__init__(columns, self._row, empty=empty, id=id, classes=classes)
        self._draw = draw
        self._opens = opens
        self._entries: dict[Key, E] = {}
        self._rows: dict[Key, Row] = {}

    @property
    def entries(self) -> Mapping[Key, E]:
        """Return what is shown, in order."""
        return self._entries

    @property
    def entry(self) -> E | None:
        """Return the entry under the cursor."""
        return None if self.current is None else self._entries.get(self.current)

    def show(self, entries: Mapping[Key, E]) -> None:
        """Show these entries; call it as well when only the time has moved on: lines that look the same stay."""
        before, self._entries = self._entries, dict(entries)
        if list(self.keys) != list(self._entries):
            self._rows = {key: row for key, row in self._rows.items() if key in self._entries}
            self.set_keys(self._entries)
            return
        changed = {key for key, entry in self._entries.items() if before.get(key) != entry}
        top, page = self.scroll_offset.y, self.size.height
        visible = [key for key in list(self.keys)[top : top + page] if key not in changed]
        moved = {key for key in visible if key in self._rows and self._draw(self._entries[key]) != self._rows[key]}
        self.touch(changed | moved)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer no key that does nothing."""
        if action == "open" and not self._opens:
            return False
        return super().check_action(action, parameters)

    def _row(self, key: Key) -> Row:
        entry = self._entries.get(key)
        row = {} if entry is None else self._draw(entry)
        self._rows[key] = row
        return row
