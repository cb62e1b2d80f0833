"""The console opened by the real executable in a terminal, alone and beside another owner of the history."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator

import pyte
import pytest

from integration.cli.conftest import Console

COLUMNS, ROWS = 120, 40


class Terminal:
    """A console in a pseudo-terminal, with the screen as a person sees it."""

    def __init__(self, environ: dict[str, str], *arguments: str) -> None:
        self.pid, self._fd = pty.fork()
        if not self.pid:
            os.execve(sys.executable, [sys.executable, "-m", "qsuite_console", *arguments], environ)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self._is_closed = False

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def pump(self, until: Callable[[], bool], seconds: float = 30) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            if self._is_closed:
                time.sleep(0.05)
            elif select.select([self._fd], [], [], 0.05)[0]:
                self._read()
        return until()

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65_536)
        except OSError:  # the other side is closed
            data = b""
        self._is_closed = not data
        self.raw += data
        self._stream.feed(data)

    def see(self, words: str) -> None:
        assert self.pump(lambda: words in self.text), self.text

    def press(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def wait(self, seconds: float = 30) -> int:
        """Return the exit code, negative for a signal."""
        ended: list[int] = []

        def is_over() -> bool:
            if not ended:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    ended.append(os.waitstatus_to_exitcode(status))
            return bool(ended)

        assert self.pump(is_over, seconds), self.text
        self.pid = 0
        return ended[0]

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)


@pytest.fixture
def open_terminal(console: Console) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        environ = {**console.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        opened.append(Terminal(environ, *arguments))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


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
        assert console.json("jobs", "list")["jobs"][0]["state"] == "succeeded"
        refused = console.run("jobs", "delete", "1")
        assert refused.returncode == 1
        assert f"pid {owner.pid}" in refused.stderr.splitlines()[0]
        ran = console.run("run", "test.count", "--steps", "1")
        assert ran.returncode == 1
        assert f"pid {owner.pid}" in ran.stderr
        assert "owns this history and doesn't answer" in ran.stderr
        assert "end that process" in ran.stderr
        status = console.json("status")
        assert status["is_running"] is False
        assert f"pid {owner.pid}" in status["trouble"]
        assert "none answers" in console.run("status").stdout
        terminal = open_terminal()
        terminal.see("count to 2")
        assert b"looking only" in terminal.raw
        terminal.press(b"q")
        assert terminal.wait() == 0
    finally:
        owner.send_signal(signal.SIGCONT)
    owner.send_signal(signal.SIGTERM)
    assert owner.wait(30) == 0
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
    runner.communicate(timeout=20)
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.wait(40) == 143
    assert b"\x1b[?1049l" in terminal.raw
    console.wait_for_job("interrupted")
