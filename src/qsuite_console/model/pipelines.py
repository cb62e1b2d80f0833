"""The platform's pipelines, their runs and the tasks of a run. Instants are aware, durations seconds, shares 0 to 1.

A run has been made (``created_at``), may have begun and may have ended; those that succeeded tell how long runs take.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import msgspec

from qsuite_console.model.advice import Unread

Status = Literal["pending", "running", "success", "failed", "cancelled"]
STATUSES: Final[tuple[Status, ...]] = ("pending", "running", "success", "failed", "cancelled")
ACTIVE: Final = ("pending", "running")
SUSPECT_S: Final = 600.0  # no run is suspect before it has run so long
SUSPECT_TIMES: Final = 3.0  # of what 19 of 20 runs need at most


class RunStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that were made in a window, by what became of them until now."""

    total: int = 0
    pending: int = 0
    running: int = 0
    success: int = 0
    failed: int = 0
    cancelled: int = 0
    mean_s: float | None = None  # of those that succeeded, like the percentiles
    p50_s: float | None = None
    p95_s: float | None = None

    @property
    def success_share(self) -> float | None:
        """Return how many of those that came to an end by themselves succeeded."""
        finished = self.success + self.failed
        return self.success / finished if finished else None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    id: int
    pipeline_id: int
    pipeline: str = ""
    status: str
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error: str = ""


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    """One pipeline with its newest run and what became of the runs of a window."""

    id: int
    name: str
    status: str = ""  # its own: active, paused, archived
    last: Run | None = None
    statistics: RunStatistics = RunStatistics()


class Active(msgspec.Struct, frozen=True, kw_only=True):
    """What waits and runs now, whenever it was made."""

    pending: int = 0
    running: int = 0
    oldest_at: datetime | None = None  # when the oldest of those that run began


class Pipelines(msgspec.Struct, frozen=True, kw_only=True):
    """Pipelines by name. ``statistics`` is of all of them, ``None`` where it could not be read."""

    at: datetime
    window_s: float
    text: str = ""
    status: str = ""
    pipelines: tuple[Pipeline, ...] = ()
    total: int = 0  # of those that match
    statistics: RunStatistics | None = None
    active: Active | None = None
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()


class Runs(msgspec.Struct, frozen=True, kw_only=True):
    """A page of runs, newest first. ``older`` and ``newer`` begin the pages beside it, "" where there is none.

    ``statistics`` is of the same pipeline and window, whatever the status that is listed.
    """

    at: datetime
    window_s: float
    pipeline: int = 0
    status: str = ""
    name: str = ""  # of the pipeline
    runs: tuple[Run, ...] = ()
    older: str = ""
    newer: str = ""
    statistics: RunStatistics | None = None
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()


class TaskRun(msgspec.Struct, frozen=True, kw_only=True):
    """One task of a run."""

    id: int
    name: str
    status: str
    attempt: int = 1
    started_at: datetime | None = None
    completed_at: datetime | None = None
    rows: int | None = None
    error: str = ""


class RunTasks(msgspec.Struct, frozen=True, kw_only=True):
    """A run with its tasks: those that failed first, then in the order of their work. ``usual`` is of its pipeline."""

    at: datetime
    id: int
    run: Run | None = None
    tasks: tuple[TaskRun, ...] = ()
    tasks_hidden: int = 0
    usual: RunStatistics | None = None
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()


def is_suspect(run: Run, usual: RunStatistics | None, now: datetime) -> bool:
    """Return whether a run goes on for so long that its worker has probably died: beyond max(3 x p95, 10 minutes)."""
    if run.status != "running" or run.started_at is None:
        return False
    p95_s = usual.p95_s if usual is not None and usual.p95_s is not None else 0.0
    return (now - run.started_at).total_seconds() > max(SUSPECT_TIMES * p95_s, SUSPECT_S)


def took_s(run: Run | TaskRun, now: datetime) -> float | None:
    """Return how long a run or task took, or has been at it; None where it has not begun, or never ended."""
    if run.started_at is None:
        return None
    if run.completed_at is not None:
        return max(0.0, (run.completed_at - run.started_at).total_seconds())
    return max(0.0, (now - run.started_at).total_seconds()) if run.status == "running" else None
