"""What the engine needs from below and offers to workers, as Protocols: the only seam between it and the world.

The store is implemented by ``history``; workers by ``workers`` and plug-ins; probes by ``workers`` and ``metrics``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol, runtime_checkable

import msgspec

from qsuite_console.model.jobs import (
    Attempt,
    Job,
    JobDetail,
    JobPage,
    JobQuery,
    LogLine,
    Progress,
    Statistics,
)
from qsuite_console.model.kinds import Plan
from qsuite_console.model.operations import Outcome, Proposal
from qsuite_console.model.runs import AuditEntry as AuditEntry
from qsuite_console.model.runs import Change as Change
from qsuite_console.model.runs import Claim as Claim
from qsuite_console.model.runs import Ending as Ending
from qsuite_console.model.runs import Inserted as Inserted
from qsuite_console.model.runs import Note as Note
from qsuite_console.model.runs import Prunable as Prunable
from qsuite_console.model.runs import Start as Start


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """What the engine must know of a kind of job; the rest is the worker's own business."""

    name: str
    title: str
    description: str
    parameters: type[msgspec.Struct]
    queue: str = "general"
    priority: int | None = None  # None: the queue's own
    soft_limit_s: float = 1680.0  # raises SoftTimeLimit inside the job, so that it can clean up
    hard_limit_s: float = 1800.0
    max_attempts: int = 4  # one try and three retries
    changes_data: bool = True  # refused on a read-only target
    needs_host: bool = False  # lives on this machine (its files, its programs): never handed to another process


class JobContext(Protocol):
    """All that a running worker may touch of the engine. Methods without ``await`` never block."""

    @property
    def job_id(self) -> int:
        """The job's id."""
        ...

    @property
    def attempt(self) -> int:
        """This attempt's number, 1 for the first: the fencing token of whatever it writes."""
        ...

    @property
    def correlation_id(self) -> str:
        """The id that ties logs, queries and requests of this job together."""
        ...

    @property
    def origin(self) -> str:
        """Who asked for the job: "cli", "schedule night", "http:grafana"."""
        ...

    @property
    def checkpoint(self) -> Mapping[str, Any] | None:
        """The last saved checkpoint of this job, from whichever attempt."""
        ...

    @property
    def log(self) -> logging.Logger | logging.LoggerAdapter[Any]:
        """Goes to the job's own log and, with the job id, to the console's."""
        ...

    def progress(
        self,
        done: float,
        total: float | None = None,
        *,
        unit: str = "",
        message: str = "",
        figures: Mapping[str, float | str] | None = None,
    ) -> None:
        """Say how far it is; cheap at any rate (coalesced), rate and ETA are computed here."""
        ...

    async def save(self, checkpoint: Mapping[str, Any]) -> None:
        """Make a checkpoint durable; it is on disk when this returns."""
        ...

    async def breathe(self) -> None:
        """Honour pause and limits at a point where the work may stop; returns at once otherwise."""
        ...


@runtime_checkable
class Worker(Protocol):
    """Knows what one kind of job does. Made once by the composition root; ``run`` is called for every attempt."""

    kind: JobKind

    def title(self, parameters: Any) -> str:
        """Return the line by which people recognise the job: "backfill AAPL, MSFT 1Min 2024"."""
        ...

    async def run(self, context: JobContext, parameters: Any) -> Mapping[str, Any]:
        """Do the work and return its result (JSON-able). Raise Retryable, Permanent, or any exception (retried)."""
        ...


@runtime_checkable
class Planner(Protocol):
    """A worker that can say what it would do."""

    async def plan(self, parameters: Any) -> Plan:
        """Return the plan without changing anything; raise InvalidParameters for what can't be done."""
        ...


@runtime_checkable
class Checker(Protocol):
    """A worker with rules beyond the types of its parameters (start before end, known table)."""

    def check(self, parameters: Any) -> Mapping[str, str]:
        """Return field name -> problem; empty when the parameters are good. Pure, no I/O: called while typing."""
        ...


@runtime_checkable
class Estimator(Protocol):
    """A worker that can say how long a run will take."""

    def estimate_s(self, parameters: Any) -> float:
        """Return seconds from start to end, as far as earlier runs tell. Pure, no I/O."""
        ...


class Probe(Protocol):
    """A named read-only question with a time limit (coverage map, symbol list)."""

    name: str
    timeout_s: float

    async def ask(self, parameters: Mapping[str, Any]) -> msgspec.Struct:
        """Answer with a frozen struct of the model."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationKind:
    """What the engine must know of an operation. ``changes_target``: refused on a read-only target."""

    name: str  # "database.cancel"
    title: str
    help: str
    parameters: type[msgspec.Struct]
    changes_target: bool = True
    timeout_s: float = 10.0


class Operation(Protocol):
    """A change of the platform made at once. Made once by the composition root, called on the engine's loop."""

    kind: OperationKind

    async def propose(self, parameters: Any) -> Proposal:
        """Look, change nothing, and say what ``perform`` would do; raises NotFound when the subject is gone."""
        ...

    async def perform(self, parameters: Any) -> Outcome:
        """Check that what was proposed still holds (raises Conflict when it does not), then do it."""
        ...


DRAINED: Final = "drain"  # first argument of a job's CancelledError where its engine stops, not a person the job


class Retryable(Exception):
    """The attempt failed for a passing reason. ``after_s``: not before that many seconds (a Retry-After)."""

    def __init__(self, message: str, *, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


class Permanent(Exception):
    """Trying again can't help: wrong key, unknown table, refused parameters. ``hint`` says what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SoftTimeLimit(Exception):
    """Raised inside a job at its soft limit; what it saves within the grace is kept."""


class Claiming(StrEnum):
    """Which jobs an engine may run."""

    ALL = "all"
    ONLY_SUBMITTED = "only_submitted"  # a foreground run: only what was submitted or joined through this engine
    NONE = "none"  # edits of the history while no engine runs


class Ledger(Protocol):
    """The part of the store that keeps books rather than jobs."""

    @property
    def warnings(self) -> Sequence[str]:
        """What a person should know of how the history was opened: "was damaged, moved to …"."""
        ...

    async def audit(self, entry: AuditEntry, *, is_essential: bool = False) -> int:
        """Keep who asked for what, and return its number; never deleted with the job it speaks of.

        ``is_essential``: also tried on a full disk, from the reserve.
        """
        ...

    async def conclude(self, number: int, result: str) -> None:
        """Replace the result of an entry of the audit: what was asked is done, refused, failed."""
        ...

    async def queue_settings(self) -> Mapping[str, tuple[int, bool]]:
        """Return queue -> (concurrency, is_paused) for the queues an operator has changed."""
        ...

    async def save_queue(
        self, name: str, *, concurrency: int, is_paused: bool, entry: AuditEntry | None = None
    ) -> None:
        """Keep an operator's setting of a queue over restarts, with its audit."""
        ...

    async def probe(self) -> None:
        """Try whether the history takes writes (again); raises HistoryUnavailable while it does not."""
        ...


class Facts(Protocol):
    """Where what a running attempt says is kept."""

    async def save_checkpoint(self, job_id: int, number: int, checkpoint: Mapping[str, Any]) -> None:
        """Keep the newest checkpoint; raises Conflict for an attempt that was replaced."""
        ...

    def note_progress(self, job_id: int, progress: Progress) -> None:
        """Keep the newest progress, coalesced; never waits."""
        ...

    def note_logs(self, lines: Sequence[LogLine]) -> None:
        """Append log lines, coalesced; never waits. The tail per job is bounded."""
        ...


class Store(Ledger, Facts, Protocol):
    """Durable history. Every method returns after its facts are on disk; writes are group-committed.

    A ``note`` makes the entry of the audit that is written in the same transaction as the change.

    Raises HistoryUnavailable when the disk refuses, Conflict when a transition is not allowed from the present state.
    """

    async def insert(
        self,
        job: Job,
        *,
        dedupe_key: str | None,
        now: datetime | None = None,
        joins: bool = True,
        start: Start | None = None,
        note: Note | None = None,
    ) -> Inserted:
        """Store a new job (its ``id`` is ignored), or join the live job of that key; a paused one goes on then.

        Raises Conflict for a live twin unless it ``joins``. ``start``: claim for the queue in the same transaction.
        """
        ...

    async def claim(self, queues: Mapping[str, int], *, owner: str, now: datetime) -> Sequence[Claim]:
        """Move up to ``queues[name]`` eligible jobs of each queue to running, by priority then age, as this owner."""
        ...

    async def claim_one(self, job_id: int, *, owner: str, now: datetime) -> Claim | None:
        """Move just this job to running, if it is eligible."""
        ...

    async def finish(self, job_id: int, number: int, ending: Ending, *, owner: str, now: datetime) -> Job:
        """End attempt ``number``; raises Conflict if it is no longer the running one of this owner."""
        ...

    async def hand_out(self, job_id: int, number: int, *, is_out: bool = True) -> None:
        """Note, beforehand, that others may get an attempt, or that none has it; raises Conflict if it is over."""
        ...

    async def request_cancel(self, job_id: int, *, now: datetime, note: Note | None = None) -> Change:
        """Persist the wish; a job that is not running becomes cancelled at once."""
        ...

    async def hold(self, job_id: int, *, now: datetime, note: Note | None = None) -> Change:
        """Pause a job that is not running (a running one is paused by its own ending)."""
        ...

    async def release(self, job_id: int, *, now: datetime, note: Note | None = None) -> Change:
        """Resume a paused job: back to queued, checkpoint kept."""
        ...

    async def requeue(self, job_id: int, *, now: datetime, note: Note | None = None) -> Change:
        """Retry a failed or cancelled job by hand: queued, with a fresh set of attempts, checkpoint kept."""
        ...

    async def delete(self, job_ids: Sequence[int], *, note: Note | None = None) -> Sequence[Job]:
        """Remove finished jobs with all they own; returns those that went, as they were."""
        ...

    async def rescue(self, *, owner: str, now: datetime, max_rescues: int) -> Sequence[Job]:
        """Take over a dead owner's running jobs: interrupted, or failed after too many; those handed out live on."""
        ...

    async def due(self, *, now: datetime) -> tuple[Sequence[Job], datetime | None]:
        """Move scheduled jobs whose time has come to queued; return them and the next instant to look again."""
        ...

    async def jobs(self, query: JobQuery) -> JobPage:
        """Return a page of jobs, newest first."""
        ...

    async def detail(self, job_id: int) -> JobDetail:
        """Return everything about one job; raises NotFound."""
        ...

    async def logs(self, job_id: int, *, after: int, limit: int) -> Sequence[LogLine]:
        """Return the log lines numbered above ``after``, oldest first."""
        ...

    async def attempts(self, job_id: int) -> Sequence[Attempt]:
        """Return the attempts of a job, oldest first, with the running one."""
        ...

    async def counts(self) -> Mapping[str, int]:
        """Return the number of jobs per state, from counters: independent of the history's length."""
        ...

    async def queue_depths(self) -> Mapping[str, tuple[int, int]]:
        """Return queue -> (queued incl. interrupted, scheduled)."""
        ...

    async def recount(self) -> tuple[Mapping[str, int], Mapping[str, tuple[int, int]]]:
        """Return ``counts`` and ``queue_depths`` of one instant: after all writes asked for before, before any later.

        Answers come in the order of the writes, so they fit what was published until then exactly.
        """
        ...

    async def statistics(self, *, window_s: float, now: datetime) -> Statistics:
        """Return outcomes, percentiles and slot utilisation over a window."""
        ...

    async def prune(self, *, now: datetime) -> int:
        """Drop expired results and jobs past age and count, in small steps; returns how many jobs went."""
        ...


class Books(Protocol):
    """The part of the store that a job may read, and tidy up: what is too old to be kept."""

    async def jobs(self, query: JobQuery) -> JobPage:
        """Return a page of jobs, newest first."""
        ...

    async def detail(self, job_id: int) -> JobDetail:
        """Return everything about one job; raises NotFound."""
        ...

    async def statistics(self, *, window_s: float, now: datetime) -> Statistics:
        """Return outcomes, percentiles and slot utilisation over a window."""
        ...

    async def prunable(self, *, now: datetime) -> Prunable:
        """Return what would be forgotten now; only reads."""
        ...

    async def prune(self, *, now: datetime) -> int:
        """Forget it, in small steps; returns how many jobs went."""
        ...
