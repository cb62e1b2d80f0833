"""Celery's tasks by name: how many end, how fast, how well, over the last quarter of an hour of events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from textual import work
from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.model.celery import CeleryKind, CeleryKinds
from qsuite_console.screens.cache_listing import CacheListing
from qsuite_console.screens.celery_tasks import quiet
from qsuite_console.screens.dialogs.operation import ParameterDialog
from qsuite_console.screens.listing import ago, glyph, labelled, milliseconds, share
from qsuite_console.screens.operating import operate
from qsuite_console.screens.panes import contains
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Key, Row

LIMIT: Final = "celery.rate-limit"
_BAD: Final = 0.05  # share of failures
_UNKNOWN: Final = "name not seen"


class KindsPane(CacheListing[CeleryKinds, CeleryKind]):
    """One line a name of a task."""

    NAME, TITLE, PROBE, KIND = "kinds", "Kinds", "celery.kinds", CeleryKinds
    SCOPE = "celery-kinds"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("celery-kinds")
    BINDING_GROUP_TITLE = commands.SCOPES["celery-kinds"]
    EMPTY = "No task has ended since events are heard\nWorkers tell of tasks with -E, or after E in Workers"
    FILTER = "words of a task's name or its last error"
    ORDERS: ClassVar[Mapping[str, str]] = {
        "ended": "most first",
        "failed": "most failures first",
        "p95": "slowest first",
        "rate": "fastest pace first",
        "name": "by name",
    }
    RANKS: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "ended": lambda one: (-one.ended, one.name),
        "failed": lambda one: (-one.failed, one.name),
        "p95": lambda one: (-(one.p95_s or 0.0), one.name),
        "rate": lambda one: (-(one.rate or 0.0), one.name),
        "name": lambda one: one.name,
    }
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=100),
        Column("name", "Task", 18, is_flexible=True, keep=100),
        Column("ended", "Ended", 6, is_right=True, keep=95),
        Column("failed", "Failed", 6, is_right=True, keep=98),
        Column("share", "Share", 6, is_right=True, keep=60, at_least=100),
        Column("retried", "Retried", 7, is_right=True, keep=40, at_least=90),
        Column("rate", "Pace", 7, is_right=True, keep=70),
        Column("p50", "p50", 8, is_right=True, keep=80),
        Column("p95", "p95", 8, is_right=True, keep=90),
        Column("p99", "p99", 8, is_right=True, keep=85),
        Column("longest", "Longest", 8, is_right=True, keep=30, at_least=110),
    )

    def all_entries(self, answer: CeleryKinds) -> Mapping[Key, CeleryKind]:
        """Return the kinds by name."""
        return {one.name: one for one in answer.kinds}

    def matches(self, entry: CeleryKind) -> bool:
        """Return whether the filter's words are in it."""
        return contains(self.text, entry.name or _UNKNOWN, entry.last_error)

    def head(self, answer: CeleryKinds, now: datetime) -> str:
        """Return the window, and how much of it was heard."""
        whole = figures.duration(answer.window_s)
        heard = whole if answer.covered_s >= answer.window_s else f"{figures.duration(answer.covered_s)} of {whole}"
        parts = [self.counted(answer, "kind"), f"last {heard}", self.ORDERS[self.order]]
        return " · ".join((*parts, *quiet(answer.quiet_workers), answer.where))

    def row(self, entry: CeleryKind) -> Row:
        """Return one line."""
        bad = entry.failure_share or 0.0
        tone = "error" if bad > _BAD else "warn" if entry.failed else "ok"
        return {
            "glyph": glyph(tone),
            "name": entry.name or Cell(_UNKNOWN, "dim"),
            "ended": figures.short(entry.ended),
            "failed": Cell(figures.short(entry.failed), tone if entry.failed else "dim"),
            "share": Cell(share(entry.failure_share), tone if entry.failed else "dim"),
            "retried": Cell(figures.short(entry.retried), "" if entry.retried else "dim"),
            "rate": "…" if entry.rate is None else figures.rate(entry.rate),
            "p50": _short(entry.p50_s),
            "p95": _short(entry.p95_s),
            "p99": _short(entry.p99_s),
            "longest": _short(entry.longest_s),
        }

    def foot(self, entry: CeleryKind, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield its counts in words, and its last error."""
        ended = f"{figures.count(entry.succeeded)} succeeded, {figures.count(entry.failed)} failed"
        more = f", {figures.count(entry.retried)} retried, {figures.count(entry.revoked)} revoked"
        yield "text", f"{ended}{more}; longest {_short(entry.longest_s)}"
        if entry.last_error:
            yield "error", f"{ago(entry.last_failed_at, now)} ago: {entry.last_error}"

    def full(self, entry: CeleryKind) -> tuple[str, str]:
        """Return everything about it."""
        zone = self.paned.console.zone
        return entry.name or _UNKNOWN, labelled(
            (
                ("succeeded", figures.count(entry.succeeded)),
                ("failed", f"{figures.count(entry.failed)}, {share(entry.failure_share)}"),
                ("retried", figures.count(entry.retried)),
                ("revoked", figures.count(entry.revoked)),
                ("pace", "not known yet" if entry.rate is None else f"{entry.rate:.2f} a second, last minute"),
                ("half take at most", _short(entry.p50_s)),
                ("95 of 100", _short(entry.p95_s)),
                ("99 of 100", _short(entry.p99_s)),
                ("longest", _short(entry.longest_s)),
                ("last failure", "" if entry.last_failed_at is None else figures.instant(entry.last_failed_at, zone)),
                ("with", entry.last_error),
            )
        )

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        if condition == "row":
            return self.table.entry is not None and bool(self.table.entry.name)
        return super().holds(condition)

    @work(exclusive=True, group="operate")
    async def action_limit(self) -> None:
        """Ask how often, and limit it."""
        entry = self.table.entry
        operations = await self.paned.attempt(self.paned.control.operations())
        operation = next((one for one in operations or () if one.name == LIMIT), None)
        if entry is None or operation is None or not self.paned.may_change():
            return
        given = await self.app.push_screen_wait(ParameterDialog(operation, values={"task": entry.name}, field="rate"))
        if given is not None:
            await operate(self.paned, LIMIT, given)

    async def action_ends(self) -> None:
        """Show what became of the newest of them."""
        if self.table.entry is not None:
            await self.paned.turn_to("history", self.table.entry.name)

    def action_copy(self) -> None:
        """Copy the name."""
        if self.table.entry is not None:
            self.copy(self.table.entry.name, "the task's name")


def _short(seconds: float | None) -> str:
    return milliseconds(None if seconds is None else 1000 * seconds)
