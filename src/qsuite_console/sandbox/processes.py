"""Processes named by pid and start time, so that a pid the system gave to someone else is never signalled."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

import msgspec

_POLL_S: Final = 0.02


class ProcessIdentity(msgspec.Struct, frozen=True):
    """A process for all time: its pid and the system's own mark of when it began."""

    pid: int
    started: str


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of a live process, None when there is none or it is a zombie."""
    mark = _start_mark(pid)
    return ProcessIdentity(pid, mark) if mark else None


def is_alive(process: ProcessIdentity) -> bool:
    """Tell whether exactly this process still runs; a later one with its pid doesn't count."""
    return _start_mark(process.pid) == process.started


def send(process: ProcessIdentity, number: signal.Signals) -> bool:
    """Signal the process if it is still the same one; tell whether it was."""
    if not is_alive(process):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)
        return True
    return False


def end(process: ProcessIdentity, steps: tuple[tuple[signal.Signals, float], ...]) -> bool:
    """Send each signal in turn, waiting its seconds for the process to go; tell whether it has gone."""
    for number, wait_s in steps:
        if not send(process, number) or wait_gone(process, wait_s):
            return True
    return not is_alive(process)


def wait_gone(process: ProcessIdentity, wait_s: float) -> bool:
    """Wait until the process has gone, at most ``wait_s`` seconds; a child of ours is reaped."""
    deadline = time.monotonic() + wait_s
    while True:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)
        if not is_alive(process):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)


def command_line(pid: int) -> str:
    """Return a process's arguments joined by spaces, "" when it is gone."""
    if Path("/proc/self/stat").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    return _ps("command=", pid)


def _start_mark(pid: int) -> str:
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        # Fields after the name start at the state (third); the start time is the twenty-second, in clock ticks.
        return "" if fields[0] in "ZX" else fields[19]
    state, _, started = _ps("stat=,lstart=", pid).partition(" ")
    return "" if not started or state.startswith("Z") else started.strip()


def _ps(columns: str, pid: int) -> str:
    argv = ["/bin/ps", "-o", columns, "-p", str(pid)]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
