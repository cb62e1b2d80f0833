"""The console in a pseudo-terminal: what is drawn there as text, and keys."""

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
from collections.abc import Callable

import pyte

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

    def pump(self, until: Callable[[], bool], seconds: float = 60) -> bool:
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

    def wait(self, seconds: float = 60) -> int:
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
