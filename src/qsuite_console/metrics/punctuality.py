"""Whether schedules keep their word: plans that nothing came of, and runs unlike the schedule's own history.

A schedule is its own yardstick: what is slow for one is quick for another, and the machine is the same for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Final

from qsuite_console.engine.scheduler import Scheduler
from qsuite_console.model.schedules import RunOutcome, ScheduleRun

LOOKED_AT: Final = 30  # runs of each schedule
LEAST_RUNS: Final = 5  # that succeeded before one can be unlike them
TIMES: Final = 5.0  # as long, or as short, as the median
LEAST_S: Final = 10.0  # by which it must differ as well: nobody minds 0.3 s instead of 0.05 s
OVERDUE: Final = timedelta(seconds=60)  # beyond the grace
RARE: Final = timedelta(hours=1)  # a missed plan whose next one comes sooner is soon made good


@dataclass(frozen=True, slots=True)
class Punctuality:
    """Names of enabled schedules whose last plan did not run, and of those whose last run was too slow or too fast."""

    not_run: tuple[str, ...] = ()
    unusual: tuple[str, ...] = ()


async def measure(scheduler: Scheduler, now: datetime) -> Punctuality | None:
    """Return how the enabled schedules do; None where no loop makes their jobs."""
    if not scheduler.is_running:
        return None
    not_run: list[str] = []
    unusual: list[str] = []
    for name, entry in sorted(scheduler.entries.items()):
        if not entry.schedule.is_enabled:
            continue
        runs = await scheduler.store.runs(entry.schedule.id, LOOKED_AT)
        grace = timedelta(seconds=entry.schedule.grace_s) + OVERDUE
        is_overdue = entry.due_at is not None and entry.due_at + grace < now
        if is_overdue or (runs and did_not_run(runs[0], entry.next_at)):
            not_run.append(name)
        if is_unusual(runs, now):
            unusual.append(name)
    return Punctuality(tuple(not_run), tuple(unusual))


def did_not_run(run: ScheduleRun, next_at: datetime | None) -> bool:
    """Return whether nothing came of a plan that matters; the next plan of what comes often makes it good."""
    is_rare = next_at is None or next_at - run.planned_at >= RARE
    return run.outcome is RunOutcome.REFUSED or (run.outcome is RunOutcome.MISSED and is_rare)


def is_unusual(runs: Sequence[ScheduleRun], now: datetime) -> bool:
    """Return whether the newest job took (or has been taking) far longer or shorter than those before; newest first."""
    made = [run for run in runs if run.job_id is not None]
    if not made:
        return False
    newest, before = made[0], [took(run, now) for run in made[1:] if run.outcome is RunOutcome.SUCCEEDED]
    if len(before) < LEAST_RUNS:
        return False
    usual, found = median(before), took(newest, now)
    if abs(found - usual) < LEAST_S:
        return False
    is_slow = found > TIMES * usual and newest.outcome in (RunOutcome.STARTED, RunOutcome.SUCCEEDED)
    return is_slow or (newest.outcome is RunOutcome.SUCCEEDED and found < usual / TIMES)


def took(run: ScheduleRun, now: datetime) -> float:
    """Return the seconds from the making of a run's job to its end, or to now."""
    return ((run.finished_at or now) - run.at).total_seconds()
