"""What PgBouncer says of itself: its pools, what went through them over the interval, who waits, how it is set."""

from __future__ import annotations

from datetime import datetime

import msgspec

from qsuite_console.model.advice import Finding, Unread


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """Connections of one user to one database; ``size`` is what the pool may open, None unlimited or unknown."""

    database: str
    user: str
    mode: str  # "session", "transaction", "statement"
    clients_active: int
    clients_waiting: int
    servers_active: int
    servers_idle: int
    servers_other: int  # being checked, tested, logged in or cancelled
    max_wait_s: float  # how long the first in the queue has waited
    size: int | None = None

    @property
    def is_full(self) -> bool:
        """Tell whether every server connection the pool may have is at work."""
        return self.size is not None and self.size > 0 and self.servers_active >= self.size


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """What went through to one database over the interval; None until two looks were taken."""

    database: str
    connections: int  # to the server now
    connections_limit: int | None  # None: unlimited
    is_paused: bool = False
    transactions_per_s: float | None = None
    queries_per_s: float | None = None
    received_per_s: float | None = None  # bytes
    sent_per_s: float | None = None  # bytes
    transaction_ms: float | None = None  # mean
    query_ms: float | None = None  # mean
    wait_ms: float | None = None  # mean wait of a transaction for a server connection


class PoolerClient(msgspec.Struct, frozen=True, kw_only=True):
    """One client that waits for a server connection."""

    database: str
    user: str
    address: str
    application: str
    wait_s: float
    connected_s: float | None = None


class PoolerSetting(msgspec.Struct, frozen=True, kw_only=True):
    """One line of SHOW CONFIG that is not at its default."""

    name: str
    value: str
    default: str
    needs_restart: bool = False


class Pooler(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``database.pooler``; rates are over ``interval_s`` seconds that ended at ``at``."""

    at: datetime
    cost_ms: float
    where: str
    version: str = ""
    interval_s: float | None = None
    pools: tuple[Pool, ...] = ()
    passages: tuple[Passage, ...] = ()
    waiting: tuple[PoolerClient, ...] = ()
    clients: int = 0
    clients_limit: int | None = None
    settings: tuple[PoolerSetting, ...] = ()
    findings: tuple[Finding, ...] = ()
    unread: tuple[Unread, ...] = ()
