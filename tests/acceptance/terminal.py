"""A person at a terminal: starts the program in a pseudo-terminal, reads the screen, presses keys."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping

import pyte

from acceptance.product import PROGRAM

# Sequences of newer terminals that pyte would print.
_UNKNOWN = re.compile(rb"\x1b\[[<>=?][0-9;]*[a-zA-Z]?\$?[pu]|\x1b\[[>=<][0-9;]*u|\x1b\[\?[0-9;]*\$p")
KEYS = {"enter": "\r", "escape": "\x1b", "tab": "\t", "ctrl+p": "\x10", "ctrl+s": "\x13", "ctrl+q": "\x11"}


class Screen(pyte.Screen):
    """One that outlives a key echoed into the middle of a sequence, as happens in the moment a program leaves."""

    def report_device_status(self, mode: int = 0, *_: int, **__: bool) -> None:
        super().report_device_status(mode)


class Terminal:
    """One program on a terminal of ``columns`` x ``rows``; a context manager that leaves nothing behind."""

    def __init__(
        self, arguments: list[str], environment: Mapping[str, str], *, columns: int = 120, rows: int = 40
    ) -> None:
        self.screen = Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self._rest = b""
        argv = [str(PROGRAM), *arguments]
        variables = {**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.started = time.monotonic()
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], argv, variables)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.exit_code: int | None = None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        with contextlib.suppress(OSError):
            os.close(self.master)

    @property
    def text(self) -> str:
        """What a person sees now."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def read(self, seconds: float = 0.05) -> bool:
        """Take what was drawn; False when the program closed the terminal."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.take(data)
        return bool(data)

    def take(self, data: bytes) -> None:
        """Show what the program has written."""
        self.raw += data
        self.stream.feed(_UNKNOWN.sub(b"", data))

    def wait_until(self, condition: Callable[[str], object], what: str, timeout: float = 60.0) -> float:
        """Read until ``condition(text)`` holds; return how long it took since the start, in seconds."""
        end = time.monotonic() + timeout
        while not condition(self.text):
            assert time.monotonic() < end, f"{what} never came:\n{self.text}"
            assert self.read(), f"the program ended before {what}:\n{self.text}"
        return time.monotonic() - self.started

    def wait_for(self, words: str, timeout: float = 60.0) -> float:
        """Read until ``words`` are on the screen."""
        return self.wait_until(lambda text: words in text, repr(words), timeout)

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            os.write(self.master, KEYS.get(key, key).encode())
            self.read(0.05)

    def wait(self, timeout: float = 60.0) -> int:
        """Return the exit code (128 + n for a death by signal n)."""
        end = time.monotonic() + timeout
        while self.exit_code is None:
            assert time.monotonic() < end, f"does not end:\n{self.text}"
            self.read(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                self.exit_code = code if code >= 0 else 128 - code
        return self.exit_code
