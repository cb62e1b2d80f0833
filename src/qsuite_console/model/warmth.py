"""How warm the platform's cache is, family by family, and how well the console's own answers are kept."""

from __future__ import annotations

from datetime import datetime

import msgspec

from qsuite_console.model.advice import Unread


class Warmth(msgspec.Struct, frozen=True, kw_only=True):
    """One family that the platform reads. Ages are of the data, as the values themselves say; None: not known."""

    family: str  # "price"
    prefix: str  # "price:"
    kind: str = ""  # the job that warms it, "" where none does
    subject: str = ""  # "symbol", "user"
    expected: int | None = None  # keys that a warming writes
    whose: str = ""  # what is expected: "active symbols with a bar"
    present: int | None = None  # of them in the cache, counted
    read: int = 0  # values whose age was read
    newest: datetime | None = None
    oldest: datetime | None = None

    @property
    def coverage(self) -> float | None:
        """Return the share of expected keys that are there, 0 to 1; None where nothing is known or expected."""
        if self.present is None or not self.expected:
            return None
        return min(1.0, self.present / self.expected)


class WarmthPanel(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``cache.warmth``, in the order of the platform's table of families."""

    at: datetime
    families: tuple[Warmth, ...] = ()
    unread: tuple[Unread, ...] = ()
    cost_ms: float = 0.0


class AnswerUse(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of answer was come by since the engine started. ``size`` is in bytes."""

    name: str  # "market.positions"
    memory_hits: int = 0
    shared_hits: int = 0
    misses: int = 0  # no level had it
    joined: int = 0  # of those, waited for another's loading
    loads: int = 0
    failed: int = 0
    load_ms: float | None = None  # mean of a load
    evictions: int = 0
    forgotten: int = 0
    errors: int = 0
    entries: int = 0
    size: int = 0

    @property
    def asked(self) -> int:
        """Return how often it was asked for."""
        return self.memory_hits + self.shared_hits + self.misses

    @property
    def hit_rate(self) -> float | None:
        """Return the share that a level had or another asker brought, 0 to 1."""
        return (self.memory_hits + self.shared_hits + self.joined) / self.asked if self.asked else None


class AnswersPanel(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``cache.answers``. ``is_shared``: Redis is the second level; ``hears``: other consoles are heard."""

    at: datetime
    is_kept: bool = True
    is_shared: bool = False
    hears: bool = False
    uses: tuple[AnswerUse, ...] = ()
