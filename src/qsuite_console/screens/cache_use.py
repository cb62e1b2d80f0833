"""Who uses Redis and how: slow log, clients, commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from textual import work
from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.model.cache import Client, ClientPanel, CommandPanel, CommandUse, SlowCall, SlowPanel
from qsuite_console.screens.cache_listing import CacheListing
from qsuite_console.screens.listing import ago, glyph, labelled, milliseconds
from qsuite_console.screens.operating import operate
from qsuite_console.screens.panes import contains
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Key, Row

_LONG_MS: Final = 100.0
_WAITING: Final = 1024**2  # bytes of output not yet read by a client
_FULL: Final = 0.8  # of maxclients
_FAILING: Final = 0.05


class SlowlogPane(CacheListing[SlowPanel, SlowCall]):
    """The commands that took longest, what they were about and who sent them."""

    NAME, TITLE, PROBE, KIND = "slowlog", "Slow log", "cache.slowlog", SlowPanel
    PERIOD_S = 5.0
    EMPTY = "No command was slow\nThe slow log is empty since it was last emptied, or since the start"
    FILTER = "words of command, key or client"
    SCOPE = "slowlog"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("slowlog")
    BINDING_GROUP_TITLE = commands.SCOPES["slowlog"]
    ORDERS: ClassVar[Mapping[str, str]] = {"newest": "newest first", "longest": "longest first"}
    RANKS: ClassVar[Mapping[str, Callable[[Any], Any]]] = {"newest": lambda c: -c.id, "longest": lambda c: -c.ms}
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=95),
        Column("at", "Ago", 5, is_right=True, keep=90),
        Column("ms", "Took", 8, is_right=True, keep=100),
        Column("command", "Command", 12, keep=100),
        Column("arguments", "Arguments", 24, is_flexible=True, keep=100),
        Column("client", "Client", 24, keep=50, narrow=16),
    )

    def all_entries(self, answer: SlowPanel) -> Mapping[Key, SlowCall]:
        """Return the calls by their number."""
        return {call.id: call for call in answer.calls}

    def matches(self, entry: SlowCall) -> bool:
        """Return whether the filter's words are in it."""
        return contains(self.text, entry.command, entry.arguments, entry.client)

    def head(self, answer: SlowPanel, now: datetime) -> str:
        """Return how many there are and from when on a command counts as slow."""
        threshold = answer.threshold_ms
        limit = "" if threshold is None else f" · slow is above {milliseconds(threshold)}"
        if threshold is not None and threshold < 0:
            limit = " · ▲ switched off: slowlog-log-slower-than is negative"
        more = answer.length - len(answer.calls)
        kept = f", {more:,} older not shown" if more > 0 else ""
        return f"{self.counted(answer, 'call')}{kept} {self.ORDERS[self.order]}{limit}"

    def row(self, entry: SlowCall) -> Row:
        """Return one line."""
        return {
            "glyph": glyph("warn") if entry.problem else " ",
            "at": ago(entry.at, self.paned.now),
            "ms": Cell(milliseconds(entry.ms), "warn" if entry.ms >= _LONG_MS else ""),
            "command": entry.command,
            "arguments": entry.arguments,
            "client": Cell(entry.client or figures.DASH, "dim"),
        }

    def foot(self, entry: SlowCall, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield what is wrong with the command."""
        if entry.problem:
            yield "warn", f"{entry.command} {entry.problem}"
        else:
            yield "dim", "Values that were written are hidden; names and ranges are shown."
        at = figures.instant(entry.at, self.paned.console.zone)
        yield "dim", f"#{entry.id} · {at} · {entry.client or 'client unknown'}"

    def full(self, entry: SlowCall) -> tuple[str, str]:
        """Return the call in full."""
        pairs = (
            ("number", entry.id),
            ("at", figures.instant(entry.at, self.paned.console.zone)),
            ("took", milliseconds(entry.ms)),
            ("command", entry.command),
            ("arguments", entry.arguments),
            ("client", entry.client),
            ("problem", entry.problem),
        )
        return f"Slow {entry.command}", labelled(pairs)

    @work(exclusive=True, group="operate")
    async def action_empty(self) -> None:
        """Empty the slow log, after asking."""
        if await operate(self.paned, "cache.reset-slowlog", {}):
            self.reload()


class ClientsPane(CacheListing[ClientPanel, Client]):
    """Who is connected; the console's own connections are marked."""

    NAME, TITLE, PROBE, KIND = "clients", "Clients", "cache.clients", ClientPanel
    EMPTY = "Nobody is connected"
    FILTER = "words of name, address, user, command or state"
    SCOPE = "clients"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("clients")
    BINDING_GROUP_TITLE = commands.SCOPES["clients"]
    ORDERS: ClassVar[Mapping[str, str]] = {
        "memory": "by memory",
        "idle": "by idle time",
        "age": "by age",
        "name": "by name",
    }
    RANKS: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "memory": lambda c: (-(c.memory or 0), c.id),
        "idle": lambda c: (-(c.idle_s or 0), c.id),
        "age": lambda c: (-(c.age_s or 0), c.id),
        "name": lambda c: (not c.name, c.name, c.id),
    }
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=95),
        Column("name", "Name", 20, is_flexible=True, keep=100),
        Column("address", "Address", 21, keep=90),
        Column("user", "User", 10, keep=20, at_least=90),
        Column("library", "Library", 16, keep=10, at_least=118),
        Column("database", "DB", 3, is_right=True, keep=15, at_least=90),
        Column("age", "Age", 4, is_right=True, keep=70),
        Column("idle", "Idle", 4, is_right=True, keep=80),
        Column("command", "Last", 14, keep=60, narrow=10),
        Column("memory", "Memory", 9, is_right=True, keep=85),
        Column("state", "State", 10, keep=50, at_least=84),
    )

    def all_entries(self, answer: ClientPanel) -> Mapping[Key, Client]:
        """Return the clients by their number."""
        return {client.id: client for client in answer.clients}

    def matches(self, entry: Client) -> bool:
        """Return whether the filter's words are in it."""
        return contains(self.text, entry.name, entry.address, entry.user, entry.command, entry.state, entry.id)

    def head(self, answer: ClientPanel, now: datetime) -> str:
        """Return how many there are, of how many that may be."""
        most = f" · {answer.total:,} of {answer.limit:,} allowed" if answer.limit else ""
        ours = sum(client.is_ours for client in answer.clients)
        full = " · ▲ few are left" if answer.limit and answer.total > _FULL * answer.limit else ""
        return f"{self.counted(answer, 'client')} {self.ORDERS[self.order]} · {ours} of them this console's{most}{full}"

    def row(self, entry: Client) -> Row:
        """Return one line; "◆" marks the console's own."""
        return {
            "glyph": Cell("◆", "accent") if entry.is_ours else glyph(_tone(entry)),
            "name": Cell(entry.name or "(no name)", "" if entry.name else "dim"),
            "address": entry.address,
            "user": entry.user,
            "library": Cell(entry.library, "dim"),
            "database": figures.DASH if entry.database is None else str(entry.database),
            "age": figures.age(entry.age_s),
            "idle": figures.age(entry.idle_s),
            "command": entry.command,
            "memory": figures.size(entry.memory),
            "state": entry.state,
        }

    def foot(self, entry: Client, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield what there is to know of it."""
        if entry.is_ours:
            yield "dim", f"client {entry.id} is a connection of this console: K leaves it alone"
        elif (entry.output or 0) > _WAITING:
            yield "warn", f"client {entry.id} does not read: {figures.size(entry.output)} of answers wait for it"
        else:
            state = f"is {entry.state}" if entry.state else "is connected"
            yield _tone(entry), f"client {entry.id} {state}"
        yield "dim", _details(entry)

    def full(self, entry: Client) -> tuple[str, str]:
        """Return everything about a client."""
        pairs = (
            ("number", entry.id),
            ("name", entry.name),
            ("address", entry.address),
            ("user", entry.user),
            ("library", entry.library),
            ("database", entry.database),
            ("connected for", figures.duration(entry.age_s)),
            ("idle for", figures.duration(entry.idle_s)),
            ("last command", entry.command),
            ("memory", figures.size(entry.memory)),
            ("output waiting", figures.size(entry.output)),
            ("subscriptions", entry.subscriptions or ""),
            ("state", entry.state),
            ("", "a connection of this console" if entry.is_ours else ""),
        )
        return f"Client {entry.id}", labelled(pairs)

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        entry = self.table.entry
        return entry is not None and not entry.is_ours if condition == "foreign" else super().holds(condition)

    def action_copy(self) -> None:
        """Copy number, address and name."""
        if (entry := self.table.entry) is not None:
            self.copy(f"id={entry.id} addr={entry.address} name={entry.name}", f"client {entry.id}")

    @work(exclusive=True, group="operate")
    async def action_close(self) -> None:
        """Close the client's connection, after asking."""
        entry = self.table.entry
        if entry is not None and await operate(
            self.paned, "cache.kill-client", {"id": entry.id, "address": entry.address}
        ):
            self.reload()


class CommandsPane(CacheListing[CommandPanel, CommandUse]):
    """What the server is asked to do, how often, and what it costs: over the interval, never since the start."""

    NAME, TITLE, PROBE, KIND = "commands", "Commands", "cache.commands", CommandPanel
    EMPTY = "No command ran"
    FILTER = "part of a command's name"
    SCOPE = "usage"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("usage")
    BINDING_GROUP_TITLE = commands.SCOPES["usage"]
    ORDERS: ClassVar[Mapping[str, str]] = {
        "processor": "by processor time",
        "calls": "by calls",
        "mean": "by time of a call",
        "failed": "by failures",
    }
    RANKS: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "processor": lambda c: (-c.processor, -c.calls, c.name),
        "calls": lambda c: (-c.calls, c.name),
        "mean": lambda c: (-(c.mean_us or 0), c.name),
        "failed": lambda c: (-(c.failed + c.rejected), -c.calls, c.name),
    }
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=95),
        Column("name", "Command", 18, is_flexible=True, keep=100),
        Column("calls", "Calls/s", 8, is_right=True, keep=100),
        Column("processor", "CPU %", 7, is_right=True, keep=90),
        Column("mean", "Mean", 8, is_right=True, keep=85),
        Column("p50", "p50", 8, is_right=True, keep=40, at_least=76),
        Column("p99", "p99", 8, is_right=True, keep=50),
        Column("failed", "Failed/s", 8, is_right=True, keep=70),
        Column("rejected", "Refused/s", 9, is_right=True, keep=30, at_least=90),
        Column("total", "Since start", 11, is_right=True, keep=20, at_least=100),
    )

    def all_entries(self, answer: CommandPanel) -> Mapping[Key, CommandUse]:
        """Return the commands by name."""
        return {command.name: command for command in answer.commands}

    def matches(self, entry: CommandUse) -> bool:
        """Return whether the filter's words are in it."""
        return contains(self.text, entry.name)

    def head(self, answer: CommandPanel, now: datetime) -> str:
        """Return over which interval, and what all commands cost together."""
        if answer.interval_s is None:
            return "measuring: the counters were reset"
        calls, processor = (sum(getattr(one, name) for one in answer.commands) for name in ("calls", "processor"))
        over = f"over {figures.duration(answer.interval_s)}"
        sums = f"{calls:,.0f} calls/s, {processor:.1f} % of a core"
        return f"{self.counted(answer, 'command')} {self.ORDERS[self.order]} · {over}: {sums}"

    def row(self, entry: CommandUse) -> Row:
        """Return one line."""
        return {
            "glyph": glyph(_use_tone(entry)) if _use_tone(entry) != "dim" else " ",
            "name": entry.name,
            "calls": f"{entry.calls:,.1f}",
            "processor": f"{entry.processor:.2f}",
            "mean": _micro(entry.mean_us),
            "p50": Cell(_micro(entry.p50_us), "dim"),
            "p99": Cell(_micro(entry.p99_us), "dim"),
            "failed": Cell(f"{entry.failed:,.1f}" if entry.failed else figures.DASH, "warn" if entry.failed else "dim"),
            "rejected": Cell(
                f"{entry.rejected:,.1f}" if entry.rejected else figures.DASH, "warn" if entry.rejected else "dim"
            ),
            "total": Cell(figures.short(entry.total), "dim"),
        }

    def foot(self, entry: CommandUse, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield what its figures mean."""
        if entry.rejected:
            yield "warn", f"{entry.name} is refused {entry.rejected:,.1f} times a second: no right, or no memory left"
        elif _use_tone(entry) == "warn":
            yield "warn", f"{entry.name} fails {entry.failed:,.1f} times a second"
        else:
            yield "dim", f"{entry.name}: {entry.calls:,.1f} calls a second, {_micro(entry.mean_us)} each"
        yield "dim", "Calls, CPU and mean are of the interval; p50 and p99 are since the start. Ours are counted too."

    def full(self, entry: CommandUse) -> tuple[str, str]:
        """Return everything about a command."""
        pairs = (
            ("calls", f"{entry.calls:,.1f} /s"),
            ("processor", f"{entry.processor:.2f} % of one core"),
            ("mean", _micro(entry.mean_us)),
            ("p50 since start", _micro(entry.p50_us)),
            ("p99 since start", _micro(entry.p99_us)),
            ("failed", f"{entry.failed:,.1f} /s"),
            ("refused", f"{entry.rejected:,.1f} /s"),
            ("calls since start", figures.count(entry.total)),
        )
        return entry.name, labelled(pairs)


def _use_tone(entry: CommandUse) -> str:
    return "warn" if entry.rejected or entry.failed > _FAILING * max(entry.calls, 1e-9) else "dim"


def _tone(entry: Client) -> str:
    return "warn" if (entry.output or 0) > _WAITING else "ok"


def _details(entry: Client) -> str:
    parts = [
        f"last {entry.command or 'nothing yet'} {figures.age(entry.idle_s)} ago",
        f"memory {figures.size(entry.memory)}",
        f"user {entry.user}" if entry.user else "",
        entry.library,
        figures.plural(entry.subscriptions, "subscription") if entry.subscriptions else "",
    ]
    return " · ".join(part for part in parts if part)


def _micro(value: float | None) -> str:
    """Return microseconds as 12 µs, 1.2 ms, 1.2 s."""
    if value is None:
        return figures.DASH
    if value >= 1000:
        return milliseconds(value / 1000)
    return f"{value:.0f} µs" if value >= 10 else f"{value:.1f} µs"
