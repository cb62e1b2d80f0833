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
from qsuite_console.metrics.advice.measures import HostLook
from qsuite_console.metrics.sources import MEASURING, Sample, figure, judged
from qsuite_console.model.health import Figure, Level

_DISK_EVERY_S: Final = 10.0
_DISK_STALE_S: Final = 40.0
_CGROUP: Final = Path("/sys/fs/cgroup")


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


def look() -> HostLook:
    """Return the counters of this host now."""
    cpu = psutil.cpu_times()
    iowait = float(getattr(cpu, "iowait", 0.0))
    guests = getattr(cpu, "guest", 0.0) + getattr(cpu, "guest_nice", 0.0)  # counted in user and nice already
    total = float(sum(cpu) - guests)
    return HostLook(
        at=time.monotonic(),
        busy_s=total - float(cpu.idle) - iowait,
        iowait_s=iowait,
        total_s=total,
        memory_percent=psutil.virtual_memory().percent,
        load=os.getloadavg()[0],
        cores=os.cpu_count() or 1,
        swapped_in=float(psutil.swap_memory().sin),
    )


def capacity() -> tuple[int, int]:
    """Return (bytes of memory, cores) that processes here may use; a container's limits count where there are any."""
    memory = int(psutil.virtual_memory().total)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        text = _read(_CGROUP / name)
        if text.isdigit():
            memory = min(memory, int(text))
    quota, _, period = _read(_CGROUP / "cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit():
        cores = max(1, min(cores, round(int(quota) / int(period))))
    return memory, cores


def disk(directory: str) -> tuple[float, int] | None:
    """Return (percent in use, bytes) of the file system that holds a directory, None when it can't be seen."""
    try:
        usage = psutil.disk_usage(directory)
    except OSError:
        return None
    return float(usage.percent), int(usage.total)


def is_rotating(directory: str) -> bool | None:
    """Tell whether a directory lies on a hard disk, None when the kernel does not say (containers, networks)."""
    try:
        device = Path(directory).stat().st_dev
    except OSError:
        return None
    place = (Path("/sys/dev/block") / f"{os.major(device)}:{os.minor(device)}").resolve()
    for queue in (place / "queue", place.parent / "queue"):  # of the disk, or of the partition's disk
        text = _read(queue / "rotational")
        if text in ("0", "1"):
            return text == "1"
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
