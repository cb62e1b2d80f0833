"""Runs in the hands of others, without a console: a job to hand out, kinds that do what they are told, and a book."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from fakes.jobs import running
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings
from qsuite_console.db.database import Database
from qsuite_console.db.runs import RunBook
from qsuite_console.distributed.claimer import Claimer
from qsuite_console.distributed.follower import Follower, Outlet
from qsuite_console.distributed.nodes import Node
from qsuite_console.engine.engine import Engine
from qsuite_console.engine.ports import JobContext, JobKind, Permanent, Retryable, Worker
from qsuite_console.engine.state import TargetView
from qsuite_console.model.clock import Clock, SystemClock
from qsuite_console.model.handing import Execution
from qsuite_console.model.jobs import Job, JobState
from qsuite_console.model.runs import Claim

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a told job does."""

    steps: int = 3
    wait_s: float = 0.0
    fails: str = ""  # "", "passing", "in a quarter of an hour", "for good"
    word: str = ""


class ToldWorker:
    """Counts its steps, saves each, logs each; goes on from its checkpoint. ``ran`` has (job, attempt, first step)."""

    kind = JobKind(name="told", title="Told", description="Does what it is told.", parameters=Told, changes_data=False)

    def __init__(self) -> None:
        self.ran: list[tuple[int, int, int]] = []
        self.stuck = asyncio.Event()

    def title(self, parameters: Told) -> str:
        return f"told {parameters.word or parameters.steps}"

    async def run(self, context: JobContext, parameters: Told) -> Mapping[str, Any]:
        first = int((context.checkpoint or {}).get("step", 0))
        self.ran.append((context.job_id, context.attempt, first))
        for step in range(first, parameters.steps):
            context.log.info("step %d", step + 1)
            context.progress(step + 1, parameters.steps, unit="steps", message=parameters.word)
            await asyncio.sleep(parameters.wait_s)
            await context.save({"step": step + 1})
            await context.breathe()
        if parameters.fails == "passing":
            raise Retryable("it may pass")
        if parameters.fails == "in a quarter of an hour":
            raise Retryable("it is closed", after_s=900.0)
        if parameters.fails:
            raise Permanent("never again", hint="do something else")
        return {"steps": parameters.steps, "word": parameters.word}


def job_of(number: int = 1, *, priority: int = 5, queue: str = "general", attempt: int = 1, **told: Any) -> Job:
    parameters = msgspec.to_builtins(Told(**told))
    return Job(
        id=number,
        kind="told",
        title=f"told {number}",
        queue=queue,
        priority=priority,
        state=JobState.RUNNING,
        parameters=parameters,
        created_at=NOW,
        run_at=NOW,
        attempt=attempt,
        tries=attempt,
        correlation_id=f"c{number}",
    )


def claim_of(number: int = 1, *, attempt: int = 1, checkpoint: dict[str, Any] | None = None, **told: Any) -> Claim:
    return Claim(job=job_of(number, attempt=attempt, **told), number=attempt, checkpoint=checkpoint)


@asynccontextmanager
async def open_book(dsn: str, *, lease_s: float = 30.0, is_pooled: bool = False) -> AsyncIterator[RunBook]:
    """Open the table; ``is_pooled``: as behind a pooler, where nothing is heard and all is looked for."""
    settings = DatabaseSettings(dsn=Secret(dsn), pool_min=0, pool_max=5, pgbouncer=is_pooled)
    database = Database(settings, application="runs-test")
    try:
        book = RunBook(database, lease_s=lease_s)
        await book.prepare()
        yield book
    finally:
        await database.close()


@contextmanager
def console(
    directory: Path,
    dsn: str,
    *workers: Worker,
    lease_s: float = 30.0,
    in_flight: int = 16,
    max_rescues: int = 5,
    is_local: bool = False,
    outlet: Outlet | None = None,
) -> Iterator[Engine]:
    """An engine whose queue ``general`` is done by nodes; its own worker of the kind must never run.

    ``outlet``: by Celery workers that are told of it this way. ``is_local``: its settings have changed, and it does
    what is in the queue itself.
    """
    database = Database(DatabaseSettings(dsn=Secret(dsn), pool_min=0, pool_max=4), application="console-test")
    follower = Follower(RunBook(database, lease_s=lease_s), "home", max_rescues=max_rescues, keep_days=7.0)

    @asynccontextmanager
    async def services() -> AsyncIterator[None]:
        try:
            async with follower.open():
                yield
        finally:
            await database.close()

    execution = Execution.NODES if outlet is None else Execution.CELERY
    executors = {} if is_local else {"general": follower.executor(execution, in_flight, outlet)}
    rejoiner = follower.rejoiner(is_read_only=False)
    with running(directory, *workers, executors=executors, rejoiner=rejoiner, services=(services(),)) as engine:
        yield engine


@asynccontextmanager
async def node(
    dsn: str,
    *workers: Worker,
    slots: int = 4,
    lease_s: float = 30.0,
    is_pooled: bool = False,
    clock: Clock | None = None,
) -> AsyncIterator[Node]:
    """A node on the loop of the test."""
    async with open_book(dsn, lease_s=lease_s, is_pooled=is_pooled) as book:
        named = {worker.kind.name: worker for worker in workers}
        claimer = Claimer(book, named, owner=f"host:{id(workers)}:x", target=TargetView(), clock=clock or SystemClock())
        served = Node(claimer, {"general": slots})
        async with served.serving():
            yield served
