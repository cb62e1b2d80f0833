"""What passes between the engine and the history about one run of a job; neither imports the other for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec

from qsuite_console.model.jobs import Job, JobState, Outcome, Progress


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The store's grant to run one attempt; ``number`` is the fencing token of everything the attempt writes."""

    job: Job
    number: int
    previous: JobState = JobState.QUEUED  # what it was before: queued or interrupted
    checkpoint: dict[str, Any] | None = None


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """How a new job may start in the transaction that stores it: one slot of its queue is free for ``owner``."""

    owner: str
    only_it: bool = False  # no older or more urgent job of the queue instead


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A durable change of a job, with the state the history found it in: what counts are moved by."""

    job: Job
    previous: JobState | None


class Inserted(Change, frozen=True, kw_only=True):
    """What became of a submission. ``previous`` is None for a new job, and a joined one's state otherwise."""

    is_joined: bool = False
    claim: Claim | None = None  # granted in the same transaction; by priority it may be an older job's


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended and what becomes of its job."""

    outcome: Outcome
    error: str | None = None
    reason: str | None = None
    result: dict[str, Any] | None = None
    retry_at: datetime | None = None  # the job is scheduled anew instead of failed
    retry_in_s: float | None = None  # the same from now on: told by another process, whose clock may be wrong
    run_s: float = 0.0
    cpu_s: float = 0.0
    memory_delta: int = 0
    progress: Progress = Progress()


class Prunable(msgspec.Struct, frozen=True, kw_only=True):
    """What the history would forget now: rows of each sort, and the space in its file that nothing uses."""

    results: int = 0
    result_bytes: int = 0
    jobs: int = 0
    figures: int = 0
    audit: int = 0
    alerts: int = 0
    free_bytes: int = 0

    @property
    def rows(self) -> int:
        """Return the number of all of them."""
        return self.results + self.jobs + self.figures + self.audit + self.alerts


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Who asked for what, from where, and what came of it; one for every change, refused ones too."""

    at: datetime
    who: str
    origin: str
    action: str
    subject: str
    result: str


ASKED: Final = "asked"  # the result of what is under way; it stays where the engine died before it could say more
Note = Callable[[Job, JobState | None], AuditEntry]  # a change and the state before it -> its entry of the audit
