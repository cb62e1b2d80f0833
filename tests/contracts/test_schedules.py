"""What every Control promises of schedules: the same answers and refusals in process and over the socket."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contracts.engines import Fail, Greet, Hold, NoParameters, _Socket, until
from fakes.jobs import make_engine, opened
from fakes.scheduling import questions
from qsuite_console.attach import RemoteControl
from qsuite_console.engine.control import Control
from qsuite_console.engine.ports import JobContext, JobKind, Worker
from qsuite_console.engine.scheduler import Scheduler
from qsuite_console.engine.state import TargetView
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.errors import Conflict, InvalidParameters, NotFound, ReadOnly, Unconfirmed
from qsuite_console.model.jobs import JobState
from qsuite_console.model.schedules import Explanation, RunOutcome, ScheduleDetail, ScheduleList, ScheduleView

NIGHT: dict[str, Any] = {
    "name": "night", "kind": "greet", "parameters": "name=Ada", "cron": "25 9 * * mon-fri", "zone": "America/New_York",
}  # fmt: skip


@contextmanager
def controlled(directory: Path, way: str, *workers: Worker, **target: Any) -> Iterator[Control]:
    """Run an engine with its socket and give its Control in process or over the socket."""
    clock = SystemClock()
    with opened(directory) as store:
        scheduler = Scheduler(store.schedules, lambda _: [])
        operations, probes = questions(scheduler, clock)
        engine = make_engine(
            store, Greet(), Hold(), Fail(), *workers, scheduler=scheduler, operations=operations, probes=probes,
            clock=clock, target=TargetView(name="test", **target),
        )  # fmt: skip
        path = directory / "engine.sock"
        engine.add_service(_Socket(engine, path))
        engine.start()
        try:
            if way == "local":
                yield engine.control
            else:
                with RemoteControl(path) as control:
                    yield control
        finally:
            engine.request_stop()
            engine.stop(0.0)


@pytest.fixture(params=["local", "remote"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def views(control: Control) -> dict[str, ScheduleView]:
    answer = await control.ask("schedules.list", {})
    assert isinstance(answer, ScheduleList)
    return {view.schedule.name: view for view in answer.schedules}


def audit(directory: Path) -> list[tuple[str, str, str]]:
    with sqlite3.connect(directory / "history.sqlite") as connection:
        rows = connection.execute("SELECT origin, action, result FROM audit ORDER BY id").fetchall()
    return [(origin, action, result.partition(":")[0]) for origin, action, result in rows]


async def test_a_schedule_is_proposed_saved_listed_changed_paused_and_deleted(tmp_path: Path, way: str) -> None:
    with controlled(tmp_path, way) as control:
        proposal = await control.propose("schedules.save", NIGHT, origin="me")
        assert proposal.title == "Make the schedule night?"
        assert proposal.lines[0] == "greet: every weekday at 09:25 New York time"
        assert await views(control) == {}
        await control.perform("schedules.save", proposal.parameters, origin="me")
        view = (await views(control))["night"]
        assert (view.words, view.schedule.parameters, view.problem) == (
            "every weekday at 09:25 New York time", {"name": "Ada"}, "",
        )  # fmt: skip
        assert view.next_at is not None
        with pytest.raises(Conflict, match="there is a schedule night already"):
            await control.perform("schedules.save", NIGHT)
        changed = {**NIGHT, "cron": "", "every": "2 h", "revision": 1}
        await control.perform("schedules.save", changed, origin="me")
        with pytest.raises(Conflict, match="changed meanwhile"):
            await control.perform("schedules.save", changed)
        assert (await views(control))["night"].words == "every 2 h"
        await control.perform("schedules.pause", {"name": "night"}, origin="me")
        assert (await views(control))["night"].next_at is None
        await control.perform("schedules.enable", {"name": "night"}, origin="me")
        await control.perform("schedules.delete", {"name": "night"}, origin="me")
        assert await views(control) == {}
        with pytest.raises(NotFound, match="there is no schedule night"):
            await control.perform("schedules.delete", {"name": "night"})
    done = [action for origin, action, result in audit(tmp_path) if (origin, result) == ("me", "done")]
    assert done == [f"schedules.{what}" for what in ("save", "save", "pause", "enable", "delete")]


async def test_run_now_and_the_loop_make_jobs_and_their_ends_come_back(tmp_path: Path, way: str) -> None:
    with controlled(tmp_path, way) as control:
        await control.perform("schedules.save", {**NIGHT, "kind": "fail", "parameters": "label=y"})
        outcome = await control.perform("schedules.run", {"name": "night"}, origin="me")
        await control.perform(
            "schedules.save", {"name": "quick", "kind": "greet", "parameters": "name=B", "every": "1 s"}
        )

        async def ended() -> bool:
            answers = [await control.ask("schedules.detail", {"name": name}) for name in ("night", "quick")]
            runs = [answer.runs for answer in answers if isinstance(answer, ScheduleDetail)]
            return all(any(run.finished_at for run in found) for found in runs)

        for _ in range(2000):
            if await ended():
                break
        detail = await control.ask("schedules.detail", {"name": "night"})
        assert isinstance(detail, ScheduleDetail)
        [run] = detail.runs
        assert (run.outcome, run.trigger, run.job_id) == (RunOutcome.FAILED, "by hand", outcome.figures["job_id"])
        assert "the table is gone" in run.note
        job = (await control.job(outcome.figures["job_id"])).job
        assert job.origin == "schedule night"
        await until(lambda: any(job.origin == "schedule night" for job in control.state.recent))
        assert not any(job.origin == "schedule quick" for job in control.state.recent), "routine"


async def test_explaining_never_fails_and_names_each_problem(tmp_path: Path, way: str) -> None:
    with controlled(tmp_path, way) as control:
        answer = await control.ask("schedules.explain", {"cron": "30 2 * * *", "zone": "Europe/Berlin", "most": 3})
        assert isinstance(answer, Explanation)
        assert answer.words == "every day at 02:30 Berlin time"
        assert (len(answer.upcoming.times), answer.frequency.per_day) == (3, 1.0)
        for given, field in (({"cron": "61 * * * *"}, "cron"), ({"every": "x"}, "every"), ({"zone": "X"}, "zone")):
            refused = await control.ask("schedules.explain", given)
            assert isinstance(refused, Explanation)
            assert field in refused.problems
        with pytest.raises(InvalidParameters) as problems:
            await control.propose("schedules.save", {"name": "Bad", "kind": "greet", "every": "x", "jitter": "?"})
        assert set(problems.value.problems) == {"name", "every", "jitter", "parameters"}


async def test_read_only_starts_nothing_but_lets_stop(tmp_path: Path, way: str) -> None:
    with controlled(tmp_path, way) as control:
        await control.perform("schedules.save", NIGHT)
    with controlled(tmp_path, way, is_read_only=True) as control:
        for operation, given in (
            ("save", {**NIGHT, "revision": 1}),
            ("enable", {"name": "night"}),
            ("run", {"name": "night"}),
        ):
            with pytest.raises(ReadOnly):
                await control.perform(f"schedules.{operation}", given)
        assert "read-only" in (await views(control))["night"].problem
        assert (await control.perform("schedules.pause", {"name": "night"})).is_done
        assert (await control.perform("schedules.delete", {"name": "night"})).is_done


READING: dict[str, Any] = {**NIGHT, "name": "weekly", "kind": "look", "parameters": ""}


class Look(Hold):
    """Only reads."""

    kind = JobKind(name="look", title="Look", description="reads", parameters=NoParameters, changes_data=False)

    async def run(self, context: JobContext, parameters: NoParameters) -> dict[str, Any]:
        return {}


async def test_jobs_that_only_read_are_scheduled_on_a_read_only_target(tmp_path: Path, way: str) -> None:
    with controlled(tmp_path, way) as control:
        await control.perform("schedules.save", NIGHT)
    with controlled(tmp_path, way, Look(), is_read_only=True) as control:
        assert (await control.perform("schedules.save", READING)).is_done
        assert (await views(control))["weekly"].problem == ""
        ran = await control.perform("schedules.run", {"name": "weekly"})
        async with asyncio.timeout(30):
            while (await control.job(int(ran.figures["job_id"]))).job.state is not JobState.SUCCEEDED:
                await asyncio.sleep(0.01)
        assert (await control.perform("schedules.pause", {"name": "weekly"})).is_done
        assert (await control.perform("schedules.enable", {"name": "weekly"})).is_done
        for changed in ({"kind": "hold"}, {"kind": "nothing-known"}):
            with pytest.raises(ReadOnly):
                await control.propose("schedules.save", {**READING, **changed, "revision": 3})
        with pytest.raises(NotFound):
            await control.perform("schedules.enable", {"name": "unknown"})
        with pytest.raises(ReadOnly, match=r"^the target test is read-only: greet jobs would change it$"):
            await control.perform("schedules.enable", {"name": "night"})


async def test_on_production_jobs_that_only_read_want_no_name_and_confirm_nothing(tmp_path: Path, way: str) -> None:
    with controlled(tmp_path, way, Look(), word="PRODUCTION") as control:
        assert (await control.propose("schedules.save", READING)).typed == ""
        assert (await control.perform("schedules.save", READING)).is_done
        view = (await views(control))["weekly"]
        assert (view.problem, view.schedule.confirmed) == ("", "")
        turned = {**READING, "kind": "hold", "revision": 1}
        assert (await control.propose("schedules.save", turned)).typed == "test"
        with pytest.raises(Unconfirmed):
            await control.perform("schedules.save", turned)
        await control.perform("schedules.save", turned, confirmation="test")
        assert (await views(control))["weekly"].schedule.confirmed == "test"


async def test_on_production_the_name_confirms_the_schedule_and_its_jobs(tmp_path: Path, way: str) -> None:
    with controlled(tmp_path, way) as control:
        await control.perform("schedules.save", NIGHT)
    with controlled(tmp_path, way, word="PRODUCTION") as control:
        assert (await views(control))["night"].problem == "not confirmed for production: enable it again"
        proposal = await control.propose("schedules.enable", {"name": "night"})
        assert proposal.typed == "test"
        with pytest.raises(Unconfirmed):
            await control.perform("schedules.enable", {"name": "night"})
        await control.perform("schedules.enable", {"name": "night"}, confirmation="test")
        view = (await views(control))["night"]
        assert (view.problem, view.schedule.confirmed) == ("", "test")
        await control.perform("schedules.pause", {"name": "night"})
        assert (await views(control))["night"].schedule.confirmed == ""
