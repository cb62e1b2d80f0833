"""What passes between a console and the processes that work for it: runs, by way of a table both can reach."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from qsuite_console.model.jobs import Progress
from qsuite_console.model.runs import Claim, Ending


class Execution(StrEnum):
    """Who does the jobs of a queue."""

    LOCAL = "local"  # the engine that queued them
    NODES = "nodes"  # any headless engine that serves the queue
    CELERY = "celery"  # Celery workers


class RunState(StrEnum):
    """The life of a run."""

    HANDED_OFF = "handed_off"
    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"  # its owner was silent for longer than its lease
    WITHDRAWN = "withdrawn"  # taken back before anybody had begun it


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one job in the hands of another process. ``token`` fences all that process says of it."""

    run_id: int
    token: str
    home: str  # whose history the job is in
    execution: str
    state: RunState
    owner: str
    rescues: int = 0  # how many owners died with this job before
    heard: int = 0  # lines of its log that its console has taken in
    claim: Claim


class RunNews(msgspec.Struct, frozen=True, kw_only=True):
    """What is new of a run since it was last looked at. ``checkpoint`` is None where no newer one was saved."""

    token: str
    run_id: int
    state: RunState
    owner: str
    changes: int
    saves: int
    lines: int
    rescues: int
    is_late: bool  # its lease is over
    claimed_at: datetime | None = None
    progress: Progress | None = None
    checkpoint: dict[str, Any] | None = None
    ending: Ending | None = None
    ended_s: float = 0.0  # ago, by the server's clock


class Wishes(NamedTuple):
    """What is wished of a running run."""

    cancel: bool
    pause: bool


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """All that is ever sent of a run: who claims it reads the rest from the table."""

    job_id: int
    attempt: int
    token: str
    queue: str = ""
    priority: int = 5
    sends: int = 1
