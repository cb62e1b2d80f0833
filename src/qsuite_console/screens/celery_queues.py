"""What waits in Celery's queues: per priority, growing or shrinking, and who takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from textual import work
from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.model.celery import CeleryQueue, CeleryQueues
from qsuite_console.screens.cache_listing import CacheListing
from qsuite_console.screens.listing import glyph, labelled
from qsuite_console.screens.operating import operate
from qsuite_console.screens.panes import contains
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Key, Row

_LONG_S: Final = 300.0  # of work
_FOREVER_S: Final = 86_400.0
_STILL: Final = 0.05  # messages a second, below which a queue stands still
_NEAR: Final = 0.8  # of the visibility timeout


class QueuesPane(CacheListing[CeleryQueues, CeleryQueue]):
    """One line a queue, the fullest first."""

    NAME, TITLE, PROBE, KIND = "queues", "Queues", "celery.queues", CeleryQueues
    SCOPE = "celery-queues"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("celery-queues")
    BINDING_GROUP_TITLE = commands.SCOPES["celery-queues"]
    EMPTY = (
        "No queue of Celery's is on this broker\n"
        "celery.broker_url names another; celery.key_prefix is for a global_keyprefix"
    )
    FILTER = "words of a queue's or a worker's name"
    ORDERS: ClassVar[Mapping[str, str]] = {
        "waiting": "fullest first",
        "growth": "fastest growing first",
        "drain": "longest to empty first",
        "name": "by name",
    }
    RANKS: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "waiting": lambda one: (-one.waiting, one.name),
        "growth": lambda one: (-(one.growth or 0.0), one.name),
        "drain": lambda one: (-(_FOREVER_S if one.drain_s is None and one.waiting else one.drain_s or 0.0), one.name),
        "name": lambda one: one.name,
    }
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=100),
        Column("name", "Queue", 16, is_flexible=True, keep=100),
        Column("waiting", "Waiting", 8, is_right=True, keep=98),
        Column("steps", "By priority", 22, narrow=16, keep=60),
        Column("growth", "Change", 9, is_right=True, keep=80),
        Column("drain", "Empty in", 10, is_right=True, keep=85),
        Column("workers", "Workers", 7, is_right=True, keep=90),
    )

    def all_entries(self, answer: CeleryQueues) -> Mapping[Key, CeleryQueue]:
        """Return the queues by name."""
        return {one.name: one for one in answer.queues}

    def matches(self, entry: CeleryQueue) -> bool:
        """Return whether the filter's words are in it."""
        return contains(self.text, entry.name, *(entry.workers or ()))

    def head(self, answer: CeleryQueues, now: datetime) -> str:
        """Return how much waits, and what is under way since when."""
        waiting = sum(one.waiting for one in answer.queues)
        parts = [self.counted(answer, "queue"), f"{figures.count(waiting)} waiting"]
        taken = f"{figures.count(answer.in_flight)} taken"
        if answer.oldest_s is not None:
            limit = "" if answer.visibility_s is None else f" of {figures.duration(answer.visibility_s)}"
            near = answer.visibility_s is not None and answer.oldest_s > _NEAR * answer.visibility_s
            taken += f", oldest {'▲ ' if near else ''}{figures.whole(answer.oldest_s)}{limit}"
        parts += [taken, self.ORDERS[self.order], answer.where]
        if not answer.is_whole:
            parts.insert(1, "still looking for more")
        if answer.left_out:
            parts.insert(1, f"{answer.left_out:,} more are not watched")
        return " · ".join(parts)

    def row(self, entry: CeleryQueue) -> Row:
        """Return one line."""
        tone = _tone(entry)
        return {
            "glyph": glyph(tone),
            "name": entry.name + (" (ours)" if entry.is_ours else ""),
            "waiting": Cell(figures.count(entry.waiting), "" if entry.waiting else "dim"),
            "steps": Cell(_steps(entry), "dim"),
            "growth": _growth(entry.growth),
            "drain": Cell(_drain(entry), "warn" if tone == "warn" else ""),
            "workers": _takers(entry),
        }

    def foot(self, entry: CeleryQueue, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield who takes from it, and what is wrong with it."""
        if entry.workers is None:
            yield "dim", "who takes from it is not known: no worker could be asked"
        elif entry.workers:
            yield "text", f"taken by {', '.join(entry.workers)}"
        elif entry.waiting:
            yield "error", "no worker takes from it: what waits is never done"
        else:
            yield "dim", "no worker takes from it; nothing waits"
        if entry.is_ours:
            yield "dim", "carries this console's own jobs: their state is on the Jobs screen"

    def full(self, entry: CeleryQueue) -> tuple[str, str]:
        """Return everything about it."""
        steps = "\n".join(f"  priority {one.priority:<2} {figures.count(one.waiting):>10}" for one in entry.steps)
        lines = labelled(
            (
                ("waiting", figures.count(entry.waiting)),
                ("change", "not known yet" if entry.growth is None else f"{entry.growth:+.2f} messages/s"),
                ("empty in", _drain(entry)),
                ("workers", "not known" if entry.workers is None else ", ".join(entry.workers) or "none"),
            )
        )
        return f"Queue {entry.name}", f"{lines}\n\nby priority, 0 is taken first\n{steps or '  nothing'}"

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        entry = self.table.entry
        if condition == "waiting":
            return entry is not None and entry.waiting > 0
        if condition == "asked":
            return entry is not None and entry.workers is not None
        return super().holds(condition)

    @work(exclusive=True, group="operate")
    async def action_empty(self) -> None:
        """Throw away what waits in it."""
        entry = self.table.entry
        if entry is not None and await operate(self.paned, "celery.purge", {"queue": entry.name}):
            self.reload()

    @work(exclusive=True, group="operate")
    async def action_switch(self) -> None:
        """Let workers take from it, or stop that."""
        entry = self.table.entry
        if entry is not None:
            wanted = {"queue": entry.name, "enabled": not entry.workers}
            if await operate(self.paned, "celery.consume", wanted):
                self.reload()

    def action_copy(self) -> None:
        """Copy the name."""
        if self.table.entry is not None:
            self.copy(self.table.entry.name, "the queue's name")


def _tone(entry: CeleryQueue) -> str:
    if entry.waiting and entry.workers == ():
        return "error"
    grows = entry.growth is not None and entry.growth > _STILL
    is_long = entry.waiting and (entry.drain_s is None or entry.drain_s > _LONG_S)
    if grows and is_long:
        return "warn"
    return "ok" if entry.workers else "dim"


def _steps(entry: CeleryQueue) -> str:
    """Return "0: 12  5: 3", the most urgent first."""
    if len(entry.steps) == 1 and entry.steps[0].priority == 0:
        return "all 0"
    return "  ".join(f"{one.priority}: {figures.short(one.waiting)}" for one in entry.steps) or figures.DASH


def _growth(growth: float | None) -> Cell:
    if growth is None:
        return Cell("…", "dim")
    if abs(growth) < _STILL:
        return Cell("steady", "dim")
    arrow = "↑" if growth > 0 else "↓"
    return Cell(f"{arrow} {figures.short(abs(growth))}/s", "")


def _drain(entry: CeleryQueue) -> str:
    if not entry.waiting:
        return "empty"
    if entry.drain_s is None:
        return "never" if entry.workers == () else "not known"
    return "over a day" if entry.drain_s >= _FOREVER_S else figures.duration(entry.drain_s)


def _takers(entry: CeleryQueue) -> Cell:
    if entry.workers is None:
        return Cell(figures.DASH, "dim")
    if not entry.workers:
        return Cell("none", "error" if entry.waiting else "dim")
    return Cell(str(len(entry.workers)))
