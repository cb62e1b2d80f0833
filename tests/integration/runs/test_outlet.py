"""A broker that hangs or is away: jobs wait in the table, say so, and hear what is wished of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fakes.handing import ToldWorker, console
from fakes.jobs import reaches, until
from qsuite_console.engine.engine import Engine
from qsuite_console.engine.ports import JobKind
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.handing import Message, Run
from qsuite_console.model.jobs import JobAction, JobState, Submission

FAR = 40.0


class Broker:
    """Takes messages, or hangs, or is away; counts what it was asked."""

    resend_s = 0.03

    def __init__(self, *, hangs: bool = False, is_away: bool = False) -> None:
        self.hangs = hangs
        self.is_away = is_away
        self.sent: list[int] = []
        self.looks = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        yield

    async def send(self, run: Run, kind: JobKind) -> None:
        self.sent.append(run.claim.job.id)
        if self.hangs:
            await asyncio.Event().wait()
        self._refuse()

    async def missing(self, messages: Sequence[Message]) -> Sequence[Message]:
        self.looks += 1
        self._refuse()
        return messages

    def _refuse(self) -> None:
        if self.is_away:
            raise ConsoleError("the broker is away")


async def submit(engine: Engine, word: str = "") -> int:
    return (await engine.control.submit(Submission(kind="told", parameters={"word": word}))).job_id


async def test_a_broker_that_hangs_keeps_no_cancellation_from_its_job(tmp_path: Path, database_dsn: str) -> None:
    broker = Broker(hangs=True)
    with console(tmp_path, database_dsn, ToldWorker(), outlet=broker) as engine:
        jobs = [await submit(engine, word) for word in ("one", "two", "three")]
        await until(lambda: set(broker.sent) == set(jobs), FAR)  # one may have been sent again meanwhile
        await engine.control.act(JobAction.CANCEL, jobs)
        for job_id in jobs:
            await reaches(engine.control, job_id, JobState.CANCELLED, timeout_s=FAR)


async def test_a_job_says_that_the_broker_is_away_and_the_log_says_it_once(
    tmp_path: Path, database_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(is_away=True)
    with console(tmp_path, database_dsn, ToldWorker(), outlet=broker) as engine, caplog.at_level(logging.WARNING):
        job_id = await submit(engine)

        async def says(words: str) -> bool:
            return (await engine.control.job(job_id)).job.progress.message == words

        await until(lambda: says("waits for Celery's broker, which is away"), FAR)
        await until(lambda: broker.looks > 5, FAR)
        said = [record.message for record in caplog.records if record.name.startswith("qsuite_console.distributed")]
        assert said == ["runs are not looked after: the broker is away"]
        assert [line.message for line in await engine.control.logs(job_id) if line.level == "WARNING"] == [
            "the broker is away; its message is sent again"
        ]
        broker.is_away = False
        await until(lambda: says("waits for a Celery worker"), FAR)
        await until(lambda: len(broker.sent) > 1, FAR)
        await engine.control.act(JobAction.CANCEL, [job_id])
        await reaches(engine.control, job_id, JobState.CANCELLED, timeout_s=FAR)
