"""The console's whole state as one frozen value, and the pure function that folds events into it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from qsuite_console.model.events import (
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
_PRODUCTION: Final = re.compile(r"(?<![a-z])(prod|production|prd|live)(?![a-z])")  # whole words: no "product-demo"


class TargetView(msgspec.Struct, frozen=True, kw_only=True):
    """The platform the console points at, as the header shows it; never holds a secret."""

    name: str = "default"
    word: str = ""  # an unmistakable word: PRODUCTION, SANDBOX
    colour: str = "primary"  # a theme token: primary, success, warning, error
    is_read_only: bool = False
    production: bool | None = None  # None: by its word and name
    database: str = ""  # host and database, without credentials
    cache: str = ""

    @property
    def is_production(self) -> bool:
        """Return whether a change here wants the target's name typed: the one place where that is decided."""
        if self.production is not None:
            return self.production
        is_said = self.word.strip().upper().startswith("PROD")
        return is_said or any(_PRODUCTION.search(text.lower()) for text in (self.word, self.name))


class ConsoleState(msgspec.Struct, frozen=True, kw_only=True):
    """What a front end shows. Lists here are short and bounded; long ones are asked for by page."""

    target: TargetView = TargetView()
    version: str = ""
    started_at: datetime | None = None
    owner: str = ""  # who runs the engine: "pid 4711"
    is_attached: bool = False  # the engine runs in another process
    is_read_only: bool = False
    forbids: str = ""  # why whoever looks may change nothing, and on a second line what to do; "": it is not so
    is_draining: bool = False  # the engine stops: what runs may end, nothing new starts
    trouble: str = ""  # why the engine is degraded, "" when it is well
    counts: dict[str, int] = {}  # jobs per state
    queues: tuple[QueueView, ...] = ()
    running: tuple[Job, ...] = ()  # oldest first
    recent: tuple[Job, ...] = ()  # newest finished first
    snapshot: Snapshot = Snapshot()
    sequence: int = 0  # grows with every change


def reduce(state: ConsoleState, event: AnyEvent) -> ConsoleState:
    """Return the state after ``event``; the very same object where nothing changed."""
    return reduce_all(state, (event,))


def reduce_all(state: ConsoleState, events: Iterable[AnyEvent]) -> ConsoleState:
    """Return the state after all ``events``, made once: what a burst of thousands costs is one new state."""
    draft = _Draft(state)
    for event in events:
        draft.fold(event)
    return draft.freeze()


class _Draft:
    """A state under change: dicts instead of tuples, ordered like them."""

    def __init__(self, state: ConsoleState) -> None:
        self._state = state
        self._counts = dict(state.counts)
        self._running = {job.id: job for job in state.running}
        self._recent = {job.id: job for job in reversed(state.recent)}  # oldest first
        self._fields: dict[str, object] = {}
        self._changes = 0

    def fold(self, event: AnyEvent) -> None:
        """Apply one event."""
        self._changes += 1
        match event:
            case JobChanged(job=job, previous=previous):
                self._move(job, previous)
            case JobProgressed(job_id=job_id, progress=progress) if job_id in self._running:
                self._running[job_id] = msgspec.structs.replace(self._running[job_id], progress=progress)
            case JobDeleted(job_id=job_id, previous=previous):
                self._count(previous, -1)
                self._recent.pop(job_id, None)
            case QueuesChanged(queues=queues):
                self._fields["queues"] = queues
            case Sampled(snapshot=snapshot):
                self._fields["snapshot"] = snapshot
            case EngineTrouble(message=message) if message != self._fields.get("trouble", self._state.trouble):
                self._fields["trouble"] = message
            case _:
                self._changes -= 1

    def freeze(self) -> ConsoleState:
        """Return the new state, or the old one where nothing changed."""
        if not self._changes:
            return self._state
        return msgspec.structs.replace(
            self._state,
            counts=self._counts,
            running=tuple(self._running.values()),
            recent=tuple(reversed(self._recent.values())),
            sequence=self._state.sequence + self._changes,
            **self._fields,
        )

    def _move(self, job: Job, previous: str | None) -> None:
        self._count(previous, -1)
        self._count(job.state, 1)
        self._recent.pop(job.id, None)
        if job.state is JobState.RUNNING:
            self._running[job.id] = job
            return
        self._running.pop(job.id, None)
        if job.state in TERMINAL and not job.is_routine:
            self._recent[job.id] = job
            if len(self._recent) > RECENT_LIMIT:
                del self._recent[next(iter(self._recent))]

    def _count(self, state: str | None, change: int) -> None:
        if state is not None:
            key = str(state)
            self._counts[key] = max(0, self._counts.get(key, 0) + change)
