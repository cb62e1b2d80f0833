"""Two processes: one runs the engine, the other finds it, looks, acts, and notices when it is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from contracts.engines import until
from fakes.stopwatch import Stopwatch
from qsuite_console.attach import EngineGone, RemoteControl, find_engine
from qsuite_console.bridge import Bridge
from qsuite_console.messages import StateChanged
from qsuite_console.model.errors import ReadOnly
from qsuite_console.model.jobs import JobAction, JobQuery, JobState, Submission
from qsuite_console.paths import Paths

TESTS = Path(__file__).parents[2]
PROGRAM = TESTS / "integration" / "service" / "program.py"


class Other:
    """The other process."""

    def __init__(self, directory: Path, *, grace_s: float = 2.0, environment: dict[str, str] | None = None) -> None:
        self.paths = Paths(directory, directory, directory, directory, directory)
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(directory), str(grace_s)],
            env={**os.environ, "PYTHONPATH": str(TESTS), **(environment or {})},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.wait_for("engine ready")
        except BaseException:
            self.leave()  # nobody else knows of it yet
            raise

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip())

    def wait_for(self, words: str, limit_s: float = 60.0) -> None:
        deadline = time.monotonic() + limit_s
        while not any(words in line for line in self.lines):
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.02)

    def end(self, number: signal.Signals, limit_s: float = 50.0) -> int:
        self.process.send_signal(number)
        return self.wait(limit_s)

    def wait(self, limit_s: float = 50.0) -> int:
        code = self.process.wait(limit_s)
        self._reader.join(5)
        return code

    def leave(self) -> None:
        """Kill it where it still runs, also where it was stopped, and let go of its output."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(10)
        self._reader.join(5)
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Other]]:
    started: list[Other] = []

    def make(**options: object) -> Other:
        started.append(Other(tmp_path, **options))  # type: ignore[arg-type]
        return started[-1]

    yield make
    for other in started:
        other.leave()


def test_a_process_that_does_not_get_ready_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Other] = []

    def never(other: Other, words: str, limit_s: float = 0.0) -> None:
        started.append(other)
        raise AssertionError(words)

    monkeypatch.setattr(Other, "wait_for", never)
    with pytest.raises(AssertionError, match="engine ready"):
        Other(tmp_path)
    assert started[0].process.returncode is not None


def hold(label: str = "x") -> Submission:
    return Submission(kind="hold", parameters={"label": label})


def test_nobody_answers_where_no_engine_runs(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path, tmp_path, tmp_path, tmp_path)
    assert find_engine(paths) is None
    with pytest.raises(EngineGone, match="no engine answers"), RemoteControl(paths.socket):
        pass
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(paths.socket))
    assert find_engine(paths) is None
    with pytest.raises(EngineGone, match="no engine answers"), RemoteControl(paths.socket):
        pass
    paths.socket.unlink()
    paths.socket.write_text("")
    assert find_engine(paths) is None
    with pytest.raises(EngineGone, match="is not a socket of this user"), RemoteControl(paths.socket):
        pass


async def test_a_second_process_finds_the_engine_sees_its_jobs_and_cancels_one(start: Callable[..., Other]) -> None:
    other = start()
    info = find_engine(other.paths)
    assert info is not None
    assert (info.pid, info.origin, info.is_ready) == (other.process.pid, "test", True)
    with RemoteControl(other.paths.socket) as first:
        receipt = await first.submit(hold())
        with RemoteControl(other.paths.socket) as second:
            await until(lambda: [job.id for job in second.state.running] == [receipt.job_id])
            assert second.state.is_attached
            assert second.state.owner == f"pid {other.process.pid}"
            [result] = await second.act(JobAction.CANCEL, [receipt.job_id])
            assert result.is_done
            await until(lambda: not second.state.running)
        await until(lambda: not first.state.running)
        assert (await first.job(receipt.job_id)).job.state is JobState.CANCELLED
    assert other.end(signal.SIGTERM) == 0
    assert not other.paths.socket.exists()


async def test_attached_read_only_refuses_changes_and_names_who_may(start: Callable[..., Other]) -> None:
    other = start()
    owner = f"pid {other.process.pid} on here"
    with RemoteControl(other.paths.socket, read_only=True, owner=owner) as control:
        assert control.state.is_read_only
        for change in (
            control.submit(hold()),
            control.act(JobAction.CANCEL, [1]),
            control.set_queue("general", is_paused=True),
        ):
            with pytest.raises(ReadOnly, match=f"attached read-only: {owner} owns this history"):
                await change
        assert (await control.jobs(JobQuery())).jobs == ()
    with (
        RemoteControl(other.paths.socket, read_only=True, owner=owner, target="report") as control,
        pytest.raises(ReadOnly, match="the target report is read-only here"),
    ):
        await control.submit(hold())


async def test_a_killed_engine_is_noticed_and_its_successor_followed(start: Callable[..., Other]) -> None:
    other = start()
    with RemoteControl(other.paths.socket) as control:
        receipt = await control.submit(hold())
        await until(lambda: bool(control.state.running))
        sequence = control.state.sequence
        other.end(signal.SIGKILL)
        await until(lambda: "the engine ended" in control.state.trouble)
        assert control.state.sequence > sequence
        assert [job.id for job in control.state.running] == [receipt.job_id]  # what was known stays readable
        with Stopwatch() as waited, pytest.raises(EngineGone):
            await control.jobs(JobQuery())
        assert waited.seconds < 1
        start()
        await until(lambda: control.state.trouble == "" and bool(control.state.running))
        [job] = control.state.running
        assert (job.id, job.rescues) == (receipt.job_id, 1)
        _, events = control.events(0)
        assert events
        await control.act(JobAction.CANCEL, [job.id])


async def test_what_a_restarted_engine_tells_is_never_taken_for_more_of_the_old(start: Callable[..., Other]) -> None:
    other, heard = start(), list[StateChanged]()
    with RemoteControl(other.paths.socket) as control:
        bridge = Bridge(control, heard.append)
        await control.submit(hold())
        await until(lambda: bool(control.state.running))
        bridge.poll()
        newest, _ = control.events(0)
        other.end(signal.SIGKILL)
        await until(lambda: "the engine ended" in control.state.trouble)
        start()
        await until(lambda: control.state.trouble == "")
        for number in range(10):  # its own numbers pass those of the old one
            await control.set_queue("general", concurrency=50 + number)
        await until(lambda: control.events(0)[0] > newest + 10)
        bridge.poll()
        assert heard[-1].is_whole


async def test_two_attached_consoles_see_the_same_at_once(start: Callable[..., Other]) -> None:
    other = start()
    with RemoteControl(other.paths.socket) as first, RemoteControl(other.paths.socket) as second:

        def is_seen(number: int) -> bool:
            return all(any(q.concurrency == number for q in each.state.queues) for each in (first, second))

        with Stopwatch() as taken:
            for number in range(70, 90):
                await first.set_queue("general", concurrency=number)
                await until(partial(is_seen, number))
        assert taken.seconds / 20 < 2.5  # 0.1 s; the bench has what it is made for: 0.25 s at the latest


async def test_a_hung_engine_is_noticed_within_seconds_and_fails_calls(start: Callable[..., Other]) -> None:
    other = start()
    with RemoteControl(other.paths.socket) as control:
        other.process.send_signal(signal.SIGSTOP)
        with Stopwatch() as waited, pytest.raises(EngineGone, match="not known"):
            await control.submit(hold())
        assert waited.seconds < 5
        await until(lambda: "the engine stopped answering" in control.state.trouble)
        assert "ended" not in control.state.trouble
        assert find_engine(other.paths, timeout_s=0.2) is None
        other.process.send_signal(signal.SIGCONT)
        await until(lambda: control.state.trouble == "")
        # What was asked while it hung was taken by the socket: it is there now, and asking again joins it.
        receipt = await control.submit(hold())
        assert len((await control.jobs(JobQuery())).jobs) == 1
        await control.act(JobAction.CANCEL, [receipt.job_id])


async def test_sigterm_drains_and_exits_clean(start: Callable[..., Other]) -> None:
    other = start(grace_s=0.3)
    with RemoteControl(other.paths.socket) as control:
        receipt = await control.submit(hold())
        await until(lambda: bool(control.state.running))
        assert await asyncio.to_thread(other.end, signal.SIGTERM) == 0
        await until(lambda: "the engine ended" in control.state.trouble)
    text = "\n".join(other.lines)
    assert "SIGTERM: draining 1 running jobs for at most 0.3 s" in text
    assert f"job {receipt.job_id} interrupted: hold x" in text
    assert "engine stopped" in text


async def test_a_second_signal_ends_at_once(start: Callable[..., Other]) -> None:
    other = start(grace_s=60.0)
    with RemoteControl(other.paths.socket) as control:
        # Between its safe points it does not look at the drain's wish, so that only hurrying ends it.
        await control.submit(Submission(kind="stubborn"))
        await until(lambda: bool(control.state.running))
    other.process.send_signal(signal.SIGINT)
    await asyncio.to_thread(other.wait_for, "SIGINT: draining")
    with Stopwatch() as waited:
        assert other.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert waited.seconds < 10


async def test_systemd_is_told(start: Callable[..., Other], tmp_path: Path) -> None:
    path = tmp_path / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(30)
        other = start(environment={"NOTIFY_SOCKET": str(path)})
        assert listener.recv(1000).startswith(b"READY=1\n")
        assert other.end(signal.SIGTERM) == 0
        assert listener.recv(1000).startswith(b"STOPPING=1\n")


async def test_systemd_hears_signs_of_life_until_the_end(start: Callable[..., Other], tmp_path: Path) -> None:
    path = tmp_path / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(30)
        other = start(environment={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "600000"})
        assert listener.recv(1000).startswith(b"READY=1\n")
        assert [listener.recv(1000) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        other.process.send_signal(signal.SIGTERM)
        heard = listener.recv(1000)
        while heard == b"WATCHDOG=1":
            heard = listener.recv(1000)
        assert heard.startswith(b"STOPPING=1\n")
        assert other.wait() == 0


async def test_one_that_is_aborted_says_where_it_stood(start: Callable[..., Other]) -> None:
    other = start()
    assert other.end(signal.SIGABRT) == -signal.SIGABRT  # as systemd does it when the watchdog starves
    text = "\n".join(other.lines)
    assert "Fatal Python error: Aborted" in text
    assert "in serve" in text
