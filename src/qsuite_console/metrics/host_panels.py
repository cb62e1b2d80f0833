"""The questions of the System screen about this machine: rates over the interval since the last time they were put.

A first question, or one after a long silence, waits a quarter of a second so that its rates are of now and not of an
hour ago. Two screens that ask at the same time share an answer. Reading is done in a thread: no file of the kernel's
that is slow today holds up the engine's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Generic, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from qsuite_console.engine.parameters import decode
from qsuite_console.metrics.from_host import counters
from qsuite_console.metrics.from_host.counters import Times
from qsuite_console.metrics.from_host.mounts import Mounts
from qsuite_console.model.advice import Unread
from qsuite_console.model.system import (
    Device,
    DisksView,
    HostView,
    Interface,
    NetworkView,
    ProcessesView,
    ProcessRow,
    Shares,
    Swap,
)

if TYPE_CHECKING:
    from qsuite_console.workers import Services

C = TypeVar("C")
FIRST_S: Final = 0.25
SHORTEST_S: Final = 0.2
LONGEST_S: Final = 15.0  # an interval that is longer tells of the past
COMMANDS_MOST: Final = 40  # command lines that are read: each costs a file
_HERE: Final = "the kernel does not tell it here, as in many containers"


class NothingParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to choose."""


class ProcessesParameters(msgspec.Struct, frozen=True, kw_only=True):
    """The first processes in an order, of those whose name, user or number contains a text."""

    order: Literal["cpu", "memory"] = "cpu"
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 60
    text: Annotated[str, msgspec.Meta(max_length=80)] = ""


class Counted(Generic[C]):
    """Two readings of the same counters and the seconds between; ``read`` runs in a thread."""

    def __init__(self, read: Callable[[], C], monotonic: Callable[[], float]) -> None:
        self._read = read
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._pairs: tuple[C, C] | None = None
        self._at = float("-inf")
        self._interval_s = 0.0
        self.cost_ms = 0.0

    async def take(self) -> tuple[C, C, float]:
        """Return (before, now, seconds between)."""
        async with self._lock:  # the screens that ask meanwhile share what the first one gets
            age_s = self._monotonic() - self._at
            if self._pairs is not None and age_s < SHORTEST_S:
                return (*self._pairs, self._interval_s)
            if self._pairs is None or age_s > LONGEST_S:
                before = await self._timed()
                began = self._at
                await asyncio.sleep(FIRST_S)
            else:
                before, began = self._pairs[1], self._at
            now = await self._timed()
            self._pairs, self._interval_s = (before, now), self._at - began
            return before, now, self._interval_s

    async def _timed(self) -> C:
        started = self._monotonic()
        found = await asyncio.to_thread(self._read)
        self._at = self._monotonic()
        self.cost_ms = round(1000 * (self._at - started), 1)
        return found


class _Probe:
    timeout_s: ClassVar[float] = 5.0

    def __init__(self, services: Services) -> None:
        self._clock = services.clock

    def _now(self) -> datetime:
        return self._clock.now()


def rate(before: float | None, now: float | None, seconds: float) -> float | None:
    """Return the growth of a counter a second; None where it was not told or began anew."""
    if before is None or now is None or seconds <= 0 or now < before:
        return None
    return (now - before) / seconds


def shares(before: Times, now: Times) -> Shares | None:
    """Return how the time between two readings was spent; None where no time has passed."""
    total = now.total - before.total
    if total <= 0:
        return None

    def part(a: float, b: float) -> float:
        return max(0.0, min(100.0, 100.0 * (b - a) / total))

    return Shares(
        busy=part(before.busy, now.busy),
        user=part(before.user, now.user),
        system=part(before.system, now.system),
        iowait=part(before.iowait, now.iowait),
        steal=part(before.steal, now.steal),
    )


class HostProbe(_Probe):
    """Answers ``system.host``."""

    name = "system.host"

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._counted = Counted(lambda: (counters.times(), counters.swap()), services.clock.monotonic)

    async def ask(self, parameters: Mapping[str, Any]) -> HostView:
        """Return processors, memory and pressure; raises InvalidParameters."""
        decode(NothingParameters, parameters)
        ((cpu, cores), swap), ((cpu_now, cores_now), swap_now), seconds = await self._counted.take()
        unread = []
        memory, pressures, load = await asyncio.to_thread(
            lambda: (counters.memory(), counters.pressures(), counters.load())
        )
        if not pressures:
            unread.append(
                Unread(what="pressure (PSI)", why=_HERE, hint="Linux 4.20 or newer, started with psi=1, shows it")
            )
        if swap_now is None:
            unread.append(Unread(what="swap", why=_HERE))
        pairs = zip(cores, cores_now, strict=False) if len(cores) == len(cores_now) else ()
        return HostView(
            at=self._now(),
            interval_s=seconds,
            cpu=shares(cpu, cpu_now),
            cores=tuple(one for one in (shares(a, b) for a, b in pairs) if one is not None),
            core_limit=counters.core_limit(),
            load=load,
            memory=memory,
            swap=None
            if swap_now is None
            else Swap(
                total=swap_now[0],
                used=swap_now[1],
                in_rate=rate(swap[2] if swap else None, swap_now[2], seconds),
                out_rate=rate(swap[3] if swap else None, swap_now[3], seconds),
            ),
            pressures=pressures,
            booted_at=counters.booted_at(),
            cost_ms=self._counted.cost_ms,
            unread=tuple(unread),
        )


class DisksProbe(_Probe):
    """Answers ``system.disks``."""

    name = "system.disks"

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._counted = Counted(counters.devices, services.clock.monotonic)
        self._mounts = Mounts()

    async def ask(self, parameters: Mapping[str, Any]) -> DisksView:
        """Return file systems and disks; raises InvalidParameters."""
        decode(NothingParameters, parameters)
        mounts = self._mounts.look()
        before, now, seconds = await self._counted.take()
        if not mounts:
            await asyncio.to_thread(self._mounts.wait, FIRST_S)
            mounts = self._mounts.look()
        unread = () if now else (Unread(what="read and write rates of disks", why=_HERE),)
        found = [
            device_of(name, (before or {}).get(name, {}), counted, seconds) for name, counted in (now or {}).items()
        ]
        return DisksView(
            at=self._now(),
            interval_s=seconds,
            mounts=mounts,
            devices=tuple(sorted(found, key=lambda d: (-(d.busy or 0.0), d.name))),
            cost_ms=self._counted.cost_ms,
            unread=unread,
        )


def device_of(name: str, before: Mapping[str, float], now: Mapping[str, float], seconds: float) -> Device:
    """Return a disk's rates between two readings."""

    def grown(field: str) -> float | None:
        return rate(before.get(field), now.get(field), seconds)

    def each(time: str, number: str) -> float | None:
        spent, times = grown(time), grown(number)
        return spent / times if spent is not None and times else None

    busy = grown("busy_time")
    return Device(
        name=name,
        read_rate=grown("read_bytes"),
        write_rate=grown("write_bytes"),
        reads=grown("read_count"),
        writes=grown("write_count"),
        read_ms=each("read_time", "read_count"),
        write_ms=each("write_time", "write_count"),
        busy=None if busy is None else min(100.0, busy / 10),
    )


class NetworkProbe(_Probe):
    """Answers ``system.network``."""

    name = "system.network"

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._counted = Counted(lambda: (counters.interfaces(), counters.retransmits()), services.clock.monotonic)

    async def ask(self, parameters: Mapping[str, Any]) -> NetworkView:
        """Return interfaces and TCP's counters; raises InvalidParameters."""
        decode(NothingParameters, parameters)
        (before, again), (now, again_now), seconds = await self._counted.take()
        sockets = await asyncio.to_thread(counters.sockets)
        missing = (
            ("rates of interfaces", not now),
            ("TCP sockets", not sockets),
            ("TCP segments sent again", again_now is None),
        )
        found = []
        for name, (known, counted) in (now or {}).items():
            earlier = (before or {}).get(name, (known, {}))[1]
            found.append(interface_of(known, earlier, counted, seconds))
        return NetworkView(
            at=self._now(),
            interval_s=seconds,
            interfaces=tuple(sorted(found, key=lambda i: (-((i.in_rate or 0.0) + (i.out_rate or 0.0)), i.name))),
            sockets=sockets,
            retransmits=rate(again, again_now, seconds),
            cost_ms=self._counted.cost_ms,
            unread=tuple(Unread(what=what, why=_HERE) for what, is_missing in missing if is_missing),
        )


def interface_of(known: Interface, before: Mapping[str, float], now: Mapping[str, float], seconds: float) -> Interface:
    """Return an interface with its rates between two readings."""

    def grown(*fields: str) -> float | None:
        rates = [rate(before.get(field), now.get(field), seconds) for field in fields]
        told = [one for one in rates if one is not None]
        return sum(told) if len(told) == len(fields) else None

    return replace(
        known,
        in_rate=grown("bytes_recv"),
        out_rate=grown("bytes_sent"),
        in_packets=grown("packets_recv"),
        out_packets=grown("packets_sent"),
        errors=grown("errin", "errout"),
        drops=grown("dropin", "dropout"),
    )


Seen = dict[tuple[int, datetime | None], tuple[ProcessRow, float | None]]


class ProcessesProbe(_Probe):
    """Answers ``system.processes``."""

    name = "system.processes"

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._counted = Counted(_processes, services.clock.monotonic)

    async def ask(self, parameters: Mapping[str, Any]) -> ProcessesView:
        """Return the processes that use most; raises InvalidParameters."""
        wanted: ProcessesParameters = decode(ProcessesParameters, parameters)
        before, now, seconds = await self._counted.take()
        rows = []
        states: dict[str, int] = {}
        for key, (row, used) in now.items():
            states[row.state] = states.get(row.state, 0) + 1
            earlier = before.get(key)
            grown = rate(earlier[1] if earlier else None, used, seconds)
            rows.append(replace(row, cpu=None if grown is None else 100.0 * grown))
        text = wanted.text.lower()
        rows = [row for row in rows if text in f"{row.pid} {row.name} {row.user}".lower()]
        by_cpu = wanted.order == "cpu"
        rows.sort(key=lambda row: (-(row.cpu or 0.0) if by_cpu else 0.0, -(row.memory or 0), row.pid))
        shown = rows[: wanted.limit]
        commands = await asyncio.to_thread(
            lambda: {row.pid: counters.command(row.pid) for row in shown[:COMMANDS_MOST]}
        )
        unread = []
        if len(now) >= counters.PROCESSES_MOST:
            why = f"only the first {counters.PROCESSES_MOST:,} are read, so that looking stays cheap"
            unread.append(Unread(what="all processes", why=why))
        return ProcessesView(
            at=self._now(),
            interval_s=seconds,
            order=wanted.order,
            rows=tuple(replace(row, command=commands.get(row.pid, "")) for row in shown),
            total=len(rows),
            states=states,
            cost_ms=self._counted.cost_ms,
            unread=tuple(unread),
        )


def _processes() -> Seen:
    return {(row.pid, row.started_at): (row, used) for row, used in counters.processes()}
