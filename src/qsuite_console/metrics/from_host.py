"""The tile of this machine and of the console's own process; the only importer of psutil.

Everything read here is in the kernel's memory, except the file systems: a network mount that hangs would hold up
whoever asks, so disks are asked by a thread of their own and their last answer is shown.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil

from qsuite_console.metrics import units
from qsuite_console.metrics.sources import MEASURING, Sample, figure, judged
from qsuite_console.model.health import Figure, Level

_DISK_EVERY_S: Final = 10.0
_DISK_STALE_S: Final = 40.0


class HostSource:
    """Reads CPU, memory, load and the disks that hold ``directories``."""

    name = "host"
    title = "Host"
    unconfigured = ""

    def __init__(self, directories: Sequence[Path] = ()) -> None:
        self._disks = _Disks(directories or (Path("/"),))
        self._process = psutil.Process()
        self._cpu: tuple[float, float] | None = None  # busy and total seconds of all cores
        self._own: tuple[float, float] | None = None  # own CPU seconds and when

    @property
    def headline(self) -> Figure:
        """Return the headline before the first interval is over."""
        return figure("cpu", "CPU", MEASURING, None, "%")

    async def read(self) -> Sample:
        """Return one sample."""
        cpu = self._busy_percent()
        memory = psutil.virtual_memory()
        disk = self._disks.fullest()
        load = os.getloadavg()[0]
        cores = os.cpu_count() or 1
        rss = self._process.memory_info().rss
        own = self._own_percent()
        used = memory.total - memory.available
        return Sample(
            headline=self.headline if cpu is None else judged("cpu", "CPU", units.percent(cpu), cpu, "host.cpu", cpu),
            figures=(
                judged(
                    "memory",
                    "memory",
                    f"{units.size(used)} / {units.size(memory.total)}",
                    memory.percent,
                    "host.memory",
                    memory.percent,
                ),
                _disk_figure(disk, self._disks.age_s),
                figure("load", "load", f"{load:.2f} on {cores} cores", load),
                figure("console_memory", "console memory", units.size(rss), rss, "B"),
                figure("console_cpu", "console CPU", MEASURING if own is None else units.percent(own), own, "%"),
            ),
            watched={
                "host.cpu": cpu,
                "host.memory": memory.percent,
                "host.disk": None if disk is None else disk[1],
            },
        )

    async def close(self) -> None:
        """Nothing is open."""

    def _busy_percent(self) -> float | None:
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # counted in user and nice already
        total = sum(times) - guests
        before, self._cpu = self._cpu, (total - idle, total)
        if before is None or total <= before[1]:
            return None
        busy = float(100.0 * (self._cpu[0] - before[0]) / (total - before[1]))
        return max(0.0, min(100.0, busy))

    def _own_percent(self) -> float | None:
        now, used = time.monotonic(), time.process_time()
        before, self._own = self._own, (used, now)
        if before is None or now <= before[1]:
            return None
        return 100.0 * (used - before[0]) / (now - before[1])


class _Disks:
    """The fullest file system among some directories, measured in the background."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = tuple(directories)
        self._lock = threading.Lock()
        self._answer: tuple[Path, float, float] | None = None
        self._answered_at: float | None = None
        self._asked_at: float | None = None
        self._thread: threading.Thread | None = None
        self._measure()  # the first sample shall have a figure; our own directories are local as a rule

    @property
    def age_s(self) -> float:
        """Return how old the answer is."""
        return float("inf") if self._answered_at is None else time.monotonic() - self._answered_at

    def fullest(self) -> tuple[Path, float, float] | None:
        """Return (directory, percent in use, bytes free), None when nothing current is known; never waits."""
        now = time.monotonic()
        is_idle = self._thread is None or not self._thread.is_alive()
        if is_idle and (self._asked_at is None or now - self._asked_at >= _DISK_EVERY_S):
            self._asked_at = now
            self._thread = threading.Thread(target=self._measure, name="disks", daemon=True)
            self._thread.start()
        with self._lock:
            return self._answer if self.age_s < _DISK_STALE_S else None

    def _measure(self) -> None:
        found = []
        for directory in self._directories:
            try:
                usage = psutil.disk_usage(os.fspath(directory))
            except OSError:
                continue  # not made yet or unmounted: the others still count
            found.append((directory, usage.percent, float(usage.free)))
        with self._lock:
            self._answer = max(found, key=lambda one: one[1], default=None)
            self._answered_at = time.monotonic()


def _disk_figure(disk: tuple[Path, float, float] | None, age_s: float) -> Figure:
    if disk is None:
        text = "not readable" if age_s < _DISK_STALE_S else "does not answer"
        return Figure(name="disk", label="disk", text=text, unit="%", level=Level.UNKNOWN)
    _, percent, free = disk
    return judged("disk", "disk", f"{units.percent(percent)}, {units.size(free)} free", percent, "host.disk", percent)
