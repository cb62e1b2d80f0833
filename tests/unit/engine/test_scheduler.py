"""Plans become jobs exactly once: on time, late, missed, overlapping, after a jump of the clock and after a failure."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fakes.jobs import Doing, Number, make_engine, nothing, opened, reaches, until
from fakes.scheduling import START, StandingClock, questions, schedule, scheduling
from qsuite_console.engine.ports import Claiming, JobContext
from qsuite_console.engine.scheduler import Scheduler
from qsuite_console.engine.state import TargetView
from qsuite_console.metrics import schedules as meanings
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.errors import Conflict, HistoryUnavailable
from qsuite_console.model.jobs import JobState, Submission
from qsuite_console.model.schedules import (
    Collision,
    Explanation,
    Missed,
    Overlap,
    RunOutcome,
    ScheduleDetail,
    Timing,
)

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


class Held:
    """A worker whose jobs run until the test lets them go."""

    def __init__(self) -> None:
        self.released: set[int] = set()
        self.worker = Doing(self.work)

    async def work(self, context: JobContext, parameters: Number) -> Mapping[str, Any]:
        while context.job_id not in self.released:
            await context.breathe()
            await asyncio.sleep(0.005)
        return {}


async def test_each_plan_makes_one_job_with_its_origin_and_its_audit(tmp_path: Path) -> None:
    with scheduling(tmp_path, Doing(nothing), schedules=[schedule(parameters={"n": 7})]) as scene:
        await scene.at(START + 59 * SECOND)
        assert await scene.jobs() == []
        for _ in range(3):
            await scene.at(START + MINUTE)  # looked at three times: one job
        [job] = await scene.jobs()
        assert (job.kind, job.parameters, job.origin) == ("task", {"n": 7}, "schedule tick")
        await reaches(scene.engine.control, job.id, JobState.SUCCEEDED)
        await scene.at(START + 2 * MINUTE)
        await reaches(scene.engine.control, job.id + 1, JobState.SUCCEEDED)
        assert await scene.told() == [("12:01:00", "succeeded", "plan", 1), ("12:02:00", "succeeded", "plan", 1)]
        assert all(run.finished_at for run in await scene.runs())
    with sqlite3.connect(tmp_path / "history.sqlite") as connection:
        audit = connection.execute("SELECT origin, action, result FROM audit ORDER BY id").fetchall()
    assert audit == [("schedule tick", "jobs.submit", f"job {number}") for number in (job.id, job.id + 1)]


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        (Missed.SKIP, [("17:00:00", "missed", "plan", 300)]),
        (Missed.ONCE, [("16:59:00", "missed", "plan", 299), ("17:00:00", "succeeded", "made up", 1)]),
    ],
)
async def test_what_was_missed_is_dealt_with_by_its_policy(
    tmp_path: Path, missed: Missed, expected: list[tuple[str, str, str, int]]
) -> None:
    """The service was down for five hours, and comes back 61 s after a plan, one second past the grace."""
    planned = schedule(missed=missed, timing=Timing(cron="* * * * *"), grace_s=30)
    with scheduling(tmp_path, Doing(nothing), schedules=[planned]):
        pass
    back = StandingClock(START + timedelta(hours=5, seconds=31))
    with scheduling(tmp_path, Doing(nothing), clock=back) as scene:
        for _ in range(2):
            await scene.there(scene.scheduler.deal())
        for job in await scene.jobs():
            await reaches(scene.engine.control, job.id, JobState.SUCCEEDED)
        assert await scene.told() == expected
        await scene.at(29 * SECOND)  # the next plan is on time again
        assert (await scene.told())[-1][0] == "17:01:00"
        assert (await scene.told())[-1][2] == "plan"


async def test_within_the_grace_a_late_run_is_on_time_under_every_policy(tmp_path: Path) -> None:
    names = {policy: schedule(str(policy), missed=policy, timing=Timing(cron="0 * * * *")) for policy in Missed}
    with scheduling(tmp_path, Doing(nothing), schedules=list(names.values())) as scene:
        await scene.at(START + timedelta(hours=1, seconds=60))
        for policy in Missed:
            [run] = await scene.runs(str(policy))
            assert (f"{run.planned_at:%H:%M}", run.trigger) == ("13:00", "plan")


async def test_all_are_made_up_one_after_the_other_and_of_many_the_newest(tmp_path: Path) -> None:
    order: list[int] = []

    async def work(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        order.append(context.job_id)
        return {}

    planned = schedule(missed=Missed.ALL, timing=Timing(cron="*/10 * * * *"))
    with scheduling(tmp_path, Doing(work), schedules=[planned]):
        pass
    with scheduling(tmp_path, Doing(work), clock=StandingClock(START + timedelta(hours=20, minutes=5))) as scene:

        async def are_over() -> bool:
            await scene.there(scene.scheduler.deal())
            return [run.outcome for run in await scene.runs()].count(RunOutcome.SUCCEEDED) == 100

        await until(are_over, 60)
        told = await scene.told()
    assert told[0] == ("15:20:00", "missed", "plan", 20)
    assert [run[0] for run in told[1:]] == [f"{START + timedelta(minutes=10 * n):%H:%M:%S}" for n in range(21, 121)]
    assert {run[1:] for run in told[1:]} == {("succeeded", "made up", 1)}
    assert order == sorted(order)
    assert len(order) == 100


async def test_skip_leaves_a_plan_out_while_the_job_before_runs(tmp_path: Path) -> None:
    held = Held()
    with scheduling(tmp_path, held.worker, schedules=[schedule()]) as scene:
        await scene.at(START + MINUTE)
        for _ in range(3):
            await scene.at(MINUTE)
        [job] = await scene.jobs()
        assert await scene.told() == [("12:01:00", "started", "plan", 1), ("12:04:00", "skipped", "plan", 3)]
        assert (await scene.runs())[-1].note == f"job {job.id} was not over"
        held.released.add(job.id)
        await reaches(scene.engine.control, job.id, JobState.SUCCEEDED)
        await scene.at(MINUTE)
        assert [run[:2] for run in await scene.told()][-1] == ("12:05:00", "started")


async def test_queue_lets_plans_wait_for_the_job_before_also_over_a_restart(tmp_path: Path) -> None:
    held = Held()
    with scheduling(tmp_path, held.worker, schedules=[schedule(overlap=Overlap.QUEUE)]) as scene:
        for _ in range(3):
            await scene.at(MINUTE)
        [first] = await scene.jobs()
        assert [run[1] for run in await scene.told()] == ["started", "waiting", "waiting"]
        held.released.add(first.id)
        await reaches(scene.engine.control, first.id, JobState.SUCCEEDED)
        await scene.there(scene.scheduler.deal())
        assert [run[1] for run in await scene.told()] == ["succeeded", "started", "waiting"]
    with scheduling(tmp_path, Doing(nothing), clock=scene.clock) as scene:

        async def are_over() -> bool:
            await scene.there(scene.scheduler.deal())
            return [run[1] for run in await scene.told()] == ["succeeded"] * 3

        await until(are_over)
        assert len(await scene.jobs()) == 3


async def test_cancel_previous_ends_the_job_before_and_runs(tmp_path: Path) -> None:
    held = Held()
    with scheduling(tmp_path, held.worker, schedules=[schedule(overlap=Overlap.CANCEL)]) as scene:
        await scene.at(MINUTE)
        await reaches(scene.engine.control, 1, JobState.RUNNING)
        await scene.at(MINUTE)
        await reaches(scene.engine.control, 1, JobState.CANCELLED)

        async def is_started() -> bool:
            await scene.there(scene.scheduler.deal())
            return [run[1] for run in await scene.told()] == ["cancelled", "started"]

        await until(is_started)
        held.released.add(2)
        await reaches(scene.engine.control, 2, JobState.SUCCEEDED)


async def test_a_job_somebody_else_runs_that_does_the_same_is_neither_joined_nor_cancelled(tmp_path: Path) -> None:
    held = Held()
    with scheduling(tmp_path, held.worker, schedules=[schedule(overlap=Overlap.CANCEL)]) as scene:
        receipt = await scene.engine.control.submit(Submission(kind="task", origin="console"))
        await scene.at(MINUTE)
        [run] = await scene.runs()
        assert (run.outcome, run.note) == (RunOutcome.SKIPPED, f"job {receipt.job_id} does the same")
        assert (await scene.engine.control.job(receipt.job_id)).job.state is not JobState.CANCELLED
        held.released.add(receipt.job_id)


async def test_a_clock_that_jumps_ahead_and_back_makes_no_plan_twice(tmp_path: Path) -> None:
    hourly = schedule(timing=Timing(cron="0 * * * *"), missed=Missed.ONCE)
    with scheduling(tmp_path, Doing(nothing), schedules=[hourly]) as scene:
        await scene.at(START + timedelta(hours=1))
        await reaches(scene.engine.control, 1, JobState.SUCCEEDED)
        await scene.at(START + timedelta(hours=30, seconds=10))  # set wrong: a day ahead
        await scene.at(START + timedelta(hours=1, minutes=30))  # and corrected
        await reaches(scene.engine.control, 2, JobState.SUCCEEDED)
        before = await scene.told()
        for hour in (2, 3):
            await scene.at(START + timedelta(hours=hour))
            await reaches(scene.engine.control, (await scene.jobs())[-1].id, JobState.SUCCEEDED)
        after = await scene.told()
    assert [run[0] for run in before] == ["13:00:00", "17:00:00", "18:00:00"]
    assert [run[:2] for run in after] == [
        ("13:00:00", "succeeded"), ("14:00:00", "succeeded"), ("15:00:00", "succeeded"),
        ("17:00:00", "missed"), ("18:00:00", "succeeded"),
    ]  # fmt: skip


async def test_half_an_hour_back_waits_until_the_time_was_there_before(tmp_path: Path) -> None:
    with scheduling(tmp_path, Doing(nothing), schedules=[schedule(timing=Timing(cron="*/10 * * * *"))]) as scene:
        await scene.at(START + timedelta(minutes=30))
        told = await scene.told()
        await scene.at(START + timedelta(minutes=10))
        await scene.at(START + timedelta(minutes=20))
        assert await scene.told() == told
        await scene.at(START + timedelta(minutes=40))
        assert (await scene.told())[-1][0] == "12:40:00"


async def test_a_schedule_that_fails_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scheduling(tmp_path, Doing(nothing), schedules=[schedule("a"), schedule("b")]) as scene:
        broken = scene.scheduler.find("a")
        real = Scheduler._deal

        async def deal(self: Scheduler, entry: Any) -> None:
            if entry is broken:
                raise ZeroDivisionError("broken on purpose")
            await real(self, entry)

        monkeypatch.setattr(Scheduler, "_deal", deal)
        await scene.at(MINUTE)
        assert (len(await scene.runs("a")), len(await scene.runs("b"))) == (0, 1)
        assert scene.scheduler._wait_s() > 0  # not at once again


async def test_what_the_gate_refuses_is_kept_once_and_told(tmp_path: Path) -> None:
    target = TargetView(name="desk", is_read_only=True)
    with scheduling(tmp_path, Doing(nothing), schedules=[schedule()], target=target) as scene:
        for _ in range(3):
            await scene.at(MINUTE)
        [run] = await scene.runs()
        assert (run.outcome, run.covers, run.planned_at) == (RunOutcome.REFUSED, 3, START + 3 * MINUTE)
        assert run.note == "the target desk is read-only: task would change data"
        assert await scene.jobs() == []
    with sqlite3.connect(tmp_path / "history.sqlite") as connection:
        (audited,) = connection.execute("SELECT count(*) FROM audit").fetchone()
    assert audited == 1


async def test_production_runs_only_what_was_confirmed_for_it_by_its_name(tmp_path: Path) -> None:
    schedules = [schedule("open"), schedule("confirmed", confirmed="prod"), schedule("other", confirmed="alpha")]
    with scheduling(
        tmp_path, Doing(nothing), schedules=schedules, target=TargetView(name="prod", word="PRODUCTION")
    ) as scene:
        await scene.at(MINUTE)
        outcomes = {name: (await scene.runs(name))[0].outcome for name in ("open", "confirmed", "other")}
    assert outcomes["open"] is outcomes["other"] is RunOutcome.REFUSED
    assert outcomes["confirmed"] in (RunOutcome.STARTED, RunOutcome.SUCCEEDED)


async def test_once_runs_once_and_is_over(tmp_path: Path) -> None:
    once = schedule(timing=Timing(once_at=START + timedelta(minutes=5)))
    with scheduling(tmp_path, Doing(nothing), schedules=[once]) as scene:
        for minutes in (4, 5, 6, 600):
            await scene.at(START + timedelta(minutes=minutes))
        assert len(await scene.jobs()) == 1
        assert scene.scheduler.find("tick").next_at is None


async def test_jitter_is_the_same_after_a_restart_and_never_before_the_plan(tmp_path: Path) -> None:
    spread = schedule(jitter_s=50)
    with scheduling(tmp_path, Doing(nothing), schedules=[spread]) as scene:
        due = scene.scheduler.find("tick").due_at
    assert due is not None
    assert START + MINUTE < due < START + MINUTE + 50 * SECOND
    with scheduling(tmp_path, Doing(nothing)) as scene:
        assert scene.scheduler.find("tick").due_at == due
        await scene.at(due - timedelta(milliseconds=1))
        assert await scene.runs() == []
        await scene.at(due)
        assert [run.planned_at for run in await scene.runs()] == [START + MINUTE]


async def test_defaults_are_offered_once_and_never_come_back(tmp_path: Path) -> None:
    offered = [schedule("a"), schedule("b")]
    with scheduling(tmp_path, Doing(nothing), schedules=offered) as scene:
        await scene.engine.control.perform("schedules.delete", {"name": "a"})
        edited = msgspec.structs.replace(scene.scheduler.find("b").schedule, note="mine")
        await scene.there(scene.store.schedules.save(edited))
    with scheduling(tmp_path, Doing(nothing), schedules=[*offered, schedule("c")]) as scene:
        assert sorted(scene.scheduler.entries) == ["b", "c"]
        assert scene.scheduler.find("b").schedule.note == "mine"


async def test_run_now_is_beside_the_plans_and_refuses_a_second_one(tmp_path: Path) -> None:
    held = Held()
    with scheduling(tmp_path, held.worker, schedules=[schedule(is_enabled=False)]) as scene:
        outcome = await scene.engine.control.perform("schedules.run", {"name": "tick"}, origin="me")
        scene.clock.at += SECOND
        job_id = outcome.figures["job_id"]
        assert outcome.message == f"tick runs: job {job_id}"
        with pytest.raises(Conflict, match=f"tick is not run: job {job_id} was not over"):
            await scene.engine.control.perform("schedules.run", {"name": "tick"})
        assert not scene.scheduler.find("tick").schedule.is_enabled
        held.released.add(job_id)


async def test_the_loop_wakes_by_itself_at_the_next_plan_and_at_a_change(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        clock = SystemClock()
        scheduler = Scheduler(store.schedules, lambda _: [])
        operations, probes = questions(scheduler, clock)
        engine = make_engine(store, Doing(nothing), scheduler=scheduler, operations=operations, probes=probes)
        engine.start()
        try:
            steps = 0
            real = scheduler.deal

            async def counted() -> None:
                nonlocal steps
                steps += 1
                await real()

            scheduler.deal = counted  # type: ignore[method-assign]
            began = datetime.now(UTC)
            await engine.control.perform("schedules.save", {"name": "tick", "kind": "task", "every": "1 s"})
            number = scheduler.find("tick").schedule.id

            async def ran() -> bool:
                return len(await store.schedules.runs(number, 10)) >= 3

            await until(ran, 30)
            spent = (datetime.now(UTC) - began).total_seconds()
            assert steps <= 4 * (spent + 2), "it wakes for plans and changes, not in between"
            runs = await store.schedules.runs(number, 10)
            assert all(run.at >= run.planned_at for run in runs)
        finally:
            engine.request_stop()
            engine.stop(0.0)


async def test_a_full_disk_keeps_the_plan_until_it_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scheduling(tmp_path, Doing(nothing), schedules=[schedule()]) as scene:
        real = scene.store.schedules.fire

        async def refuses(*_: Any, **__: Any) -> None:
            raise HistoryUnavailable("the disk is full")

        monkeypatch.setattr(scene.store.schedules, "fire", refuses)
        with pytest.raises(HistoryUnavailable):
            await scene.at(MINUTE)
        monkeypatch.setattr(scene.store.schedules, "fire", real)
        await scene.there(scene.scheduler.deal())
        assert [run.planned_at for run in await scene.runs()] == [START + MINUTE]


async def test_an_engine_that_only_edits_runs_no_plan(tmp_path: Path) -> None:
    with scheduling(tmp_path, Doing(nothing), schedules=[schedule()], claim=Claiming.NONE) as scene:
        found: Any = await scene.engine.control.ask("schedules.list", {})
        assert found.is_running is False
        assert [view.schedule.name for view in found.schedules] == ["tick"]
        outcome = await scene.engine.control.perform("schedules.pause", {"name": "tick"})
        assert outcome.message == "tick is paused"
        assert await scene.jobs() == []


async def test_what_many_schedules_mean_together_is_computed_beside_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    real = meanings.collisions

    def told(*arguments: Any) -> tuple[Collision, ...]:
        threads.append(threading.get_ident())
        return real(*arguments)

    monkeypatch.setattr(meanings, "collisions", told)
    others = [schedule(f"s{number}", timing=Timing(cron="*/5 * * * *")) for number in range(3)]
    with scheduling(tmp_path, Doing(nothing), schedules=[schedule(), *others]) as scene:
        detail = await scene.engine.control.ask("schedules.detail", {"name": "tick"})
        assert isinstance(detail, ScheduleDetail)
        assert [(one.name, one.first_at) for one in detail.collisions] == [
            (f"s{number}", START + 5 * MINUTE) for number in range(3)
        ]
        explained = await scene.engine.control.ask("schedules.explain", {"cron": "*/5 * * * *", "zone": "UTC"})
        assert isinstance(explained, Explanation)
        assert [one.name for one in explained.collisions] == ["s0", "s1", "s2", "tick"]

        async def here() -> int:
            return threading.get_ident()

        assert len(threads) == 2
        assert await scene.there(here()) not in threads
