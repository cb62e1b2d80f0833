"""Queues: slots, pauses, floods, read-only targets, and the answers to questions."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fakes.jobs import SETTINGS, Doing, Number, forever, nothing, reaches, running, until
from qsuite_console.engine.ports import JobContext
from qsuite_console.engine.state import TargetView
from qsuite_console.model.errors import ConsoleError, NotFound, ReadOnly, UsageProblem
from qsuite_console.model.health import Snapshot
from qsuite_console.model.jobs import JobAction, JobState, Submission
from qsuite_console.model.kinds import Plan


def task(n: int, **fields: Any) -> Submission:
    return Submission(kind="task", parameters={"n": n}, **fields)


async def test_a_queue_never_runs_more_than_its_slots(tmp_path: Path) -> None:
    now, most = 0, 0

    async def work(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1
        return {}

    with running(tmp_path, Doing(work, queue="data_processing")) as engine:
        await asyncio.gather(*(engine.control.submit(task(n)) for n in range(60)))
        await until(lambda: engine.control.state.counts["succeeded"] == 60)
        assert most == SETTINGS.queues["data_processing"]


async def test_queues_are_paused_and_resized_live_and_remember_it(tmp_path: Path) -> None:
    with running(tmp_path, Doing(forever)) as engine:
        view = await engine.control.set_queue("general", is_paused=True, concurrency=2)
        assert (view.is_paused, view.concurrency) == (True, 2)
        for n in range(5):
            await engine.control.submit(task(n))
        await until(lambda: queue(engine).queued == 5)
        assert queue(engine).running == 0
        await engine.control.set_queue("general", is_paused=False)
        await until(lambda: (queue(engine).running, queue(engine).queued) == (2, 3))
        await engine.control.set_queue("general", concurrency=4)
        await until(lambda: (queue(engine).running, queue(engine).queued) == (4, 1))
        with pytest.raises(UsageProblem, match="-1 is no number of slots"):
            await engine.control.set_queue("general", concurrency=-1)
        with pytest.raises(NotFound, match="no queue fast"):
            await engine.control.set_queue("fast", is_paused=True)
    with running(tmp_path, Doing(forever)) as engine:
        assert queue(engine).concurrency == 4


def queue(engine: Any, name: str = "general") -> Any:
    return next(view for view in engine.control.state.queues if view.name == name)


async def test_a_read_only_target_refuses_what_changes_data(tmp_path: Path) -> None:
    target = TargetView(name="prod", is_read_only=True)
    reading = Doing(nothing, "look", changes_data=False)
    with running(tmp_path, Doing(nothing), reading, target=target) as engine:
        with pytest.raises(ReadOnly, match="the target prod is read-only: task would change data"):
            await engine.control.submit(task(1))
        look = await engine.control.submit(Submission(kind="look"))
        await reaches(engine.control, look.job_id, JobState.SUCCEEDED)


async def test_every_change_is_audited_refused_ones_too(tmp_path: Path) -> None:
    looking = Doing(nothing, "look", changes_data=False)
    with running(tmp_path, Doing(nothing), looking, target=TargetView(name="prod", is_read_only=True)) as engine:
        with pytest.raises(ReadOnly):
            await engine.control.submit(task(1, origin="cli"))
        look = await engine.control.submit(Submission(kind="look", origin="http 10.0.0.7"))
        await reaches(engine.control, look.job_id, JobState.SUCCEEDED)
        await engine.control.act(JobAction.DELETE, [look.job_id], origin="console")
    connection = sqlite3.connect(tmp_path / "history.sqlite")
    rows = connection.execute("SELECT who, origin, action, subject, result FROM audit ORDER BY id").fetchall()
    connection.close()
    assert [row[1:4] for row in rows] == [
        ("cli", "jobs.submit", "task"), ("http 10.0.0.7", "jobs.submit", "look: look 0"),
        ("console", "jobs.delete", f"job {look.job_id} (look)"),
    ]  # fmt: skip
    assert rows[0][4].startswith("refused: the target prod is read-only")
    assert [row[4] for row in rows[1:]] == [f"job {look.job_id}", f"job {look.job_id} is deleted"]
    assert all("@" in row[0] for row in rows)


async def test_claiming_survives_a_failure_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qsuite_console.engine.queue.RESTART_S", 0.01)
    with running(tmp_path, Doing(nothing)) as engine:
        claim, failures = engine._store.claim, iter([True, True])

        async def failing(*arguments: Any, **named: Any) -> Any:
            if next(failures, False):
                raise ZeroDivisionError("odd")
            return await claim(*arguments, **named)

        await engine.control.set_queue("general", is_paused=True)
        receipt = await engine.control.submit(task(1))
        monkeypatch.setattr(engine._store, "claim", failing)
        await engine.control.set_queue("general", is_paused=False)
        await reaches(engine.control, receipt.job_id, JobState.SUCCEEDED)
        assert next(failures, False) is False


async def test_what_waited_is_held_when_the_target_became_read_only(tmp_path: Path) -> None:
    with running(tmp_path, Doing(nothing)) as engine:
        await engine.control.set_queue("general", is_paused=True)
        job_id = (await engine.control.submit(task(1))).job_id
    with running(tmp_path, Doing(nothing), target=TargetView(is_read_only=True)) as engine:
        await engine.control.set_queue("general", is_paused=False)
        held = await reaches(engine.control, job_id, JobState.PAUSED)
        assert "read-only" in (held.reason or "")


async def test_idle_jobs_start_at_once(tmp_path: Path) -> None:
    """Nothing polls: the middle of fifty idle starts is far below any polling interval."""
    started: list[float] = []

    async def work(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        started.append(time.perf_counter())
        return {}

    delays = []
    with running(tmp_path, Doing(work)) as engine:
        for n in range(50):
            asked = time.perf_counter()
            await engine.control.submit(task(n))
            await until(lambda n=n: len(started) > n)
            delays.append(started[-1] - asked)
    assert sorted(delays)[25] < 0.1, delays


class Echo:
    name = "echo"
    timeout_s = 0.1

    async def ask(self, parameters: Mapping[str, Any]) -> msgspec.Struct:
        if parameters.get("hang"):
            await asyncio.sleep(3600)
        return Plan(kind="echo", title=str(parameters["text"]))


class Planned(Doing):
    async def plan(self, parameters: Number) -> Plan:
        return Plan(kind="task", title=f"would do {parameters.n}")

    def check(self, parameters: Number) -> Mapping[str, str]:
        return {"n": "must not be 13"} if parameters.n == 13 else {}


async def test_questions_plans_checks_and_kinds(tmp_path: Path) -> None:
    with running(tmp_path, Planned(nothing), Doing(nothing, "plain"), probes={"echo": Echo()}) as engine:
        control = engine.control
        answer = await control.ask("echo", {"text": "hello"})
        assert isinstance(answer, Plan)
        assert answer.title == "hello"
        with pytest.raises(ConsoleError, match=r"echo did not answer within 0\.1 s"):
            await control.ask("echo", {"hang": True})
        with pytest.raises(NotFound, match="no question eco"):
            await control.ask("eco", {})
        assert (await control.plan("task", {"n": "4"})).title == "would do 4"
        with pytest.raises(UsageProblem, match="plain can't say"):
            await control.plan("plain", {})
        assert [(p.field, p.message) for p in await control.check("task", {"n": 13})] == [("n", "must not be 13")]
        assert await control.check("task", {"n": 1}) == ()
        kinds = {kind.name: kind for kind in await control.kinds()}
        assert (kinds["task"].can_plan, kinds["plain"].can_plan, kinds["task"].priority) == (True, False, 5)


class Sampling:
    """Publishes one snapshot and goes on."""

    async def run(self, publish: Any) -> None:
        publish(Snapshot(at=datetime(2026, 1, 2, tzinfo=UTC)))
        await asyncio.sleep(3600)


async def test_samples_reach_the_state(tmp_path: Path) -> None:
    with running(tmp_path, Doing(nothing), sampler=Sampling()) as engine:
        await until(lambda: engine.control.state.snapshot.at is not None)
        await until(lambda: engine.lag_ms() > 0)


class Service:
    """Notes on which loop it was opened and that it was closed."""

    def __init__(self, fails: bool = False) -> None:
        self.loop: Any = None
        self.is_open = False
        self.fails = fails

    async def __aenter__(self) -> Service:
        if self.fails:
            raise ConsoleError("the socket is taken")
        self.loop, self.is_open = asyncio.get_running_loop(), True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.is_open = False


async def test_services_live_on_the_engines_loop(tmp_path: Path) -> None:
    service = Service()
    with running(tmp_path, Doing(nothing), services=[service]) as engine:
        assert service.is_open
        assert service.loop is not asyncio.get_running_loop()
        where = await asyncio.wrap_future(engine.call(current_loop()))
        assert where is service.loop
    assert not service.is_open


async def current_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_a_service_that_does_not_open_is_why_the_engine_does_not_start(tmp_path: Path) -> None:
    with (
        pytest.raises(ConsoleError, match="the socket is taken"),
        running(tmp_path, Doing(nothing), services=[Service(fails=True)]),
    ):
        pass
