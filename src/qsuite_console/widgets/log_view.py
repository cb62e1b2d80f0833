"""A job's log, followed live: wrapped to the width, filtered, bounded; only lines on the screen are drawn.

It follows the end until the operator scrolls up; then new lines are counted in the border, and G goes on following.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import tzinfo
from typing import ClassVar, Final, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from qsuite_console import commands
from qsuite_console.model.jobs import LogLine
from qsuite_console.model.text import clean

LIMIT: Final = 5000
_LEVELS: Final = {
    "DEBUG": ("·", "dim"),
    "INFO": (" ", ""),
    "WARNING": ("▲", "warn"),
    "ERROR": ("✖", "error"),
    "CRITICAL": ("✖", "error"),
}


class _Drawn(NamedTuple):
    time: str  # "" on the second and later lines of a wrapped one
    glyph: str
    tone: str
    text: str


class LogView(ScrollView, can_focus=True):
    """Takes lines with ``extend``; ``wanted`` is the filter."""

    SCOPE = "log"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("log")
    BINDING_GROUP_TITLE = commands.SCOPES["log"]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"log-view--dim", "log-view--warn", "log-view--error"}
    DEFAULT_CSS = """
    LogView {
        height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; background: $background;
        & > .log-view--dim { color: $dim; }
        & > .log-view--warn { color: $warning; }
        & > .log-view--error { color: $error; }
    }
    """

    def __init__(self, *, zone: tzinfo | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._zone = zone
        self._lines: list[LogLine] = []
        self._shown: list[_Drawn] = []
        self._filter = ""
        self._is_following = True
        self._unseen = 0
        self._wrapped_at = 0
        self._empty = "No line yet"

    def say_empty(self, text: str) -> None:
        """Say why there is no line."""
        if text != self._empty:
            self._empty = text
            if not self._lines:
                self.refresh()

    @property
    def last_number(self) -> int:
        """Return the number of the newest line, 0 before the first."""
        return self._lines[-1].number if self._lines else 0

    @property
    def filter(self) -> str:
        """Return the text that lines must hold; "!text" is what they must not."""
        return self._filter

    @filter.setter
    def filter(self, text: str) -> None:
        if text.strip() != self._filter:
            self._filter = text.strip()
            self._wrap()

    @property
    def plain(self) -> str:
        """Return the filtered lines as text, for the clipboard."""
        return "\n".join(
            f"{line.at.astimezone(self._zone):%H:%M:%S} {line.level:<7} {clean(line.message, 2000)}"
            for line in self._lines
            if self._matches(line)
        )

    def clear(self) -> None:
        """Forget every line."""
        self._lines.clear()
        self._wrap()

    def extend(self, lines: Sequence[LogLine]) -> None:
        """Append newer lines; the oldest leave beyond the bound."""
        fresh = [line for line in lines if line.number > self.last_number]
        if not fresh:
            return
        self._lines.extend(fresh)
        if len(self._lines) > LIMIT:
            del self._lines[: len(self._lines) - LIMIT]
            self._wrap()
            return
        for line in fresh:
            if self._matches(line):
                self._shown.extend(self._draw(line))
                self._unseen += not self._is_following
        self._settle()

    def _matches(self, line: LogLine) -> bool:
        text = f"{line.level} {line.message}".lower()
        return all(
            (word[1:] not in text) if word.startswith("!") and len(word) > 1 else word in text
            for word in self._filter.lower().split()
        )

    def _wrap(self) -> None:
        self._wrapped_at = self.size.width
        self._shown = [drawn for line in self._lines if self._matches(line) for drawn in self._draw(line)]
        self._settle()

    def _draw(self, line: LogLine) -> list[_Drawn]:
        glyph, tone = _LEVELS.get(line.level.upper(), (" ", ""))
        width = max(20, self.size.width - 13)
        parts = [
            part
            for text in clean(line.message, 4000, one_line=False).split("\n")
            for part in textwrap.wrap(text, width, drop_whitespace=False, break_on_hyphens=False) or [""]
        ]
        time = line.at.astimezone(self._zone).strftime("%H:%M:%S")
        return [_Drawn(time if i == 0 else "", glyph if i == 0 else " ", tone, part) for i, part in enumerate(parts)]

    def _settle(self) -> None:
        self.virtual_size = Size(0, len(self._shown))
        if self._is_following:
            self._unseen = 0
            self.scroll_end(animate=False, force=True, immediate=True)
        self._caption()
        self.refresh()

    def _caption(self) -> None:
        parts = [f"/{clean(self._filter, 40)}"] if self._filter else []
        if self._is_following:
            parts.append("following")
        else:
            parts.append(f"▼ {self._unseen} new · G follows" if self._unseen else "G follows")
        self.border_subtitle = Content(" · ".join(parts)) if self._lines else ""
        self.refresh_bindings()

    def watch_show_vertical_scrollbar(self, is_shown: bool) -> None:
        """Put the scrollbar where the lines are: it does not follow while it is not shown."""
        if is_shown:
            self.vertical_scrollbar.position = self.scroll_y

    def on_resize(self) -> None:
        """Wrap to the new width."""
        if self.size.width != self._wrapped_at:
            self._wrap()

    # moving

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to follow only while it doesn't."""
        if commands.condition(self.SCOPE, action, parameters) == "behind" and self._is_following:
            return None
        return True

    def action_scroll(self, lines: int) -> None:
        """Scroll by lines."""
        self._go(self.scroll_offset.y + lines)

    def action_scroll_page(self, pages: int) -> None:
        """Scroll by pages."""
        self._go(self.scroll_offset.y + pages * max(1, self.size.height - 1))

    def action_edge(self, end: int) -> None:
        """Go to the first line, or to the last and follow."""
        self._go(self.max_scroll_y if end else 0)

    def _go(self, y: int) -> None:
        y = max(0, min(y, self.max_scroll_y))
        self._is_following = y >= self.max_scroll_y
        if self._is_following:
            self._unseen = 0
        self.scroll_to(y=y, animate=False, force=True)
        self._caption()

    # drawing

    def render_line(self, y: int) -> Strip:
        """Draw one line of the view."""
        width, base = self.size.width, self.rich_style
        index = y + self.scroll_offset.y
        if index >= len(self._shown):
            text = ""
            if not self._shown and y == min(2, self.size.height // 2):
                text = f"No line matches “{clean(self._filter, 40)}”" if self._filter and self._lines else self._empty
            return Strip([Segment(text.center(width)[:width], self._style("dim"))]).adjust_cell_length(width, base)
        drawn = self._shown[index]
        segments = [
            Segment(f" {drawn.time:<8} ", self._style("dim")),
            Segment(f"{drawn.glyph} ", self._style(drawn.tone)),
            Segment(drawn.text, self._style(drawn.tone)),
        ]
        return Strip(segments).adjust_cell_length(width, base)

    def _style(self, tone: str) -> Style:
        return self.get_component_rich_style(f"log-view--{tone}") if tone else self.rich_style
