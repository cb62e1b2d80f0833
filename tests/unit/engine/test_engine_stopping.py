"""How jobs are made to stop: cancelled, paused, timed out, drained — whether they want to or not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fakes.jobs import Doing, Number, forever, make_engine, nothing, opened, reaches, running, until
from fakes.stopwatch import Stopwatch
from qsuite_console.engine.ports import Claiming, JobContext, SoftTimeLimit
from qsuite_console.model.jobs import JobAction, JobState, Outcome, Submission

TASK = Submission(kind="task")


async def begin(engine: Any, submission: Submission = TASK) -> int:
    receipt = await engine.control.submit(submission)
    await reaches(engine.control, receipt.job_id, JobState.RUNNING)
    return int(receipt.job_id)


async def counting(context: JobContext, parameters: Number) -> Mapping[str, Any]:
    """Counts to 100,000 in steps that can be saved, and says where it began."""
    began = int((context.checkpoint or {}).get("at", 0))
    for at in range(began, 100_000):
        await context.save({"at": at, "began": began})
        await context.breathe()
        await asyncio.sleep(0.002)
    return {"began": began}


async def test_cancelling_reaches_running_io_within_a_second(tmp_path: Path) -> None:
    with running(tmp_path, Doing(forever)) as engine:
        job_id = await begin(engine)
        with Stopwatch() as taken:
            (answer,) = await engine.control.act(JobAction.CANCEL, [job_id])
        assert taken.seconds < 1.0
        assert (answer.is_done, answer.message) == (True, f"job {job_id} is cancelled")
        detail = await engine.control.job(job_id)
        assert (detail.job.state, detail.attempts[0].outcome) == (JobState.CANCELLED, Outcome.CANCELLED)
        (again,) = await engine.control.act(JobAction.CANCEL, [job_id])
        assert (again.is_done, "already been cancelled" in again.message) == (False, True)


async def test_actions_answer_for_each_job(tmp_path: Path) -> None:
    with running(tmp_path, Doing(nothing)) as engine:
        receipt = await engine.control.submit(TASK)
        await reaches(engine.control, receipt.job_id, JobState.SUCCEEDED)
        done, unknown = await engine.control.act(JobAction.DELETE, [receipt.job_id, 99])
        assert (done.is_done, unknown.is_done, "no job 99" in unknown.message) == (True, False, True)
        await until(lambda: engine.control.state.counts["succeeded"] == 0)


async def test_a_live_job_is_not_deleted_and_a_succeeded_one_not_retried(tmp_path: Path) -> None:
    with running(tmp_path, Doing(forever), Doing(nothing, "short")) as engine:
        job_id = await begin(engine)
        (answer,) = await engine.control.act(JobAction.DELETE, [job_id])
        assert (answer.is_done, answer.message) == (
            False, f"job {job_id} is running: only a finished job can be deleted; cancel it first",
        )  # fmt: skip
        short = await engine.control.submit(Submission(kind="short"))
        await reaches(engine.control, short.job_id, JobState.SUCCEEDED)
        (answer,) = await engine.control.act(JobAction.RETRY, [short.job_id])
        assert (answer.is_done, "only a failed or cancelled job" in answer.message) == (False, True)


async def test_pausing_keeps_the_checkpoint_and_resuming_goes_on_from_it(tmp_path: Path) -> None:
    with running(tmp_path, Doing(counting)) as engine:
        job_id = await begin(engine)

        async def saved(at: int) -> Any:
            checkpoint = (await engine.control.job(job_id)).checkpoint
            return checkpoint and checkpoint["at"] >= at and checkpoint

        await until(lambda: saved(3))
        (answer,) = await engine.control.act(JobAction.PAUSE, [job_id])
        assert (answer.is_done, "is paused" in answer.message) == (True, True)
        paused = await engine.control.job(job_id)
        assert (paused.job.state, paused.job.tries, paused.attempts[0].outcome) == (
            JobState.PAUSED, 0, Outcome.PAUSED,
        )  # fmt: skip
        assert paused.checkpoint is not None
        (answer,) = await engine.control.act(JobAction.RESUME, [job_id])
        assert answer.is_done
        resumed = await until(lambda: saved(paused.checkpoint["at"] + 3))
        assert resumed["began"] == paused.checkpoint["at"]


async def test_a_job_without_safe_points_is_paused_by_cancellation(tmp_path: Path) -> None:
    with running(tmp_path, Doing(forever)) as engine:
        job_id = await begin(engine)
        (answer,) = await engine.control.act(JobAction.PAUSE, [job_id])
        assert "is paused" in answer.message
        assert (await engine.control.job(job_id)).job.state is JobState.PAUSED


async def test_breathing_in_a_child_task_stops_the_whole_job(tmp_path: Path) -> None:
    async def work(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        async def child() -> None:
            while True:
                await context.breathe()
                await asyncio.sleep(0.002)

        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(child())
        return {"wrong": "a group whose children vanish looks complete"}

    with running(tmp_path, Doing(work)) as engine:
        job_id = await begin(engine)
        await engine.control.act(JobAction.PAUSE, [job_id])
        detail = await engine.control.job(job_id)
        assert (detail.job.state, detail.result) == (JobState.PAUSED, None)


async def test_the_soft_limit_lets_a_job_clean_up(tmp_path: Path) -> None:
    async def work(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(3600))
        except SoftTimeLimit:
            await context.save({"kept": True})
            if parameters.n:
                return {"partial": True}
            raise
        return {}

    with running(tmp_path, Doing(work, soft_limit_s=0.05, hard_limit_s=30.0, max_attempts=1)) as engine:
        kept = await engine.control.submit(Submission(kind="task", parameters={"n": 1}))
        await reaches(engine.control, kept.job_id, JobState.SUCCEEDED)
        assert (await engine.control.job(kept.job_id)).result == {"partial": True}
        gone = await engine.control.submit(TASK)
        failed = await reaches(engine.control, gone.job_id, JobState.FAILED)
        detail = await engine.control.job(gone.job_id)
        assert (failed.error, detail.attempts[0].outcome, detail.checkpoint) == (
            "ran longer than its soft limit of 0.05 s", Outcome.SOFT_TIMEOUT, {"kept": True},
        )  # fmt: skip


async def test_the_hard_limit_frees_the_slot_of_a_job_that_swallows_its_cancellation(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def stubborn(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        if parameters.n:
            return {"n": parameters.n}
        while not release.is_set():
            try:
                await asyncio.sleep(0.05)
            except (asyncio.CancelledError, SoftTimeLimit):
                context.log.info("no")
        return {"late": True}

    limits = {"soft_limit_s": 0.05, "hard_limit_s": 0.1, "max_attempts": 1}
    with running(tmp_path, Doing(stubborn, queue="maintenance", **limits)) as engine:  # one slot
        first = await engine.control.submit(TASK)
        second = await engine.control.submit(Submission(kind="task", parameters={"n": 1}))
        failed = await reaches(engine.control, first.job_id, JobState.FAILED)
        assert "ignored its cancellation" in (failed.error or "")
        await reaches(engine.control, second.job_id, JobState.SUCCEEDED)
        release.set()
        detail = await engine.control.job(first.job_id)
        assert (detail.result, detail.attempts[0].outcome) == (None, Outcome.HARD_TIMEOUT)


async def test_a_drained_job_is_resumed_by_the_next_engine_and_used_no_attempt(tmp_path: Path) -> None:
    with running(tmp_path, Doing(counting)) as engine:
        job_id = await begin(engine)
        await until(lambda: engine.control._core.attempts[job_id]._context.checkpoint)
        await asyncio.to_thread(engine.stop, 5.0)
        stopped = (await engine._store.detail(job_id)).job
        assert (stopped.state, stopped.tries, stopped.reason) == (JobState.INTERRUPTED, 0, "the engine was stopped")
    with running(tmp_path, Doing(counting)) as engine:
        resumed = await reaches(engine.control, job_id, JobState.RUNNING)
        assert (resumed.attempt, resumed.tries, resumed.rescues) == (2, 1, 0)
        assert resumed.parameters == {"n": 0}


async def test_a_second_stop_does_not_wait_for_safe_points(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        engine = make_engine(store, Doing(forever))
        engine.start()
        await begin(engine)
        with Stopwatch() as taken:
            engine.request_stop()
            engine.request_stop()
            assert await asyncio.to_thread(engine.finished.wait, 30.0)
        assert taken.seconds < 4.0
        assert (await store.detail(1)).job.state is JobState.INTERRUPTED


@pytest.mark.parametrize("claim", [Claiming.NONE, Claiming.ONLY_SUBMITTED])
async def test_engines_that_run_only_what_they_should(tmp_path: Path, claim: Claiming) -> None:
    with running(tmp_path, Doing(nothing), claim=Claiming.NONE) as engine:
        old = (await engine.control.submit(TASK)).job_id
    with running(tmp_path, Doing(nothing), claim=claim) as engine:
        mine = (await engine.control.submit(Submission(kind="task", parameters={"n": 1}))).job_id
        if claim is Claiming.ONLY_SUBMITTED:
            await reaches(engine.control, mine, JobState.SUCCEEDED)
        assert (await engine.control.job(old)).job.state is JobState.QUEUED
        await engine.control.act(JobAction.PAUSE, [old])
        joined = await engine.control.submit(TASK)
        assert (joined.job_id, joined.joined, joined.resumed) == (old, True, True)
        if claim is Claiming.ONLY_SUBMITTED:
            await reaches(engine.control, old, JobState.SUCCEEDED)
        else:
            assert (await engine.control.job(old)).job.state is JobState.QUEUED
