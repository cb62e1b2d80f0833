"""Families of keys: which names take the memory, how long they live; Enter lists the keys of one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from textual import work
from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.model.cache import Family, FamilyPanel
from qsuite_console.screens.cache_listing import CacheListing
from qsuite_console.screens.cache_views import histogram, histogram_words
from qsuite_console.screens.listing import glyph, share
from qsuite_console.screens.panes import contains
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Key, Row

_USES = {"broker": "broker", "results": "results", "cache": "cache"}
_MANY_AGELESS = 0.5


class FamiliesPane(CacheListing[FamilyPanel, Family]):
    """Estimated from a bounded sample; what is exact is said to be so."""

    NAME, TITLE, PROBE, KIND = "families", "Families", "cache.families", FamilyPanel
    PERIOD_S = 30.0
    EMPTY = "This database holds no key"
    FILTER = "words of the family's name or use"
    SCOPE = "families"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("families")
    BINDING_GROUP_TITLE = commands.SCOPES["families"]
    ORDERS: ClassVar[Mapping[str, str]] = {
        "size": "by memory",
        "keys": "by keys",
        "mean": "by memory of a key",
        "ageless": "by keys without TTL",
        "name": "by name",
    }
    RANKS: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "size": lambda f: (-(f.size or 0), -f.keys, f.name),
        "keys": lambda f: (-f.keys, f.name),
        "mean": lambda f: (-(f.size or 0) / max(1.0, f.keys), f.name),
        "ageless": lambda f: (-(f.ageless or 0) * f.keys, f.name),
        "name": lambda f: (not f.name, f.name),
    }
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=95),
        Column("name", "Family", 24, is_flexible=True, keep=100),
        Column("use", "Use", 7, keep=40, at_least=84),
        Column("keys", "Keys", 8, is_right=True, keep=100),
        Column("part", "", 4, is_right=True, keep=30, at_least=100),
        Column("size", "Memory", 10, is_right=True, keep=95),
        Column("mean", "Each", 9, is_right=True, keep=60),
        Column("ageless", "No TTL", 6, is_right=True, keep=85),
        Column("ttl", "TTL", 7, keep=80),
        Column("types", "Types", 14, keep=20, at_least=100),
    )

    def all_entries(self, answer: FamilyPanel) -> Mapping[Key, Family]:
        """Return the families by name and use."""
        return {f"{family.use} {family.name}": family for family in answer.families}

    def matches(self, entry: Family) -> bool:
        """Return whether the filter's words are in it."""
        return contains(self.text, entry.name, _USES.get(entry.use, ""))

    def head(self, answer: FamilyPanel, now: datetime) -> str:
        """Return what was looked at: a sample says how big it was."""
        number = self.counted(answer, "family").replace("familys", "families")
        if answer.is_whole:
            seen = f"all {answer.total:,} names seen"
        else:
            seen = f"≈ estimated from {answer.seen:,} of {answer.total:,} names"
        return f"{number} {self.ORDERS[self.order]} · {seen}, {answer.measured:,} keys measured"

    def row(self, entry: Family) -> Row:
        """Return one line."""
        answer = self.answer
        about = "" if answer is None or answer.is_whole else "≈"
        total = sum(family.size or 0 for family in answer.families) if answer is not None else 0
        is_lasting = entry.use != "broker" and entry.ageless is not None and entry.ageless >= _MANY_AGELESS
        return {
            "glyph": glyph("warn") if is_lasting else " ",
            "name": Cell(entry.name or "(all others)", "" if entry.name else "dim"),
            "use": Cell(_USES.get(entry.use, ""), "dim" if entry.use == "cache" else "accent"),
            "keys": f"{about}{figures.short(entry.keys)}",
            "part": Cell(figures.percent(entry.size / total) if entry.size and total else "", "dim"),
            "size": figures.DASH if entry.size is None else f"≈{figures.size(entry.size)}",
            "mean": figures.DASH if entry.size is None else figures.size(entry.size / max(1.0, entry.keys)),
            "ageless": Cell(share(entry.ageless), "warn" if is_lasting else ""),
            "ttl": Cell(histogram(entry.ttl), "run"),
            "types": Cell(" ".join(sorted(entry.types)), "dim"),
        }

    def foot(self, entry: Family, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield its lives, an example, and what the blocks mean."""
        yield "text", f"expire in: {histogram_words(entry.ttl)}"
        measured = f"{entry.measured:,} of {entry.seen:,} names seen were measured"
        yield "dim", f"{measured} · for example {entry.example}"

    @work(exclusive=True, group="row")
    async def open_entry(self) -> None:
        """List the family's keys."""
        if (entry := self.table.entry) is not None:
            await self.paned.console.go("cache", pane="keys", filter=pattern_of(entry))

    def action_copy(self) -> None:
        """Copy the pattern of the family's keys."""
        if (entry := self.table.entry) is not None:
            self.copy(pattern_of(entry) or "*", "the pattern")


def pattern_of(family: Family) -> str:
    """Return the glob that finds a family's keys: digits and tokens are any, odd bytes are one character each."""
    if not family.name:
        return ""
    text = re.sub(r"\\x[0-9a-f]{2}|\\\\|[\[\]?]", "?", family.name)
    return re.sub(r"\*+", "*", text.replace("#", "*"))
