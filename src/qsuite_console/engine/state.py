"""The console's whole state as one frozen value, and the pure function that folds events into it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from qsuite_console.model.events import (
    AlertChanged,
    AnyEvent,
    EngineTrouble,
    JobChanged,
    JobDeleted,
    JobProgressed,
    QueuesChanged,
    Sampled,
)
from qsuite_console.model.health import Snapshot
from qsuite_console.model.jobs import TERMINAL, Job, JobState, QueueView

RECENT_LIMIT = 50


class TargetView(msgspec.Struct, frozen=True, kw_only=True):
    """The platform the console points at, as the header shows it; never holds a secret."""

    name: str = "default"
    word: str = ""  # an unmistakable word: PRODUCTION, SANDBOX
    colour: str = "primary"  # a theme token: primary, success, warning, error
    is_read_only: bool = False
    database: str = ""  # host and database, without credentials
    cache: str = ""


class ConsoleState(msgspec.Struct, frozen=True, kw_only=True):
    """What a front end shows. Lists here are short and bounded; long ones are asked for by page."""

    target: TargetView = TargetView()
    version: str = ""
    started_at: datetime | None = None
    owner: str = ""  # who runs the engine: "pid 4711"
    is_attached: bool = False  # the engine runs in another process
    is_read_only: bool = False
    trouble: str = ""  # why the engine is degraded, "" when it is well
    counts: dict[str, int] = {}  # jobs per state
    queues: tuple[QueueView, ...] = ()
    running: tuple[Job, ...] = ()  # oldest first
    recent: tuple[Job, ...] = ()  # newest finished first
    snapshot: Snapshot = Snapshot()
    sequence: int = 0  # grows with every change


def reduce(state: ConsoleState, event: AnyEvent) -> ConsoleState:
    """Return the state after ``event``."""
    changed = _fold(state, event)
    return changed if changed is state else _replace(changed, sequence=state.sequence + 1)


def _replace(state: ConsoleState, **changes: object) -> ConsoleState:
    return msgspec.structs.replace(state, **changes)


def _fold(state: ConsoleState, event: AnyEvent) -> ConsoleState:
    match event:
        case JobChanged(job=job, previous=previous):
            return _with_job(state, job, previous)
        case JobProgressed(job_id=job_id, progress=progress):
            return _with_progress(state, job_id, progress)
        case JobDeleted(job_id=job_id):
            recent = tuple(j for j in state.recent if j.id != job_id)
            return _replace(state, recent=recent)
        case QueuesChanged(queues=queues):
            return _replace(state, queues=queues)
        case Sampled(snapshot=snapshot):
            return _replace(state, snapshot=snapshot)
        case EngineTrouble(message=message):
            return state if message == state.trouble else _replace(state, trouble=message)
        case AlertChanged():
            return state


def _with_job(state: ConsoleState, job: Job, previous: str | None) -> ConsoleState:
    counts = dict(state.counts)
    if previous is not None:
        counts[previous] = max(0, counts.get(previous, 0) - 1)
    counts[job.state] = counts.get(job.state, 0) + 1
    running = tuple(j for j in state.running if j.id != job.id)
    recent = tuple(j for j in state.recent if j.id != job.id)
    if job.state is JobState.RUNNING:
        running = (*running, job)
    elif job.state in TERMINAL:
        recent = (job, *recent)[:RECENT_LIMIT]
    return _replace(state, counts=counts, running=running, recent=recent)


def _with_progress(state: ConsoleState, job_id: int, progress: object) -> ConsoleState:
    if all(j.id != job_id for j in state.running):
        return state
    running = tuple(msgspec.structs.replace(j, progress=progress) if j.id == job_id else j for j in state.running)
    return _replace(state, running=running)
