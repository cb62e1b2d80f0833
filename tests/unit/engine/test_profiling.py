"""Where a job's time goes, told in its own log: of this job and its tasks, and of nothing beside it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fakes.jobs import Doing, Number, reaches, running, until
from qsuite_console.engine.engine import Engine
from qsuite_console.engine.ports import JobContext, Permanent, Retryable
from qsuite_console.model.jobs import JobAction, JobState, Submission


def own_work(rounds: int) -> int:
    total = 0
    for number in range(rounds * 1000):
        total += number * number
    return total


def others_work(rounds: int) -> int:
    total = 0
    for number in range(rounds * 1000):
        total += number * number
    return total


def childs_work(rounds: int) -> int:
    total = 0
    for number in range(rounds * 1000):
        total += number * number
    return total


async def child() -> None:
    for _ in range(5):
        childs_work(2)
        await asyncio.sleep(0)


async def busy(context: JobContext, parameters: Number) -> Mapping[str, Any]:
    async with asyncio.TaskGroup() as group:
        group.create_task(child())
        for _ in range(20):
            own_work(2)
            await asyncio.sleep(0)
    return {}


async def profile_of(engine: Engine, job_id: int) -> list[str]:
    lines = await engine.control.logs(job_id, limit=500)
    return [line.message for line in lines if line.message.startswith("profile:")]


def task(n: int = 0, **fields: Any) -> Submission:
    return Submission(kind="task", parameters={"n": n}, **fields)


async def factory(engine: Engine) -> object:
    async def ask() -> object:
        return asyncio.get_running_loop().get_task_factory()

    return await asyncio.wrap_future(engine.call(ask()))


async def test_a_profiled_job_says_where_its_time_went(tmp_path: Path) -> None:
    with running(tmp_path, Doing(busy)) as engine:
        receipt = await engine.control.submit(task(profile=True))
        await reaches(engine.control, receipt.job_id, JobState.SUCCEEDED)
        lines = await profile_of(engine, receipt.job_id)
        assert "steps on the engine's loop took" in lines[0]
        assert "the longest" in lines[0]
        text = "\n".join(lines)
        assert "test_profiling.py" in text
        assert "own_work" in text
        assert "childs_work" in text  # of the tasks it has made
        assert len(lines) <= 17
        other = await engine.control.submit(task(1))
        await reaches(engine.control, other.job_id, JobState.SUCCEEDED)
        assert await profile_of(engine, other.job_id) == []  # nobody asked
        assert await factory(engine) is None  # and nothing is left that costs the others


async def test_what_runs_beside_it_is_not_in_it(tmp_path: Path) -> None:
    async def beside(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        for _ in range(40):
            others_work(2)
            await asyncio.sleep(0)
        return {}

    with running(tmp_path, Doing(busy), Doing(beside, name="other")) as engine:
        first, second = await asyncio.gather(
            engine.control.submit(task(profile=True)), engine.control.submit(Submission(kind="other"))
        )
        await reaches(engine.control, first.job_id, JobState.SUCCEEDED)
        await reaches(engine.control, second.job_id, JobState.SUCCEEDED)
        text = "\n".join(await profile_of(engine, first.job_id))
        assert "own_work" in text
        assert "others_work" not in text


async def test_one_that_runs_already_is_profiled_from_then_on(tmp_path: Path) -> None:
    go = threading.Event()

    async def waiting(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        while not go.is_set():
            await asyncio.sleep(0.01)
        own_work(20)
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
        raise Permanent("it failed all the same")

    with running(tmp_path, Doing(waiting)) as engine:
        receipt = await engine.control.submit(task())
        await reaches(engine.control, receipt.job_id, JobState.RUNNING)
        [result] = await engine.control.act(JobAction.PROFILE, [receipt.job_id], origin="test")
        assert (result.is_done, "from now on it is profiled" in result.message) == (True, True)
        go.set()
        await reaches(engine.control, receipt.job_id, JobState.FAILED)
        text = "\n".join(await profile_of(engine, receipt.job_id))
        assert "own_work" in text
        assert "childs_work" in text


async def test_one_that_waits_is_profiled_when_its_turn_comes_and_each_time_it_is_tried(tmp_path: Path) -> None:
    tries: list[int] = []

    async def failing(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        own_work(2)
        tries.append(context.attempt)
        if len(tries) == 1:
            raise Retryable("not yet", after_s=0.01)
        return {}

    with running(tmp_path, Doing(failing)) as engine:
        await engine.control.set_queue("general", is_paused=True)
        receipt = await engine.control.submit(task())
        [result] = await engine.control.act(JobAction.PROFILE, [receipt.job_id])
        assert "its next attempt is profiled" in result.message
        await engine.control.set_queue("general", is_paused=False)
        await reaches(engine.control, receipt.job_id, JobState.SUCCEEDED)
        lines = await profile_of(engine, receipt.job_id)
        assert len([line for line in lines if "steps on the engine's loop" in line]) == 2
        [refused] = await engine.control.act(JobAction.PROFILE, [receipt.job_id])
        assert not refused.is_done
        assert f"job {receipt.job_id} is over: it succeeded" in refused.message


@pytest.mark.parametrize("action", [JobAction.CANCEL, JobAction.PAUSE])
async def test_stopping_one_that_is_profiled_works_as_ever(tmp_path: Path, action: JobAction) -> None:
    cleaned = threading.Event()

    async def endless(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(3600))
                while True:
                    await context.breathe()
                    await asyncio.sleep(0.005)
        finally:
            cleaned.set()

    with running(tmp_path, Doing(endless)) as engine:
        receipt = await engine.control.submit(task(profile=True))
        await until(lambda: bool(engine.control.state.running))
        [result] = await engine.control.act(action, [receipt.job_id])
        assert result.is_done
        expected = JobState.CANCELLED if action is JobAction.CANCEL else JobState.PAUSED
        await reaches(engine.control, receipt.job_id, expected)
        assert cleaned.is_set()
        assert "steps on the engine's loop" in (await profile_of(engine, receipt.job_id))[0]
