"""Disks and network: how full, how fast, how long an operation takes, what goes wrong."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from qsuite_console.model.system import Device, DisksView, Interface, Mount, NetworkView
from qsuite_console.screens.panes import Pane
from qsuite_console.widgets import figures, frames
from qsuite_console.widgets.entry_table import EntryTable
from qsuite_console.widgets.live_table import Cell, Column, Meter, Row

FULL, ALMOST = 95.0, 85.0  # percent; as the rule for the console's own disks
_MOUNTS: Final = (
    Column("look", "", 1, keep=90),
    Column("path", "FILE SYSTEM", 14, is_flexible=True, keep=100),
    Column("percent", "USED", 18, keep=60, narrow=12),
    Column("free", "FREE", 9, is_right=True, keep=80),
    Column("total", "SIZE", 9, is_right=True, keep=40),
    Column("files", "FILES", 6, is_right=True, keep=30),
    Column("kind", "TYPE", 8, keep=10),
    Column("device", "DEVICE", 14, keep=5),
)
_DEVICES: Final = (
    Column("name", "DISK", 8, is_flexible=True, keep=100),
    Column("busy", "BUSY", 6, is_right=True, keep=90),
    Column("read", "READ", 11, is_right=True, keep=80),
    Column("write", "WRITE", 11, is_right=True, keep=80),
    Column("reads", "READS", 9, is_right=True, keep=30),
    Column("writes", "WRITES", 9, is_right=True, keep=30),
    Column("read_ms", "READ TAKES", 10, is_right=True, keep=50),
    Column("write_ms", "WRITE TAKES", 11, is_right=True, keep=50),
)
_INTERFACES: Final = (
    Column("look", "", 1, keep=90),
    Column("name", "INTERFACE", 10, is_flexible=True, keep=100),
    Column("in", "IN", 11, is_right=True, keep=80),
    Column("out", "OUT", 11, is_right=True, keep=80),
    Column("packets", "PACKETS IN / OUT", 18, is_right=True, keep=20),
    Column("errors", "ERRORS", 17, is_right=True, keep=70),
    Column("drops", "DROPPED", 17, is_right=True, keep=60),
    Column("speed", "SPEED", 9, is_right=True, keep=10),
    Column("address", "ADDRESS", 15, keep=30),
)


class DisksPane(Pane[DisksView]):
    """File systems above, disks below."""

    NAME, TITLE, PROBE, KIND = "disks", "Disks", "system.disks", DisksView

    def __init__(self) -> None:
        super().__init__()
        self._mounts = EntryTable[Mount](_MOUNTS, mount_row, id="mounts", empty="No file system was found", opens=False)
        empty = "No disk of its own: this machine does not tell how its disks are used"
        self._devices = EntryTable[Device](_DEVICES, device_row, id="devices", empty=empty, opens=False)

    def compose_pane(self) -> ComposeResult:
        """Two lists."""
        yield self._mounts
        yield self._devices

    def show_answer(self, answer: DisksView, now: datetime) -> None:
        """Fill both."""
        frames.title(self._mounts, Content("File systems"))
        frames.caption(self._mounts, Content("fullest first"))
        self._mounts.show({mount.path: mount for mount in answer.mounts})
        frames.title(self._devices, Content("Disks"))
        frames.caption(self._devices, Content(f"busiest first · rates over {answer.interval_s:.1f} s"))
        self._devices.show({device.name: device for device in answer.devices})


def mount_row(mount: Mount) -> Row:
    """Return a file system as a row."""
    if mount.percent is None:
        return {
            "look": Cell("◌", "dim"),
            "path": mount.path,
            "percent": Cell(mount.problem or figures.DASH, "warn"),
            "kind": Cell(mount.kind, "dim"),
            "device": Cell(mount.device, "dim"),
        }
    tone = "error" if mount.percent >= FULL else "warn" if mount.percent >= ALMOST else ""
    glyph = {"error": "✖", "warn": "▲", "": "●"}[tone]
    files = mount.files_percent
    return {
        "look": Cell(glyph, tone or "ok"),
        "path": mount.path,
        "percent": Meter(mount.percent / 100, tone or "run"),
        "free": figures.size(mount.free),
        "total": Cell(figures.size(mount.total), "dim"),
        "files": figures.DASH if files is None else Cell(f"{files:.0f} %", "warn" if files >= ALMOST else "dim"),
        "kind": Cell(mount.kind, "dim"),
        "device": Cell(mount.device, "dim"),
    }


def device_row(device: Device) -> Row:
    """Return a disk as a row."""
    return {
        "name": device.name,
        "busy": _number(device.busy, " %", 0),
        "read": speed(device.read_rate),
        "write": speed(device.write_rate),
        "reads": _number(device.reads, "/s", 0),
        "writes": _number(device.writes, "/s", 0),
        "read_ms": _number(device.read_ms, " ms", 1),
        "write_ms": _number(device.write_ms, " ms", 1),
    }


def speed(rate: float | None) -> str:
    """Return bytes a second: 1.4 MiB/s."""
    return figures.DASH if rate is None else f"{figures.size(rate)}/s"


def _number(value: float | None, unit: str, digits: int) -> str:
    return figures.DASH if value is None else f"{value:,.{digits}f}{unit}"


class NetworkPane(Pane[NetworkView]):
    """Interfaces, and what TCP says of itself."""

    NAME, TITLE, PROBE, KIND = "network", "Network", "system.network", NetworkView

    def __init__(self) -> None:
        super().__init__()
        empty = "This machine does not tell of any network interface"
        self._table = EntryTable[Interface](_INTERFACES, interface_row, id="interfaces", empty=empty, opens=False)
        self._sockets = Static("", id="sockets", markup=False)
        self._said = ""

    def compose_pane(self) -> ComposeResult:
        """A list and a line."""
        yield self._table
        yield self._sockets

    def show_answer(self, answer: NetworkView, now: datetime) -> None:
        """Fill the list and write the line."""
        frames.title(self._table, Content("Interfaces"))
        frames.caption(self._table, Content(f"busiest first · rates over {answer.interval_s:.1f} s"))
        self._table.show({interface.name: interface for interface in answer.interfaces})
        words = tcp_words(answer)
        if words != self._said:
            self._said = words
            self._sockets.update(Content.styled(words, "$dim"))


def tcp_words(answer: NetworkView) -> str:
    """Return TCP's own counters in a line, "" where they are not told."""
    names = {"inuse": "in use", "orphan": "orphaned", "tw": "waiting to be forgotten"}
    parts = [f"{answer.sockets[key]:,} {word}" for key, word in names.items() if key in answer.sockets]
    again = "" if answer.retransmits is None else f" · {answer.retransmits:,.1f} segments/s sent again"
    return f"TCP sockets: {', '.join(parts)}{again}" if parts else ""


def interface_row(interface: Interface) -> Row:
    """Return an interface as a row."""
    look = Cell("◌", "dim") if not interface.is_up else Cell("●", "ok")
    if interface.errors:
        look = Cell("▲", "warn")
    packets = figures.DASH
    if interface.in_packets is not None and interface.out_packets is not None:
        packets = f"{interface.in_packets:,.0f} / {interface.out_packets:,.0f} /s"
    return {
        "look": look,
        "name": interface.name if interface.is_up else Cell(f"{interface.name} (down)", "dim"),
        "in": speed(interface.in_rate),
        "out": speed(interface.out_rate),
        "packets": Cell(packets, "dim"),
        "errors": _trouble(interface.errors, interface.errors_total),
        "drops": _trouble(interface.drops, interface.drops_total),
        "speed": Cell("" if interface.speed is None else f"{interface.speed:,} Mb/s", "dim"),
        "address": Cell(interface.address, "dim"),
    }


def _trouble(rate: float | None, total: int) -> Cell:
    now = figures.DASH if rate is None else f"{rate:,.1f}/s"
    return Cell(f"{now}, {figures.short(total)} ever", "warn" if rate else "dim")
