"""Following a job: progress, log lines, cancel on Ctrl-C, leaving on SIGTERM; and what is drawn on which stream."""

from __future__ import annotations

import asyncio
import io
from datetime import timedelta

import pytest

from fakes.control import FakeControl
from fakes.platform import NOW
from qsuite_console.cli import progress
from qsuite_console.cli.follow import Follower
from qsuite_console.cli.progress import ProgressLine, describe
from qsuite_console.cli.signals import Signals
from qsuite_console.model.jobs import Job, JobState, LogLine, Progress


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def running_job(**changes: object) -> Job:
    values: dict[str, object] = {
        "id": 1,
        "kind": "backfill",
        "title": "backfill AAPL",
        "queue": "data_processing",
        "priority": 5,
        "state": JobState.RUNNING,
        "parameters": {},
        "created_at": NOW,
        "run_at": NOW,
        "started_at": NOW,
        "attempt": 1,
        "correlation_id": "c",
        "progress": Progress(
            fraction=0.61, done=16, total=26, unit="requests", eta_s=12, figures={"rows_per_s": 31200, "http_429": 0}
        ),
    }
    return Job(**{**values, **changes})


def control_with(job: Job) -> FakeControl:
    control = FakeControl(jobs=[job])
    control.set_state(running=(job,))
    return control


async def follow(control: FakeControl, line: ProgressLine, signals: Signals | None = None) -> object:
    follower = Follower(control, 1, signals=signals or Signals(), line=line, origin="test")
    return await asyncio.wait_for(follower.to_the_end(), 10)


def test_a_running_job_is_one_line() -> None:
    assert describe(running_job()) == "61 % 16/26 requests · 31,200 rows/s · 12s left"
    assert describe(running_job(state=JobState.SCHEDULED, reason="retry in 12 s")) == "job 1 scheduled: retry in 12 s"
    assert "\x1b" not in describe(running_job(progress=Progress(message="\x1b[2J")))


def test_a_terminal_gets_a_bar_at_most_ten_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    line = ProgressLine(stream)
    for number in range(50):
        line.show(running_job(progress=Progress(fraction=number / 50)))
    assert stream.getvalue().count("\x1b[2K") == 1
    line.close()
    assert stream.getvalue().endswith("\r\x1b[2K")


def test_a_dumb_terminal_or_a_pipe_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    for stream in (Terminal(), io.StringIO()):
        line = ProgressLine(stream)
        line.show(running_job())
        line.log(LogLine(job_id=1, number=1, at=NOW, level="INFO", message="page \x1b[31m1"))
        line.close()
        text = stream.getvalue()
        assert "\x1b" not in text
        assert "\r" not in text
        assert text.splitlines()[0].startswith("61 % 16/26 requests")
        assert text.splitlines()[1].endswith("INFO    page ␛[31m1")


async def test_the_end_is_returned_with_every_log_line() -> None:
    control = control_with(running_job())
    control.log_lines[1] = [LogLine(job_id=1, number=n, at=NOW, level="INFO", message=f"line {n}") for n in range(1, 4)]
    stream = io.StringIO()

    async def end() -> None:
        await asyncio.sleep(0.05)
        control.change(1, state=JobState.SUCCEEDED, finished_at=NOW + timedelta(seconds=3))

    ending = asyncio.create_task(end())
    detail = await follow(control, ProgressLine(stream))
    await ending
    assert detail is not None
    assert [f"line {n}" in stream.getvalue() for n in range(1, 4)] == [True] * 3
    assert stream.getvalue().count("line 2") == 1


async def test_ctrl_c_cancels_once() -> None:
    control = control_with(running_job())
    signals = Signals()
    signals.cancel = True
    stream = io.StringIO()
    detail = await follow(control, ProgressLine(stream), signals)
    assert detail is not None
    assert [call for call in control.calls if call[0] == "act"] == [("act", ("cancel", (1,), "test"))]
    assert "cancelling job 1" in stream.getvalue()


async def test_sigterm_leaves_the_job_alone() -> None:
    control = control_with(running_job())
    signals = Signals()
    signals.leaving = 15
    assert await follow(control, ProgressLine(io.StringIO()), signals) is None
    assert not [call for call in control.calls if call[0] == "act"]
    assert signals.exit_code == 143


def test_the_bar_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(progress, "REDRAW_S", 0)
    stream = Terminal()
    ProgressLine(stream).show(running_job(progress=Progress(fraction=0.5, message="x" * 200)))
    assert len(stream.getvalue().split("\x1b[2K")[-1]) <= 40
