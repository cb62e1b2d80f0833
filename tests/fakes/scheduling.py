"""An engine with schedules whose clock the test moves: plans are dealt with when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from fakes.jobs import make_engine, opened
from qsuite_console.engine.engine import Engine
from qsuite_console.engine.ports import Claiming, Operation, Probe, Worker
from qsuite_console.engine.scheduler import Scheduler
from qsuite_console.history.store import SqliteStore
from qsuite_console.metrics.schedules import DetailProbe, ExplainProbe, ListProbe
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.jobs import Job, JobQuery
from qsuite_console.model.schedules import Schedule, ScheduleRun, Timing
from qsuite_console.operations.schedules import Delete, Enable, Pause, Run, Save
from qsuite_console.workers import Services

T = TypeVar("T")
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class StandingClock(SystemClock):
    """Stands still until the test moves it."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


def schedule(name: str = "tick", **changes: Any) -> Schedule:
    """A schedule every minute, enabled as of the start."""
    fields: dict[str, Any] = {"kind": "task", "timing": Timing(every_s=60), "handled_until": START}
    return Schedule(name=name, **{**fields, **changes})


def questions(scheduler: Scheduler, clock: SystemClock) -> tuple[dict[str, Operation], dict[str, Probe]]:
    """The operations and probes of schedules."""
    services = cast("Services", SimpleNamespace(schedules=scheduler, clock=clock))
    operations = [kind(services) for kind in (Save, Enable, Pause, Delete, Run)]
    probes = [kind(services) for kind in (ListProbe, DetailProbe, ExplainProbe)]
    return {each.kind.name: each for each in operations}, {each.name: each for each in probes}


@dataclass(slots=True)
class Scene:
    """What a test works with."""

    engine: Engine
    scheduler: Scheduler
    store: SqliteStore
    clock: StandingClock

    async def there(self, coroutine: Any) -> Any:
        """Run something on the engine's loop."""
        return await asyncio.wrap_future(self.engine.call(coroutine))

    async def at(self, moment: datetime | timedelta) -> None:
        """Move the clock and deal with what is due."""
        self.clock.at = moment if isinstance(moment, datetime) else self.clock.at + moment
        await self.there(self.scheduler.deal())

    async def runs(self, name: str = "tick") -> list[ScheduleRun]:
        """The runs of a schedule, oldest first."""
        found = await self.store.schedules.runs(self.scheduler.find(name).schedule.id, 500)
        return list(reversed(found))

    async def told(self, name: str = "tick") -> list[tuple[str, str, str, int]]:
        """(planned, outcome, trigger, plans it stands for) of each run, oldest first."""
        return [(f"{r.planned_at:%H:%M:%S}", str(r.outcome), r.trigger, r.covers) for r in await self.runs(name)]

    async def jobs(self) -> Sequence[Job]:
        """Every job, oldest first."""
        return list(reversed((await self.store.jobs(JobQuery(limit=1000))).jobs))


@contextmanager
def scheduling(
    directory: Path,
    *workers: Worker,
    schedules: Sequence[Schedule] = (),
    clock: StandingClock | None = None,
    claim: Claiming = Claiming.ALL,
    **arguments: Any,
) -> Iterator[Scene]:
    """Run an engine whose plans are dealt with only by ``Scene.at``; its own loop sleeps on."""
    clock = clock or StandingClock()
    with opened(directory) as store:
        scheduler = Scheduler(store.schedules, lambda _: schedules)
        operations, probes = questions(scheduler, clock)
        engine = make_engine(
            store,
            *workers,
            scheduler=_Still(scheduler) if claim is Claiming.ALL else scheduler,
            operations=operations,
            probes=probes,
            clock=clock,
            claim=claim,
            **arguments,
        )
        engine.start()
        try:
            yield Scene(engine, scheduler, store, clock)
        finally:
            engine.request_stop()
            engine.stop(0.0)


class _Still:
    """A scheduler whose own loop does nothing."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.bind = scheduler.bind

    async def step(self) -> None:
        await asyncio.Event().wait()
