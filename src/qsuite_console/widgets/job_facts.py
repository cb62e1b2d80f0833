"""What is known of one job as labelled lines: its facts, its figures, its parameters and result. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any, Final

from textual.content import Content

from qsuite_console.model.jobs import TERMINAL, Attempt, Job, JobState
from qsuite_console.model.text import clean
from qsuite_console.widgets import figures, looks
from qsuite_console.widgets.live_table import Cell, Column, Row
from qsuite_console.widgets.text_view import pairs

ATTEMPT_COLUMNS: Final = (
    Column("number", "TRY", 3, is_right=True, keep=9),
    Column("outcome", "OUTCOME", 12, keep=8),
    Column("started", "STARTED", 8, is_right=True, keep=6),
    Column("waited", "WAITED", 8, is_right=True, keep=3),
    Column("ran", "RAN", 8, is_right=True, keep=7),
    Column("cpu", "CPU", 8, is_right=True, keep=4),
    Column("memory", "MEMORY", 9, is_right=True, keep=2),
    Column("owner", "BY", 22, keep=1),
    Column("error", "ERROR", 16, is_flexible=True, keep=8),
)
_MOMENTARY = ("phase", "months_running", "rate_remaining", "rate_reset_s")  # of a job that is over they tell nothing
_GOOD = ("succeeded",)
_NEUTRAL = ("cancelled", "paused", "interrupted")


_DONE_BY = {"nodes": ", done by nodes", "celery": ", done by Celery workers"}


def facts(job: Job, now: datetime, zone: tzinfo | None, width: int, execution: str = "local") -> Content:
    """Return who, when, where and why of a job in lines of ``width`` cells; ``execution`` is its queue's."""
    look = looks.of_job(job.state, attempt=job.tries, is_cancelling=job.cancel_requested)
    entries = [("state", f"{look.glyph} {look.word}", looks.TONES[look.tone])]
    if job.reason:
        entries.append(("because", job.reason, ""))
    if job.error:
        entries.append(("error", job.error, "$error" if job.state is JobState.FAILED else "$warning"))
    if job.state is JobState.SCHEDULED:
        left = figures.countdown((job.run_at - now).total_seconds())
        entries.append(("starts", f"{figures.instant(job.run_at, zone)}, in {left}", ""))
    if job.started_at and (job.finished_at or job.state is JobState.RUNNING):
        ran = figures.duration(((job.finished_at or now) - job.started_at).total_seconds())
        entries.append(("ran" if job.state in TERMINAL else "running for", ran, ""))
    rescues = f", {figures.plural(job.rescues, 'rescue')}" if job.rescues else ""
    entries += [
        ("try", f"{job.tries} of {job.max_attempts}{rescues}", ""),
        ("created", figures.instant(job.created_at, zone), ""),
        ("started", figures.instant(job.started_at, zone), ""),
        ("finished", figures.instant(job.finished_at, zone), ""),
        ("kind", job.kind, ""),
        ("queue", f"{job.queue}, priority {job.priority}{_DONE_BY.get(execution, '')}", ""),
        ("from", job.origin or figures.DASH, ""),
        ("correlation", job.correlation_id, ""),
    ]
    lines = pairs(entries, width=width)
    if job.progress.figures:
        values = {n: v for n, v in job.progress.figures.items() if job.state not in TERMINAL or n not in _MOMENTARY}
        lines += [Content(""), *pairs(progress_figures(values), width=width)]
    return Content("\n").join(lines)


def progress_figures(values: Mapping[str, float | str]) -> list[tuple[str, str, str]]:
    """Return what a kind shows beside its bar; a part and its total share a line."""
    entries = []
    for name, value in values.items():
        stem = name.removesuffix("_done")
        total = values.get(f"{stem}_total")
        if name.endswith("_total") and (
            name.removesuffix("_total") in values or f"{name.removesuffix('_total')}_done" in values
        ):
            continue
        text = amount(name, value)
        entries.append((label(stem), f"{text} of {amount(name, total)}" if total is not None else text, ""))
    return entries


def label(name: str) -> str:
    """Return a figure's name as words: http_429 as "HTTP 429", rows_per_s as "rows/s"."""
    text = f"{name.removesuffix('_per_s')}/s" if name.endswith("_per_s") else name.removesuffix("_s")
    return text.replace("_", " ").replace("http", "HTTP")


def amount(name: str, value: object) -> str:
    """Return a figure with the unit that its name tells."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return clean(value, 200)
    if name.endswith("_per_s"):
        return figures.short(value)
    if name.endswith("_s"):
        return figures.duration(value)
    if name == "bytes" or name.endswith("_bytes"):
        return figures.size(value)
    return figures.count(value) if float(value).is_integer() else f"{value:,.2f}"


def mapping(values: Mapping[str, Any] | None, *, empty: str, width: int, is_raw: bool = False) -> Content:
    """Return parameters or a result, one line a value; nested ones as indented JSON."""
    if not values:
        return Content.styled(empty, "$dim")
    label_width = min(28, max(len(name) for name in values)) + 1
    lines: list[Content] = []
    for name, value in values.items():
        if isinstance(value, dict | list | tuple) and value:
            text = json.dumps(value, indent=2, default=str, ensure_ascii=False)
            lines.append(Content.styled(clean(name, 60), "$dim"))
            lines += [Content("  " + clean(line, 400)) for line in text.split("\n")[:500]]
        else:
            shown = "none" if value == [] else str(value) if is_raw else amount(name, value)
            entry = (name, shown if shown not in ("", "None") else figures.DASH, "")
            lines += pairs([entry], width=width, label_width=label_width)
    return Content("\n").join(lines)


def attempt_row(attempt: Attempt, now: datetime, zone: tzinfo | None) -> Row:
    """Return one try for the table of attempts."""
    outcome = attempt.outcome.value if attempt.outcome else "running"
    tone = (
        "run" if attempt.outcome is None else "ok" if outcome in _GOOD else "warn" if outcome in _NEUTRAL else "error"
    )
    if outcome == "retry":
        outcome, tone = "will retry", "warn"
    ran = attempt.run_s if attempt.run_s is not None else (now - attempt.started_at).total_seconds()
    return {
        "number": str(attempt.number),
        "outcome": Cell(outcome.replace("_", " "), tone),
        "started": figures.moment(attempt.started_at, zone, now),
        "waited": figures.duration(attempt.wait_s),
        "ran": figures.duration(ran),
        "cpu": figures.duration(attempt.cpu_s),
        "memory": figures.size(attempt.memory_delta),
        "owner": Cell(attempt.owner, "dim"),
        "error": Cell(attempt.error or "", "error" if tone == "error" else "dim"),
    }
