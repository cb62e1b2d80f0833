"""What goes on in PostgreSQL now, as the Database screen shows it: sessions, who waits for whom, long commands, plans.

Ages are seconds by the server's own clock at ``at``; None is not known, never zero.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from qsuite_console.model.advice import Unread

PREPARED = 0  # the pid PostgreSQL gives the holder of a lock that is a prepared transaction


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One backend. ``backend_start`` tells it from a later one with the same pid; None where the role may not see."""

    pid: int
    backend_start: datetime | None = None
    user: str = ""
    database: str = ""
    application: str = ""
    client: str = ""  # address and port, "local socket", "" for a process of the server
    kind: str = ""  # backend_type: "client backend", "autovacuum worker", "parallel worker" …
    leader: int | None = None  # of a parallel worker
    state: str = ""  # "active", "idle", "idle in transaction" …
    wait_type: str = ""  # "" runs on a processor, or sleeps without a reason to tell
    wait_event: str = ""
    query_s: float | None = None  # since its (last) statement began
    transaction_s: float | None = None
    state_s: float | None = None
    query: str = ""  # bounded in lists
    is_cut: bool = False  # there is more of the query
    is_own: bool = False  # of a console
    is_hidden: bool = False  # another role's, and this role may not look

    @property
    def is_worker(self) -> bool:
        """Tell whether it is a process of the server rather than somebody's session."""
        return bool(self.kind) and self.kind != "client backend"

    @property
    def is_in_transaction(self) -> bool:
        """Tell whether it sits in a transaction without doing anything."""
        return self.state.startswith("idle in transaction")

    @property
    def wait(self) -> str:
        """Return what it waits for as one word pair: "Lock: transactionid", "" when it doesn't."""
        if not self.wait_type or (self.wait_type == "Client" and not self.is_in_transaction and self.state == "idle"):
            return ""
        return f"{self.wait_type}: {self.wait_event}"


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``database.activity``: the sessions, the most pressing first; ``total`` counts those left out too."""

    at: datetime
    sessions: tuple[Session, ...]
    total: int
    usable: int  # connections the server gives to ordinary roles
    database: str = ""
    role: str = ""
    unread: tuple[Unread, ...] = ()
    cost_ms: float = 0.0


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """A lock that a session holds or waits for."""

    kind: str  # "relation", "transactionid", "tuple", "advisory" …
    mode: str  # "RowExclusiveLock"
    subject: str  # "public.orders", "row (0,5) of public.orders", "transaction 7141"
    is_granted: bool
    waited_s: float | None = None  # from PostgreSQL 14


class SessionDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``database.session``: one backend with its whole statement, its locks, and whom it waits for."""

    at: datetime
    session: Session | None  # None: it has ended
    locks: tuple[Lock, ...] = ()
    locks_total: int = 0
    waits_for: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()  # who waits for it
    unread: tuple[Unread, ...] = ()
    cost_ms: float = 0.0


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """``waiter`` waits for ``holder``; a prepared transaction has pid 0 and its name in ``gid``."""

    waiter: int
    holder: int
    gid: str = ""


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """What one session waits for."""

    pid: int
    lock: Lock
    holders: int = 0  # how many stand in the way; ``edges`` has a bounded number of each


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A prepared transaction: it holds its locks until somebody commits or rolls it back by name."""

    gid: str
    owner: str = ""
    database: str = ""
    age_s: float | None = None


class Blocking(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``database.blocking``: the edges and everybody in them. ``model.blocking`` makes the tree of it."""

    at: datetime
    edges: tuple[Edge, ...] = ()
    waits: tuple[Wait, ...] = ()
    sessions: tuple[Session, ...] = ()
    prepared: tuple[Prepared, ...] = ()
    waiters: int = 0  # all of them, also beyond the bound of ``waits``
    deadlock_s: float = 1.0  # after how long the server looks for a deadlock
    looks: int = 0  # how often in a row nobody waited, up to now
    clear_since: datetime | None = None  # the first of those looks
    unread: tuple[Unread, ...] = ()
    cost_ms: float = 0.0


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One long command under way; ``total`` 0: the server doesn't know how much there is (COPY from a pipe)."""

    pid: int
    backend_start: datetime | None = None
    command: str  # "VACUUM", "COPY FROM", "CREATE INDEX CONCURRENTLY" …
    user: str = ""
    database: str = ""
    subject: str = ""  # the relation, and the index where there is one
    phase: str = ""
    done: float = 0.0
    total: float = 0.0
    unit: str = ""  # "blocks", "B", "rows", "sessions" …
    detail: str = ""
    running_s: float | None = None
    is_automatic: bool = False  # autovacuum's
    is_own: bool = False
    is_hidden: bool = False

    @property
    def percent(self) -> float | None:
        """Return how far the present phase is, None where that can't be known."""
        return None if self.total <= 0 else min(100.0, 100.0 * self.done / self.total)


class Tasks(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``database.progress``."""

    at: datetime
    tasks: tuple[Task, ...]
    unread: tuple[Unread, ...] = ()
    cost_ms: float = 0.0


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``database.explain``: the plan's lines, or why there is none and what to do."""

    at: datetime
    query: str
    plan: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # what to know of this plan: generic, last statement, other search_path
    refusal: str = ""
    hint: str = ""
    unread: tuple[Unread, ...] = ()
    cost_ms: float = 0.0
