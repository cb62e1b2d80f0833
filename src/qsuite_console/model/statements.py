"""What statements cost, since their statistics began and over the last moments, as pg_stat_statements counts it.

Times are milliseconds, pages the server's blocks; a share is of everything that ran in this database, 0 to 1.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from qsuite_console.model.advice import Unread


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement did over some time. ``wal`` is bytes; ``jit_ms`` is known from PostgreSQL 15 on."""

    calls: float = 0.0
    total_ms: float = 0.0
    plan_ms: float = 0.0
    io_ms: float = 0.0
    rows: float = 0.0
    hit: float = 0.0
    read: float = 0.0
    temp: float = 0.0
    wal: float = 0.0
    jit_ms: float | None = None

    @property
    def mean_ms(self) -> float | None:
        """Return the mean time of a call, None without one."""
        return self.total_ms / self.calls if self.calls else None

    @property
    def hit_share(self) -> float | None:
        """Return the share of pages found in memory, None where none was asked for."""
        pages = self.hit + self.read
        return self.hit / pages if pages else None


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One normalised statement of one role. ``query_id`` "" is all that a role hides from the console's, together."""

    key: str  # what `database.statement` takes
    query_id: str = ""
    role: str
    is_top_level: bool = True
    query: str
    all: Counters
    max_ms: float = 0.0
    share: float | None = None
    recent: Counters | None = None  # None: no second look yet, or counted anew meanwhile
    recent_share: float | None = None


class Statements(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``database.statements``; ``interval_s`` is how long ``recent`` is, None before the second look."""

    at: datetime
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()
    order: str = "time"
    is_recent: bool = False
    statements: tuple[Statement, ...] = ()
    total: int = 0  # how many there are that fit the filter
    interval_s: float | None = None
    since: datetime | None = None
    evicted: int | None = None  # how often the server had to forget the rarest ones
    capacity: int | None = None  # pg_stat_statements.max
    total_ms: float = 0.0
    recent_ms: float | None = None
    block_size: int = 8192


class StatementText(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``database.statement``: one statement with its whole text; ``is_cut``: it was longer than is shown."""

    at: datetime
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()
    statement: Statement | None = None  # None: the server has forgotten it
    text: str = ""
    is_cut: bool = False
    interval_s: float | None = None
    since: datetime | None = None
    block_size: int = 8192
