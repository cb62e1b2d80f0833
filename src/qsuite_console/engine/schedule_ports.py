"""What the scheduler needs of the history: schedules, and a firing that is one transaction with the job it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from qsuite_console.model.firing import Fired as Fired
from qsuite_console.model.firing import Firing as Firing
from qsuite_console.model.runs import AuditEntry
from qsuite_console.model.schedules import Schedule, ScheduleRun


class ScheduleReading(Protocol):
    """The half that only looks."""

    async def all(self) -> Sequence[Schedule]:
        """Return every schedule, by name."""
        ...

    async def last_runs(self) -> Mapping[int, ScheduleRun]:
        """Return the newest run of each schedule that has one, by the schedule's id."""
        ...

    async def live(self) -> Mapping[int, int]:
        """Return schedule id -> its job that is not over."""
        ...

    async def waiting(self) -> Mapping[int, int]:
        """Return schedule id -> how many of its plans wait for the job before them."""
        ...

    async def runs(self, schedule_id: int, limit: int) -> Sequence[ScheduleRun]:
        """Return the newest runs of a schedule, newest first."""
        ...


class ScheduleStore(ScheduleReading, Protocol):
    """Durable schedules. Raises HistoryUnavailable when the disk refuses."""

    async def save(self, schedule: Schedule, *, entry: AuditEntry | None = None) -> Schedule:
        """Store a new schedule (``id`` 0) or the next revision of one; raises Conflict for a name or revision."""
        ...

    async def delete(self, schedule_id: int) -> bool:
        """Remove a schedule with its runs; its jobs stay. False: it was gone already."""
        ...

    async def seed(self, schedules: Sequence[Schedule]) -> Sequence[Schedule]:
        """Store those of these that were never offered before, and remember them as offered: none comes twice."""
        ...

    async def fire(self, firing: Firing, *, now: datetime) -> Fired | None:
        """Deal with a plan exactly once: its run, its job and the mark up to where plans are handled are one
        transaction. None: it had been dealt with, or the schedule is gone or was changed.
        """
        ...

    async def start_waiting(self, firing: Firing, *, now: datetime) -> Fired | None:
        """Make the job of the oldest plan that waits; None: none does, or the job before it is not over."""
        ...

    async def move(self, schedule_id: int, handled_until: datetime) -> None:
        """Set the mark up to where plans are handled: when the clock was set back, or a pause ends."""
        ...
