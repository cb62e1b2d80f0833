"""What happened, as frozen facts. A tagged union: ``msgspec`` writes and reads them with their type in JSON."""

from __future__ import annotations

from datetime import datetime

import msgspec

from qsuite_console.model.health import Alert, Snapshot
from qsuite_console.model.jobs import Job, Progress, QueueView


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base: ``at`` is when it became durable (facts) or was measured (progress, samples)."""

    at: datetime


class JobChanged(Event, frozen=True, kw_only=True):
    """A job entered a state; ``previous`` is None for a new one. Never dropped."""

    job: Job
    previous: str | None = None


class JobDeleted(Event, frozen=True, kw_only=True):
    """A job left the history at an operator's wish or by pruning. Never dropped."""

    job_id: int
    previous: str | None = None  # the state it had


class JobProgressed(Event, frozen=True, kw_only=True):
    """Newest progress of a running job; supersedes any older one of the same job."""

    job_id: int
    progress: Progress


class QueuesChanged(Event, frozen=True, kw_only=True):
    """Depths, limits or pauses of the queues changed; supersedes."""

    queues: tuple[QueueView, ...]


class Sampled(Event, frozen=True, kw_only=True):
    """A new snapshot of what is watched; supersedes."""

    snapshot: Snapshot


class AlertChanged(Event, frozen=True, kw_only=True):
    """An alert fired, cleared or was acknowledged. Never dropped."""

    alert: Alert


class EngineTrouble(Event, frozen=True, kw_only=True):
    """The engine itself is degraded (disk full, history lost) or, with an empty message, well again."""

    message: str


AnyEvent = JobChanged | JobDeleted | JobProgressed | QueuesChanged | Sampled | AlertChanged | EngineTrouble
SUPERSEDING = (JobProgressed, QueuesChanged, Sampled)
