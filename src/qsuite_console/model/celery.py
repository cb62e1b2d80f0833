"""What is seen of Celery on Redis, whoever's workers they are. Times are seconds, rates per second.

Arguments and results of tasks are nowhere in it. None is what was not measured or not told.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from qsuite_console.model.advice import Unread


class CeleryStep(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of one priority step; 0 is taken first."""

    priority: int
    waiting: int


class CeleryQueue(msgspec.Struct, frozen=True, kw_only=True):
    """One queue: what waits in it, and who takes it. ``growth``: messages a second over the last minutes."""

    name: str
    waiting: int
    steps: tuple[CeleryStep, ...] = ()  # that hold something
    growth: float | None = None
    workers: tuple[str, ...] | None = None  # that consume it; None: they could not be asked
    drain_s: float | None = None  # until it is empty at the pace of its workers; None: nobody knows
    is_ours: bool = False  # carries the console's own jobs


class CeleryQueues(msgspec.Struct, frozen=True, kw_only=True):
    """All queues of a broker, and what is under way: taken by workers and not acknowledged."""

    at: datetime
    where: str
    queues: tuple[CeleryQueue, ...] = ()
    in_flight: int = 0
    oldest_s: float | None = None  # of what is under way
    visibility_s: float | None = None  # after which the broker hands it out again
    is_whole: bool = True  # False: the broker's keys were not all looked at yet
    left_out: int = 0
    unread: tuple[Unread, ...] = ()
    cost_ms: float = 0.0


class Presence(StrEnum):
    """How a worker stands by its heartbeats and answers."""

    ONLINE = "online"
    MUTE = "mute"  # answers, sends no heartbeats
    SILENT = "silent"  # its heartbeats stopped
    OFFLINE = "offline"  # it said goodbye


class CeleryWorker(msgspec.Struct, frozen=True, kw_only=True):
    """One worker: what it says of itself."""

    name: str
    presence: Presence
    heard_s: float | None = None  # since its last heartbeat
    pid: int | None = None
    version: str = ""
    pool: str = ""  # "prefork", "threads"
    concurrency: int | None = None
    prefetch: int | None = None  # messages it takes at most
    active: int | None = None
    reserved: int | None = None  # taken, not begun
    scheduled: int | None = None  # taken, to begin later
    processed: int | None = None  # since it started
    rate: float | None = None  # ended a second, over the last minutes
    uptime_s: float | None = None
    memory: int | None = None  # bytes at most so far, of its main process
    load: float | None = None  # of its host
    ahead_s: float | None = None  # its clock against ours
    queues: tuple[str, ...] | None = None
    registered: tuple[str, ...] | None = None  # names of tasks it can run
    totals: dict[str, int] = {}  # task -> how many it ended
    has_events: bool = False  # it told of a task's fate lately


class CeleryWorkers(msgspec.Struct, frozen=True, kw_only=True):
    """The workers of a broker. ``listening``: how many would hear a command now."""

    at: datetime
    where: str
    workers: tuple[CeleryWorker, ...] = ()
    listening: int | None = None
    heard_for_s: float = 0.0  # how long their heartbeats were listened to
    unread: tuple[Unread, ...] = ()
    cost_ms: float = 0.0


class CeleryTask(msgspec.Struct, frozen=True, kw_only=True):
    """One task that a worker has. ``state``: active, reserved or scheduled."""

    id: str
    name: str
    state: str
    worker: str
    queue: str = ""
    priority: int | None = None
    started_at: datetime | None = None
    eta: datetime | None = None
    pid: int | None = None
    is_redelivered: bool = False


class CeleryTasks(msgspec.Struct, frozen=True, kw_only=True):
    """What all workers have now: active first, longest first."""

    at: datetime
    where: str
    tasks: tuple[CeleryTask, ...] = ()
    active: int = 0
    reserved: int = 0
    scheduled: int = 0
    left_out: int = 0
    answered: int = 0  # workers
    listening: int = 0
    unread: tuple[Unread, ...] = ()
    cost_ms: float = 0.0


class CeleryKind(msgspec.Struct, frozen=True, kw_only=True):
    """One name of a task over the window: how often, how long, how well."""

    name: str
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    revoked: int = 0
    rate: float | None = None  # ended a second, over the last minutes
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    longest_s: float | None = None
    last_error: str = ""
    last_failed_at: datetime | None = None

    @property
    def ended(self) -> int:
        """Return how many ended for good."""
        return self.succeeded + self.failed + self.revoked

    @property
    def failure_share(self) -> float | None:
        """Return the share of failures of what succeeded or failed, 0 to 1."""
        whole = self.succeeded + self.failed
        return self.failed / whole if whole else None


class CeleryKinds(msgspec.Struct, frozen=True, kw_only=True):
    """All names of tasks that events told of. ``covered_s`` of ``window_s`` were listened to."""

    at: datetime
    where: str
    window_s: float
    covered_s: float
    kinds: tuple[CeleryKind, ...] = ()
    quiet_workers: tuple[str, ...] = ()  # at work without telling of tasks
    unread: tuple[Unread, ...] = ()


class CeleryEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How one task ended: succeeded, failed, retried, revoked or rejected."""

    id: str
    name: str  # "" where its beginning was not seen
    state: str
    worker: str
    at: datetime
    runtime_s: float | None = None
    retries: int = 0
    error: str = ""


class CeleryHistory(msgspec.Struct, frozen=True, kw_only=True):
    """The newest ends, newest first; of ``known`` ends ``ends`` are those that match."""

    at: datetime
    where: str
    ends: tuple[CeleryEnd, ...] = ()
    known: int = 0
    covered_s: float = 0.0
    quiet_workers: tuple[str, ...] = ()
    unread: tuple[Unread, ...] = ()
