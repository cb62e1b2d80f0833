"""Celery's workers: who is there, what each does and how fast, and whose heartbeats have stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from textual import work
from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.model.celery import CeleryWorker, CeleryWorkers, Presence
from qsuite_console.screens.cache_listing import CacheListing
from qsuite_console.screens.listing import glyph, labelled
from qsuite_console.screens.operating import operate
from qsuite_console.screens.panes import contains
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Key, Row

_AHEAD_S: Final = 5.0  # of a clock, from which times that it tells are wrong
_TONES: Final = {
    Presence.ONLINE: "ok",
    Presence.MUTE: "warn",
    Presence.SILENT: "error",
    Presence.OFFLINE: "dim",
}
_RANKS: Final = {Presence.SILENT: 0, Presence.MUTE: 1, Presence.ONLINE: 2, Presence.OFFLINE: 3}


class WorkersPane(CacheListing[CeleryWorkers, CeleryWorker]):
    """One line a worker; those in trouble first."""

    NAME, TITLE, PROBE, KIND = "workers", "Workers", "celery.workers", CeleryWorkers
    SCOPE = "celery-workers"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("celery-workers")
    BINDING_GROUP_TITLE = commands.SCOPES["celery-workers"]
    EMPTY = "No worker is heard, none answers\nHeartbeats come every two seconds: wait for a few"
    FILTER = "words of a worker's, its queue's or its tasks' names"
    ORDERS: ClassVar[Mapping[str, str]] = {
        "trouble": "trouble first",
        "active": "busiest first",
        "rate": "fastest first",
        "name": "by name",
    }
    RANKS: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "trouble": lambda one: (_RANKS[one.presence], one.name),
        "active": lambda one: (-(one.active or 0), one.name),
        "rate": lambda one: (-(one.rate or 0.0), one.name),
        "name": lambda one: one.name,
    }
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=100),
        Column("name", "Worker", 18, is_flexible=True, keep=100),
        Column("presence", "State", 8, keep=95),
        Column("active", "Runs", 7, is_right=True, keep=98),
        Column("reserved", "Holds", 6, is_right=True, keep=90),
        Column("rate", "Ends", 7, is_right=True, keep=85),
        Column("processed", "Done", 6, is_right=True, keep=50),
        Column("pool", "Pool", 8, keep=40, at_least=90),
        Column("queues", "Takes from", 20, keep=70, at_least=100),
        Column("memory", "Memory", 9, is_right=True, keep=30, at_least=110),
        Column("uptime", "Up", 4, is_right=True, keep=60),
    )

    def all_entries(self, answer: CeleryWorkers) -> Mapping[Key, CeleryWorker]:
        """Return the workers by name."""
        return {one.name: one for one in answer.workers}

    def matches(self, entry: CeleryWorker) -> bool:
        """Return whether the filter's words are in it."""
        return contains(self.text, entry.name, entry.presence, *(entry.queues or ()), *(entry.registered or ()))

    def head(self, answer: CeleryWorkers, now: datetime) -> str:
        """Return how many there are, and what they do together."""
        known = answer.workers
        running = sum(one.active or 0 for one in known)
        room = sum(one.concurrency or 0 for one in known if one.presence in (Presence.ONLINE, Presence.MUTE))
        rates = [one.rate for one in known if one.rate is not None]
        parts = [self.counted(answer, "worker"), f"{running} of {room} busy" if room else f"{running} running"]
        if rates:
            parts.append(f"{figures.rate(sum(rates))} end")
        silent = sum(one.presence is Presence.SILENT for one in known)
        if silent:
            parts.insert(1, f"✖ {silent} lost")
        return " · ".join((*parts, self.ORDERS[self.order], answer.where))

    def row(self, entry: CeleryWorker) -> Row:
        """Return one line."""
        tone = _TONES[entry.presence]
        room = "" if entry.concurrency is None else f"/{entry.concurrency}"
        held = (entry.reserved or 0) + (entry.scheduled or 0)
        return {
            "glyph": glyph(tone),
            "name": entry.name,
            "presence": Cell(entry.presence, "" if tone == "ok" else tone),
            "active": figures.DASH if entry.active is None else f"{entry.active}{room}",
            "reserved": figures.DASH if entry.reserved is None else figures.short(held),
            "rate": "…" if entry.rate is None else figures.rate(entry.rate),
            "processed": figures.short(entry.processed),
            "pool": Cell(entry.pool or figures.DASH, "dim"),
            "queues": Cell(", ".join(entry.queues or ()) or figures.DASH, "dim"),
            "memory": Cell(figures.size(entry.memory), "dim"),
            "uptime": Cell(figures.age(entry.uptime_s), "dim"),
        }

    def foot(self, entry: CeleryWorker, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield how it stands, in words."""
        if entry.presence is Presence.SILENT:
            yield (
                "error",
                f"its heartbeats stopped {figures.age(entry.heard_s)} ago: it was killed, hangs or is cut off",
            )
        elif entry.presence is Presence.OFFLINE:
            yield "dim", f"it said goodbye {figures.age(entry.heard_s)} ago"
        elif entry.presence is Presence.MUTE:
            yield "warn", "it answers, but no heartbeat is heard: just started, too busy, or --without-heartbeat"
        else:
            asks = "tells of its tasks" if entry.has_events else "told of no task lately"
            holds = "" if entry.prefetch is None else f" · may hold {entry.prefetch}"
            yield "text", f"heard {figures.age(entry.heard_s)} ago · {asks}{holds}"
        if entry.ahead_s is not None and abs(entry.ahead_s) > _AHEAD_S:
            side = "ahead of" if entry.ahead_s > 0 else "behind"
            yield "warn", f"its clock is {figures.duration(abs(entry.ahead_s))} {side} ours: times it tells are wrong"

    def full(self, entry: CeleryWorker) -> tuple[str, str]:
        """Return everything it says of itself."""
        lines = labelled(
            (
                ("state", entry.presence),
                ("process", entry.pid),
                ("Celery", entry.version),
                ("pool", f"{entry.pool}, {entry.concurrency} at once" if entry.pool else ""),
                ("may hold", entry.prefetch),
                ("runs", entry.active),
                ("holds, not begun", entry.reserved),
                ("holds for later", entry.scheduled),
                ("ended", "" if entry.processed is None else figures.count(entry.processed)),
                ("up for", "" if entry.uptime_s is None else figures.duration(entry.uptime_s)),
                ("memory at most", "" if entry.memory is None else f"{figures.size(entry.memory)}, main process"),
                ("load of its host", "" if entry.load is None else f"{entry.load:.2f}"),
                ("takes from", ", ".join(entry.queues or ())),
            )
        )
        taken = "\n".join(f"  {count:>9,}  {name}" for name, count in sorted(entry.totals.items()))
        can = "\n".join(f"  {name}" for name in entry.registered or ()) or "  not told"
        return entry.name, f"{lines}\n\ntaken since it started\n{taken or '  nothing'}\n\ncan run\n{can}"

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        entry = self.table.entry
        if condition == "there":
            return entry is not None and entry.presence in (Presence.ONLINE, Presence.MUTE)
        return super().holds(condition)

    @work(exclusive=True, group="operate")
    async def action_stop(self) -> None:
        """Ask it to end."""
        if self.table.entry is not None and await operate(
            self.paned, "celery.shutdown", {"worker": self.table.entry.name}
        ):
            self.reload()

    @work(exclusive=True, group="operate")
    async def action_events(self) -> None:
        """Switch the events of all on; off where all of them tell."""
        there = [one for one in self.answer.workers if one.presence is Presence.ONLINE] if self.answer else []
        wanted = not there or not all(one.has_events for one in there)
        await operate(self.paned, "celery.events", {"enabled": wanted})

    async def action_tasks(self) -> None:
        """Show what it has."""
        if self.table.entry is not None:
            await self.paned.turn_to("tasks", self.table.entry.name)

    def action_copy(self) -> None:
        """Copy the name."""
        if self.table.entry is not None:
            self.copy(self.table.entry.name, "the worker's name")
