"""Real Celery workers as processes, with everything they print."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

TESTS = Path(__file__).parents[2]
PROGRAM = TESTS / "integration" / "celery" / "program.py"
START_S = 120.0


class WorkerProcess:
    """One ``qsuite-console celery-worker``."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), "celery-worker", *arguments],
            env={**os.environ, "PYTHONPATH": str(TESTS), **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip())

    def wait_ready(self) -> WorkerProcess:
        """Return when it consumes."""
        self.wait_for("ready.")
        return self

    def wait_for(self, words: str, limit_s: float = START_S) -> None:
        deadline = time.monotonic() + limit_s
        while not any(words in line for line in self.lines):
            assert self.process.poll() is None, self.lines[-30:]
            assert time.monotonic() < deadline, self.lines[-30:]
            time.sleep(0.02)

    @property
    def pool(self) -> list[psutil.Process]:
        """The processes that do the jobs."""
        return psutil.Process(self.process.pid).children()

    def pause(self) -> None:
        """Stop it and its pool as SIGSTOP does."""
        for each in (psutil.Process(self.process.pid), *self.pool):
            each.suspend()

    def resume(self) -> None:
        """Let it go on."""
        for each in (*self.pool, psutil.Process(self.process.pid)):
            each.resume()

    def kill(self) -> None:
        """End it as the kernel would; its pool dies with it."""
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)  # the last of its pool has let go of the pipe

    def end(self, limit_s: float = 30.0) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(limit_s)
        self._reader.join(5)
        return code

    def close(self) -> None:
        """Make sure nothing is left."""
        if self.process.poll() is None:
            for each in (*self.pool, psutil.Process(self.process.pid)):
                each.send_signal(signal.SIGCONT)
            self.kill()
        self._reader.join(10)
        assert not self._reader.is_alive(), "something it started lives on"
        assert self.process.stderr is not None
        self.process.stderr.close()


@contextmanager
def worker_processes(environment: dict[str, str], count: int, *arguments: str) -> Iterator[list[WorkerProcess]]:
    """Start workers, all at once, and end them for certain; the list may grow."""
    started: list[WorkerProcess] = []
    try:
        started += [WorkerProcess(environment, *arguments) for _ in range(count)]
        for each in started:
            each.wait_ready()
        yield started
    finally:
        for each in started:
            each.close()


def environment_of(home: Path, dsn: str, redis: str, **more: str) -> dict[str, str]:
    """What a worker needs to know."""
    return {"QSUITE_CONSOLE_HOME": str(home), "DATABASE_URL": dsn, "REDIS_URL": redis, **more}
