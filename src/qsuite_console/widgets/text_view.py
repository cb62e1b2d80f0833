"""Text that scrolls with the keys every list has: facts, parameters, results.

What depends on the width is given as a function of it: the layout settles after an answer has come, and again whenever
a neighbour appears or the terminal changes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from qsuite_console import commands
from qsuite_console.model.text import clean


class TextView(VerticalScroll, can_focus=True):
    """Shows a Content, or what a function makes of the cells in a line; set again, only a different one is drawn."""

    SCOPE = "text"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("text")
    BINDING_GROUP_TITLE = commands.SCOPES["text"]
    DEFAULT_CSS = """
    TextView {
        height: 1fr; scrollbar-size-vertical: 1; scrollbar-gutter: stable; padding: 0 1; background: $background;
    }
    TextView > Static { width: 100%; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._text: Content | Callable[[int], Content] = Content("")
        self._shown: Content | None = None

    def compose(self) -> ComposeResult:
        """One text."""
        yield Static(self._shown or "")

    def show(self, text: Content | Callable[[int], Content]) -> None:
        """Show this text, or what the function returns for the width there is, now and when it changes."""
        self._text = text
        self._lay_out()

    def on_resize(self) -> None:
        """Lay the text out for the new width."""
        self._lay_out()

    def _lay_out(self) -> None:
        # Beside the scroll bar, whose place is kept; of no width yet: anything, it is laid out again once there is one.
        content = self._text(max(20, self.scrollable_content_region.width)) if callable(self._text) else self._text
        if content == self._shown:
            return
        is_same_height = self._shown is not None and self._shown.plain.count("\n") == content.plain.count("\n")
        self._shown = content
        static = self.query_one_optional(Static)
        if static is not None:
            static.update(content, layout=not is_same_height)

    @property
    def plain(self) -> str:
        """Return the text without its colours, for the clipboard."""
        return self._shown.plain if self._shown is not None else ""


def pairs(entries: Iterable[tuple[str, str, str]], *, width: int, label_width: int = 14) -> list[Content]:
    """Return labelled values as lines of ``width`` cells; an entry is label, value, style; long values hang."""
    lines: list[Content] = []
    room = max(12, width - label_width - 1)
    for label, value, style in entries:
        parts = textwrap.wrap(clean(value, 4000), room, break_on_hyphens=False) or [""]
        for index, part in enumerate(parts):
            name = clean(label, label_width) if index == 0 else ""
            lines.append(Content.assemble((f"{name:<{label_width}} ", "$dim"), (part, style)))
    return lines
