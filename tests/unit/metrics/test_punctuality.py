"""A schedule that did not run, or ran unlike its own history, is seen; one like before is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from fakes.jobs import Doing, nothing
from fakes.scheduling import START, schedule, scheduling
from qsuite_console.engine.state import TargetView
from qsuite_console.metrics.from_jobs import JobsSource
from qsuite_console.metrics.punctuality import Punctuality, did_not_run, is_unusual, measure
from qsuite_console.model.health import Level
from qsuite_console.model.schedules import RunOutcome, ScheduleRun


def runs(newest: float, *before: float, outcome: RunOutcome = RunOutcome.SUCCEEDED) -> Sequence[ScheduleRun]:
    """Runs that took these seconds, newest first."""
    return [
        ScheduleRun(
            schedule_id=1, planned_at=START, at=START, outcome=outcome if number == 0 else RunOutcome.SUCCEEDED,
            job_id=100 - number,
            finished_at=None if number == 0 and outcome is RunOutcome.STARTED else START + timedelta(seconds=seconds),
        )
        for number, seconds in enumerate((newest, *before))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("newest", "usual", "expected"),
    [
        (20, 18, False),
        (95, 18, True),
        (80, 18, False),
        (3, 60, True),
        (13, 60, False),
        (0.4, 0.05, False),
        (9, 1, False),
    ],
)
def test_the_yardstick_is_its_own_history(newest: float, usual: float, *, expected: bool) -> None:
    assert is_unusual(runs(newest, *[usual] * 6), START) is expected


def test_what_still_runs_can_be_slow_and_what_failed_is_not_fast() -> None:
    usual = [10.0] * 5
    assert not is_unusual(runs(0, *usual, outcome=RunOutcome.STARTED), START + timedelta(seconds=49))
    assert is_unusual(runs(0, *usual, outcome=RunOutcome.STARTED), START + timedelta(seconds=51))
    assert not is_unusual(runs(1, *[100.0] * 5, outcome=RunOutcome.FAILED), START)
    assert not is_unusual(runs(100, *usual[:4]), START), "too few to compare with"


async def test_missed_refused_and_overdue_ones_did_not_run(tmp_path: Path) -> None:
    target = TargetView(name="desk", is_read_only=True)
    ours = [schedule("refused"), schedule("paused", is_enabled=False)]
    with scheduling(tmp_path, Doing(nothing), schedules=ours, target=target) as scene:
        assert await measure(scene.scheduler, START) is None, "no loop makes jobs yet"
        scene.scheduler.is_running = True
        assert await scene.there(measure(scene.scheduler, START)) == Punctuality()
        late = START + timedelta(minutes=4)
        assert await scene.there(measure(scene.scheduler, late)) == Punctuality(not_run=("refused",))  # overdue
        await scene.at(START + timedelta(minutes=1))
        assert await scene.there(measure(scene.scheduler, scene.clock.at)) == Punctuality(not_run=("refused",))


def test_a_missed_plan_matters_where_the_next_is_far() -> None:
    [missed] = runs(0, outcome=RunOutcome.MISSED)
    assert not did_not_run(missed, START + timedelta(minutes=5))
    assert did_not_run(missed, START + timedelta(hours=24))
    assert did_not_run(missed, None)


async def test_the_reading_of_jobs_warns_and_names_them() -> None:
    async def found() -> Punctuality:
        return Punctuality(not_run=("nightly", "weekly"))

    sample = await JobsSource(lambda: {}, punctuality=found).read()
    assert sample.watched["jobs.schedules_not_run"] == 2
    assert sample.watched["jobs.unusual_runs"] == 0
    [figure] = [one for one in sample.figures if one.name == "schedules_not_run"]
    assert (figure.text, figure.level) == ("nightly, weekly", Level.WARNING)
