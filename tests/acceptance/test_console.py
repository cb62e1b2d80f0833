"""The console as a person meets it: opens on a living sandbox, leaves nothing behind, shares one history."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from acceptance.product import Console
from acceptance.terminal import Terminal

# Hundreds of requests: it runs for as long as a test needs it.
LONG = ("run", "backfill", "--symbols", "all", "--timeframe", "1Min", "--start", "2025-01-02", "--end", "2025-06-30")


def processes_of(directory: Path) -> list[psutil.Process]:
    """Every process that was started for this sandbox, by its command line or working directory."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.cwd()]
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if any(str(directory) in word for word in words):
            found.append(process)
    return found


def wait_for_no_process(directory: Path, timeout: float = 60.0) -> None:
    end = time.monotonic() + timeout
    while left := processes_of(directory):
        assert time.monotonic() < end, [process.cmdline() for process in left]
        time.sleep(0.05)


def rate_of(text: str) -> str:
    """The part of the overview that moves on a living platform."""
    return " ".join(re.findall(r"\d[\d,.]*", text))


@pytest.mark.slow
def test_the_sandbox_opens_moves_and_leaves_nothing(short_directory: Path) -> None:
    directory = short_directory / "sb"
    short_directory.chmod(0o711)
    console = Console(directory / "home", {})
    arguments = ["sandbox", "--dir", str(directory), "--symbols", "100", "--sessions", "2"]
    with Terminal(arguments, console.variables) as terminal:
        terminal.wait_until(lambda text: "PostgreSQL" in text and "SANDBOX" in text, "the overview", 60)
        made = (directory / "postgres" / "PG_VERSION").stat()
        terminal.wait_until(lambda text: re.search(r"\d", text), "a figure")
        before = rate_of(terminal.text)
        terminal.wait_until(lambda text: rate_of(text) != before, "movement")
        assert processes_of(directory)
        terminal.press("q")
        terminal.wait_until(lambda text: "running" in text or terminal.exit_code is not None, "an answer", 5)
        while terminal.read(0.2) and psutil.pid_exists(terminal.pid) and os.waitpid(terminal.pid, os.WNOHANG)[0] == 0:
            terminal.press("n")
        terminal.exit_code = 0
    wait_for_no_process(directory)

    with Terminal(arguments, console.variables) as terminal:
        terminal.wait_until(lambda text: "PostgreSQL" in text and "SANDBOX" in text, "the overview", 60)
        found = (directory / "postgres" / "PG_VERSION").stat()
        assert (found.st_ino, found.st_mtime_ns) == (made.st_ino, made.st_mtime_ns), "the data were made again"
        os.kill(terminal.pid, signal.SIGKILL)
        assert terminal.wait() == 128 + signal.SIGKILL
    stopped = console.run("sandbox", "stop", "--dir", str(directory))
    assert stopped.returncode == 0, stopped.stderr
    wait_for_no_process(directory)
    assert not list(directory.rglob("*.sock"))
    assert not list(directory.rglob("postmaster.pid"))


def test_a_second_console_says_whose_engine_it_is_attached_to_and_ends_alone(console: Console) -> None:
    with Terminal([], console.variables) as owner:
        owner.wait_for("PostgreSQL")
        with Terminal([], console.variables) as second:
            second.wait_for(f"engine: pid {owner.pid}")
            second.press("q")
            assert second.wait() == 0
        assert console.json("status")["is_running"] is True
        owner.press("q")
        assert owner.wait() == 0


def jobs(console: Console, *states: str) -> list[dict[str, Any]]:
    found = console.json("jobs", "list", *(word for state in states for word in ("--state", state)))["jobs"]
    assert isinstance(found, list)
    return found


def wait_for_job(console: Console, state: str, helper: subprocess.Popen[str], timeout: float = 60.0) -> dict[str, Any]:
    """Wait until one job is in ``state``; ``helper`` is the process that brings it there."""
    end = time.monotonic() + timeout
    while not (found := jobs(console, state)):
        assert time.monotonic() < end, f"no job is {state}"
        assert helper.poll() is None, helper.communicate()
    return found[0]


def test_a_second_process_sees_and_cancels_a_running_job(console: Console) -> None:
    runner = console.start(*LONG, "--json")
    try:
        job = wait_for_job(console, "running", runner)
        done = console.run("jobs", "cancel", str(job["id"]))
        assert done.returncode == 0, done.stdout + done.stderr
        assert runner.wait(60) == 130
    finally:
        runner.kill()
        runner.communicate()
    assert [job["state"] for job in jobs(console)] == ["cancelled"]
    assert console.run("jobs", "retry", str(job["id"])).returncode == 0
    assert [job["state"] for job in jobs(console)] == ["queued"]


def test_headless_drains_on_sigterm_and_the_next_engine_goes_on(console: Console) -> None:
    first = console.start("--headless")
    follower: subprocess.Popen[str] | None = None
    try:
        end = time.monotonic() + 60
        while "pid" not in console.run("status").stdout:
            assert time.monotonic() < end
            assert first.poll() is None, first.communicate()
        follower = console.start(*LONG, "--json")
        job = wait_for_job(console, "running", first)
        follower.kill()
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 0
    finally:
        for process in filter(None, (first, follower)):
            process.kill()
            process.communicate()
    assert [job["state"] for job in jobs(console)] == ["interrupted"]
    second = console.start("--headless")
    try:
        again = wait_for_job(console, "running", second)
        assert (again["id"], again["attempt"]) == (job["id"], 2)
        assert console.run("jobs", "cancel", str(job["id"])).returncode == 0
        wait_for_job(console, "cancelled", second)
    finally:
        second.terminate()
        second.communicate(timeout=60)
