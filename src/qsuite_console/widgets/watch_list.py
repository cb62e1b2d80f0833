"""The market's watch list: quotes by symbol, drawn with their ages as lines of a LiveTable."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from qsuite_console.model.market import Quote
from qsuite_console.widgets import market_views
from qsuite_console.widgets.live_table import Key, LiveTable, Row


class WatchList(LiveTable):
    """Only the lines on the screen are made anew: all of five hundred would stop the keys for a moment."""

    def __init__(self, *, id: str, classes: str) -> None:
        super().__init__(market_views.COLUMNS, self._row, empty="Loading…", id=id, classes=classes)
        self._quotes: dict[Key, Quote] = {}
        self._rows: dict[Key, Row] = {}
        self._at: datetime | None = None
        self._is_stale = False

    @property
    def quote(self) -> Quote | None:
        """Return the quote under the cursor."""
        return None if self.current is None else self._quotes.get(self.current)

    def take(self, quotes: Sequence[Quote]) -> None:
        """Show other quotes, in this order."""
        self._quotes = {quote.symbol: quote for quote in quotes}
        if list(self.keys) != list(self._quotes):
            self.set_keys(self._quotes)

    def draw(self, now: datetime, *, is_stale: bool) -> None:
        """Bring the lines on the screen up to date; those that look the same are not painted again."""
        self._at, self._is_stale = now, is_stale
        rows = {key: self._make(key) for key in self.on_screen}
        gone = self._rows.keys() - rows.keys()
        self.touch([*gone, *(key for key, row in rows.items() if row != self._rows.get(key))])
        self._rows = rows

    def _row(self, key: Key) -> Row:
        if key not in self._rows:
            self._rows[key] = self._make(key)
        return self._rows[key]

    def _make(self, key: Key) -> Row:
        quote = self._quotes.get(key)
        if quote is None or self._at is None:
            return {}
        return market_views.watch_row(quote, self._at, is_stale=self._is_stale)
