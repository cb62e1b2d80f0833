"""The file systems of this machine, asked by a thread of their own: a network mount that hangs holds up nobody else.

The thread goes through them again and again while it is asked; one that has not answered lately is named as such.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from typing import Final

import psutil

from qsuite_console.model.system import Mount

EVERY_S: Final = 2.0
PATIENCE_S: Final = 10.0
_UNREAL: Final = frozenset(
    {"squashfs", "overlay", "tmpfs", "devtmpfs", "proc", "sysfs", "cgroup", "cgroup2", "fuse.snapfuse"}
)


class Mounts:
    """Measures in the background; ``look`` never waits longer than ``wait_s``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._found: dict[str, Mount] = {}
        self._began: dict[str, float] = {}  # path -> when its answer was asked for and is still awaited
        self._done_at = float("-inf")

    def look(self) -> tuple[Mount, ...]:
        """Return what is known, fullest first; starts measuring anew when that is older than two seconds."""
        now = time.monotonic()
        with self._lock:
            is_idle = self._thread is None or not self._thread.is_alive()
            if is_idle and now - self._done_at >= EVERY_S:
                self._thread = threading.Thread(target=self._measure, name="mounts", daemon=True)
                self._thread.start()
            late = {path for path, began in self._began.items() if now - began > PATIENCE_S}
            found = {
                path: Mount(path=path, device=mount.device, kind=mount.kind, problem="does not answer")
                if path in late
                else mount
                for path, mount in self._found.items()
            }
        return tuple(sorted(found.values(), key=lambda mount: (mount.percent is None, -(mount.percent or 0.0))))

    def wait(self, wait_s: float) -> None:
        """Give a measurement under way so many seconds; for whoever shows the first answer."""
        thread = self._thread
        if thread is not None:
            thread.join(wait_s)

    def _measure(self) -> None:
        try:
            partitions = psutil.disk_partitions(all=False)
        except (OSError, RuntimeError):
            partitions = []
        known = _worth_showing((part.mountpoint, part.device, part.fstype) for part in partitions)
        for path, (device, kind) in known.items():
            with self._lock:
                self._began[path] = time.monotonic()
                self._found.setdefault(path, Mount(path=path, device=device, kind=kind, problem="being read"))
            mount = _measured(path, device, kind)
            with self._lock:
                del self._began[path]
                self._found[path] = mount
        with self._lock:
            self._found = {path: mount for path, mount in self._found.items() if path in known}
            self._done_at = time.monotonic()


def _worth_showing(partitions: Iterable[tuple[str, str, str]]) -> dict[str, tuple[str, str]]:
    """Return path -> (device, kind): each device once, at its shortest path; not the files a container mounts."""
    found: dict[str, tuple[str, str]] = {"/": ("", "")}
    seen: set[str] = set()
    for path, device, kind in sorted(partitions, key=lambda part: len(part[0])):
        if kind in _UNREAL or device in seen or path.startswith(("/proc", "/sys", "/etc/", "/dev/")):
            continue
        seen.add(device)
        found[path] = (device, kind)
    return found


def _measured(path: str, device: str, kind: str) -> Mount:
    try:
        usage = psutil.disk_usage(path)
        files = os.statvfs(path)
    except OSError as error:
        return Mount(path=path, device=device, kind=kind, problem=error.strerror or "can't be read")
    used_files = files.f_files - files.f_ffree
    return Mount(
        path=path,
        device=device,
        kind=kind,
        total=int(usage.total),
        used=int(usage.used),
        free=int(usage.free),
        percent=float(usage.percent),
        files_percent=100.0 * used_files / files.f_files if files.f_files else None,
    )
