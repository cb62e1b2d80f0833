"""Long commands under way: what each does, how far its present phase is, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import ClassVar

from qsuite_console.model.activity import Task, Tasks
from qsuite_console.screens.database.sessions import SessionListing, Subject
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Key, Meter, Row


class ProgressPane(SessionListing[Tasks, Task]):
    """The pg_stat_progress_… views in one list."""

    NAME = "progress"
    TITLE = "Progress"
    PROBE = "database.progress"
    KIND = Tasks
    PERIOD_S = 2.0
    EMPTY = "No long command is running\nCOPY, VACUUM, ANALYZE, CREATE INDEX, CLUSTER and base backups would show here"
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("pid", "PID", 7, is_right=True, keep=70),
        Column("command", "COMMAND", 18, narrow=14, keep=100),
        Column("subject", "ON", 16, is_flexible=True, keep=100),
        Column("phase", "PHASE", 26, narrow=16, keep=90),
        Column("progress", "THIS PHASE", 16, narrow=14, keep=95),
        Column("done", "DONE", 18, is_right=True, keep=80, at_least=100),
        Column("running", "RUNNING", 8, is_right=True, keep=85),
        Column("user", "BY", 12, keep=20, at_least=130),
    )

    def subject_of(self, entry: Task) -> Subject:
        """Return the session that runs the command."""
        return Subject(entry.pid, entry.backend_start, f"{entry.command} {entry.subject}")

    def has_nothing(self, answer: Tasks) -> bool:
        """Return whether nothing is under way."""
        return not answer.tasks and self._opened is None

    def entries(self, answer: Tasks) -> Mapping[Key, Task]:
        """Return the commands, the longest running first."""
        return {task.pid: task for task in answer.tasks}

    def head(self, answer: Tasks, now: datetime) -> str:
        """Return how many, and how many of them nobody asked for."""
        automatic = sum(task.is_automatic for task in answer.tasks)
        parts = [figures.plural(len(answer.tasks), "long command")]
        if automatic:
            parts.append(f"{automatic} by autovacuum")
        return " · ".join([*parts, "the longest running first"])

    def row(self, task: Task) -> Row:
        """Return one line."""
        percent, plain = task.percent, "dim" if task.is_hidden else ""
        return {
            "pid": Cell(str(task.pid), plain),
            "command": Cell("hidden" if task.is_hidden else task.command, plain),
            "subject": Cell(task.subject.removeprefix("public.") or figures.DASH, plain),
            "phase": Cell(task.phase or ("running" if not task.is_hidden else figures.DASH), plain),
            "progress": Cell("no total known", "dim") if percent is None else Meter(percent / 100),
            "done": Cell(amount(task), plain),
            "running": Cell(figures.duration(task.running_s), plain),
            "user": Cell("autovacuum" if task.is_automatic else task.user or figures.DASH, plain),
        }

    def foot(self, task: Task, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield how far it is in its own units, and what there is beside."""
        phase = f"{task.phase}: " if task.phase else ""
        yield (
            ("warn" if task.phase.startswith("waiting") else "text"),
            f"{phase}{amount(task)}" + (f" · {task.detail}" if task.detail else ""),
        )
        by = "autovacuum" if task.is_automatic else task.user
        own = "a session of the console" if task.is_own else ""
        what = f"{task.command} {task.subject}".rstrip()
        yield "dim", " · ".join(part for part in (what, f"pid {task.pid}", by, task.database, own) if part)


def amount(task: Task) -> str:
    """Return how much is done of how much: 1.2 GiB of 4.0 GiB, 12,000 of 60,000 blocks."""
    if task.unit == "B":
        done = figures.size(task.done)
        return f"{done} of {figures.size(task.total)}" if task.total else done
    if task.total:
        return f"{figures.count(task.done)} of {figures.count(task.total)} {task.unit}"
    return f"{figures.count(task.done)} {task.unit}" if task.done else figures.DASH
