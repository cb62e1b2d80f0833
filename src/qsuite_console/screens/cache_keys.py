"""Keys of Redis: the biggest of a sample, or all of them page by page; Enter looks into one, D deletes it.

A filter is the server's business (SCAN with a pattern). Pages that came stay while the order and the pattern do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content

from qsuite_console import commands
from qsuite_console.model.cache import Key as CacheKey
from qsuite_console.model.cache import KeyDetail, KeyOrder, KeyPage
from qsuite_console.screens.cache_listing import CacheListing
from qsuite_console.screens.cache_views import key_lines, life, life_tone
from qsuite_console.screens.operating import operate
from qsuite_console.screens.questions import Question
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Key, Row
from qsuite_console.widgets.text_view import TextView

PAGE: Final = 500
_SPECIAL: Final = re.compile(r"\\\\|[*?\[\]]")  # of an escaped name: what a pattern would take for a sign
MOST: Final = 50_000  # rows kept at once; a pattern leads to the others


class KeysPane(CacheListing[KeyPage, CacheKey]):
    """The list, and over it the key that is open."""

    NAME, TITLE, PROBE, KIND = "keys", "Keys", "cache.keys", KeyPage
    PERIOD_S = 60.0  # a look at many keys is not taken by itself all the time; r takes one
    EMPTY = "This database holds no key"
    FILTER = "part of a name, or a pattern: price:*, *:1Min:?, [ab]*"
    SCOPE = "keys"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("keys")
    BINDING_GROUP_TITLE = commands.SCOPES["keys"]
    ORDERS: ClassVar[Mapping[str, str]] = {KeyOrder.BIGGEST: "biggest first", KeyOrder.SCAN: "as the server has them"}
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("name", "Key", 30, is_flexible=True, keep=100),
        Column("type", "Type", 7, keep=80),
        Column("size", "Memory", 9, is_right=True, keep=100),
        Column("life", "Expires in", 10, is_right=True, keep=90),
    )
    DEFAULT_CSS = """
    KeysPane #key-detail { display: none; }
    KeysPane.-open #key-detail { display: block; }
    KeysPane.-open .listing--head, KeysPane.-open .listing--foot, KeysPane.-open #keys-table { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._detail = TextView(id="key-detail", classes="panel")
        self._key: Question[KeyDetail] = Question("cache.key", KeyDetail, 2.0, slack_s=0.3, retry_s=1.0)
        self._opened = ""  # the name of the key that is looked into
        self._subject: tuple[str, str] = ("", "")
        self._pages: list[KeyPage] = []  # those after the first
        self._drawn: tuple[KeyPage, int] | None = None
        self._is_loading = False

    def compose_pane(self) -> ComposeResult:
        """Yield the list, and the open key over it."""
        yield from super().compose_pane()
        yield self._detail

    def parameters(self) -> Mapping[str, Any]:
        """Return order and pattern."""
        return {"order": str(self.order), "pattern": self.text, "limit": PAGE}

    def further(self) -> Iterable[tuple[Question[Any], Mapping[str, Any]]]:
        """Yield the question about the open key."""
        if self._opened:
            yield self._key, {"key": self._opened}

    def ask_due(self) -> None:
        """Ask for the list, and about the open key."""
        super().ask_due()
        for question, parameters in self.further():
            self.paned.feed.ask(question, parameters)

    def has_nothing(self, answer: KeyPage) -> bool:
        """Return whether there is no key at all."""
        return answer.total == 0

    def all_entries(self, answer: KeyPage) -> Mapping[Key, CacheKey]:
        """Return the keys of every page that came."""
        return {key.name: key for page in (answer, *self._pages) for key in page.keys}

    def show_answer(self, answer: KeyPage, now: datetime) -> None:
        """Show the keys; nothing is drawn again while they are the same."""
        subject = (str(answer.order), answer.pattern)
        if subject != self._subject:
            self._subject, self._pages = subject, []
        if self._opened:
            self._show_key(now)
        if self._drawn is None or self._drawn[0] is not answer or self._drawn[1] != len(self._pages):
            self._drawn = (answer, len(self._pages))
            super().show_answer(answer, now)
            if not self.table.keys and self._cursor:
                self._load_more()

    def head(self, answer: KeyPage, now: datetime) -> str:
        """Return how many keys are shown, and of how many looked at."""
        number = figures.plural(len(self.table.keys), "key")
        total = f"{answer.total:,} keys"
        which = f" that match {answer.pattern}" if answer.pattern else ""
        if answer.order is KeyOrder.BIGGEST:
            if answer.is_whole:
                return f"biggest {number}{which} of all {total}"
            looked = f"{answer.sized:,} sized of {answer.looked_at:,} names seen"
            return f"biggest {number}{which} of a sample: {looked}, {total} in all"
        looked_at = sum(page.looked_at for page in (answer, *self._pages))
        rest = f"{looked_at:,} of {total} looked at" if self._cursor else f"all {total} looked at"
        more = " · loading more" if self._is_loading else " · End loads more" if self._cursor else ""
        return f"{number}{which} · {rest}{more}"

    def row(self, entry: CacheKey) -> Row:
        """Return one line; the life is as it was when the key was looked at."""
        return {
            "name": entry.name,
            "type": entry.type or figures.DASH,
            "size": figures.size(entry.size),
            "life": Cell(life(entry.ttl_s, entry.is_lasting), life_tone(entry.is_lasting)),
        }

    def foot(self, entry: CacheKey, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield the whole name of a key whose line is too short for it."""
        yield "text", entry.name
        if entry.is_cut:
            yield "warn", "its name is too long to be handled here"
        elif self.order == KeyOrder.BIGGEST:
            yield "dim", "Enter looks into it · s lists all keys, page by page"
        else:
            yield "dim", "Enter looks into it · s lists the biggest of a sample"

    # pages

    @property
    def _cursor(self) -> str:
        last = self._pages[-1] if self._pages else self.answer
        return "" if last is None or last.order is not KeyOrder.SCAN else last.cursor

    def on_live_table_tail_reached(self) -> None:
        """Load the next page."""
        if self._cursor and len(self.table.keys) < MOST:
            self._load_more()

    @work(exclusive=True, group="keys")
    async def _load_more(self) -> None:
        subject, cursor = self._subject, self._cursor
        if not cursor:
            return
        self._is_loading = True
        try:
            asked = {**self.parameters(), "cursor": cursor}
            page = await self.paned.attempt(self.paned.control.ask(self.PROBE, asked))
        finally:
            self._is_loading = False
        if isinstance(page, KeyPage) and subject == self._subject and cursor == self._cursor:
            self._pages.append(page)
            self.refresh_pane()

    def reload(self) -> None:
        """Begin with the first page again."""
        self._pages, self._drawn = [], None
        super().reload()

    def action_order(self) -> None:
        """List the biggest of a sample, or all keys."""
        self.action_sort()

    # one key

    @work(exclusive=True, group="row")
    async def open_entry(self) -> None:
        """Look into the key under the cursor."""
        entry = self.table.entry
        if entry is None or entry.is_cut:
            return
        self._opened = entry.name
        self._detail.show(Content.styled("Loading…", "$dim"))
        self._detail.border_title = Content(entry.name[:100])
        self.add_class("-open")
        self._detail.scroll_home(animate=False)
        self.call_after_refresh(self._detail.focus)
        self.ask_due()
        self.screen.refresh_bindings()

    def back(self) -> bool:
        """Leave the open key."""
        if not self._opened:
            return False
        self._opened = ""
        self.remove_class("-open")
        self.call_after_refresh(self.table.focus)
        self.screen.refresh_bindings()
        return True

    def _show_key(self, now: datetime) -> None:
        question = self._key
        if question.problem:
            lines = [Content.styled(f"✖ {question.problem}", "$error"), Content.styled(question.hint, "$dim")]
            self._detail.show(Content("\n").join(lines))
        elif (answer := question.answer) is not None and answer.name == self._opened:
            self._detail.show(lambda width: key_lines(answer, width))

    # keys

    def doomed(self) -> tuple[str, str]:
        """Return what an invalidation would be about: the pattern that is shown, or the key under the cursor."""
        if self.text:
            return "pattern", self.text if any(mark in self.text for mark in "*?[") else f"*{self.text}*"
        return "pattern", _SPECIAL.sub(lambda found: "\\\\" + found[0], self._subject_key)

    @property
    def _subject_key(self) -> str:
        entry = self.table.entry
        return self._opened or ("" if entry is None or entry.is_cut else entry.name)

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        if condition == "list":
            return not self._opened
        return bool(self._subject_key) if condition == "key" else super().holds(condition)

    def action_copy(self) -> None:
        """Copy the name; of an open key also what is shown of it."""
        name = self._subject_key
        if name:
            text = f"{name}\n{self._detail.plain}" if self._opened else name
            self.copy(text, "key and value" if self._opened else "the key's name")

    @work(exclusive=True, group="operate")
    async def action_delete(self) -> None:
        """Delete the key, after asking."""
        name = self._subject_key
        if name and await operate(self.paned, "cache.delete-key", {"key": name}):
            self.back()
            self.reload()
