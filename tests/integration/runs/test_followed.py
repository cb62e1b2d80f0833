"""A console whose queue is done by others: the same history, screens and wishes, whoever works and whatever dies."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from fakes.handing import Told, ToldWorker, claim_of, console, node, open_book
from fakes.jobs import reaches, until
from fakes.stopwatch import Stopwatch
from qsuite_console.distributed import followed
from qsuite_console.distributed.follower import Follower
from qsuite_console.engine.engine import Engine
from qsuite_console.engine.handing_ports import Following
from qsuite_console.engine.ports import JobKind
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.handing import Execution
from qsuite_console.model.jobs import JobAction, JobDetail, JobState, Outcome, Submission

FAR = 40.0  # seconds: how long a loaded machine may take


async def submit(engine: Engine, **told: object) -> int:
    return (await engine.control.submit(Submission(kind="told", parameters=dict(told)))).job_id


async def ended(engine: Engine, job_id: int, state: JobState) -> JobDetail:
    await reaches(engine.control, job_id, state, timeout_s=FAR)
    return await engine.control.job(job_id)


def messages(detail: JobDetail) -> list[str]:
    return [line.message for line in detail.logs]


async def test_a_job_done_by_a_node_looks_like_one_done_here(tmp_path: Path, database_dsn: str) -> None:
    here, there = ToldWorker(), ToldWorker()
    async with node(database_dsn, there):
        with console(tmp_path, database_dsn, here) as engine:
            job_id = await submit(engine, steps=4, word="hello")
            detail = await ended(engine, job_id, JobState.SUCCEEDED)
    assert (len(here.ran), len(there.ran)) == (0, 1)
    assert detail.result == {"steps": 4, "word": "hello"}
    assert (detail.job.progress.done, detail.job.progress.message) == (4, "hello")
    assert [attempt.outcome for attempt in detail.attempts] == [Outcome.SUCCEEDED]
    assert [m for m in messages(detail) if m.startswith("step")] == ["step 1", "step 2", "step 3", "step 4"]
    assert messages(detail)[0].startswith("taken by node host:")


async def test_progress_and_checkpoints_are_seen_while_it_runs(tmp_path: Path, database_dsn: str) -> None:
    there = ToldWorker()
    async with node(database_dsn, there):
        with console(tmp_path, database_dsn, ToldWorker()) as engine:
            job_id = await submit(engine, steps=1000, wait_s=0.05)

            async def seen() -> bool:
                detail = await engine.control.job(job_id)
                return bool(detail.checkpoint) and detail.job.progress.done > 0 and len(detail.logs) > 3

            await until(seen, FAR)
            with Stopwatch() as taken:
                (answer,) = await engine.control.act(JobAction.CANCEL, [job_id])
                assert answer.is_done
                await ended(engine, job_id, JobState.CANCELLED)
            steps = there.ran[0]
    assert steps[2] == 0
    assert taken.seconds < 10  # a second or two where the machine is not loaded


async def test_a_paused_job_goes_on_from_its_checkpoint(tmp_path: Path, database_dsn: str) -> None:
    there = ToldWorker()
    async with node(database_dsn, there):
        with console(tmp_path, database_dsn, ToldWorker()) as engine:
            job_id = await submit(engine, steps=60, wait_s=0.05)
            await until(lambda: there.ran, FAR)
            await engine.control.act(JobAction.PAUSE, [job_id])
            detail = await ended(engine, job_id, JobState.PAUSED)
            assert detail.checkpoint
            await engine.control.act(JobAction.RESUME, [job_id])
            await ended(engine, job_id, JobState.SUCCEEDED)
    assert [attempt for _, attempt, _ in there.ran] == [1, 2]
    assert there.ran[1][2] == detail.checkpoint["step"]


async def test_failures_are_retried_or_final_as_ever(tmp_path: Path, database_dsn: str) -> None:
    async with node(database_dsn, ToldWorker()):
        with console(tmp_path, database_dsn, ToldWorker()) as engine:
            passing, final = await submit(engine, fails="passing"), await submit(engine, fails="for good")

            async def tried() -> JobDetail | None:
                detail = await engine.control.job(passing)
                return detail if detail.attempts and detail.attempts[0].outcome is Outcome.RETRY else None

            retried = await until(tried, FAR)
            failed = await ended(engine, final, JobState.FAILED)
    assert retried.attempts[0].error == "it may pass"
    assert retried.job.max_attempts == 4
    assert failed.job.error == "never again (do something else)"
    assert "attempt 1: never again (do something else)" in messages(failed)


class Slow(SystemClock):
    """The clock of a node that is three hours behind."""

    def now(self) -> datetime:
        return super().now() - timedelta(hours=3)


async def test_a_retry_is_dated_by_no_clock_of_a_node(tmp_path: Path, database_dsn: str) -> None:
    async with node(database_dsn, ToldWorker(), clock=Slow()):
        with console(tmp_path, database_dsn, ToldWorker()) as engine:
            job_id = await submit(engine, fails="in a quarter of an hour")
            job = await reaches(engine.control, job_id, JobState.SCHEDULED, timeout_s=FAR)
            (attempt,) = (await engine.control.job(job_id)).attempts
    assert attempt.finished_at is not None
    waits_s = (job.run_at - attempt.finished_at).total_seconds()
    assert 900 - FAR < waits_s < 905  # what passed between the node's word and the console's ear is taken off
    assert job.reason == f"try 2 of 4 at {job.run_at:%H:%M:%S} UTC"


async def test_an_engine_that_comes_back_joins_the_run(tmp_path: Path, database_dsn: str) -> None:
    there = ToldWorker()
    async with node(database_dsn, there):
        with console(tmp_path, database_dsn, ToldWorker()) as engine:
            job_id = await submit(engine, steps=100, wait_s=0.03)
            await until(lambda: there.ran, FAR)
        with console(tmp_path, database_dsn, ToldWorker()) as engine:
            detail = await ended(engine, job_id, JobState.SUCCEEDED)
    assert len(there.ran) == 1
    assert [attempt.outcome for attempt in detail.attempts] == [Outcome.INTERRUPTED, Outcome.SUCCEEDED]
    assert "joins its run that is under way" in messages(detail)
    steps = [message for message in messages(detail) if message.startswith("step ")]
    assert len(steps) == len(set(steps)) == 100  # nothing is told twice, nothing is left out


async def test_what_was_done_while_no_engine_ran_is_taken_as_done(tmp_path: Path, database_dsn: str) -> None:
    there = ToldWorker()
    with console(tmp_path, database_dsn, ToldWorker()) as engine:
        job_id = await submit(engine, steps=2, word="alone")
        await until(lambda: _waits(database_dsn), FAR)
    async with node(database_dsn, there):
        await until(lambda: _state(database_dsn, "ended"), FAR)
    with console(tmp_path, database_dsn, ToldWorker()) as engine:
        detail = await ended(engine, job_id, JobState.SUCCEEDED)
    assert detail.result == {"steps": 2, "word": "alone"}
    assert len(there.ran) == 1
    assert "it was done elsewhere while this engine was away" in messages(detail)


async def _waits(dsn: str) -> bool:
    return await _state(dsn, "handed_off")


async def _state(dsn: str, state: str) -> bool:
    async with open_book(dsn) as book, book.database.session("test") as connection:
        return bool(await connection.fetchval("SELECT count(*) FROM qsuite.job_run WHERE state = $1", state))


async def test_a_job_whose_node_dies_goes_on_at_another_from_its_checkpoint(tmp_path: Path, database_dsn: str) -> None:
    there = ToldWorker()
    with console(tmp_path, database_dsn, ToldWorker(), lease_s=1.0) as engine:
        job_id = await submit(engine, steps=5)
        async with open_book(database_dsn, lease_s=1.0) as book:
            await until(lambda: _waits(database_dsn), FAR)
            (run,) = await book.claim({"general": 1}, kinds=["told"], owner="dead:1:x")
            await book.save(run.token, {"step": 3}, owner="dead:1:x")
            await until(lambda: _state(database_dsn, "lost"), FAR)
            async with node(database_dsn, there):
                detail = await ended(engine, job_id, JobState.SUCCEEDED)
            with pytest.raises(Exception, match="given up"):
                await book.save(run.token, {"step": 4}, owner="dead:1:x")
    assert there.ran == [(job_id, 2, 3)]
    assert detail.attempts[0].outcome is Outcome.INTERRUPTED
    assert "node dead:1 died or was cut off: nothing was heard of it for 1 s" in messages(detail)


async def test_a_job_that_kills_every_node_ends(tmp_path: Path, database_dsn: str) -> None:
    with console(tmp_path, database_dsn, ToldWorker(), lease_s=0.2, max_rescues=1) as engine:
        job_id = await submit(engine)
        async with open_book(database_dsn, lease_s=0.2) as book:
            for _ in range(2):
                await until(lambda: book.claim({"general": 1}, kinds=["told"], owner="dead:1:x"), FAR)
            detail = await ended(engine, job_id, JobState.FAILED)
    assert detail.job.error == "those who did it died 2 times: it is not tried again"


async def test_a_job_nobody_has_taken_is_cancelled_at_once_and_never_begun(tmp_path: Path, database_dsn: str) -> None:
    there = ToldWorker()
    with console(tmp_path, database_dsn, ToldWorker()) as engine:
        job_id = await submit(engine)
        await until(lambda: _waits(database_dsn), FAR)

        async def alone() -> bool:
            return "none serves general" in (await engine.control.job(job_id)).job.progress.message

        await until(alone, FAR)
        assert next(q for q in engine.control.state.queues if q.name == "general").execution == "nodes"
        await engine.control.act(JobAction.CANCEL, [job_id])
        await ended(engine, job_id, JobState.CANCELLED)
        async with node(database_dsn, there):
            other = await submit(engine, word="other")
            await ended(engine, other, JobState.SUCCEEDED)
    assert [job for job, _, _ in there.ran] == [other]


async def test_a_job_whose_kind_no_node_knows_says_so_until_one_comes(tmp_path: Path, database_dsn: str) -> None:
    there = ToldWorker()
    async with node(database_dsn):
        with console(tmp_path, database_dsn, ToldWorker()) as engine:
            job_id = await submit(engine)

            async def unknown() -> bool:
                message = (await engine.control.job(job_id)).job.progress.message
                return message == "waits for a node: none knows told, which needs the package that brings it"

            await until(unknown, FAR)
            async with node(database_dsn, there):
                await ended(engine, job_id, JobState.SUCCEEDED)
    assert [job for job, _, _ in there.ran] == [job_id]


async def test_a_run_that_heeds_nothing_is_given_up(
    tmp_path: Path, database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed, "UNHEEDED_S", 0.5)
    with console(tmp_path, database_dsn, ToldWorker()) as engine:
        job_id = await submit(engine)
        async with open_book(database_dsn) as book:
            (run,) = await until(lambda: book.claim({"general": 1}, kinds=["told"], owner="deaf:1:x"), FAR)
            await engine.control.act(JobAction.CANCEL, [job_id])
            await ended(engine, job_id, JobState.CANCELLED)
            assert not await book.beat({run.token: None}, owner="deaf:1:x")


async def test_a_job_cancelled_while_nobody_followed_it_ends_elsewhere_too(tmp_path: Path, database_dsn: str) -> None:
    there = ToldWorker()
    async with node(database_dsn, there) as served:
        with console(tmp_path, database_dsn, ToldWorker()) as engine:
            job_id = await submit(engine, steps=10_000, wait_s=0.02)
            await until(lambda: there.ran, FAR)
            await engine.control.set_queue("general", is_paused=True)
        with console(tmp_path, database_dsn, ToldWorker()) as engine:
            assert (await engine.control.job(job_id)).job.state is JobState.INTERRUPTED
            await engine.control.act(JobAction.CANCEL, [job_id])
            await until(lambda: not served._tasks, FAR)


async def test_a_run_that_somebody_deleted_is_done_again(tmp_path: Path, database_dsn: str) -> None:
    there = ToldWorker()
    with console(tmp_path, database_dsn, ToldWorker()) as engine:
        job_id = await submit(engine)
        await until(lambda: _waits(database_dsn), FAR)
        async with open_book(database_dsn) as book, book.database.session("test") as connection:
            await connection.execute("TRUNCATE qsuite.job_run CASCADE")
        async with node(database_dsn, there):
            await ended(engine, job_id, JobState.SUCCEEDED)
    assert there.ran == [(job_id, 2, 0)]


async def test_jobs_wait_for_a_server_that_is_away_and_can_be_cancelled_meanwhile(tmp_path: Path) -> None:
    with console(tmp_path, "postgresql://127.0.0.1:1/x", ToldWorker()) as engine:
        job_id = await submit(engine)

        async def waits() -> bool:
            return "can't be handed out" in (await engine.control.job(job_id)).job.progress.message

        await until(waits, FAR)
        await engine.control.act(JobAction.CANCEL, [job_id])
        detail = await ended(engine, job_id, JobState.CANCELLED)
    assert any("it is handed out once that works" in message for message in messages(detail))


async def test_behind_a_pooler_runs_are_looked_for(tmp_path: Path, database_dsn: str) -> None:
    there = ToldWorker()
    async with node(database_dsn, there, is_pooled=True):
        with console(tmp_path, database_dsn, ToldWorker()) as engine:
            await ended(engine, await submit(engine), JobState.SUCCEEDED)
            job_id = await submit(engine, steps=1000, wait_s=0.05)
            await until(lambda: len(there.ran) == 2, FAR)
            await engine.control.act(JobAction.CANCEL, [job_id])
            await ended(engine, job_id, JobState.CANCELLED)


async def test_a_table_that_may_not_be_made_fails_the_job_in_words(tmp_path: Path, database_dsn: str) -> None:
    owner = await asyncpg.connect(database_dsn)
    role = f"poor_{os.getpid()}"
    await owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'poor'")
    try:
        parts = urlsplit(database_dsn)
        dsn = urlunsplit(parts._replace(netloc=f"{role}:poor@{parts.hostname}:{parts.port}"))
        with console(tmp_path, dsn, ToldWorker()) as engine:
            detail = await ended(engine, await submit(engine), JobState.FAILED)
    finally:
        await owner.execute(f"DROP ROLE {role}")
        await owner.close()
    assert "permission denied" in (detail.job.error or "")


async def test_cut_connections_cost_nothing(tmp_path: Path, database_dsn: str) -> None:
    there = ToldWorker()
    cutter = await asyncpg.connect(database_dsn)
    async with node(database_dsn, there):
        with console(tmp_path, database_dsn, ToldWorker()) as engine:
            job_id = await submit(engine, steps=60, wait_s=0.05)
            await until(lambda: there.ran, FAR)
            for _ in range(4):
                await cutter.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                await asyncio.sleep(0.3)  # the time between two cuts is the test's own
            await reaches(engine.control, job_id, JobState.SUCCEEDED, JobState.SCHEDULED, timeout_s=FAR)
            detail = await ended(engine, job_id, JobState.SUCCEEDED)
    await cutter.close()
    assert detail.result == {"steps": 60, "word": ""}
    assert len({attempt for _, attempt, _ in there.ran}) == len(there.ran)  # no attempt was begun twice


class AtHome(ToldWorker):
    kind = JobKind(
        name="told", title="Told", description="", parameters=Told, changes_data=False, needs_host=True, queue="general"
    )


async def test_a_job_that_needs_this_machine_stays_here_and_says_so(tmp_path: Path, database_dsn: str) -> None:
    here = AtHome()
    with console(tmp_path, database_dsn, here) as engine:
        detail = await ended(engine, await submit(engine), JobState.SUCCEEDED)
    assert len(here.ran) == 1
    assert messages(detail)[0] == "told needs this machine: it is not handed to others"


async def test_jobs_here_keep_to_the_slots_of_their_queue(tmp_path: Path, database_dsn: str) -> None:
    here = AtHome()
    with console(tmp_path, database_dsn, here) as engine:  # general has four slots here, sixteen in flight
        ids = [await submit(engine, steps=10_000, wait_s=0.02, word=str(n)) for n in range(6)]
        await until(lambda: len(here.ran) == 4, FAR)
        await until(lambda: len(engine.control.state.running) == 6, FAR)
        assert len(here.ran) == 4
        waiting = [job_id for job_id in ids if job_id not in {job for job, _, _ in here.ran}]
        await engine.control.act(JobAction.CANCEL, waiting[:1])
        await ended(engine, waiting[0], JobState.CANCELLED)
        await engine.control.act(JobAction.CANCEL, [here.ran[0][0]])
        await until(lambda: len(here.ran) == 5, FAR)
    assert here.ran[-1][0] == waiting[1]


async def test_a_stopped_node_gives_its_runs_back(tmp_path: Path, database_dsn: str) -> None:
    first, second = ToldWorker(), ToldWorker()
    with console(tmp_path, database_dsn, ToldWorker()) as engine:
        async with node(database_dsn, first) as served:
            job_id = await submit(engine, steps=100, wait_s=0.03)
            await until(lambda: first.ran, FAR)
            await served.drain(5.0, asyncio.Event())
        async with node(database_dsn, second):
            detail = await ended(engine, job_id, JobState.SUCCEEDED)
    assert second.ran[0][:2] == (job_id, 2)
    assert second.ran[0][2] > 0
    assert detail.attempts[0].outcome is Outcome.INTERRUPTED


class Cancelled:
    """An attempt that is cancelled before its executor has even looked for its run."""

    kind = ToldWorker.kind
    is_cancel_wished = True
    is_pause_wished = False

    def __init__(self) -> None:
        self.claim = claim_of(1, attempt=2)


async def test_a_cancel_that_comes_first_reaches_the_run_of_an_earlier_attempt(database_dsn: str) -> None:
    async with open_book(database_dsn) as book:
        first = (await book.put(claim_of(1), home="h", execution="nodes")).run
        await book.claim({"general": 1}, kinds=["told"], owner="n")
        follower = Follower(book, "h", max_rescues=5, keep_days=7.0)
        async with follower.open():
            ending = await follower.executor(Execution.NODES, 4).run(cast("Following", Cancelled()))
            assert ending.outcome is Outcome.CANCELLED

            async def told() -> bool:
                return (await book.wishes([first.token], owner="n"))[first.token].cancel

            await until(told, FAR)
