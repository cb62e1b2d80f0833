"""One contract, two Controls: whatever holds in process holds over the socket, with the same answers and errors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.engines import CONTROLS, until
from qsuite_console.engine.control import Control
from qsuite_console.model.errors import (
    Conflict,
    ConsoleError,
    InvalidParameters,
    NotFound,
    ReadOnly,
    UsageProblem,
)
from qsuite_console.model.events import JobChanged
from qsuite_console.model.jobs import Job, JobAction, JobQuery, JobState, Submission
from qsuite_console.model.market import CellState, CoverageMap


@pytest.fixture(params=sorted(CONTROLS))
def control(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Control]:
    with CONTROLS[request.param](tmp_path) as made:
        yield made


@pytest.fixture(params=sorted(CONTROLS))
def read_only_control(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Control]:
    with CONTROLS[request.param](tmp_path, is_read_only=True) as made:
        yield made


async def ended(control: Control, job_id: int, state: JobState) -> Job:
    async with asyncio.timeout(10):
        while (job := (await control.job(job_id)).job).state is not state:
            await asyncio.sleep(0.01)
    return job


def hold(label: str = "x", **options: object) -> Submission:
    return Submission(kind="hold", parameters={"label": label}, **options)  # type: ignore[arg-type]


async def test_kinds_describe_their_parameters(control: Control) -> None:
    kinds = {kind.name: kind for kind in await control.kinds()}
    assert set(kinds) == {"greet", "hold", "stubborn", "fail"}
    name, day, tone = kinds["greet"].parameters
    assert (name.name, name.is_required, name.label) == ("name", True, "Name")
    assert (day.type, tone.type, sorted(tone.choices)) == ("date", "choice", ["cold", "warm"])
    assert kinds["greet"].can_plan
    assert not kinds["hold"].can_plan


async def test_parameters_are_checked_without_being_used(control: Control) -> None:
    assert await control.check("greet", {"name": "Ada", "day": "2025-03-04"}) == ()
    problems = await control.check("greet", {"name": "Ada", "day": "tomorrowish", "tone": "loud"})
    assert {problem.field for problem in problems} == {"day", "tone"}
    with pytest.raises(NotFound, match="no kind of job nosuch"):
        await control.check("nosuch", {})


async def test_a_plan_says_what_would_be_done(control: Control) -> None:
    plan = await control.plan("greet", {"name": "Ada"})
    assert (plan.title, plan.lines[0].label, plan.figures) == ("greet Ada", "people", {"people": 1})
    with pytest.raises(InvalidParameters) as refused:
        await control.plan("greet", {})
    assert set(refused.value.problems) == {"name"}
    with pytest.raises(UsageProblem):
        await control.plan("hold", {})


async def test_a_job_is_made_runs_and_can_be_looked_at(control: Control) -> None:
    receipt = await control.submit(Submission(kind="greet", parameters={"name": "Ada"}, origin="test"))
    assert not receipt.joined
    job = await ended(control, receipt.job_id, JobState.SUCCEEDED)
    detail = await control.job(receipt.job_id)
    assert detail.result == {"greeted": "Ada", "day": "2025-01-02"}
    assert (job.title, job.origin, job.correlation_id) == ("greet Ada", "test", receipt.correlation_id)
    assert job.finished_at is not None
    assert job.finished_at.utcoffset() == timedelta(0)
    assert len(detail.attempts) == 1
    lines = await control.logs(receipt.job_id)
    assert [line.message for line in lines if line.level in ("INFO", "WARNING")][:2] == ["hello Ada", "and goodbye"]
    assert await control.logs(receipt.job_id, after=lines[0].number, limit=1) == lines[1:2]


async def test_wrong_requests_are_refused_by_name(control: Control) -> None:
    with pytest.raises(InvalidParameters) as refused:
        await control.submit(Submission(kind="greet", parameters={"nmae": "Ada"}))
    assert "nmae" in refused.value.problems
    assert refused.value.exit_code == 2
    with pytest.raises(NotFound):
        await control.submit(Submission(kind="nosuch"))
    with pytest.raises(NotFound):
        await control.job(999_999)
    with pytest.raises(UsageProblem):
        await control.submit(hold(priority=99))
    with pytest.raises(NotFound):
        await control.set_queue("no/such queue?", is_paused=True)
    with pytest.raises(ConsoleError):
        await control.statistics(-1)


async def test_the_same_job_is_joined_or_refused(control: Control) -> None:
    first = await control.submit(hold())
    second = await control.submit(hold())
    assert (second.job_id, second.joined) == (first.job_id, True)
    with pytest.raises(Conflict, match=f"job {first.job_id}"):
        await control.submit(hold(join=False))
    await control.act(JobAction.CANCEL, [first.job_id])


async def test_actions_answer_for_each_job(control: Control) -> None:
    running = await control.submit(hold())
    await ended(control, running.job_id, JobState.RUNNING)
    results = await control.act(JobAction.CANCEL, [running.job_id, 999_999], origin="test")
    assert [(result.job_id, result.is_done) for result in results] == [(running.job_id, True), (999_999, False)]
    assert results[1].message
    await ended(control, running.job_id, JobState.CANCELLED)
    [result] = await control.act(JobAction.CANCEL, [running.job_id])
    assert not result.is_done
    assert await control.act(JobAction.CANCEL, []) == ()


async def test_a_job_is_paused_resumed_and_deleted(control: Control) -> None:
    receipt = await control.submit(hold())
    await ended(control, receipt.job_id, JobState.RUNNING)
    await control.act(JobAction.PAUSE, [receipt.job_id])
    await ended(control, receipt.job_id, JobState.PAUSED)
    await control.act(JobAction.RESUME, [receipt.job_id])
    await ended(control, receipt.job_id, JobState.RUNNING)
    await control.act(JobAction.CANCEL, [receipt.job_id])
    await ended(control, receipt.job_id, JobState.CANCELLED)
    [gone] = await control.act(JobAction.DELETE, [receipt.job_id])
    assert gone.is_done
    with pytest.raises(NotFound):
        await control.job(receipt.job_id)


async def test_jobs_are_listed_by_page_and_filter(control: Control) -> None:
    ids = [
        (await control.submit(Submission(kind="greet", parameters={"name": f"n{number}"}))).job_id
        for number in range(5)
    ]
    failing = (await control.submit(Submission(kind="fail"))).job_id
    for job_id in ids:
        await ended(control, job_id, JobState.SUCCEEDED)
    await ended(control, failing, JobState.FAILED)
    page = await control.jobs(JobQuery(kinds=("greet",), limit=2))
    assert [job.id for job in page.jobs] == ids[:-3:-1]
    assert page.next_before is not None
    rest = await control.jobs(JobQuery(kinds=("greet",), before=page.next_before))
    assert [job.id for job in rest.jobs] == ids[2::-1]
    assert rest.next_before is None
    [failed] = (await control.jobs(JobQuery(states=(JobState.FAILED, JobState.CANCELLED)))).jobs
    assert failed.id == failing
    assert "the table is gone" in (failed.error or "")
    assert [job.id for job in (await control.jobs(JobQuery(text="n3"))).jobs] == [ids[3]]
    assert (await control.jobs(JobQuery(queues=("nosuch",)))).jobs == ()
    assert (await control.jobs(JobQuery(text="50 % & more=?ü"))).jobs == ()


async def test_queues_are_paused_and_resized(control: Control) -> None:
    view = await control.set_queue("general", is_paused=True, concurrency=3)
    assert (view.is_paused, view.concurrency) == (True, 3)
    waiting = await control.submit(hold())
    await until(lambda: any(queue.is_paused and queue.queued == 1 for queue in control.state.queues))
    assert (await control.job(waiting.job_id)).job.state is JobState.QUEUED
    assert (await control.set_queue("general", is_paused=False)).concurrency == 3
    await ended(control, waiting.job_id, JobState.RUNNING)
    await control.act(JobAction.CANCEL, [waiting.job_id])


async def test_statistics_count_what_ended(control: Control) -> None:
    job_id = (await control.submit(Submission(kind="greet", parameters={"name": "Ada"}))).job_id
    await ended(control, job_id, JobState.SUCCEEDED)
    statistics = await control.statistics(3600.0)
    assert [(kind.name, kind.succeeded) for kind in statistics.kinds] == [("greet", 1)]
    assert abs((datetime.now(UTC) - statistics.at).total_seconds()) < 60


async def test_questions_are_answered_with_the_models_own_structs(control: Control) -> None:
    answer = await control.ask("test.coverage", {"text": "MSFT"})
    assert isinstance(answer, CoverageMap)
    assert answer.rows[0].symbol == "MSFT"
    assert answer.rows[0].cells[0].state is CellState.PARTIAL
    with pytest.raises(NotFound, match=r"test\.coverage|nosuch"):
        await control.ask("nosuch/../x", {})


async def test_state_follows_the_jobs(control: Control) -> None:
    before = control.state.sequence
    receipt = await control.submit(hold())
    await until(lambda: any(job.id == receipt.job_id and job.progress.done > 2 for job in control.state.running))
    assert control.state.sequence > before
    assert control.state.target.word == "SANDBOX"
    assert control.state.trouble == ""
    [job] = control.state.running
    assert job.progress.figures == {"http_429": 0, "phase": "fetch"}
    await control.act(JobAction.CANCEL, [receipt.job_id])
    await until(lambda: not control.state.running and [job.id for job in control.state.recent] == [receipt.job_id])
    await until(lambda: control.state.counts.get("cancelled") == 1)


async def test_state_is_never_older_than_a_quarter_of_a_second(control: Control) -> None:
    receipt = await control.submit(hold())
    await ended(control, receipt.job_id, JobState.RUNNING)
    delays = []
    for number in range(5):
        loop = asyncio.get_running_loop()
        started = loop.time()
        is_paused = number % 2 == 0
        await control.set_queue("analytics", is_paused=is_paused)
        await until(
            lambda wanted=is_paused: any(  # type: ignore[misc]
                queue.name == "analytics" and queue.is_paused == wanted for queue in control.state.queues
            )
        )
        delays.append(loop.time() - started)
    assert sorted(delays)[2] < 0.3, delays
    await control.act(JobAction.CANCEL, [receipt.job_id])


async def test_every_fact_is_told_once_and_in_order(control: Control) -> None:
    after, _ = control.events(0)
    receipt = await control.submit(Submission(kind="greet", parameters={"name": "Ada"}))
    seen: list[JobState] = []

    def look() -> bool:
        nonlocal after
        after, events = control.events(after)
        seen.extend(event.job.state for event in events if isinstance(event, JobChanged))
        return JobState.SUCCEEDED in seen

    await until(look)
    assert seen == [JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED]
    newest, again = control.events(after)
    assert [event for event in again if isinstance(event, JobChanged) and event.job.id == receipt.job_id] == []
    assert newest >= after


async def test_calls_work_on_any_loop_and_reads_in_any_thread(control: Control) -> None:
    failures: list[BaseException] = []

    def elsewhere() -> None:
        try:
            receipt = asyncio.run(control.submit(Submission(kind="greet", parameters={"name": "thread"})))
            assert asyncio.run(control.job(receipt.job_id)).job.id == receipt.job_id
            assert control.state.target.name == "test"
            control.events(0)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=elsewhere) for _ in range(4)]
    for thread in threads:
        thread.start()
    await asyncio.to_thread(lambda: [thread.join(10) for thread in threads])
    assert failures == []


async def test_a_cancelled_call_leaves_the_control_usable(control: Control) -> None:
    for _ in range(20):
        call = asyncio.create_task(control.jobs(JobQuery()))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    assert (await control.jobs(JobQuery())).jobs == ()


async def test_a_read_only_target_refuses_to_change_data(read_only_control: Control) -> None:
    with pytest.raises(ReadOnly, match="read-only"):
        await read_only_control.submit(Submission(kind="greet", parameters={"name": "Ada"}))
    assert read_only_control.state.is_read_only
    assert (await read_only_control.plan("greet", {"name": "Ada"})).kind == "greet"
