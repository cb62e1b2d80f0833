"""Raw counters of this machine for the System screen: plain numbers, no rates, nothing remembered.

What the kernel does not tell here (in a container, on another system) is None, never zero.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from qsuite_console.model.system import Interface, Memory, Pressure, ProcessRow

_PROC: Final = Path("/proc")
_CGROUP: Final = Path("/sys/fs/cgroup")
_RESOURCES: Final = ("cpu", "memory", "io")
_PARTLY: Final = ("loop", "ram", "zram", "sr")  # devices that are no disks
_ATTRIBUTES: Final = ("pid", "name", "username", "status", "cpu_times", "memory_info", "num_threads", "create_time")
_IN_URL: Final = re.compile(r"(://[^:@/\s]*:)[^@/\s]+@")
_NAMED: Final = re.compile(r"(?i)((?:pass(?:word|wd)?|secret|token|api[-_]?key)[\w-]*[=:\s]\s*)\S+")
PROCESSES_MOST: Final = 5000


class Times(NamedTuple):
    """Seconds of one core, or of all, since boot."""

    busy: float
    user: float
    system: float
    iowait: float
    steal: float
    total: float


def times() -> tuple[Times, tuple[Times, ...]]:
    """Return the times of all cores together, and of each."""
    return _times(psutil.cpu_times()), tuple(_times(one) for one in psutil.cpu_times(percpu=True))


def _times(cpu: object) -> Times:
    def part(name: str) -> float:
        return float(getattr(cpu, name, 0.0))

    guests = part("guest") + part("guest_nice")  # counted in user and nice already
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")
    total = sum(part(name) for name in names) - guests
    system = part("system") + part("irq") + part("softirq")
    idle = part("idle") + part("iowait")
    return Times(total - idle, part("user") + part("nice"), system, part("iowait"), part("steal"), total)


def load() -> tuple[float, float, float] | None:
    """Return the load averages over 1, 5 and 15 minutes."""
    try:
        return os.getloadavg()
    except OSError:
        return None


def memory() -> Memory:
    """Return how the memory is used, with the container's limit where there is one."""
    now = psutil.virtual_memory()

    def part(name: str) -> int | None:
        return int(getattr(now, name)) if hasattr(now, name) else None

    limit = _read(_CGROUP / "memory.max") or _read(_CGROUP / "memory/memory.limit_in_bytes")
    limited = int(limit) if limit.isdigit() and int(limit) < now.total else None
    dirty = next((line.split()[1] for line in _read(_PROC / "meminfo").split("\n") if line.startswith("Dirty:")), "")
    return Memory(
        total=int(now.total),
        available=int(now.available),
        used=int(now.total - now.available),
        free=int(now.free),
        cached=part("cached"),
        buffers=part("buffers"),
        shared=part("shared"),
        dirty=int(dirty) * 1024 if dirty.isdigit() else None,
        limit=limited,
    )


def swap() -> tuple[int, int, int, int] | None:
    """Return (total, used, bytes in, bytes out since boot), None where the kernel does not tell."""
    try:
        now = psutil.swap_memory()
    except (OSError, RuntimeError):
        return None
    return int(now.total), int(now.used), int(now.sin), int(now.sout)


def pressures() -> tuple[Pressure, ...]:
    """Return the pressure of each resource; none where the kernel is older than 4.20 or built without it."""
    found = []
    for name in _RESOURCES:
        lines = _read(_PROC / "pressure" / name).split("\n")
        values = {line.partition(" ")[0]: _averages(line) for line in lines if "avg10=" in line}
        if (some := values.get("some")) is not None:
            found.append(Pressure(resource=name, some=some, full=values.get("full")))
    return tuple(found)


def _averages(line: str) -> tuple[float, float, float]:
    fields = dict(part.split("=", 1) for part in line.split()[1:])
    return float(fields["avg10"]), float(fields["avg60"]), float(fields["avg300"])


def core_limit() -> float | None:
    """Return the cores this container may use, None where it may use all."""
    quota, _, period = _read(_CGROUP / "cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def booted_at() -> datetime | None:
    """Return when the machine was started."""
    try:
        return datetime.fromtimestamp(psutil.boot_time(), UTC)
    except (OSError, RuntimeError):
        return None


def devices() -> dict[str, dict[str, float]] | None:
    """Return disk -> counters since boot (bytes, operations, milliseconds); None where the kernel does not tell."""
    try:
        disks = psutil.disk_io_counters(perdisk=True)
    except (OSError, RuntimeError, NotImplementedError):
        return None
    whole = {name: now for name, now in (disks or {}).items() if not name.startswith(_PARTLY)}
    if any((Path("/sys/block") / name).exists() for name in whole):  # else only partitions are known here
        whole = {name: now for name, now in whole.items() if (Path("/sys/block") / name).exists()}
    fields = ("read_bytes", "write_bytes", "read_count", "write_count", "read_time", "write_time", "busy_time")
    return {
        name: {field: float(getattr(now, field)) for field in fields if hasattr(now, field)}
        for name, now in whole.items()
    } or None


def interfaces() -> dict[str, tuple[Interface, dict[str, float]]] | None:
    """Return interface -> (what it is, counters since it came up); None where the kernel does not tell."""
    try:
        counters = psutil.net_io_counters(pernic=True)
        stats, addresses = psutil.net_if_stats(), psutil.net_if_addrs()
    except (OSError, RuntimeError):
        return None
    found = {}
    for name, now in (counters or {}).items():
        stat = stats.get(name)
        address = next((a.address for a in addresses.get(name, ()) if a.family.name in ("AF_INET", "AF_INET6")), "")
        known = Interface(
            name=name,
            is_up=None if stat is None else stat.isup,
            speed=stat.speed if stat is not None and stat.speed > 0 else None,
            address=address,
            errors_total=now.errin + now.errout,
            drops_total=now.dropin + now.dropout,
        )
        fields = ("bytes_recv", "bytes_sent", "packets_recv", "packets_sent", "errin", "errout", "dropin", "dropout")
        found[name] = (known, {field: float(getattr(now, field)) for field in fields})
    return found or None


def sockets() -> dict[str, int]:
    """Return the number of TCP sockets in use, orphaned and waiting to be forgotten; empty where it is not told."""
    for line in _read(_PROC / "net" / "sockstat").split("\n"):
        if line.startswith("TCP:"):
            words = line.split()[1:]
            return {name: int(value) for name, value in zip(words[::2], words[1::2], strict=True) if name != "mem"}
    return {}


def retransmits() -> float | None:
    """Return the TCP segments sent again since boot."""
    rows = [line.split()[1:] for line in _read(_PROC / "net" / "snmp").split("\n") if line.startswith("Tcp:")]
    if len(rows) != 2:
        return None
    value = dict(zip(*rows, strict=True)).get("RetransSegs", "")
    return float(value) if value.isdigit() else None


def processes() -> Iterator[tuple[ProcessRow, float | None]]:
    """Yield every process with its CPU seconds so far; one that may not be looked at has what is left."""
    total = psutil.virtual_memory().total
    own = os.getpid()
    for number, process in enumerate(psutil.process_iter(_ATTRIBUTES)):
        if number >= PROCESSES_MOST:
            return
        seen = process.info
        cpu, rss = seen["cpu_times"], getattr(seen["memory_info"], "rss", None)
        created = seen["create_time"]
        row = ProcessRow(
            pid=seen["pid"],
            name=seen["name"] or "",
            user=seen["username"] or "",
            state=str(seen["status"] or ""),
            memory=rss,
            share=None if rss is None else 100.0 * rss / total,
            threads=seen["num_threads"],
            started_at=None if created is None else datetime.fromtimestamp(created, UTC),
            is_own=seen["pid"] == own,
        )
        yield row, None if cpu is None else float(cpu.user + cpu.system)


def command(pid: int) -> str:
    """Return the command line of a process without secrets, "" where it is gone or may not be read."""
    try:
        return without_secrets(" ".join(psutil.Process(pid).cmdline()))
    except (psutil.Error, OSError):
        return ""


def without_secrets(line: str) -> str:
    """Return a command line with passwords masked: those of URLs, and what follows a word for a secret."""
    return _NAMED.sub(r"\1***", _IN_URL.sub(r"\1***@", " ".join(line.split())))


class Own(NamedTuple):
    """This process now."""

    cpu_s: float
    memory: int
    threads: int
    files: int | None
    files_limit: int | None
    connections: dict[str, int]
    started_at: datetime


def own() -> Own:
    """Return what this process uses; raises psutil.Error never, what can't be read is None."""
    process = psutil.Process()
    with process.oneshot():
        cpu = process.cpu_times()
        files: int | None = None
        with contextlib.suppress(psutil.Error, OSError, AttributeError):
            files = process.num_fds()
        peers: Counter[str] = Counter()
        with contextlib.suppress(psutil.Error, OSError):
            for one in process.net_connections(kind="all"):
                is_open = one.status in (psutil.CONN_ESTABLISHED, psutil.CONN_NONE)
                if is_open and one.raddr:
                    peers[f"{one.raddr.ip}:{one.raddr.port}" if hasattr(one.raddr, "ip") else "local sockets"] += 1
                elif one.family.name == "AF_UNIX":
                    peers["local sockets"] += 1
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return Own(
            cpu.user + cpu.system,
            process.memory_info().rss,
            process.num_threads(),
            files,
            None if limit in (resource.RLIM_INFINITY, sys.maxsize) else limit,
            dict(peers.most_common()),
            datetime.fromtimestamp(process.create_time(), UTC),
        )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
