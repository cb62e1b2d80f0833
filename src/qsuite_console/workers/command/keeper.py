"""Runs one program and outlives it: python -I -S keeper.py REPORT_FD < order-as-JSON, then "stop" or the end of input.

A process of its own, because only something outside the engine can end a program whose engine was killed. It has the
program in a session of its own, adopts whatever that leaves behind (Linux), ends all of it when told to, when the
engine's end of the pipe closes or when it takes too much memory, and reports how it ended. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LOOK_S = 0.1
LEFT_S = 1.0  # for processes that a program left behind, from SIGTERM to SIGKILL
_SUBREAPER, _PDEATHSIG = 36, 1
_PROC = Path("/proc/self/statm")


class Keeper:
    """One program from its start until nothing of it is left."""

    def __init__(self, order: dict[str, Any], report: int) -> None:
        self._order = order
        self._report = report
        self._program = 0
        self._status: int | None = None
        self._ended_by = ""
        self._kill_at: float | None = None
        self._has_killed = False
        self._peak = 0
        self._left = 0

    def run(self) -> None:
        """Start it, watch it, report its end."""
        _adopt()
        wake, woken = os.pipe()
        for end in (wake, woken):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._stop("signal"))
        try:
            self._program = self._start()
        except OSError as error:
            what = error.filename or self._order["argv"][0]
            self._say({"error": f"{os.fsdecode(what)}: {error.strerror or error}"})
            return
        self._say({"pid": self._program})
        _leave_output()
        inputs = [0, wake]
        while not self._is_over():
            ready, _, _ = select.select(inputs, [], [], LOOK_S)
            if wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake, 4096)
            if 0 in ready and 0 in inputs:
                inputs.remove(0)  # "stop", or the engine is gone: either way it is the last thing we hear
                self._stop("stop" if os.read(0, 64) else "engine")
            if os.getppid() != self._order["parent"]:
                self._stop("engine")
            self._watch()
        usage = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        peak = max(self._peak, usage if sys.platform == "darwin" else usage * 1024)
        code = os.waitstatus_to_exitcode(self._status or 0)
        self._say({"code": code, "ended_by": self._ended_by, "peak": peak, "left": self._left})

    def _start(self) -> int:
        keeper = os.getpid()
        child = subprocess.Popen(
            self._order["argv"],
            env=self._order["environment"],
            cwd=self._order["directory"],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: _begin(keeper, self._order["memory"]),
        )
        child.returncode = 0  # we reap it ourselves
        return child.pid

    def _is_over(self) -> bool:
        """Reap what has ended; true when nothing is left."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == self._program:
                    self._status = status
                if pid == 0:
                    break
        if self._status is None:
            return False
        rest = self._alive()
        if rest and self._kill_at is None:
            self._left = len(rest)
            self._signal(signal.SIGTERM)
            self._kill_at = time.monotonic() + LEFT_S
        return not rest

    def _stop(self, why: str) -> None:
        """Ask all of it to end; what does not within the grace is killed."""
        if self._ended_by:
            return
        self._ended_by = why
        self._signal(signal.SIGTERM)
        self._kill_at = time.monotonic() + float(self._order["grace_s"])

    def _watch(self) -> None:
        memory = sum(map(_resident, self._alive()))
        self._peak = max(self._peak, memory)
        if self._order["memory"] and memory > self._order["memory"] and not self._ended_by:
            self._ended_by, self._kill_at = "memory", 0.0
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        """Send a signal to the program's group, and to those of its descendants that have left it."""
        if not self._program:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._program, number)
        for pid in self._alive():
            with contextlib.suppress(OSError):
                if os.getpgid(pid) != self._program:
                    os.kill(pid, number)

    def _alive(self) -> set[int]:
        """Return the processes of the program that are no zombies; elsewhere than on Linux at least whether any is."""
        if _PROC.exists():
            return {pid for pid in _descendants(os.getpid()) if _resident(pid) or not _is_zombie(pid)}
        try:
            os.killpg(self._program, 0)
        except OSError:
            return set()
        return {self._program}

    def _say(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # an engine that no longer listens is no reason to leave the program alone
            os.write(self._report, json.dumps(message).encode() + b"\n")


def _adopt() -> None:
    """Become the parent of every descendant whose own parent ends, so that none is lost."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)


def _begin(keeper: int, memory: int) -> None:
    """Between fork and exec: die with the keeper, and where memory can't be watched let the system limit it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != keeper:
            os._exit(1)
    if memory and not _PROC.exists():
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _leave_output() -> None:
    """Let go of the output, so that its end is the program's."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                with contextlib.suppress(OSError):
                    children = {int(child) for child in (task / "children").read_text().split()} - found
                    found |= children
                    waiting += children
    return found


def _resident(pid: int) -> int:
    """Return the bytes of memory a process has to itself, without the files it maps; 0 for one that has ended."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * resource.getpagesize()


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (OSError, IndexError):
        return True


def main() -> None:
    """Read the order and keep the program."""
    report = int(sys.argv[1])
    os.set_inheritable(report, False)
    order = bytearray()
    while b"\n" not in order:
        piece = os.read(0, 65536)
        if not piece:
            return
        order += piece
    line, _, more = order.partition(b"\n")
    if not more:  # else it is to stop before it began
        Keeper(json.loads(line), report).run()


if __name__ == "__main__":
    main()
