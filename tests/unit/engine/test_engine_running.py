"""Jobs through a real engine on a real history: from submission to every kind of end."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fakes.jobs import Doing, Number, forever, nothing, reaches, running, until
from qsuite_console.engine.ports import JobContext, Permanent, Retryable
from qsuite_console.model.errors import Conflict, InvalidParameters, NotFound, UsageProblem
from qsuite_console.model.events import JobChanged
from qsuite_console.model.jobs import JobAction, JobQuery, JobState, Outcome, Submission


def task(n: int = 0, **fields: Any) -> Submission:
    return Submission(kind="task", parameters={"n": n}, **fields)


class AtOnce:
    """Dice that always fall lowest: retries come as fast as the floor allows."""

    def uniform(self, low: float, high: float) -> float:
        return low


async def test_a_job_runs_and_its_whole_story_is_told(tmp_path: Path) -> None:
    with running(tmp_path, Doing(nothing)) as engine:
        receipt = await engine.control.submit(task(7, origin="test", correlation_id="abc"))
        done = await reaches(engine.control, receipt.job_id, JobState.SUCCEEDED)
        detail = await engine.control.job(done.id)
        assert (detail.result, done.correlation_id, done.title) == ({"n": 7}, "abc", "task 7")
        await until(lambda: engine.control.state.counts["succeeded"] == 1)
        newest, events = engine.control.events(0)
        assert newest == len(events)
        changes = [(e.previous, e.job.state.value) for e in events if isinstance(e, JobChanged)]
        assert changes == [(None, "queued"), ("queued", "running"), ("running", "succeeded")]
        state = engine.control.state
        assert (state.running, [job.id for job in state.recent]) == ((), [done.id])


async def test_what_is_wrong_with_a_submission_is_said(tmp_path: Path) -> None:
    with running(tmp_path, Doing(nothing)) as engine:
        control = engine.control
        with pytest.raises(NotFound, match="no kind of job tsk"):
            await control.submit(Submission(kind="tsk"))
        with pytest.raises(InvalidParameters) as refused:
            await control.submit(Submission(kind="task", parameters={"n": "many", "m": 1}))
        assert set(refused.value.problems) == {"n", "m"}
        with pytest.raises(NotFound, match="no queue fast"):
            await control.submit(task(queue="fast"))
        with pytest.raises(UsageProblem, match="12 is no priority"):
            await control.submit(task(priority=12))
        with pytest.raises(NotFound, match="no job 99"):
            await control.job(99)
        assert (await control.jobs(JobQuery())).jobs == ()


async def test_passing_failures_are_retried_and_permanent_ones_are_not(tmp_path: Path) -> None:
    async def work(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        if parameters.n == 1:
            raise Permanent("the key is wrong", hint="set another")
        if context.attempt < 3:
            raise Retryable("the service is down", after_s=0.01) if context.attempt == 1 else ValueError("odd")
        return {"attempt": context.attempt}

    with running(tmp_path, Doing(work), dice=AtOnce()) as engine:
        passing, permanent = await engine.control.submit(task(0)), await engine.control.submit(task(1))
        failed = await reaches(engine.control, permanent.job_id, JobState.FAILED)
        assert (failed.error, failed.attempt) == ("the key is wrong (set another)", 1)
        await reaches(engine.control, passing.job_id, JobState.SUCCEEDED)
        detail = await engine.control.job(passing.job_id)
        assert [(attempt.outcome, attempt.error) for attempt in detail.attempts] == [
            (Outcome.RETRY, "the service is down"),
            (Outcome.RETRY, "ValueError: odd"),
            (Outcome.SUCCEEDED, None),
        ]
        assert detail.result == {"attempt": 3}


async def test_attempts_run_out(tmp_path: Path) -> None:
    async def work(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        raise RuntimeError("no")

    with running(tmp_path, Doing(work, max_attempts=2), dice=AtOnce()) as engine:
        receipt = await engine.control.submit(task())
        failed = await reaches(engine.control, receipt.job_id, JobState.FAILED)
        assert (failed.attempt, failed.tries, failed.error) == (2, 2, "RuntimeError: no")
        (answer,) = await engine.control.act(JobAction.RETRY, [failed.id])
        assert answer.is_done
        again = await reaches(engine.control, receipt.job_id, JobState.FAILED)
        assert (again.attempt, again.tries) == (4, 2)


@pytest.mark.parametrize("end", ["exit", "interrupt", "base", "deep", "cancelled", "unjson"])
async def test_no_worker_takes_the_engine_with_it(tmp_path: Path, end: str) -> None:
    async def work(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        match end:
            case "exit":
                sys.exit(3)
            case "interrupt":
                raise KeyboardInterrupt
            case "base":
                raise BaseException("bottom")
            case "deep":
                return await work(context, parameters)
            case "cancelled":
                raise asyncio.CancelledError
        return {"socket": threading.Lock()}

    with running(tmp_path, Doing(work, max_attempts=1), Doing(nothing, "other")) as engine:
        receipt = await engine.control.submit(task())
        failed = await reaches(engine.control, receipt.job_id, JobState.FAILED)
        assert failed.error
        other = await engine.control.submit(Submission(kind="other"))
        await reaches(engine.control, other.job_id, JobState.SUCCEEDED)


async def test_a_worker_that_ends_the_process_from_a_task_of_its_own_is_survived(tmp_path: Path) -> None:
    async def work(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(lambda: None))
            group.create_task(leave())
        return {}

    async def leave() -> None:
        sys.exit(1)

    with running(tmp_path, Doing(work, max_attempts=1), Doing(nothing, "other")) as engine:
        receipt = await engine.control.submit(task())
        await reaches(engine.control, receipt.job_id, JobState.FAILED)
        other = await engine.control.submit(Submission(kind="other"))
        await reaches(engine.control, other.job_id, JobState.SUCCEEDED)


async def test_equal_live_jobs_are_joined_or_refused(tmp_path: Path) -> None:
    with running(tmp_path, Doing(forever)) as engine:
        first = await engine.control.submit(task(1))
        joined = await engine.control.submit(Submission(kind="task", parameters={"n": "1"}))
        assert (joined.job_id, joined.joined, joined.correlation_id) == (first.job_id, True, first.correlation_id)
        with pytest.raises(Conflict, match=f"job {first.job_id} does the same"):
            await engine.control.submit(task(1, join=False))
        assert (await engine.control.submit(task(2))).joined is False


async def test_two_runs_of_one_job_see_progress_with_rate_and_time_left(tmp_path: Path) -> None:
    async def work(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        for done in range(0, 60):
            context.progress(done, 100, unit="rows", message="going\x1b[31m", figures={"http_429": 0})
            await asyncio.sleep(0.02)
        await asyncio.sleep(3600)
        return {}

    with running(tmp_path, Doing(work)) as engine:
        await engine.control.submit(task())

        def moving() -> Any:
            jobs = engine.control.state.running
            return jobs and jobs[0].progress.eta_s is not None and jobs[0].progress

        progress = await until(moving)
        assert 0 < progress.fraction < 1
        assert progress.figures == {"http_429": 0}
        assert "\x1b" not in progress.message
        assert 10 < progress.rate < 80  # 50 a second are asked for
        assert progress.eta_s == pytest.approx((100 - progress.done) / progress.rate, rel=0.01)


async def test_log_lines_of_any_logger_are_kept_with_the_job_and_repetition_collapses(tmp_path: Path) -> None:
    async def work(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        context.log.info("begins")
        await asyncio.to_thread(logging.getLogger("library").error, "in a thread")
        for _ in range(20):
            context.log.warning("again")
        return {}

    with running(tmp_path, Doing(work)) as engine:
        receipt = await engine.control.submit(task())
        await reaches(engine.control, receipt.job_id, JobState.SUCCEEDED)
        logging.getLogger("library").error("of no job")
        lines = await engine.control.logs(receipt.job_id)
        assert [line.message for line in lines] == [
            "begins", "in a thread", "again", "again", "again", "(17 more times) again",
        ]  # fmt: skip
        assert [line.number for line in lines] == list(range(1, 7))
        following = await engine.control.logs(receipt.job_id, after=4, limit=1)
        assert [line.number for line in following] == [5]


async def test_attempts_carry_wait_run_and_cpu(tmp_path: Path) -> None:
    async def work(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        return {"sum": sum(range(2_000_000))}

    with running(tmp_path, Doing(work)) as engine:
        receipt = await engine.control.submit(task())
        await reaches(engine.control, receipt.job_id, JobState.SUCCEEDED)
        (attempt,) = (await engine.control.job(receipt.job_id)).attempts
        assert attempt.run_s is not None
        assert attempt.run_s > 0.01
        assert attempt.cpu_s is not None
        assert attempt.cpu_s > 0.01
        assert 0 <= attempt.wait_s < 5
        assert attempt.memory_delta is not None


async def test_jobs_for_later_wait_for_their_time(tmp_path: Path) -> None:
    with running(tmp_path, Doing(nothing)) as engine:
        at = engine.control._core.clock.now().replace(year=2099)
        receipt = await engine.control.submit(task(1, run_at=at))
        assert (await engine.control.job(receipt.job_id)).job.state is JobState.SCHEDULED
        soon = await engine.control.submit(task(2))
        await reaches(engine.control, soon.job_id, JobState.SUCCEEDED)
        (answer,) = await engine.control.act(JobAction.CANCEL, [receipt.job_id])
        assert answer.message == f"job {receipt.job_id} is cancelled"
