"""The tabs of a screen in one line, the current one always in sight, and at the right end what is to be known of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

CURRENT: Final = "bold $block-cursor-foreground on $block-cursor-background"


def window(widths: Sequence[int], current: int, room: int) -> tuple[int, int]:
    """Return first and end of the tabs around ``current`` that fit into ``room`` cells, as many as possible.

    A mark of two cells takes the place of those left out on a side.
    """
    first, end = current, current + 1

    def used(first: int, end: int) -> int:
        return sum(widths[first:end]) + (2 if first else 0) + (2 if end < len(widths) else 0)

    while True:
        if end < len(widths) and used(first, end + 1) <= room:
            end += 1
        elif first and used(first - 1, end) <= room:
            first -= 1
        else:
            return first, end


class TabLine(Widget):
    """Shows the titles given to ``show``; posts Chosen when one is clicked."""

    DEFAULT_CSS = """
    TabLine { height: 1; width: 1fr; padding: 0 1; background: $background; }
    """

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, titles: Sequence[str], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._titles = tuple(titles)
        self._current = 0
        self._info = Content("")
        self._left_out: frozenset[int] = frozenset()

    def show(self, current: int, info: Content) -> None:
        """Mark a tab; ``info`` stands at the right."""
        if (current, info) != (self._current, self._info):
            self._current, self._info = current, info
            self.refresh()

    def leave_out(self, indices: frozenset[int]) -> None:
        """Show all tabs but these."""
        if indices != self._left_out:
            self._left_out = indices
            self.refresh()

    def _tabs(self) -> tuple[int, int]:
        widths = [self._width(index) for index in range(len(self._titles))]
        room = self.size.width - (self._info.cell_length + 2 if self._info else 0)
        return window(widths, self._current, room)

    def _width(self, index: int) -> int:
        return 0 if index in self._left_out and index != self._current else len(self._titles[index]) + 2

    def render(self) -> Content:
        """Draw the tabs that fit and the info."""
        if not self._titles:
            return self._info
        first, end = self._tabs()
        parts = [("‹ ", "$dim")] if first else []
        for index in range(first, end):
            if not self._width(index):
                continue
            parts.append((f" {self._titles[index]} ", CURRENT if index == self._current else "$dim"))
        if end < len(self._titles):
            parts.append((" ›", "$dim"))
        left = Content.assemble(*parts)
        room = self.size.width - left.cell_length
        return Content.assemble(left, " " * max(1, room - self._info.cell_length), self._info)

    def on_click(self, event: events.Click) -> None:
        """Choose with the mouse as well."""
        if not self._titles:
            return
        first, end = self._tabs()
        at = 1 + (2 if first else 0)  # the padding before
        for index in range(first, end):
            width = self._width(index)
            if at <= event.x < at + width:
                self.post_message(self.Chosen(index))
                return
            at += width
