"""What Celery's workers have now, and what became of what they had; arguments and results are never read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from textual import work
from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.model.celery import CeleryEnd, CeleryHistory, CeleryTask, CeleryTasks
from qsuite_console.screens.cache_listing import CacheListing
from qsuite_console.screens.listing import glyph, labelled, milliseconds
from qsuite_console.screens.operating import operate
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Key, Row

_GLYPHS: Final = {"active": ("▶", "run"), "reserved": ("◌", "dim"), "scheduled": ("◔", "dim")}
_WORDS: Final = {"active": "running", "reserved": "held", "scheduled": "for later"}
_ENDS: Final = {"succeeded": "ok", "failed": "error", "retried": "warn", "revoked": "warn", "rejected": "warn"}


class TasksPane(CacheListing[CeleryTasks, CeleryTask]):
    """What runs, longest first; then what workers hold."""

    NAME, TITLE, PROBE, KIND = "tasks", "Tasks", "celery.tasks", CeleryTasks
    SCOPE = "celery-tasks"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("celery-tasks")
    BINDING_GROUP_TITLE = commands.SCOPES["celery-tasks"]
    EMPTY = "No worker has a task\nWhat waits for a worker is counted in Queues"
    FILTER = "words of a task's id or name, its worker, queue or state"
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=100),
        Column("name", "Task", 18, is_flexible=True, keep=100),
        Column("state", "State", 9, keep=85),
        Column("for", "For", 9, is_right=True, keep=98),
        Column("worker", "Worker", 20, narrow=14, keep=80),
        Column("queue", "Queue", 12, keep=60),
        Column("priority", "Prio", 4, is_right=True, keep=40),
        Column("pid", "PID", 7, is_right=True, keep=30, at_least=90),
        Column("id", "Id", 36, keep=20, at_least=120),
    )

    def parameters(self) -> Mapping[str, Any]:
        """Return the filter: there may be more tasks than are shown."""
        return {"text": self.text}

    def all_entries(self, answer: CeleryTasks) -> Mapping[Key, CeleryTask]:
        """Return the tasks by id and state: one that is handed out twice is seen twice."""
        return {f"{one.id} {one.worker}": one for one in answer.tasks}

    def has_nothing(self, answer: CeleryTasks) -> bool:
        """Return whether there is none; a filter without a match keeps its list."""
        return not answer.tasks and not self.text

    def head(self, answer: CeleryTasks, now: datetime) -> str:
        """Return how many there are of each state."""
        counts = f"{answer.active:,} running · {answer.reserved:,} held · {answer.scheduled:,} for later"
        parts = [counts, f"{answer.answered} of {figures.plural(answer.listening, 'worker')} answered", answer.where]
        if answer.left_out:
            parts.insert(1, f"{answer.left_out:,} more match")
        return " · ".join(parts)

    def row(self, entry: CeleryTask) -> Row:
        """Return one line."""
        sign, tone = _GLYPHS.get(entry.state, (" ", ""))
        now = self.paned.now
        return {
            "glyph": Cell(sign, tone),
            "name": entry.name or "name not told",
            "state": Cell(_WORDS.get(entry.state, entry.state), "" if entry.state == "active" else "dim"),
            "for": _span(entry, now),
            "worker": entry.worker,
            "queue": Cell(entry.queue or figures.DASH, "dim"),
            "priority": Cell(figures.DASH if entry.priority is None else str(entry.priority), "dim"),
            "pid": Cell(figures.DASH if entry.pid is None else str(entry.pid), "dim"),
            "id": Cell(entry.id, "dim"),
        }

    def foot(self, entry: CeleryTask, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield its id, and whether the broker handed it out before."""
        yield "dim", entry.id
        if entry.is_redelivered:
            yield "warn", "handed out again: it was taken before and not acknowledged in time, so it may run twice"

    def full(self, entry: CeleryTask) -> tuple[str, str]:
        """Return everything about it."""
        zone = self.paned.console.zone
        return entry.name or entry.id, labelled(
            (
                ("id", entry.id),
                ("state", _WORDS.get(entry.state, entry.state)),
                ("worker", entry.worker),
                ("process", entry.pid),
                ("queue", entry.queue),
                ("priority", "" if entry.priority is None else f"{entry.priority}, 0 is taken first"),
                ("began", "" if entry.started_at is None else figures.instant(entry.started_at, zone)),
                ("not before", "" if entry.eta is None else figures.instant(entry.eta, zone)),
                ("handed out again", "yes" if entry.is_redelivered else "no"),
            )
        )

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        if condition == "active":
            return self.table.entry is not None and self.table.entry.state == "active"
        return super().holds(condition)

    @work(exclusive=True, group="operate")
    async def action_revoke(self, terminate: bool) -> None:
        """Let workers skip it, or end its process."""
        entry = self.table.entry
        if entry is not None:
            wanted = {"task_id": entry.id, "terminate": terminate, "name": entry.name}
            if await operate(self.paned, "celery.revoke", wanted):
                self.reload()

    def action_copy(self) -> None:
        """Copy the id."""
        if self.table.entry is not None:
            self.copy(self.table.entry.id, "the task's id")


class HistoryPane(CacheListing[CeleryHistory, CeleryEnd]):
    """How tasks ended, newest first, since events are heard."""

    NAME, TITLE, PROBE, KIND = "history", "History", "celery.history", CeleryHistory
    SCOPE = "celery-history"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("celery-history")
    BINDING_GROUP_TITLE = commands.SCOPES["celery-history"]
    EMPTY = "No task has ended since events are heard\nWorkers tell of tasks with -E, or after E in Workers"
    FILTER = "words of an id, a task, a worker, an error; failed, succeeded, retried, revoked"
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=100),
        Column("at", "Ended", 8, keep=95),
        Column("name", "Task", 18, is_flexible=True, keep=100),
        Column("state", "State", 9, keep=90),
        Column("took", "Took", 8, is_right=True, keep=85),
        Column("worker", "Worker", 20, narrow=12, keep=60),
        Column("retries", "Tries", 5, is_right=True, keep=30, at_least=90),
        Column("error", "Error", 30, keep=70, at_least=100),
    )

    def parameters(self) -> Mapping[str, Any]:
        """Return the filter: there may be more than are shown."""
        return {"text": self.text}

    def all_entries(self, answer: CeleryHistory) -> Mapping[Key, CeleryEnd]:
        """Return the ends; a task may end several times, retried."""
        return {f"{one.id} {one.at.timestamp()} {one.state}": one for one in answer.ends}

    def has_nothing(self, answer: CeleryHistory) -> bool:
        """Return whether there is none; a filter without a match keeps its list."""
        return not answer.ends and not self.text

    def head(self, answer: CeleryHistory, now: datetime) -> str:
        """Return how many are known, and who tells nothing."""
        number = figures.plural(len(answer.ends), "task")
        parts = [f"{number} of {answer.known:,}, newest first", f"heard for {figures.duration(answer.covered_s)}"]
        return " · ".join((*parts, *quiet(answer.quiet_workers), answer.where))

    def row(self, entry: CeleryEnd) -> Row:
        """Return one line."""
        tone = _ENDS.get(entry.state, "dim")
        return {
            "glyph": glyph(tone),
            "at": Cell(figures.moment(entry.at, self.paned.console.zone, self.paned.now), "dim"),
            "name": entry.name or Cell("name not seen", "dim"),
            "state": Cell(entry.state, "" if tone == "ok" else tone),
            "took": milliseconds(None if entry.runtime_s is None else 1000 * entry.runtime_s),
            "worker": Cell(entry.worker, "dim"),
            "retries": Cell(str(entry.retries + 1), "dim"),
            "error": Cell(entry.error, "error" if entry.state == "failed" else "dim"),
        }

    def foot(self, entry: CeleryEnd, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield its error, its id."""
        if entry.error:
            yield "error" if entry.state == "failed" else "warn", entry.error
        yield "dim", entry.id
        if not entry.name:
            yield "dim", "it began before its worker was heard, so its name is not known"

    def full(self, entry: CeleryEnd) -> tuple[str, str]:
        """Return everything about it."""
        return entry.name or entry.id, labelled(
            (
                ("id", entry.id),
                ("ended", figures.instant(entry.at, self.paned.console.zone)),
                ("state", entry.state),
                ("worker", entry.worker),
                ("took", "" if entry.runtime_s is None else figures.duration(entry.runtime_s)),
                ("tries", entry.retries + 1),
                ("error", entry.error),
            )
        )

    def action_copy(self) -> None:
        """Copy the id."""
        if self.table.entry is not None:
            self.copy(self.table.entry.id, "the task's id")


def quiet(workers: tuple[str, ...]) -> tuple[str, ...]:
    """Return that some workers tell nothing, where that is so."""
    if not workers:
        return ()
    return (f"▲ {f'{workers[0]} tells' if len(workers) == 1 else f'{len(workers)} workers tell'} of no task",)


def _span(entry: CeleryTask, now: datetime) -> Cell:
    if entry.started_at is not None:
        return Cell(figures.whole(max(0.0, (now - entry.started_at).total_seconds())))
    if entry.eta is not None:
        return Cell(f"in {figures.whole(max(0.0, (entry.eta - now).total_seconds()))}", "dim")
    return Cell(figures.DASH, "dim")
