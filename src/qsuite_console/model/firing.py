"""What passes between the scheduler and the history when a plan's time has come; neither imports the other for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from qsuite_console.model.jobs import Job
from qsuite_console.model.runs import AuditEntry, Inserted
from qsuite_console.model.schedules import Overlap, RunOutcome, ScheduleRun

MOST_WAITING: Final = 100  # plans of one schedule that wait for the job before them; more are skipped

RunNote = Callable[[ScheduleRun], AuditEntry | None]  # what the audit keeps of a run


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """A plan to deal with. Without a ``job`` nothing is made, and ``outcome`` and ``why`` say what is kept of it."""

    schedule_id: int
    revision: int
    planned_at: datetime
    overlap: Overlap = Overlap.SKIP
    trigger: str = "plan"
    job: Job | None = None
    dedupe_key: str = ""
    outcome: RunOutcome = RunOutcome.MISSED
    why: str = ""
    covers: int = 1
    note: RunNote | None = None


class Fired(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a firing. ``inserted``: the job it made. ``before``: the job that stood in its way."""

    run: ScheduleRun
    inserted: Inserted | None = None
    before: int | None = None
