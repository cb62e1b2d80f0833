"""A job as a line of a table: the same words and colours in every list. Pure: no widget, no clock of its own."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Final

from qsuite_console.model.jobs import TERMINAL, Job, JobState
from qsuite_console.widgets import figures, looks
from qsuite_console.widgets.cells import NARROW, Cell, Column, Content, Meter, Row

BAR: Final = 14
WIDE: Final = 150  # cells of a table that has room for words about each job

RUNNING_COLUMNS: Final = (
    Column("look", "", 1, keep=9),
    Column("id", "ID", 6, is_right=True, keep=6),
    Column("title", "JOB", 36, is_flexible=True, keep=9, narrow=20),
    Column("progress", "PROGRESS", BAR + 5, keep=8, narrow=15),
    Column("done", "DONE", 15, is_right=True, keep=2),
    Column("speed", "RATE", 13, is_right=True, keep=5, at_least=NARROW),
    Column("rate", "RATE", 8, is_right=True, keep=5, below=NARROW),
    Column("eta", "ETA", 7, is_right=True, keep=7),
    Column("message", "NOW", 18, keep=3, below=WIDE),
    Column("now", "NOW", 40, keep=3, at_least=WIDE),
    Column("try", "TRY", 3, is_right=True, keep=1, at_least=NARROW),
)

FINISHED_COLUMNS: Final = (
    Column("look", "", 1, keep=9),
    Column("id", "ID", 6, is_right=True, keep=6),
    Column("title", "JOB", 40, is_flexible=True, keep=9, narrow=30),
    Column("state", "STATE", 9, keep=7),
    Column("done", "DONE", 15, is_right=True, keep=3),
    Column("rate", "RATE", 8, is_right=True, keep=2),
    Column("ran", "RAN", 8, is_right=True, keep=5),
    Column("age", "AGO", 4, is_right=True, keep=8),
)

# In a narrow table one column tells state or progress, whichever says more; in a wide one the cause has its own.
JOB_COLUMNS: Final = (
    Column("look", "", 1, keep=120),
    Column("id", "ID", 6, is_right=True, keep=115),
    Column("title", "JOB", 46, is_flexible=True, keep=119, narrow=36),
    Column("status", "STATE", 15, keep=118, below=NARROW),
    Column("state", "STATE", 11, keep=118, at_least=NARROW),
    Column("outcome", "PROGRESS", BAR + 5, keep=114, at_least=NARROW, below=WIDE),
    Column("progress", "PROGRESS", BAR + 5, keep=114, at_least=WIDE),
    Column("rate", "RATE", 8, is_right=True, keep=9),
    Column("left", "TIME", 8, is_right=True, keep=13),
    Column("queue", "QUEUE", 15, keep=7),
    Column("try", "TRY", 3, is_right=True, keep=6),
    Column("started", "STARTED", 8, is_right=True, keep=8, at_least=NARROW),
    Column("origin", "FROM", 12, keep=4, at_least=NARROW),
    Column("note", "NOTE", 36, keep=3, at_least=WIDE),
)


def look_of(job: Job) -> looks.Look:
    """Return how the job looks."""
    return looks.of_job(job.state, attempt=job.tries, is_cancelling=job.cancel_requested)


def progress_content(job: Job) -> Content:
    """Return the bar; a count where the total is unknown, what it waits for or is at where nothing was counted yet."""
    progress = job.progress
    if progress.fraction is not None:
        return Meter(progress.fraction, look_of(job).tone)
    if progress.done:
        return Cell(f"{figures.short(progress.done)} {progress.unit}".strip(), "dim")
    return Cell(doing(job) if job.state is JobState.RUNNING else "", "dim")


def running_row(job: Job, now: datetime, zone: tzinfo | None) -> Row:
    """Return a running job for the overview."""
    look, progress = look_of(job), job.progress
    return {
        "look": Cell(look.glyph, look.tone),
        "id": Cell(str(job.id), "dim"),
        "title": job.title,
        "progress": progress_content(job),
        "done": f"{figures.count(progress.done)} {progress.unit}".strip(),
        "rate": figures.rate(progress.rate),
        "speed": figures.rate(progress.rate, progress.unit if len(progress.unit) <= 5 else ""),
        "eta": figures.countdown(progress.eta_s),
        "message": Cell(doing(job), "dim"),
        "now": Cell(doing(job), "dim"),
        "try": Cell(str(job.tries), "warn" if job.tries > 1 else "dim"),
    }


def doing(job: Job) -> str:
    """Return what a running job is at: its own words, else phase and part; "cancelling" once that was asked for."""
    values = job.progress.figures
    phase, part = (str(values.get(name, "")) for name in ("phase", "months_running"))
    return look_of(job).word if job.cancel_requested else job.progress.message or f"{phase} {part}".strip()


def finished_row(job: Job, now: datetime, zone: tzinfo | None) -> Row:
    """Return a job that is over, for the overview."""
    look, progress = look_of(job), job.progress
    return {
        "look": Cell(look.glyph, look.tone),
        "id": Cell(str(job.id), "dim"),
        "title": job.title,
        "state": Cell(look.word, look.tone),
        "done": Cell(f"{figures.count(progress.done)} {progress.unit}".strip() if progress.done else "", "dim"),
        "rate": Cell(_rate(job), "dim"),
        "ran": Cell(_time(job, now), "dim"),
        "age": Cell(figures.age((now - job.finished_at).total_seconds()) if job.finished_at else "", "dim"),
    }


def job_row(job: Job, now: datetime, zone: tzinfo | None, *, is_away: bool = False) -> Row:
    """Return a job for the list of all jobs; ``is_away``: others than this engine do the jobs of its queue."""
    look = look_of(job)
    is_over = job.state in TERMINAL
    plain = "dim" if is_over else ""
    return {
        "look": Cell(look.glyph, look.tone),
        "id": Cell(str(job.id), "dim"),
        "title": Cell(job.title, plain if job.state is not JobState.FAILED else ""),
        "state": Cell(_state_word(job, look, now), look.tone),
        "status": _status(job, look, now),
        "outcome": _progress_or_cause(job),
        "progress": _progress(job),
        "rate": Cell(_rate(job), plain),
        "left": Cell(_time(job, now), plain),
        "queue": Cell(f"⇄ {job.queue}" if is_away else job.queue, "dim"),
        "try": Cell(str(job.tries) if job.tries else "", "warn" if job.tries > 1 else "dim"),
        "started": Cell(figures.moment(job.started_at, zone, now) if job.started_at else "", "dim"),
        "origin": Cell(job.origin, "dim"),
        "note": _note(job),
    }


def _state_word(job: Job, look: looks.Look, now: datetime) -> str:
    if job.state is JobState.SCHEDULED:
        return f"{'retry' if job.tries else 'in'} {figures.countdown((job.run_at - now).total_seconds())}"
    return look.word


def _status(job: Job, look: looks.Look, now: datetime) -> Content:
    """State and progress in one: the bar while it runs, else the word and how far it came."""
    if job.state is JobState.RUNNING and not job.cancel_requested and job.progress.fraction is not None:
        return progress_content(job)
    fraction = job.progress.fraction
    is_part = job.state is not JobState.SUCCEEDED and fraction is not None and fraction > 0
    return Cell(f"{_state_word(job, look, now)}{f' {figures.percent(fraction)}' if is_part else ''}", look.tone)


def _progress(job: Job) -> Content:
    if job.state is JobState.SUCCEEDED:
        return Cell(f"{figures.count(job.progress.done)} {job.progress.unit}" if job.progress.done else "", "dim")
    return progress_content(job) if job.state is JobState.RUNNING or job.progress.done else Cell("")


def _progress_or_cause(job: Job) -> Content:
    return Cell(job.error or "", "error") if job.state is JobState.FAILED else _progress(job)


def _note(job: Job) -> Cell:
    if job.state is JobState.RUNNING:
        return Cell(doing(job), "dim")
    return Cell(job.error or job.reason or "", "error" if job.state is JobState.FAILED else "dim")


def _rate(job: Job) -> str:
    """The present rate, or that of the whole job when it succeeded; how fast it was when it broke off tells nothing."""
    if job.state not in (JobState.RUNNING, JobState.SUCCEEDED):
        return ""
    return figures.rate(job.progress.rate) if job.progress.rate else ""


def _time(job: Job, now: datetime) -> str:
    """The remaining time of a running job, the run time of a finished one."""
    if job.state is JobState.RUNNING:
        return figures.countdown(job.progress.eta_s) if job.progress.eta_s is not None else ""
    if job.finished_at is not None and job.started_at is not None:
        return figures.duration((job.finished_at - job.started_at).total_seconds())
    return ""
