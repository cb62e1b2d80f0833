"""What the cache's tables share: answers are small enough to be ordered and filtered here, keys copy and open a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

import msgspec
from textual import work

from qsuite_console.model.text import clean
from qsuite_console.screens.listing import Listing
from qsuite_console.widgets.live_table import Key

if TYPE_CHECKING:
    from qsuite_console.terminal import TerminalGuard

A = TypeVar("A", bound=msgspec.Struct)
E = TypeVar("E")


class CacheListing(Listing[A, E], Generic[A, E]):
    """A pane of one table whose order and filter are its own business; ``RANKS`` order its entries, biggest first."""

    RANKS: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}

    def parameters(self) -> Mapping[str, Any]:
        """Return nothing: there is nothing to choose."""
        return {}

    def all_entries(self, answer: A) -> Mapping[Key, E]:
        """Return everything that was answered."""
        raise NotImplementedError

    def matches(self, entry: E) -> bool:
        """Return whether the filter shows an entry."""
        return True

    def entries(self, answer: A) -> Mapping[Key, E]:
        """Return what the filter shows, in the order chosen."""
        shown = [(key, entry) for key, entry in self.all_entries(answer).items() if self.matches(entry)]
        rank = self.RANKS.get(self.order)
        if rank is not None:
            shown.sort(key=lambda pair: rank(pair[1]))
        return dict(shown)

    def has_nothing(self, answer: A) -> bool:
        """Return whether nothing was answered at all."""
        return not self.all_entries(answer)

    def counted(self, answer: A, word: str) -> str:
        """Return how many are shown: "12 of 40 clients", "40 clients"."""
        number, shown = len(self.all_entries(answer)), len(self.table.keys)
        words = f"{number:,} {word}{'' if number == 1 else 's'}"
        return f"{shown:,} of {words}" if shown != number else words

    def full(self, entry: E) -> tuple[str, str]:
        """Return title and text of a row in full."""
        raise NotImplementedError

    def on_live_table_opened(self) -> None:
        """Open the row under the cursor."""
        self.open_entry()

    @work(exclusive=True, group="row")
    async def open_entry(self) -> None:
        """Show the row in full."""
        if (entry := self.table.entry) is not None:
            await self.read(*self.full(entry))

    def copy(self, text: str, what: str) -> None:
        """Copy a text and say so."""
        cast("TerminalGuard[object]", self.app).copy_text(clean(text, 20_000, one_line=False))
        self.paned.tell(f"Copied {what}")
