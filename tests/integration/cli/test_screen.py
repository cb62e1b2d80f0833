"""The console opened by the real executable in a terminal, alone and beside another owner of the history."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

from integration.cli.conftest import Console
from integration.cli.terminal import Terminal


def test_it_opens_serves_others_and_quits(console: Console, open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal()
    terminal.see("Screens")
    assert f"pid {terminal.pid}" in console.json("status")["owner"]
    assert console.run("run", "test.count", "--steps", "2", "--json").returncode == 0
    terminal.see("count to 2")
    terminal.press(b"gl")
    terminal.see("engine ready: pid")
    terminal.see("succeeded: count to 2")
    terminal.press(b"q")
    assert terminal.wait() == 0
    assert console.json("status")["is_running"] is False


def test_a_second_console_attaches_to_the_first_and_says_so(
    console: Console, open_terminal: Callable[..., Terminal]
) -> None:
    first = open_terminal()
    first.see("Screens")
    second = open_terminal()
    second.see("Screens")
    assert b"attached to it" in second.raw
    assert f"pid {first.pid}".encode() in second.raw
    assert f"engine: pid {first.pid}" in second.text
    second.press(b"q")
    assert second.wait() == 0
    assert console.json("status")["is_running"] is True


def test_beside_an_owner_that_is_stopped_it_looks_only(
    console: Console, open_terminal: Callable[..., Terminal]
) -> None:
    assert console.run("run", "test.count", "--steps", "2").returncode == 0
    owner = console.start("--headless", stderr=-3)
    console.wait_for_engine()
    owner.send_signal(signal.SIGSTOP)
    try:
        terminal = open_terminal()  # beside the commands: each of them waits for the owner
        listed, refused, ran, status, told = console.together(
            ("jobs", "list", "--json"),
            ("jobs", "delete", "1"),
            ("run", "test.count", "--steps", "1"),
            ("status", "--json"),
            ("status",),
        )
        assert (listed.returncode, json.loads(listed.stdout)["jobs"][0]["state"]) == (0, "succeeded"), listed.stderr
        assert refused.returncode == 1
        assert f"pid {owner.pid}" in refused.stderr.splitlines()[0]
        assert ran.returncode == 1
        assert f"pid {owner.pid}" in ran.stderr
        assert "owns this history and doesn't answer" in ran.stderr
        assert "end that process" in ran.stderr
        assert status.returncode == 0, status.stderr
        found = json.loads(status.stdout)
        assert found["is_running"] is False
        assert f"pid {owner.pid}" in found["trouble"]
        assert "none answers" in told.stdout
        terminal.see("count to 2")
        assert b"looking only" in terminal.raw
        terminal.press(b"q")
        assert terminal.wait() == 0
    finally:
        owner.send_signal(signal.SIGCONT)
    owner.send_signal(signal.SIGTERM)
    assert owner.wait(60) == 0
    assert console.json("status")["trouble"] == ""


def test_sigterm_restores_the_terminal_and_interrupts_the_job(
    console: Console, open_terminal: Callable[..., Terminal]
) -> None:
    console.home.joinpath("config").mkdir(parents=True)
    console.home.joinpath("config", "config.toml").write_text("[engine]\ndrain_s = 0.5\n")
    terminal = open_terminal()
    terminal.see("Screens")
    runner = console.start("run", "test.count", "--until", "/nowhere/to/be/seen")
    console.wait_for_job("running", saved=True)
    runner.kill()
    runner.communicate(timeout=60)
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.wait(60) == 143
    assert b"\x1b[?1049l" in terminal.raw
    console.wait_for_job("interrupted")
