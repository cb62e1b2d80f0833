"""A table for rows that change all the time: only the lines on the screen are formatted, only changed ones repainted.

The owner gives the keys in order and a function from key to row; the row is asked for when its line is drawn.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from qsuite_console.model.text import clean
from qsuite_console.widgets import figures
from qsuite_console.widgets.cells import GAP, NARROW, VITAL, Cell, Column, Meter, Row, fit, gap_after
from qsuite_console.widgets.key_list import Key, KeyList

CACHE_LIMIT = 2000

__all__ = ["Cell", "Column", "Key", "LiveTable", "Meter", "Row", "fit"]


class LiveTable(KeyList):
    """Keys in order plus ``row_of``; posts Opened, Moved and TailReached."""

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

    # drawing

    def notify_style_update(self) -> None:
        """Forget drawn lines when theme or focus changes."""
        super().notify_style_update()
        self._cache.clear()

    def columns_for(self, width: int) -> list[tuple[Column, int]]:
        """Return the columns that fit into ``width`` cells, with their widths."""
        here = [c for c in self._columns if c.at_least <= width < c.below]
        columns = [(c, c.narrow if c.narrow is not None and width < NARROW else c.width) for c in here]
        room = width - 2  # the mark before, a blank after

        def used() -> int:
            return sum(cells + gap_after(cells) for _, cells in columns) - GAP

        while len(columns) > 1 and used() > room:
            least = min(columns, key=lambda column: column[0].keep)
            if least[0].keep >= VITAL:
                break
            columns.remove(least)
        spare = room - used()
        flexible = next((c for c, _ in columns if c.is_flexible), None)
        return [(c, max(4, cells + spare) if c is flexible else cells) for c, cells in columns]

    def render_line(self, y: int) -> Strip:
        """Draw one line of the view: the head, a row, the empty text."""
        width, base = self.size.width, self.rich_style
        if y == 0 and self._keys:
            head = "".join(
                fit(c.title.upper(), n, is_right=c.is_right) + " " * gap_after(n) for c, n in self.columns_for(width)
            )
            style = self.get_component_rich_style("live-table--head")
            return Strip([Segment(" " + head, style)]).adjust_cell_length(width, base)
        index = y - 1 + self.scroll_offset.y
        if index >= len(self._keys) or not self._keys:
            return self._render_beyond(y, width, base)
        key, is_cursor = self._keys[index], index == self.cursor
        strip = self._cache.get((key, width, is_cursor))
        if strip is None:
            if len(self._cache) > CACHE_LIMIT:
                self._cache.clear()
            strip = self._cache[key, width, is_cursor] = self._render_row(key, width, is_cursor=is_cursor)
        return strip

    def _render_beyond(self, y: int, width: int, base: Style) -> Strip:
        room = max(8, width - 2)
        said = () if self._keys else self._empty.split("\n")
        lines = [part for line in said for part in textwrap.wrap(clean(line, 400), room) or [""]]
        at = y - max(0, (self.size.height - len(lines)) // 2 if self.size.height < 8 else 3)
        if not 0 <= at < len(lines):
            return Strip.blank(width, base)
        style = self.get_component_rich_style("live-table--dim")
        text = lines[at]
        return Strip(
            [Segment(set_cell_size(text, min(width, cell_len(text))).center(width), style)]
        ).adjust_cell_length(width, base)

    def _render_row(self, key: Key, width: int, *, is_cursor: bool) -> Strip:
        line = self.get_component_rich_style("live-table--cursor") if is_cursor else self.rich_style
        row = self._row_of(key)
        # The focused cursor has a colour of its own, on which tones would be hard to read; glyph and word remain. With
        # the terminal's own sixteen colours the same is true of the blurred one.
        tone = self._plain if is_cursor and (self.has_focus or self.app.current_theme.ansi) else self._tone
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
