"""The composition root: opens with everything down, closes whatever happens, refuses a history that is taken."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import stat
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from contracts.engines import NoParameters, until
from fakes.stopwatch import Stopwatch
from qsuite_console import workers
from qsuite_console.attach import RemoteControl, find_engine
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import (
    CacheSettings,
    DatabaseSettings,
    EngineSettings,
    Settings,
    TargetSettings,
)
from qsuite_console.engine.control import Control
from qsuite_console.engine.ports import Claiming, JobContext, JobKind
from qsuite_console.headless.http import socket_service
from qsuite_console.model.errors import ConsoleError, HistoryOwned, HistoryUnavailable, ReadOnly
from qsuite_console.model.jobs import JobAction, JobQuery, JobState, Submission
from qsuite_console.paths import Paths, resolve
from qsuite_console.runtime import Runtime, open_observer, open_runtime

DOWN = Settings(
    target=TargetSettings(name="prod", word="PRODUCTION", colour="error"),
    database=DatabaseSettings(dsn=Secret("postgresql://app:s3cret@127.0.0.1:1/market")),
    cache=CacheSettings(url=Secret("redis://:s3cret@127.0.0.1:1/0")),
    engine=EngineSettings(drain_s=30.0),
)


class Patient:
    """Runs while it is held, then takes half a second to come to an end, and says whether it was left in peace."""

    held = threading.Event()

    kind = JobKind(
        name="patient",
        title="Patient",
        description="waits",
        parameters=NoParameters,
        max_attempts=1,
        changes_data=False,  # production wants no name for it
    )

    def __init__(self, services: workers.Services) -> None:
        self.services = services

    def title(self, parameters: NoParameters) -> str:
        return "patient"

    async def run(self, context: JobContext, parameters: NoParameters) -> Mapping[str, Any]:
        while self.held.is_set():
            await asyncio.sleep(0.01)
        for _ in range(10):
            await asyncio.sleep(0.05)
        return {}


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, services: workers.Services) -> Any:
        if name == "broken":
            raise ImportError("no such package")
        return Patient(services)

    monkeypatch.setattr(workers, "kinds", lambda: ("patient", "broken"))
    monkeypatch.setattr(workers, "load", load)
    monkeypatch.setattr(workers, "PROBES", {})


@pytest.fixture
def held() -> Iterator[threading.Event]:
    """Keeps jobs running until it is cleared."""
    Patient.held.set()
    yield Patient.held
    Patient.held.clear()


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[Paths]:
    before = os.umask(0o022)
    yield resolve(str(tmp_path))
    os.umask(before)


@contextmanager
def opened(paths: Paths, claim: Claiming = Claiming.ALL, settings: Settings = DOWN) -> Iterator[Runtime]:
    with open_runtime(
        settings, paths, claim=claim, origin="test", extra_services=(socket_service(paths.socket, origin="test"),)
    ) as runtime:
        yield runtime


async def test_it_opens_with_every_server_down_and_says_so(paths: Paths) -> None:
    with Stopwatch() as taken, opened(paths) as runtime:
        assert taken.seconds < 2
        target = runtime.control.state.target
        assert (target.name, target.word, target.colour) == ("prod", "PRODUCTION", "error")
        assert (target.database, target.cache) == ("127.0.0.1:1/market", "127.0.0.1:1/0")
        await until(
            lambda: (
                {
                    reading.source: reading.error is not None for reading in runtime.control.state.snapshot.readings
                }.items()
                >= {"postgresql": True, "redis": True, "host": False, "jobs": False}.items()
            )
        )
        assert "s3cret" not in str(runtime.control.state)
    assert not paths.socket.exists()


async def test_what_it_writes_is_for_its_owner_only(paths: Paths) -> None:
    with opened(paths) as runtime:
        await runtime.control.submit(Submission(kind="patient"))
        files = [path for path in paths.state.rglob("*") if path.is_file()]
        assert files
        assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (*files, paths.state, paths.data)} == {0}


def test_a_taken_history_is_refused_by_naming_its_owner(paths: Paths) -> None:
    with opened(paths):
        with pytest.raises(HistoryOwned) as refused, opened(paths):
            pass
        assert f"pid {os.getpid()}" in refused.value.owner
        assert find_engine(paths) is not None
    with opened(paths):
        pass


def test_a_broken_plug_in_costs_only_itself(paths: Paths, caplog: pytest.LogCaptureFixture) -> None:
    with opened(paths) as runtime:
        assert [kind.name for kind in asyncio.run(runtime.control.kinds())] == ["patient"]
    assert "broken of another package can't be loaded" in caplog.text


def test_everything_is_closed_when_the_caller_fails(paths: Paths) -> None:
    before = {thread.name for thread in threading.enumerate()}
    engines = []

    def fail() -> None:
        with opened(paths) as runtime:
            engines.append(runtime.engine)
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fail()
    assert engines[0].finished.is_set()
    assert not paths.socket.exists()
    assert {thread.name for thread in threading.enumerate() if not thread.daemon} <= before
    with opened(paths):
        pass


def test_everything_is_closed_when_a_service_can_not_start(paths: Paths) -> None:
    @asynccontextmanager
    async def failing(control: Control) -> AsyncIterator[None]:
        assert control.state.version
        raise ConsoleError("no room for the socket")
        yield

    with (
        pytest.raises(ConsoleError, match="no room"),
        open_runtime(DOWN, paths, claim=Claiming.ALL, origin="test", extra_services=(failing,)),
    ):
        pass
    with opened(paths):
        pass


def test_a_directory_that_can_not_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    taken = resolve(str(tmp_path / "file"))
    with pytest.raises(ConsoleError, match="can't make the console's directories") as refused, opened(taken):
        pass
    assert "QSUITE_CONSOLE_HOME" in refused.value.hint


async def test_jobs_get_their_grace_at_the_end(paths: Paths, held: threading.Event) -> None:
    with opened(paths) as runtime:
        job_id = (await runtime.control.submit(Submission(kind="patient"))).job_id
        await until(lambda: bool(runtime.control.state.running))
        held.clear()
    with opened(paths, Claiming.NONE) as runtime:
        assert (await runtime.control.job(job_id)).job.state is JobState.SUCCEEDED


async def test_no_grace_interrupts_and_the_next_engine_resumes(paths: Paths, held: threading.Event) -> None:
    with opened(paths) as runtime:
        job_id = (await runtime.control.submit(Submission(kind="patient"))).job_id
        await until(lambda: bool(runtime.control.state.running))
        runtime.grace_s = 0.0
    with opened(paths, Claiming.NONE) as runtime:
        assert (await runtime.control.job(job_id)).job.state is JobState.INTERRUPTED
    held.clear()
    with opened(paths) as runtime:
        await until(lambda: any(job.id == job_id for job in runtime.control.state.recent))


async def test_offline_edits_run_nothing_and_measure_nothing(paths: Paths) -> None:
    with opened(paths, Claiming.NONE) as runtime:
        job_id = (await runtime.control.submit(Submission(kind="patient"))).job_id
        [result] = await runtime.control.act(JobAction.PAUSE, [job_id])
        assert result.is_done
        assert runtime.control.state.snapshot.readings == ()


async def test_an_observer_looks_at_a_taken_history_and_changes_nothing(paths: Paths) -> None:
    with opened(paths) as runtime:
        job_id = (await runtime.control.submit(Submission(kind="patient"))).job_id
        with open_observer(DOWN, paths) as looker:
            assert looker.state.is_read_only
            assert f"pid {os.getpid()}" in looker.state.trouble
            await until(lambda: [job.id for job in looker.state.recent] == [job_id])
            assert looker.state.counts["succeeded"] == 1
            assert [job.id for job in (await looker.jobs(JobQuery())).jobs] == [job_id]
            assert (await looker.job(job_id)).job.state is JobState.SUCCEEDED
            assert (await looker.statistics(3600)).kinds[0].succeeded == 1
            for change in (
                looker.submit(Submission(kind="patient")),
                looker.act(JobAction.CANCEL, [job_id]),
                looker.set_queue("general", is_paused=True),
                looker.plan("patient", {}),
                looker.ask("x", {}),
            ):
                with pytest.raises(ReadOnly, match=f"pid {os.getpid()}"):
                    await change


def test_there_is_nothing_to_observe_without_a_history(paths: Paths) -> None:
    with pytest.raises(HistoryUnavailable), open_observer(DOWN, paths):
        pass


async def test_an_attached_console_sees_the_tiles(paths: Paths) -> None:
    unnamed = dataclasses.replace(DOWN, cache=CacheSettings())
    with opened(paths, settings=unnamed), RemoteControl(paths.socket) as control:
        await until(
            lambda: (
                {reading.source for reading in control.state.snapshot.readings}
                >= {"postgresql", "redis", "host", "jobs"}
            )
        )
        readings = {reading.source: reading for reading in control.state.snapshot.readings}
        assert readings["redis"].error == "not configured: set REDIS_URL or run init"
        assert control.state.target.cache == ""


async def test_jobs_get_their_grace_also_after_a_signal_asked_first(paths: Paths, held: threading.Event) -> None:
    with opened(paths) as runtime:
        job_id = (await runtime.control.submit(Submission(kind="patient"))).job_id
        await until(lambda: bool(runtime.control.state.running))
        runtime.engine.request_stop()
        held.clear()
    with opened(paths, Claiming.NONE) as runtime:
        assert (await runtime.control.job(job_id)).job.state is JobState.SUCCEEDED
