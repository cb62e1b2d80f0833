"""A queue that became local while its jobs were in the hands of others: no job is done twice, none is forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.handing import ToldWorker, console, node, open_book
from fakes.jobs import reaches, until
from qsuite_console.config.queues import QueuePlan
from qsuite_console.config.settings import Settings
from qsuite_console.engine.engine import Engine
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.handing import Execution
from qsuite_console.model.jobs import JobAction, JobDetail, JobState, Outcome, Submission
from qsuite_console.paths import Paths
from qsuite_console.runtime import view_target
from qsuite_console.runtime.distribution import Distribution

FAR = 40.0
NOWHERE = "postgresql://127.0.0.1:1/x"


async def submit(engine: Engine, **told: object) -> int:
    return (await engine.control.submit(Submission(kind="told", parameters=dict(told)))).job_id


async def ended(engine: Engine, job_id: int, state: JobState) -> JobDetail:
    await reaches(engine.control, job_id, state, timeout_s=FAR)
    return await engine.control.job(job_id)


def messages(detail: JobDetail) -> list[str]:
    return [line.message for line in detail.logs]


async def handed_out(directory: Path, dsn: str, **told: object) -> int:
    """Hand a job out and end the engine while nobody has begun it."""
    with console(directory, dsn, ToldWorker()) as engine:
        job_id = await submit(engine, **told)
        async with open_book(dsn) as book, book.database.session("test") as connection:
            await until(lambda: connection.fetchval("SELECT count(*) FROM qsuite.job_run"), FAR)
    return job_id


async def test_a_run_that_is_out_is_joined_and_not_begun_here(tmp_path: Path, database_dsn: str) -> None:
    here, there = ToldWorker(), ToldWorker()
    async with node(database_dsn, there):
        with console(tmp_path, database_dsn, ToldWorker()) as engine:
            job_id = await submit(engine, steps=60, wait_s=0.02)
            await until(lambda: there.ran, FAR)
        with console(tmp_path, database_dsn, here, is_local=True) as engine:
            detail = await ended(engine, job_id, JobState.SUCCEEDED)
            other = await ended(engine, await submit(engine, word="new"), JobState.SUCCEEDED)
    assert there.ran == [(job_id, 1, 0)]
    assert here.ran == [(other.job.id, 1, 0)]  # what is submitted from now on is done here
    assert [attempt.outcome for attempt in detail.attempts] == [Outcome.INTERRUPTED, Outcome.SUCCEEDED]
    assert "joins its run that is under way" in messages(detail)
    steps = [message for message in messages(detail) if message.startswith("step ")]
    assert len(steps) == len(set(steps)) == 60


async def test_what_nobody_has_begun_is_taken_back_and_done_here(tmp_path: Path, database_dsn: str) -> None:
    here, there = ToldWorker(), ToldWorker()
    job_id = await handed_out(tmp_path, database_dsn)
    with console(tmp_path, database_dsn, here, is_local=True) as engine:
        detail = await ended(engine, job_id, JobState.SUCCEEDED)
    async with node(database_dsn, there), open_book(database_dsn) as book:
        assert not await book.claim({"general": 1}, kinds=["told"], owner="late")
    assert (here.ran, there.ran) == ([(job_id, 2, 0)], [])
    assert "nobody else has it: it is done here" in messages(detail)
    assert not detail.job.handed_out


async def test_a_run_whose_owner_died_goes_on_here_from_where_it_got(tmp_path: Path, database_dsn: str) -> None:
    here = ToldWorker()
    job_id = await handed_out(tmp_path, database_dsn, steps=5)
    async with open_book(database_dsn, lease_s=0.2) as book:
        (run,) = await book.claim({"general": 1}, kinds=["told"], owner="dead:1:x")
        await book.save(run.token, {"step": 3}, owner="dead:1:x")
        with console(tmp_path, database_dsn, here, is_local=True, lease_s=0.2) as engine:
            detail = await ended(engine, job_id, JobState.SUCCEEDED)
        with pytest.raises(Exception, match="given up"):
            await book.save(run.token, {"step": 4}, owner="dead:1:x")
    assert [(job, first) for job, _, first in here.ran] == [(job_id, 3)]
    assert detail.result == {"steps": 5, "word": ""}


async def test_what_was_done_meanwhile_is_taken_as_done(tmp_path: Path, database_dsn: str) -> None:
    here, there = ToldWorker(), ToldWorker()
    job_id = await handed_out(tmp_path, database_dsn, word="alone")
    async with node(database_dsn, there), open_book(database_dsn) as book, book.database.session("test") as connection:
        await until(lambda: connection.fetchval("SELECT count(*) FROM qsuite.job_run WHERE state = 'ended'"), FAR)
    with console(tmp_path, database_dsn, here, is_local=True) as engine:
        detail = await ended(engine, job_id, JobState.SUCCEEDED)
    assert (len(here.ran), len(there.ran)) == (0, 1)
    assert detail.result == {"steps": 3, "word": "alone"}


async def test_it_waits_while_nobody_can_say_who_has_it(tmp_path: Path, database_dsn: str) -> None:
    here = ToldWorker()
    job_id = await handed_out(tmp_path, database_dsn)
    with console(tmp_path, NOWHERE, here, is_local=True) as engine:

        async def waits() -> bool:
            return "can't see who has it" in (await engine.control.job(job_id)).job.progress.message

        await until(waits, FAR)
        other = await submit(engine, word="never out")
        await ended(engine, other, JobState.SUCCEEDED)  # no job that was always local waits for the table
        await engine.control.act(JobAction.PAUSE, [job_id])
        detail = await ended(engine, job_id, JobState.PAUSED)
    assert here.ran == [(other, 1, 0)]
    assert any("it goes on once that works" in message for message in messages(detail))


async def test_a_cancel_reaches_the_run_though_the_queue_is_local(tmp_path: Path, database_dsn: str) -> None:
    there = ToldWorker()
    async with node(database_dsn, there) as served:
        with console(tmp_path, database_dsn, ToldWorker()) as engine:
            followed = await submit(engine, steps=10_000, wait_s=0.02)
            held = await submit(engine, steps=10_000, wait_s=0.02, word="held")
            await until(lambda: len(there.ran) == 2, FAR)
            await engine.control.set_queue("general", is_paused=True)
        with console(tmp_path, database_dsn, ToldWorker(), is_local=True) as engine:
            await engine.control.act(JobAction.CANCEL, [held])  # nobody follows it here
            await until(lambda: len(served._tasks) == 1, FAR)
            await engine.control.set_queue("general", is_paused=False)
            await reaches(engine.control, followed, JobState.RUNNING, timeout_s=FAR)
            await engine.control.act(JobAction.CANCEL, [followed])
            await ended(engine, followed, JobState.CANCELLED)
            await until(lambda: not served._tasks, FAR)


def test_runs_are_looked_for_only_where_some_were_ever_handed_out(tmp_path: Path) -> None:
    paths, clock = Paths(*(tmp_path / name for name in ("config", "state", "data", "cache", "log"))), SystemClock()
    paths.ensure()

    def distribution(settings: Settings) -> Distribution:
        return Distribution(settings, paths, clock, view_target(settings))

    assert distribution(Settings()).rejoiner is None
    away = {"general": QueuePlan(name="general", execution=Execution.NODES)}
    assert distribution(Settings(queues=away)).executors.keys() == {"general"}
    again = distribution(Settings())
    assert again.rejoiner is not None
    assert not again.executors
