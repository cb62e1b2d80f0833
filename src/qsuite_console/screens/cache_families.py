"""Families of keys: which names take the memory, how long they live, and of those that the platform reads how warm they
are. A family that should be there and has no key is listed too: it can be warmed from here. Enter lists the keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import work
from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.model.cache import Family, FamilyPanel
from qsuite_console.model.warmth import Warmth, WarmthPanel
from qsuite_console.screens.cache_listing import CacheListing
from qsuite_console.screens.cache_views import histogram, histogram_words
from qsuite_console.screens.listing import glyph, share
from qsuite_console.screens.panes import contains
from qsuite_console.screens.questions import Question
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Key, Row
from qsuite_console.widgets.status_bar import reading_of

if TYPE_CHECKING:
    from qsuite_console.screens.cache import CacheScreen

_USES = {"broker": "broker", "results": "results", "cache": "cache"}
_MANY_AGELESS = 0.5
_ALL = 0.99  # of the keys expected: a symbol may have got its first bar a moment ago


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
        "warm": "coldest first",
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
        Column("mean", "Each", 9, is_right=True, keep=40),
        Column("warm", "Warm", 5, is_right=True, keep=90),
        Column("age", "Data old", 9, is_right=True, keep=60, at_least=84),
        Column("ageless", "No TTL", 6, is_right=True, keep=85),
        Column("ttl", "TTL", 7, keep=80),
        Column("types", "Types", 14, keep=20, at_least=100),
    )

    def __init__(self) -> None:
        super().__init__()
        self._warmth: Question[WarmthPanel] = Question("cache.warmth", WarmthPanel, 30.0, slack_s=0.3, retry_s=5.0)

    def further(self) -> Iterable[tuple[Question[Any], Mapping[str, Any]]]:
        """Yield the question about warmth."""
        yield self._warmth, {}

    def ask_due(self) -> None:
        """Ask for the families, and how warm they are."""
        super().ask_due()
        for question, parameters in self.further():
            self.paned.feed.ask(question, parameters, is_kept=True)

    def entries(self, answer: FamilyPanel) -> Mapping[Key, Family]:
        """Return what the filter shows, in the order chosen; what is known to be cold only here."""
        found = super().entries(answer)
        if self.order != "warm":
            return found
        ranked = sorted(found, key=lambda key: (*_cold(self.warmth_of(found[key])), found[key].name))
        return {key: found[key] for key in ranked}

    def warmth_of(self, entry: Family | None) -> Warmth | None:
        """Return how warm a family is; None of one that the platform doesn't read, or where it is not known yet."""
        if entry is None or self._warmth.answer is None:
            return None
        return next((one for one in self._warmth.answer.families if f"{one.prefix}*" == entry.name), None)

    def all_entries(self, answer: FamilyPanel) -> Mapping[Key, Family]:
        """Return the families by name and use, those without a key that should have some too."""
        found: dict[Key, Family] = {f"{family.use} {family.name}": family for family in answer.families}
        for one in self._warmth.answer.families if self._warmth.answer is not None else ():
            name = f"{one.prefix}*"
            found.setdefault(f"cache {name}", Family(name=name, seen=0, keys=one.present or 0, measured=0))
        return found

    def matches(self, entry: Family) -> bool:
        """Return whether the filter's words are in it."""
        return contains(self.text, entry.name, _USES.get(entry.use, ""))

    def head(self, answer: FamilyPanel, now: datetime) -> str:
        """Return what was looked at: a sample says how big it was."""
        number = self.counted(answer, "family").replace("familys", "families")
        if answer.is_whole:
            seen = f"all {answer.total:,} names seen"
        else:
            seen = f"≈ from {answer.seen:,} of {answer.total:,} names"
        trouble = f" · ▲ how warm: {self._warmth.problem}" if self._warmth.problem else ""
        return f"{number} {self.ORDERS[self.order]} · {seen}{self._hit_rate()}{trouble}"

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
            "keys": f"{about if entry.seen else ''}{figures.short(entry.keys)}",
            "part": Cell(figures.percent(entry.size / total) if entry.size and total else "", "dim"),
            "size": figures.DASH if entry.size is None else f"≈{figures.size(entry.size)}",
            "mean": figures.DASH if entry.size is None else figures.size(entry.size / max(1.0, entry.keys)),
            "warm": _coverage(self.warmth_of(entry)),
            "age": Cell(_ages(self.warmth_of(entry), self.paned.now), "dim"),
            "ageless": Cell(share(entry.ageless), "warn" if is_lasting else ""),
            "ttl": Cell(histogram(entry.ttl), "run"),
            "types": Cell(" ".join(sorted(entry.types)), "dim"),
        }

    def foot(self, entry: Family, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield how warm it is, its lives, an example, and what the blocks mean."""
        warmth = self.warmth_of(entry)
        if warmth is not None:
            yield self._how_warm(warmth, now)
        if not entry.seen:
            yield "dim", f"no key of it was seen{' · w warms it' if warmth is not None and warmth.kind else ''}"
            return
        yield "text", f"expire in: {histogram_words(entry.ttl)}"
        measured = f"{entry.measured:,} of {entry.seen:,} names seen were measured"
        yield "dim", f"{measured} · for example {entry.example}"

    def _how_warm(self, warmth: Warmth, now: datetime) -> tuple[str, str]:
        panel = self._warmth.answer
        if warmth.expected is None or warmth.present is None:
            why = next((f": {one.why}" for one in panel.unread), "") if panel is not None else ""
            return "warn", f"how warm it is can't be told{why}"
        age = f" · data {_ages(warmth, now)} old, by {figures.plural(warmth.read, 'value')}" if warmth.read else ""
        return _tone(warmth), f"{warmth.present:,} of {warmth.expected:,} {warmth.whose}{age}"

    def _hit_rate(self) -> str:
        reading = reading_of(self.paned.state, "redis")
        known = () if reading is None else (reading.headline, *reading.figures)
        said = next((figure.text for figure in known if figure.label == "hit rate"), "")
        return f" · hit rate {said}" if said else ""

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        if condition == "warm":
            warmth = self.warmth_of(self.table.entry)
            return warmth is not None and bool(warmth.kind)
        return super().holds(condition)

    @work(exclusive=True, group="operate")
    async def action_warm(self) -> None:
        """Warm the family under the cursor now."""
        warmth = self.warmth_of(self.table.entry)
        if warmth is not None and warmth.kind:
            await cast("CacheScreen", self.paned).run_job(warmth.kind, {})

    def doomed(self) -> tuple[str, str]:
        """Return what an invalidation would be about: the family under the cursor."""
        entry = self.table.entry
        known = self.warmth_of(entry)
        if known is not None:
            return "family", known.family
        return ("pattern", pattern_of(entry)) if entry is not None and entry.name else ("symbol", "")

    @work(exclusive=True, group="row")
    async def open_entry(self) -> None:
        """List the family's keys."""
        if (entry := self.table.entry) is not None:
            await self.paned.console.go("cache", pane="keys", filter=pattern_of(entry))

    def action_copy(self) -> None:
        """Copy the pattern of the family's keys."""
        if (entry := self.table.entry) is not None:
            self.copy(pattern_of(entry) or "*", "the pattern")


def _cold(warmth: Warmth | None) -> tuple[bool, bool, float]:
    """Return by what families are ordered: how cold they are, then what is not known, then those that nobody warms."""
    share_there = None if warmth is None else warmth.coverage
    return warmth is None, share_there is None, share_there or 0.0


def _tone(warmth: Warmth) -> str:
    return "dim" if not warmth.coverage else "ok" if warmth.coverage >= _ALL else "warn"


def _coverage(warmth: Warmth | None) -> Cell:
    if warmth is None:
        return Cell("", "dim")
    if warmth.coverage is None:
        return Cell(figures.DASH, "dim")
    return Cell(share(warmth.coverage), _tone(warmth))


def _ages(warmth: Warmth | None, now: datetime) -> str:
    """Return how old the newest and the oldest value are: "12s-3m", one figure where they are the same."""
    if warmth is None or warmth.newest is None or warmth.oldest is None:
        return ""
    young, old = (figures.age((now - at).total_seconds()) for at in (warmth.newest, warmth.oldest))
    return young if young == old else f"{young}–{old}"


def pattern_of(family: Family) -> str:
    """Return the glob that finds a family's keys: digits and tokens are any, odd bytes are one character each."""
    if not family.name:
        return ""
    text = re.sub(r"\\x[0-9a-f]{2}|\\\\|[\[\]?]", "?", family.name)
    return re.sub(r"\*+", "*", text.replace("#", "*"))
