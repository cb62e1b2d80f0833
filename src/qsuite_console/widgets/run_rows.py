"""How pipelines, runs and tasks look in a list and in full. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import Final

from textual.content import Content

from qsuite_console.model.pipelines import (
    Active,
    Pipeline,
    Run,
    RunStatistics,
    RunTasks,
    TaskRun,
    is_suspect,
    took_s,
)
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Row
from qsuite_console.widgets.looks import TONES, Look

STATES: Final = {
    "success": Look("✔", "success", "ok"),
    "failed": Look("✖", "failed", "error"),
    "running": Look("▶", "running", "run"),
    "pending": Look("·", "pending", "dim"),
    "cancelled": Look("⊘", "cancelled", "dim"),
    "skipped": Look("⊘", "skipped", "dim"),
}
SUSPECT: Final = Look("▲", "stuck?", "warn")
NEVER: Final = Look("◌", "never ran", "dim")
_WIDE: Final = 96

PIPELINE_COLUMNS: Final = (
    Column("glyph", "", 1, keep=100),
    Column("name", "Pipeline", 18, is_flexible=True, keep=100),
    Column("state", "Last run", 9, keep=95),
    Column("ago", "Ago", 4, is_right=True, keep=90),
    Column("took", "Took", 8, is_right=True, keep=60),
    Column("runs", "Runs", 6, is_right=True, keep=85),
    Column("running", "Running", 7, is_right=True, keep=40, at_least=_WIDE),
    Column("failed", "Failed", 6, is_right=True, keep=88),
    Column("share", "Success", 7, is_right=True, keep=80),
    Column("mean", "Mean", 7, is_right=True, keep=70),
    Column("p95", "p95", 7, is_right=True, keep=50, at_least=_WIDE),
)
RUN_COLUMNS: Final = (
    Column("glyph", "", 1, keep=100),
    Column("run", "Run", 7, is_right=True, keep=95),
    Column("pipeline", "Pipeline", 16, keep=80),
    Column("state", "Status", 9, keep=95),
    Column("made", "Made", 12, keep=90),
    Column("waited", "Waited", 7, is_right=True, keep=40, at_least=_WIDE),
    Column("took", "Took", 7, is_right=True, keep=85),
    Column("error", "Error", 10, is_flexible=True, keep=70),
)


def look_of(status: str, *, suspect: bool = False) -> Look:
    """Return how a status looks; one the console does not know keeps its own word."""
    if suspect:
        return SUSPECT
    return STATES.get(status) or Look("?", status[:9], "dim")


def urgency(pipeline: Pipeline, now: datetime) -> int:
    """Return a pipeline's place in the list: failed, stuck, running, waiting, the rest."""
    last = pipeline.last
    if last is None:
        return 4
    if last.status == "failed":
        return 0
    if is_suspect(last, pipeline.statistics, now):
        return 1
    return {"running": 2, "pending": 3}.get(last.status, 4)


def moment(at: datetime, zone: tzinfo | None, now: datetime) -> str:
    """Return a local time in twelve cells: 06:02:11 today, "20 Nov 06:02" in this year, else the date."""
    local, today = at.astimezone(zone), now.astimezone(zone)
    if local.date() == today.date():
        return local.strftime("%H:%M:%S")
    return local.strftime("%d %b %H:%M") if local.year == today.year else local.strftime("%Y-%m-%d")


def pipeline_row(pipeline: Pipeline, now: datetime) -> Row:
    """Return a pipeline's line."""
    last, own = pipeline.last, pipeline.statistics
    look = NEVER if last is None else look_of(last.status, suspect=is_suspect(last, own, now))
    name = pipeline.name if pipeline.status in ("active", "") else f"{pipeline.name} ({pipeline.status})"
    share = own.success_share
    return {
        "glyph": Cell(look.glyph, look.tone),
        "name": Cell(name, "" if pipeline.status in ("active", "") else "dim"),
        "state": Cell(look.word, look.tone),
        "ago": figures.DASH if last is None else figures.age((now - last.created_at).total_seconds()),
        "took": figures.DASH if last is None else figures.duration(took_s(last, now)),
        "runs": figures.short(own.total) if own.total else figures.DASH,
        "running": figures.count(own.running) if own.running else figures.DASH,
        "failed": Cell(figures.short(own.failed), "error") if own.failed else figures.DASH,
        "share": figures.DASH if share is None else percent(share),
        "mean": figures.duration(own.mean_s),
        "p95": figures.duration(own.p95_s),
    }


def run_row(run: Run, usual: RunStatistics | None, now: datetime, zone: tzinfo | None) -> Row:
    """Return a run's line."""
    look = look_of(run.status, suspect=is_suspect(run, usual, now))
    waited = ((run.started_at or now) - run.created_at).total_seconds()
    return {
        "glyph": Cell(look.glyph, look.tone),
        "run": str(run.id),
        "pipeline": run.pipeline or f"#{run.pipeline_id}",
        "state": Cell(look.word, look.tone),
        "made": moment(run.created_at, zone, now),
        "waited": figures.duration(waited) if run.started_at or run.status == "pending" else figures.DASH,
        "took": figures.duration(took_s(run, now)),
        "error": Cell(run.error, "error") if run.error else "",
    }


def summary(own: RunStatistics | None, active: Active | None, now: datetime, width: int) -> Content:
    """Return the figures of a window, the pressing ones first, broken between them where the line ends."""
    lines: list[list[tuple[str, str]]] = [[]]
    used = 0
    for words, tone in _parts(own, active, now):
        if lines[-1] and used + 2 + len(words) > width:
            lines.append([])
            used = 0
        gap = "  " if lines[-1] else ""
        lines[-1].append((f"{gap}{words}", TONES.get(tone, "")))
        used += len(gap) + len(words)
    return Content("\n").join(Content.assemble(*line) for line in lines)


def _parts(own: RunStatistics | None, active: Active | None, now: datetime) -> Iterable[tuple[str, str]]:
    running = pending = 0
    oldest = ""
    if active is not None:
        running, pending = active.running, active.pending
        if active.oldest_at is not None:
            oldest = f", oldest for {figures.duration((now - active.oldest_at).total_seconds())}"
    elif own is not None:
        running, pending = own.running, own.pending
    yield f"▶ {figures.count(running)} running{oldest}", "run" if running else "dim"
    if pending:
        yield f"· {figures.count(pending)} pending", "dim"
    if own is None:
        return
    yield f"✖ {figures.count(own.failed)} failed", "error" if own.failed else "dim"
    share = own.success_share
    yield (
        f"✔ {figures.count(own.success)} success" + ("" if share is None else f" ({percent(share)})"),
        "ok" if own.success else "dim",
    )
    if own.cancelled:
        yield f"⊘ {figures.count(own.cancelled)} cancelled", "dim"
    if own.mean_s is not None:
        yield f"mean {figures.duration(own.mean_s)}, p95 {figures.duration(own.p95_s)}", ""


def tasks_text(answer: RunTasks, now: datetime, zone: tzinfo | None, width: int) -> Content:
    """Return a run in full: what became of it, its error, then its tasks."""
    run = answer.run
    if run is None:
        return Content.styled(f"Run {answer.id} is gone: it was deleted, or never was", "$dim")
    suspect = is_suspect(run, answer.usual, now)
    look = look_of(run.status, suspect=suspect)
    lines = [
        Content.assemble((f"{look.glyph} {look.word}", TONES[look.tone]), f"  {run.pipeline or run.pipeline_id}"),
        *(_fact(label, value) for label, value in _facts(run, answer.usual, now, zone)),
    ]
    if suspect:
        usual = figures.duration(answer.usual.p95_s) if answer.usual and answer.usual.p95_s is not None else "10 min"
        lines.append(Content.styled(f"▲ 19 of 20 runs end within {usual}: its worker may have died", "$warning"))
    if run.error:
        lines += [Content(""), Content.styled(run.error, "$error")]
    if answer.unread:
        return Content("\n").join(lines)
    lines += [Content(""), Content.styled(_head(width), "$dim")]
    for task in answer.tasks:
        lines += _task(task, now, width)
    if not answer.tasks:
        lines.append(Content.styled("no task of it is recorded", "$dim"))
    if answer.tasks_hidden:
        lines.append(Content.styled(f"and {figures.count(answer.tasks_hidden)} more tasks", "$dim"))
    return Content("\n").join(lines)


def _facts(run: Run, usual: RunStatistics | None, now: datetime, zone: tzinfo | None) -> Iterable[tuple[str, str]]:
    yield "made", f"{figures.instant(run.created_at, zone)}, {figures.age((now - run.created_at).total_seconds())} ago"
    if run.started_at is not None:
        waited = figures.duration((run.started_at - run.created_at).total_seconds())
        yield "started", f"{figures.instant(run.started_at, zone)}, after {waited}"
    if run.completed_at is not None:
        yield "ended", figures.instant(run.completed_at, zone)
    took = took_s(run, now)
    if took is not None:
        typical = ""
        if usual is not None and usual.p50_s is not None:
            typical = f"; usually {figures.duration(usual.p50_s)}, 19 of 20 within {figures.duration(usual.p95_s)}"
        yield ("took" if run.completed_at is not None else "runs for"), figures.duration(took) + typical


def _fact(label: str, value: str) -> Content:
    return Content.assemble((f"{label:<9}", "$dim"), value)


def _head(width: int) -> str:
    return f"  {'TASK':<{_name_width(width)}}  {'STATUS':<9}  {'TOOK':>8}  {'ROWS':>10}  TRY"


def _name_width(width: int) -> int:
    return max(10, min(40, width - 42))


def _task(task: TaskRun, now: datetime, width: int) -> list[Content]:
    look = look_of(task.status)
    room = _name_width(width)
    name = task.name if len(task.name) <= room else task.name[: room - 1] + "…"
    rows = "" if task.rows is None else figures.count(task.rows)
    took = figures.duration(took_s(task, now))
    attempt = f"  {task.attempt}" if task.attempt > 1 else ""
    line = Content.assemble(
        (f"{look.glyph} ", TONES[look.tone]),
        f"{name:<{room}}  ",
        (f"{look.word:<9}", TONES[look.tone]),
        f"  {took:>8}  {rows:>10}{attempt}",
    )
    return [line, Content.styled(f"  {task.error}", "$error")] if task.error else [line]


def percent(share: float) -> str:
    """Return a share that is 100 % only where nothing failed: 92.7 %, 99.9 %, 100 %."""
    value = 100 * share
    if value in (0.0, 100.0):
        return f"{value:.0f} %"
    return f"{min(99.9, max(0.1, value)):.1f} %"
