"""The console's own dear answers: how often each was asked for and where it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.model.warmth import AnswersPanel, AnswerUse
from qsuite_console.screens.cache_listing import CacheListing
from qsuite_console.screens.listing import labelled, milliseconds, share
from qsuite_console.screens.panes import contains
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Key, Row


class AnswersPane(CacheListing[AnswersPanel, AnswerUse]):
    """Counters since the engine started; they need no server."""

    NAME, TITLE, PROBE, KIND = "answers", "Answers", "cache.answers", AnswersPanel
    PERIOD_S = 2.0
    SOURCE = "console"
    EMPTY = "Nothing dear was asked yet: the Market screen asks for volatility, positions and movers"
    FILTER = "words of the answer's name"
    SCOPE = "answers"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("answers")
    BINDING_GROUP_TITLE = commands.SCOPES["answers"]
    ORDERS: ClassVar[Mapping[str, str]] = {
        "asked": "most asked first",
        "load": "longest load first",
        "size": "most memory first",
        "name": "by name",
    }
    RANKS: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "asked": lambda use: (-use.asked, use.name),
        "load": lambda use: (-(use.load_ms or 0.0), use.name),
        "size": lambda use: (-use.size, use.name),
        "name": lambda use: use.name,
    }
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("name", "Answer", 18, is_flexible=True, keep=100),
        Column("asked", "Asked", 7, is_right=True, keep=95),
        Column("hit", "Hits", 5, is_right=True, keep=90),
        Column("memory", "Memory", 7, is_right=True, keep=80),
        Column("shared", "Redis", 7, is_right=True, keep=80),
        Column("joined", "Joined", 6, is_right=True, keep=70),
        Column("loads", "Loads", 6, is_right=True, keep=85),
        Column("load", "Each", 8, is_right=True, keep=60),
        Column("evicted", "Evicted", 7, is_right=True, keep=40, at_least=90),
        Column("forgotten", "Forgotten", 9, is_right=True, keep=35, at_least=100),
        Column("size", "Held", 9, is_right=True, keep=50, at_least=90),
    )

    def all_entries(self, answer: AnswersPanel) -> Mapping[Key, AnswerUse]:
        """Return the answers by name."""
        return {use.name: use for use in answer.uses}

    def matches(self, entry: AnswerUse) -> bool:
        """Return whether the filter's words are in it."""
        return contains(self.text, entry.name)

    def head(self, answer: AnswersPanel, now: datetime) -> str:
        """Return where answers are kept, and how well that goes."""
        asked = sum(use.asked for use in answer.uses)
        spared = sum(use.memory_hits + use.shared_hits + use.joined for use in answer.uses)
        rate = f" · {share(spared / asked)} without a load" if asked else ""
        return f"{self.counted(answer, 'answer')}, {self.ORDERS[self.order]}{rate} · {_where(answer)}"

    def row(self, entry: AnswerUse) -> Row:
        """Return one line."""
        return {
            "name": entry.name,
            "asked": figures.short(entry.asked),
            "hit": share(entry.hit_rate),
            "memory": figures.short(entry.memory_hits),
            "shared": figures.short(entry.shared_hits),
            "joined": figures.short(entry.joined),
            "loads": Cell(f"▲ {figures.short(entry.loads)}", "warn") if entry.failed else figures.short(entry.loads),
            "load": milliseconds(entry.load_ms),
            "evicted": figures.short(entry.evictions),
            "forgotten": figures.short(entry.forgotten),
            "size": figures.size(entry.size),
        }

    def foot(self, entry: AnswerUse, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield what the columns mean for this one, and what went wrong."""
        held = f"{figures.plural(entry.entries, 'answer')} in memory, {figures.size(entry.size)}"
        yield "text", f"{held} · {figures.plural(entry.loads, 'load')} of {milliseconds(entry.load_ms)} on average"
        if entry.failed or entry.errors:
            yield "warn", f"{figures.plural(entry.failed, 'load')} failed · Redis failed {entry.errors:,} times"
        else:
            yield "dim", f"joined: waited for another's load · forgotten {entry.forgotten:,}: a job changed the data"

    def full(self, entry: AnswerUse) -> tuple[str, str]:
        """Return every counter."""
        return entry.name, labelled(
            (
                ("asked for", f"{entry.asked:,}"),
                ("from memory", f"{entry.memory_hits:,}"),
                ("from Redis", f"{entry.shared_hits:,}"),
                ("not there", f"{entry.misses:,}"),
                ("joined another", f"{entry.joined:,}"),
                ("loads", f"{entry.loads:,}, {entry.failed:,} failed"),
                ("mean of a load", milliseconds(entry.load_ms)),
                ("evicted", f"{entry.evictions:,}"),
                ("forgotten", f"{entry.forgotten:,}"),
                ("failures of Redis", f"{entry.errors:,}"),
                ("held in memory", f"{entry.entries:,} of {figures.size(entry.size)}"),
            )
        )


def _where(answer: AnswersPanel) -> str:
    if not answer.is_kept:
        return "nothing is kept"
    if not answer.is_shared:
        return "kept in memory only"
    return "kept in memory and Redis" if answer.hears else "other consoles are not heard: memory rests"
