"""What the panes of the System screen show. Rates are over ``interval_s``; None was not told, or not yet measured.

``unread`` names what this machine does not tell (a container hides much) and why.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from qsuite_console.model.advice import Unread


class Shares(msgspec.Struct, frozen=True, kw_only=True):
    """How processor time was spent, in percent of one core or of all together; ``busy`` leaves out idle and iowait."""

    busy: float
    user: float = 0.0
    system: float = 0.0
    iowait: float = 0.0
    steal: float = 0.0


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes. ``used`` is what can't be given back without swapping: total less available."""

    total: int
    available: int
    used: int
    free: int
    cached: int | None = None
    buffers: int | None = None
    shared: int | None = None
    dirty: int | None = None  # waits to be written
    limit: int | None = None  # of this container, where it has one


class Swap(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes, and bytes a second that came in and went out."""

    total: int
    used: int
    in_rate: float | None = None
    out_rate: float | None = None


class Pressure(msgspec.Struct, frozen=True, kw_only=True):
    """Share of the time in percent in which some task, or all of them, waited for a resource; over 10, 60, 300 s."""

    resource: str  # "cpu", "memory", "io"
    some: tuple[float, float, float]
    full: tuple[float, float, float] | None = None


class HostView(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``system.host``."""

    at: datetime
    interval_s: float
    cpu: Shares | None
    cores: tuple[Shares, ...]
    core_limit: float | None  # cores this container may use
    load: tuple[float, float, float] | None
    memory: Memory
    swap: Swap | None
    pressures: tuple[Pressure, ...]
    booted_at: datetime | None
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """A file system. ``problem`` says why there are no figures; sizes are bytes."""

    path: str
    device: str = ""
    kind: str = ""
    total: int | None = None
    used: int | None = None
    free: int | None = None
    percent: float | None = None
    files_percent: float | None = None  # of its inodes
    problem: str = ""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A disk: bytes and operations a second, milliseconds an operation took, percent of the time it was busy."""

    name: str
    read_rate: float | None = None
    write_rate: float | None = None
    reads: float | None = None
    writes: float | None = None
    read_ms: float | None = None
    write_ms: float | None = None
    busy: float | None = None


class DisksView(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``system.disks``, fullest mount and busiest device first."""

    at: datetime
    interval_s: float
    mounts: tuple[Mount, ...]
    devices: tuple[Device, ...]
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """A network interface: bytes and packets a second; errors and drops a second, and since it came up."""

    name: str
    is_up: bool | None = None
    speed: int | None = None  # Mbit/s
    address: str = ""
    in_rate: float | None = None
    out_rate: float | None = None
    in_packets: float | None = None
    out_packets: float | None = None
    errors: float | None = None
    drops: float | None = None
    errors_total: int = 0
    drops_total: int = 0


class NetworkView(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``system.network``. ``sockets``: number of TCP sockets by state, as the kernel counts."""

    at: datetime
    interval_s: float
    interfaces: tuple[Interface, ...]
    sockets: dict[str, int]
    retransmits: float | None = None  # segments a second that were sent again
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()


class ProcessRow(msgspec.Struct, frozen=True, kw_only=True):
    """A process; ``cpu`` is percent of one core over the interval."""

    pid: int
    name: str
    user: str = ""
    command: str = ""
    state: str = ""
    cpu: float | None = None
    memory: int | None = None  # resident bytes
    share: float | None = None  # of the machine's memory, percent
    threads: int | None = None
    started_at: datetime | None = None
    is_own: bool = False


class ProcessesView(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``system.processes``: the first of ``total`` in the order asked for."""

    at: datetime
    interval_s: float
    order: str
    rows: tuple[ProcessRow, ...]
    total: int
    states: dict[str, int]
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()


class FileSize(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the console's own, bytes."""

    name: str
    size: int


class QuestionCost(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of question has cost since the start: number, failures, milliseconds in all and of the last."""

    name: str
    asked: int
    failed: int
    total_ms: float
    last_ms: float
    worst_ms: float


class ProcessView(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``system.console``: the process that runs the engine."""

    at: datetime
    interval_s: float
    pid: int
    started_at: datetime | None
    python: str
    cpu: float | None  # percent of one core
    memory: int  # resident bytes
    threads: int
    files: int | None
    files_limit: int | None
    connections: dict[str, int]  # peer -> number of sockets
    questions: tuple[QuestionCost, ...]
    history: tuple[FileSize, ...]
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()
