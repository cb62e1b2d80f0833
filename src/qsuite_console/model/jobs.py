"""What a job is to everyone who is not the engine: its state, progress, attempts, parameters and result.

The structs are frozen and JSON-able (msgspec), so the same value serves a screen, the command line, HTTP and SQLite.
All instants are aware UTC datetimes, all durations seconds.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec


class JobState(StrEnum):
    """The life of a job (requirement C1). Every transition is durable before it is visible."""

    SCHEDULED = "scheduled"  # waits for its time: submitted for later, or backing off before a retry
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"  # held by the operator; its checkpoint is kept
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # its process died or was drained; the next engine resumes it from its checkpoint


SCHEDULED: Final = "schedule "  # the origin of a job that a schedule made, before the schedule's name
TERMINAL: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
LIVE: Final = frozenset(JobState) - TERMINAL


class Outcome(StrEnum):
    """How one attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRY = "retry"  # failed, and will be tried again
    CANCELLED = "cancelled"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    SOFT_TIMEOUT = "soft_timeout"
    HARD_TIMEOUT = "hard_timeout"


class JobAction(StrEnum):
    """What an operator may ask of an existing job."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    DELETE = "delete"
    PROFILE = "profile"  # say in its log where its time went


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a running job is. ``fraction`` is 0..1 or None where the total is unknown."""

    fraction: float | None = None
    done: float = 0
    total: float | None = None
    unit: str = ""
    message: str = ""
    rate: float | None = None  # units per second
    eta_s: float | None = None
    figures: dict[str, float | str] = {}  # what this kind shows beside the bar: {"http_429": 0, "rows_per_s": 31200}
    updated_at: datetime | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One request with parameters and a life, as lists show it."""

    id: int
    kind: str
    title: str
    queue: str
    priority: int  # 0 (last) .. 9 (first)
    state: JobState
    parameters: dict[str, Any]
    created_at: datetime
    run_at: datetime  # not started before this instant
    started_at: datetime | None = None  # start of the newest attempt
    finished_at: datetime | None = None  # set exactly when the state is terminal
    attempt: int = 0  # number of the newest attempt, 0 before the first
    max_attempts: int = 4
    tries: int = 0  # attempts used up of max_attempts: pauses, interruptions and rescues use none
    rescues: int = 0  # how often it was resumed after its process had died
    progress: Progress = Progress()
    error: str | None = None
    reason: str | None = None  # why it is in this state, where that needs a word: "owner died", "retry in 12 s"
    correlation_id: str
    origin: str = ""  # who asked: "console", "cli", "schedule nightly"
    cancel_requested: bool = False
    handed_out: bool = False  # others may have it in hand: they go on when its engine ends

    @property
    def is_routine(self) -> bool:
        """Return whether nobody need look at it: a schedule made it and it succeeded."""
        return self.state is JobState.SUCCEEDED and self.origin.startswith(SCHEDULED)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try at a job (requirement C5)."""

    job_id: int
    number: int
    started_at: datetime
    finished_at: datetime | None = None
    outcome: Outcome | None = None  # None while it runs
    error: str | None = None
    wait_s: float = 0.0  # from eligible to started
    run_s: float | None = None
    cpu_s: float | None = None  # CPU of the process during the attempt
    memory_delta: int | None = None  # bytes of resident memory gained
    owner: str = ""


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a job's log. ``number`` grows by one per line of the job and is the cursor for following."""

    job_id: int
    number: int
    at: datetime
    level: str
    message: str
    attempt: int = 1


class RatePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One point of a job's throughput history."""

    at: datetime
    done: float
    rate: float | None


class JobDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one job: what its own page shows."""

    job: Job
    attempts: tuple[Attempt, ...] = ()
    result: dict[str, Any] | None = None
    checkpoint: dict[str, Any] | None = None
    logs: tuple[LogLine, ...] = ()
    throughput: tuple[RatePoint, ...] = ()


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a job, as it comes from a form, a flag, a schedule or HTTP."""

    kind: str
    parameters: dict[str, Any] = {}
    queue: str | None = None  # None: the kind's own
    priority: int | None = None
    run_at: datetime | None = None
    origin: str = ""
    correlation_id: str | None = None
    join: bool = True  # a live job with the same kind and parameters is joined; False refuses instead
    confirmation: str = ""  # the target's name: wanted on production for what changes data
    profile: bool = False  # its attempts say in its log where their time went


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What ``submit`` answers. ``joined``: an equal job was live already and no second one was made."""

    job_id: int
    correlation_id: str
    joined: bool = False
    resumed: bool = False  # the joined job was paused: it goes on now
    estimated_s: float | None = None  # from its start to its end, where the kind can tell beforehand


class ActionResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one action on one job."""

    job_id: int
    is_done: bool
    message: str
    refusal: str = ""  # the class of model.errors that says why not


class JobQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A page of jobs, newest first, by keyset: pass the last id of a page as ``before``."""

    states: tuple[JobState, ...] = ()
    kinds: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    text: str = ""  # substring of title, kind, error or parameters
    routine: bool = True  # False: without the jobs that schedules made and that succeeded
    origin: str = ""  # only what this asked for
    before: int | None = None
    limit: int = 200


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page; ``next_before`` is None on the last one."""

    jobs: tuple[Job, ...]
    next_before: int | None = None


class QueueView(msgspec.Struct, frozen=True, kw_only=True):
    """A queue as the operator sees it."""

    name: str
    concurrency: int
    running: int = 0
    queued: int = 0
    scheduled: int = 0
    is_paused: bool = False
    execution: str = "local"  # who does its jobs: this engine, "nodes" or "celery" workers


class KindStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one kind (or queue) over a window; percentiles come from histogram buckets, in seconds."""

    name: str
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    cancelled: int = 0
    wait_p50: float | None = None
    wait_p95: float | None = None
    wait_p99: float | None = None
    run_p50: float | None = None
    run_p95: float | None = None
    run_p99: float | None = None


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """Requirement C7: over ``window_s`` seconds back from ``at``."""

    at: datetime
    window_s: float
    kinds: tuple[KindStatistics, ...] = ()
    queues: tuple[KindStatistics, ...] = ()
    utilisation: float | None = None  # busy slot seconds / available slot seconds, 0..1
