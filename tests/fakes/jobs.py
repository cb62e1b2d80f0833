"""Workers that do exactly what a test needs, and an engine around a fresh history that is always stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from qsuite_console.config.settings import EngineSettings
from qsuite_console.engine.engine import Engine, Parts
from qsuite_console.engine.local import LocalControl
from qsuite_console.engine.ports import Claiming, JobContext, JobKind, Worker
from qsuite_console.engine.state import TargetView
from qsuite_console.history.store import SqliteStore, open_store
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.jobs import Job, JobState

SETTINGS = EngineSettings(drain_s=5.0)


class Number(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters that tell jobs of a test apart."""

    n: int = 0


class Doing:
    """A worker whose work is a function of the test."""

    def __init__(
        self, work: Callable[[JobContext, Number], Awaitable[Mapping[str, Any]]], name: str = "task", **kind: Any
    ) -> None:
        self.work = work
        self.kind = JobKind(name=name, title=name.title(), description="for a test", parameters=Number, **kind)

    def title(self, parameters: Number) -> str:
        return f"{self.kind.name} {parameters.n}"

    async def run(self, context: JobContext, parameters: Number) -> Mapping[str, Any]:
        return await self.work(context, parameters)


async def nothing(context: JobContext, parameters: Number) -> Mapping[str, Any]:
    return {"n": parameters.n}


async def forever(context: JobContext, parameters: Number) -> Mapping[str, Any]:
    await asyncio.sleep(3600)
    raise AssertionError("nobody waits an hour")


class MovingClock(SystemClock):
    """The machine's clock, moved by the test."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def new_job(**changes: Any) -> Job:
    """A job as submitted, eligible now."""
    now = datetime.now(UTC)
    fields = {
        "id": 0, "kind": "task", "title": "task", "queue": "general", "priority": 5, "state": JobState.QUEUED,
        "parameters": {}, "created_at": now, "run_at": now, "correlation_id": "c0ffee", "origin": "test",
    }  # fmt: skip
    return Job(**{**fields, **changes})


@contextmanager
def opened(directory: Path, settings: EngineSettings = SETTINGS) -> Iterator[SqliteStore]:
    """A store that is closed whatever happens."""
    store = open_store(directory / "history.sqlite", settings=settings, clock=SystemClock())
    try:
        yield store
    finally:
        store.close()


def make_engine(store: SqliteStore, *workers: Worker, **arguments: Any) -> Engine:
    """An engine over a store, not started."""
    parts = Parts(
        store=store,
        workers={worker.kind.name: worker for worker in workers},
        probes=arguments.pop("probes", {}),
        sampler=arguments.pop("sampler", None),
        scheduler=arguments.pop("scheduler", None),
        operations=arguments.pop("operations", {}),
        services=arguments.pop("services", ()),
        executors=arguments.pop("executors", {}),
        rejoiner=arguments.pop("rejoiner", None),
    )
    return Engine(
        parts,
        settings=arguments.pop("settings", SETTINGS),
        clock=arguments.pop("clock", SystemClock()),
        target=arguments.pop("target", TargetView()),
        version="test",
        claim=arguments.pop("claim", Claiming.ALL),
        **arguments,
    )


@contextmanager
def running(directory: Path, *workers: Worker, **arguments: Any) -> Iterator[Engine]:
    """An engine on a history in ``directory``, started, and stopped at once at the end."""
    with opened(directory, arguments.get("settings", SETTINGS)) as store:
        engine = make_engine(store, *workers, **arguments)
        engine.start()
        try:
            yield engine
        finally:
            engine.request_stop()
            engine.stop(0.0)


async def until(condition: Callable[[], Any], timeout_s: float = 10.0) -> Any:
    """Wait for a condition (a value or an awaitable of one) and return it; fail after the deadline."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.005)


async def reaches(control: LocalControl, job_id: int, *states: JobState, timeout_s: float = 10.0) -> Job:
    """Wait until a job is in one of the states, and return it."""

    async def look() -> Job | None:
        job = (await control.job(job_id)).job
        return job if job.state in states else None

    job: Job = await until(look, timeout_s)
    return job
