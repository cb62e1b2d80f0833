"""From a submission to a running job: one commit, whoever asked may leave, and counts that never drift."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fakes.jobs import Doing, Number, forever, nothing, reaches, running, until
from qsuite_console.engine.engine import Engine
from qsuite_console.engine.ports import JobContext
from qsuite_console.model.errors import Conflict
from qsuite_console.model.jobs import JobAction, JobState, Submission


def task(n: int = 0, **more: Any) -> Submission:
    return Submission(kind="task", parameters={"n": n}, **more)


async def counted_exactly(engine: Engine) -> None:
    """Ask on the engine's loop, where no event is published between the two answers."""

    async def compare() -> None:
        counts, _ = await engine.control._core.store.recount()
        engine.control._core.bus.flush()
        assert engine.control.state.counts == counts

    await asyncio.wrap_future(engine.call(compare()))


async def test_a_job_for_an_empty_queue_is_stored_and_claimed_in_one_commit(tmp_path: Path) -> None:
    with running(tmp_path, Doing(nothing)) as engine:
        store = engine.control._core.store
        first = await engine.control.submit(task())
        await reaches(engine.control, first.job_id, JobState.SUCCEEDED)
        await until(lambda: not engine.control._core.dispatcher.queues["general"].may_have_work)

        async def no_claim(*_: Any, **__: Any) -> Any:
            raise AssertionError("the job was claimed in a second transaction")

        store.claim = no_claim  # type: ignore[method-assign]
        for n in range(1, 6):
            receipt = await engine.control.submit(task(n))
            await reaches(engine.control, receipt.job_id, JobState.SUCCEEDED)
        (queue,) = [view for view in engine.control._core.dispatcher.views() if view.name == "general"]
        assert (queue.running, queue.queued) == (0, 0)
        await counted_exactly(engine)


async def test_a_more_urgent_job_that_waits_takes_the_slot_first(tmp_path: Path) -> None:
    order: list[int] = []

    async def noted(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        order.append(parameters.n)
        return {}

    with running(tmp_path, Doing(noted)) as engine:
        control = engine.control
        await control.set_queue("general", concurrency=0)
        low, high = await control.submit(task(1, priority=1)), await control.submit(task(9, priority=9))
        await control.set_queue("general", concurrency=1)
        for receipt in (low, high, await control.submit(task(5, priority=5))):
            await reaches(control, receipt.job_id, JobState.SUCCEEDED)
        assert order[0] == 9
        await counted_exactly(engine)


async def test_a_submission_is_run_though_its_asker_has_gone(tmp_path: Path) -> None:
    with running(tmp_path, Doing(nothing)) as engine:
        for n in range(20):
            asking = asyncio.create_task(engine.control.submit(task(n)))
            for _ in range(n % 5):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        last = await engine.control.submit(task(100))
        await reaches(engine.control, last.job_id, JobState.SUCCEEDED)

        async def all_done() -> bool:
            counts = await engine.control._core.store.counts()
            return sum(counts.values()) == counts["succeeded"]

        await until(all_done)
        await counted_exactly(engine)


async def test_counts_follow_the_history_not_what_was_seen_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path, Doing(nothing)) as engine:
        control, store = engine.control, engine.control._core.store
        await control.set_queue("general", is_paused=True)
        receipts = [await control.submit(task(n)) for n in range(3)]
        seen = store.detail

        async def long_ago(job_id: int) -> Any:
            found = await seen(job_id)
            return msgspec.structs.replace(found, job=msgspec.structs.replace(found.job, state=JobState.SCHEDULED))

        monkeypatch.setattr(store, "detail", long_ago)
        first, second, third = (receipt.job_id for receipt in receipts)
        await control.act(JobAction.CANCEL, [first])
        await control.act(JobAction.PAUSE, [second, third])
        await control.act(JobAction.RESUME, [third])
        await control.act(JobAction.DELETE, [first])
        await counted_exactly(engine)
        assert control.state.counts["queued"] == 1


async def test_counts_are_exact_at_every_moment_of_a_burst(tmp_path: Path) -> None:
    with running(tmp_path, Doing(nothing)) as engine:
        burst = asyncio.gather(*(engine.control.submit(task(n)) for n in range(300)))
        while not burst.done():
            await counted_exactly(engine)
        for receipt in (await burst)[::7]:
            await engine.control.act(JobAction.CANCEL, [receipt.job_id])
            await counted_exactly(engine)


async def test_joining_a_paused_job_resumes_it_and_refusing_to_join_does_not(tmp_path: Path) -> None:
    with running(tmp_path, Doing(forever)) as engine:
        control = engine.control
        await control.set_queue("general", is_paused=True)
        first = await control.submit(task())
        await control.act(JobAction.PAUSE, [first.job_id])
        with pytest.raises(Conflict, match=f"job {first.job_id} does the same and is paused"):
            await control.submit(task(join=False))
        assert (await control.job(first.job_id)).job.state is JobState.PAUSED
        again = await control.submit(task())
        assert (again.job_id, again.joined, again.resumed) == (first.job_id, True, True)
        assert (await control.submit(task())).resumed is False
        await control.set_queue("general", is_paused=False)
        await reaches(control, first.job_id, JobState.RUNNING)
        await counted_exactly(engine)


async def test_a_resumed_job_is_on_its_first_try_and_its_bar_stays_while_it_gets_ready(tmp_path: Path) -> None:
    async def half(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        context.progress(0, message="planning")
        if context.attempt == 1:
            context.progress(50, 100, unit="rows")
        while True:
            await context.breathe()
            await asyncio.sleep(0.01)

    with running(tmp_path, Doing(half)) as engine:
        control = engine.control
        receipt = await control.submit(task())
        await until(lambda: any(job.progress.fraction == 0.5 for job in control.state.running))
        await control.act(JobAction.PAUSE, [receipt.job_id])
        paused = await reaches(control, receipt.job_id, JobState.PAUSED)
        assert (paused.tries, paused.attempt, paused.progress.fraction) == (0, 1, 0.5)
        await control.act(JobAction.RESUME, [receipt.job_id])
        await until(lambda: any(job.progress.message == "planning" for job in control.state.running))
        (again,) = control.state.running
        assert (again.tries, again.attempt) == (1, 2)
        assert (again.progress.fraction, again.progress.done, again.progress.unit) == (0.5, 50, "rows")
