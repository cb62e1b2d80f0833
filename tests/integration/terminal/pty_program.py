"""A program on a pseudo-terminal: what it drew, what it reported, how it ended."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path
from typing import Any

from fakes.stopwatch import Stopwatch

TARGET = Path(__file__).with_name("target.py")
TESTS = Path(__file__).parents[2]
DEADLINE_S = 60.0


class PtyProgram:
    """Runs ``target.py SCENARIO`` with a pty of 80x24 as its controlling terminal."""

    def __init__(self, report: Path, scenario: str, *, grace_s: float = 8.0) -> None:
        self.report = report
        self.output = b""
        self.exit_code: int | None = None
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONUNBUFFERED": "1"}
        environment["PYTHONPATH"] = str(TESTS)
        environment.pop("TMUX", None)
        argv = [sys.executable, str(TARGET), str(report), scenario, str(grace_s)]
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], argv, environment)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def __enter__(self) -> PtyProgram:
        return self

    def __exit__(self, *_: object) -> None:
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        with contextlib.suppress(OSError):
            os.close(self.master)

    def read(self, seconds: float = 0.05) -> bool:
        """Take what the program has drawn; False at its end."""
        if select.select([self.master], [], [], seconds)[0]:
            try:
                self.output += (data := os.read(self.master, 65536))
            except OSError:
                return False
            return bool(data)
        return True

    def wait_for(self, text: bytes) -> None:
        """Read until ``text`` was drawn."""
        end = time.monotonic() + DEADLINE_S
        while text not in self.output:
            assert time.monotonic() < end, f"{text!r} never came: {self.output[-2000:]!r}"
            assert self.read() or text in self.output, f"ended before {text!r}: {self.output[-2000:]!r}"

    def wait_for_entry(self) -> None:
        """Wait until the program has the screen and has drawn on it."""
        self.wait_for(b"READY")

    def wait_until_stopped(self) -> None:
        """Read until the kernel says that the process stands still."""
        end = time.monotonic() + DEADLINE_S
        while os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)[0] == 0:
            assert time.monotonic() < end, "the process was not stopped"
            self.read()
        while select.select([self.master], [], [], 0)[0]:
            self.read()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def hang_up(self) -> None:
        """Take the terminal away."""
        os.close(self.master)

    def wait(self, *, is_reading: bool = True) -> tuple[int, float]:
        """Return the exit code (128 + n for a death by signal n) and how long the end took, in seconds."""
        with Stopwatch() as taken:
            while self.exit_code is None:
                assert taken.seconds < DEADLINE_S, f"does not end: {self.output[-500:]!r}"
                if not (is_reading and self.read(0.02)):
                    time.sleep(0.01)
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    code = os.waitstatus_to_exitcode(status)
                    self.exit_code = code if code >= 0 else 128 - code
        with contextlib.suppress(OSError):
            while select.select([self.master], [], [], 0)[0] and self.read(0):
                pass
        return self.exit_code, taken.seconds

    def is_echoing(self) -> bool:
        """Return whether the terminal is back in its cooked mode."""
        flags = termios.tcgetattr(self.master)[3]
        return bool(flags & termios.ECHO and flags & termios.ICANON)

    def result(self) -> dict[str, Any]:
        """Return what the program reported at its end."""
        return json.loads(self.report.read_text())
