"""A platform with schedules: on time, late, skipped, failing, paused, over; answered by the real code from memory."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from fakes.control import FakeControl, demo
from fakes.platform import NOW
from qsuite_console.engine.parameters import decode
from qsuite_console.engine.scheduler import Entry
from qsuite_console.metrics.schedules import PROBES, Answers
from qsuite_console.model.errors import NotFound
from qsuite_console.model.operations import OperationInfo, Outcome, Proposal
from qsuite_console.model.schedules import Missed, Overlap, RunOutcome, Schedule, ScheduleRun, Timing
from qsuite_console.operations.schedules import Delete, Enable, Pause, Run, Save
from qsuite_console.workers import Services

KINDS = ("backfill", "partitions", "warm.market-data", "warm.positions", "warm.prices")


def _schedule(number: int, name: str, kind: str, timing: Timing, **more: Any) -> Schedule:
    return Schedule(id=number, name=name, kind=kind, timing=timing, handled_until=NOW, created_at=NOW, **more)


SCHEDULES = (
    _schedule(1, "close-backfill", "backfill", Timing(cron="15 16 * * mon-fri", zone="America/New_York"),
              parameters={"symbols": "active", "timeframe": "1Day"}, missed=Missed.ONCE, grace_s=3600,
              note="the day's bars, once the exchange has closed"),
    _schedule(2, "month-end", "partitions", Timing(cron="30 2 l * *", zone="Europe/Berlin"), missed=Missed.ALL,
              overlap=Overlap.QUEUE, is_enabled=False, note="makes the partitions of the coming months"),
    _schedule(3, "warm-market-data", "warm.market-data", Timing(every_s=300), jitter_s=10),
    _schedule(4, "warm-positions", "warm.positions", Timing(every_s=600), overlap=Overlap.CANCEL),
    _schedule(5, "warm-prices", "warm.prices", Timing(every_s=30), grace_s=15,
              note="keeps the newest price of every symbol in the cache"),
    _schedule(6, "migration", "backfill", Timing(once_at=NOW - timedelta(hours=3)), note="moved the archive"),
)  # fmt: skip


def _run(number: int, ago_s: float, outcome: RunOutcome, job: int | None = None, **more: Any) -> ScheduleRun:
    at = NOW - timedelta(seconds=ago_s)
    return ScheduleRun(schedule_id=number, planned_at=at, at=at, outcome=outcome, job_id=job, **more)


RUNS = {
    1: (
        _run(1, 57_000, RunOutcome.SUCCEEDED, 371, trigger="made up"),
        _run(1, 143_400, RunOutcome.MISSED, covers=2, note="nothing ran it in time; one run makes up"),
        _run(1, 400_000, RunOutcome.SUCCEEDED, 290),
    ),
    3: (
        _run(3, 112, RunOutcome.SKIPPED, covers=3, note="job 405 was not over"),
        _run(3, 1312, RunOutcome.SUCCEEDED, 405),
    ),
    4: (_run(4, 412, RunOutcome.FAILED, 401, note="the cache refuses: OOM command not allowed"),),
    5: tuple(_run(5, 12 + 30 * n, RunOutcome.SUCCEEDED, 409 - n) for n in range(20)),
    6: (_run(6, 10_800, RunOutcome.SUCCEEDED, 300),),
}


class Timetable:
    """Schedules in memory; ``schedules`` may be changed by a test."""

    def __init__(self, schedules: Sequence[Schedule] = SCHEDULES) -> None:
        self.schedules = list(schedules)
        self.problems: dict[str, str] = {}

    @property
    def entries(self) -> Mapping[str, Entry]:
        return {schedule.name: Entry(schedule) for schedule in self.schedules}

    def find(self, name: str) -> Entry:
        if name not in self.entries:
            raise NotFound(f"there is no schedule {name}")
        return self.entries[name]

    def job_of(self, schedule: Schedule) -> tuple[Any, str]:
        if schedule.kind not in KINDS:
            raise NotFound(f"there is no kind of job {schedule.kind}", hint=f"known are {', '.join(KINDS)}")
        return SimpleNamespace(title=f"{schedule.kind} of everything"), "key"

    async def all(self) -> Sequence[Schedule]:
        return sorted(self.schedules, key=lambda schedule: schedule.name)

    async def last_runs(self) -> Mapping[int, ScheduleRun]:
        return {number: runs[0] for number, runs in RUNS.items()}

    async def live(self) -> Mapping[int, int]:
        return {3: 412}

    async def waiting(self) -> Mapping[int, int]:
        return {}

    async def runs(self, schedule_id: int, limit: int) -> Sequence[ScheduleRun]:
        return RUNS.get(schedule_id, ())[:limit]


def at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine that never waits returns."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def scheduled(timetable: Timetable | None = None, control: FakeControl | None = None) -> FakeControl:
    """The demo with a timetable; operations are looked at by the real code and only noted when performed."""
    timetable, control = timetable or Timetable(), control or demo()

    def problem(schedule: Schedule) -> str:
        return timetable.problems.get(schedule.name, "")

    def answers(probe: str) -> Callable[[Mapping[str, Any]], msgspec.Struct]:
        def answer(parameters: Mapping[str, Any]) -> msgspec.Struct:
            found = Answers(timetable, control.clock.now(), is_running=True, problem=problem)
            struct: msgspec.Struct = at_once(found.ask(probe, parameters))
            return msgspec.structs.replace(struct, cost_ms=1.2)

        return answer

    control.answers.update({probe: answers(probe) for probe in PROBES})
    gate = SimpleNamespace(typed=lambda *, changes_target: "")
    core = SimpleNamespace(around=SimpleNamespace(gate=gate), workers=dict.fromkeys(KINDS))
    desk = SimpleNamespace(entries=timetable.entries, find=timetable.find, job_of=timetable.job_of, core=core)
    services = cast("Services", SimpleNamespace(schedules=desk, clock=control.clock))
    infos = list(control.operation_infos)
    for each in (Save, Enable, Pause, Delete, Run):
        operation = each(services)
        name = operation.kind.name
        control.proposals[name] = _looked(operation)
        control.outcomes[name] = _done(name)
        infos.append(
            OperationInfo(
                name=name, title=operation.kind.title, help=operation.kind.help,
                changes_target=operation.kind.changes_target,
            )
        )  # fmt: skip
    control.operation_infos = tuple(infos)
    return control


def _looked(operation: Any) -> Callable[[Mapping[str, Any]], Proposal]:
    def look(given: Mapping[str, Any]) -> Proposal:
        found: Proposal = at_once(operation.propose(decode(operation.kind.parameters, given)))
        return found

    return look


def _done(name: str) -> Callable[[Mapping[str, Any]], Outcome]:
    return lambda given: Outcome(operation=name, is_done=True, message=f"{given['name']}: {name} is done")
