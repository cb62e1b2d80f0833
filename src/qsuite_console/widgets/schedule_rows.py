"""Schedules as lines of a table, and one in full: when it comes, in its own time and here, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from textual.content import Content

from qsuite_console.model.schedules import (
    Collision,
    Explanation,
    Frequency,
    Missed,
    Overlap,
    RunOutcome,
    Schedule,
    ScheduleDetail,
    ScheduleRun,
    ScheduleView,
    length,
)
from qsuite_console.model.text import clean
from qsuite_console.widgets import figures, looks
from qsuite_console.widgets.cells import Cell, Column, Row
from qsuite_console.widgets.text_view import pairs

LABEL: Final = 9
SHOWN_PLANS: Final = 5
COLUMNS: Final = (
    Column("look", "", 1, keep=9),
    Column("name", "SCHEDULE", 17, keep=9),
    Column("words", "WHEN", 22, is_flexible=True, keep=9),
    Column("next", "NEXT", 8, is_right=True, keep=8),
    Column("last", "LAST", 16, keep=7),
    Column("kind", "JOB", 16, keep=3),
)
PAUSED: Final = looks.Look("‖", "paused", "dim")
WAITS: Final = looks.Look("◷", "waits", "")
RUNS: Final = looks.Look("▶", "runs", "run")
OVER: Final = looks.Look("✔", "over", "dim")
STUCK: Final = looks.Look("✖", "can't run", "error")
OUTCOMES: Final = {
    RunOutcome.STARTED: looks.Look("▶", "started", "run"),
    RunOutcome.SUCCEEDED: looks.Look("✔", "succeeded", "ok"),
    RunOutcome.FAILED: looks.Look("✖", "failed", "error"),
    RunOutcome.CANCELLED: looks.Look("⊘", "cancelled", "dim"),
    RunOutcome.WAITING: looks.Look("·", "waits", "dim"),
    RunOutcome.SKIPPED: looks.Look("↷", "skipped", "warn"),
    RunOutcome.MISSED: looks.Look("◌", "missed", "warn"),
    RunOutcome.REFUSED: looks.Look("✖", "refused", "error"),
}
_MISSED: Final = {
    Missed.SKIP: "skipped",
    Missed.ONCE: "one run makes up for all",
    Missed.ALL: "each made up, at most 100",
}
_OVERLAP: Final = {
    Overlap.SKIP: "skipped while the last job is not over",
    Overlap.QUEUE: "waits for the last job",
    Overlap.CANCEL: "cancels the last job",
}


def look_of(view: ScheduleView) -> looks.Look:
    """Return how a schedule stands."""
    if not view.schedule.is_enabled:
        return PAUSED
    if view.job_id is not None:
        return RUNS
    if view.problem:
        return STUCK
    return OVER if view.next_at is None else WAITS


def row_of(view: ScheduleView, now: datetime) -> Row:
    """Return the line of a schedule."""
    look = look_of(view)
    is_still = look in (PAUSED, OVER)
    tone = "dim" if is_still else ""
    starts = view.starts_at or view.next_at
    coming = look.word if is_still or starts is None else soon((starts - now).total_seconds())
    return {
        "look": Cell(look.glyph, look.tone),
        "name": Cell(view.schedule.name, tone),
        "words": Cell(view.problem if look is STUCK else view.words, "error" if look is STUCK else tone),
        "next": Cell(coming, tone or "accent"),
        "last": last_cell(view.last, now),
        "kind": Cell(view.schedule.kind, "dim"),
    }


def soon(seconds: float) -> str:
    """Return how far off a start is, in eight cells."""
    return "now" if seconds < 1 else figures.countdown(seconds)


def last_cell(run: ScheduleRun | None, now: datetime) -> Cell:
    """Return what became of the last plan, and how long ago."""
    if run is None:
        return Cell("never yet", "dim")
    look = OUTCOMES[run.outcome]
    return Cell(f"{look.glyph} {look.word} {figures.age((now - run.newest_at).total_seconds())}", look.tone)


def facts(detail: ScheduleDetail, now: datetime, zone: tzinfo | None, width: int, parameters: str) -> Content:
    """Return everything about a schedule but its runs."""
    view, schedule = detail.view, detail.view.schedule
    look = look_of(view)
    word = f"runs: job {view.job_id}" if view.job_id is not None and look is RUNS else look.word
    entries = [
        ("when", view.words, ""),
        ("cron", schedule.timing.cron, "$dim"),
        ("problem", view.problem, "$error"),
        ("job", f"{schedule.kind} {parameters}".rstrip(), ""),
        ("for", schedule.note, ""),
        ("missed", f"{_MISSED[schedule.missed]}; on time if at most {length(schedule.grace_s)} late", ""),
        ("overlap", _OVERLAP[schedule.overlap], ""),
        ("jitter", f"starts up to {length(schedule.jitter_s)} later" if schedule.jitter_s else "", ""),
        ("how often", often(detail.frequency), ""),
        *collided(detail.collisions, zone, now),
        *(("note", note, "$warning") for note in detail.notes),
        ("confirmed", f"for production {schedule.confirmed}" if schedule.confirmed else "", "$dim"),
    ]
    title = Content.assemble((f"{look.glyph} {word}", looks.TONES.get(look.tone, "")), (f"  {schedule.name}", "bold"))
    told = pairs([entry for entry in entries if entry[1]], width=width, label_width=LABEL)
    return Content("\n").join([title, *plans(detail.upcoming.times, schedule, now, zone, width), *told])


def plans(
    times: Sequence[datetime], schedule: Schedule, now: datetime, zone: tzinfo | None, width: int
) -> list[Content]:
    """Return the plans to come, by the schedule's clock and by the one here, with how far off they are.

    What does not fit into ``width`` cells goes on below, whole parts of it, under the first one.
    """
    lines: list[Content] = []
    for number, at in enumerate(times[:SHOWN_PLANS]):
        label = ("next" if schedule.is_enabled else "would be") if number == 0 else ""
        line = Content.styled(f"{label:<{LABEL}}", "$dim")
        gap = " "
        for part in plan_parts(at, schedule.timing.zone, now, zone):
            if len(gap) > 1 and line.cell_length + len(gap) + part.cell_length > width:
                lines.append(line)
                line, gap = Content(" " * LABEL), "   "
            line, gap = Content.assemble(line, gap, part), "  "
        lines.append(line)
    return lines


def plan_parts(at: datetime, own: str, now: datetime, zone: tzinfo | None) -> list[Content]:
    """Return one plan in parts: "Mon 23 Nov 09:25 New York", "14:25 here", "in 17:44:10"."""
    there, here = at.astimezone(ZoneInfo(own)), at.astimezone(zone)
    clock = "%H:%M:%S" if at.second else "%H:%M"
    name = own.rpartition("/")[2].replace("_", " ")
    parts = [Content.assemble(f"{there:%a %d %b {clock}} ", (name, "$dim"))]
    if there.utcoffset() != here.utcoffset():
        day = f"{here:%a} " if here.date() != there.date() else ""
        parts.append(Content.assemble(f"{day}{here:{clock}} ", ("here", "$dim")))
    return [*parts, Content.styled(f"in {figures.countdown((at - now).total_seconds())}", "$dim")]


def often(found: Frequency) -> str:
    """Return how often a schedule comes: "2,880 a day"; "5 a week, 1d 00h to 3d 00h apart"."""
    if not found.per_day or found.mean_s is None or found.shortest_s is None:
        return ""
    per_day, per_week = found.per_day, found.per_week
    rate = f"{per_day:,.0f} a day" if per_day >= 1 else f"{per_week:,.2g} a week" if per_week >= 1 else ""
    rate = rate or f"{per_week * 52.18:,.2g} a year"
    return rate if found.mean_s == found.shortest_s else f"{rate}, {figures.countdown(found.shortest_s)} apart at least"


def collided(found: Iterable[Collision], zone: tzinfo | None, now: datetime) -> list[tuple[str, str, str]]:
    """Return which schedules start at the same instants."""
    return [
        (
            "together",
            f"with {one.name}: {figures.plural(one.count, 'time')} in {figures.countdown(one.within_s)},"
            f" first {figures.moment(one.first_at, zone, now)}",
            "$dim",
        )
        for one in found
    ]


def history(runs: Sequence[ScheduleRun], now: datetime, zone: tzinfo | None) -> Content:
    """Return the last runs, newest first."""
    if not runs:
        return Content.styled("No plan has come yet", "$dim")
    lines: list[Content] = []
    for run in runs:
        look = OUTCOMES[run.outcome]
        job = f"job {run.job_id}" if run.job_id is not None else ""
        told = [job, run.trigger if run.trigger != "plan" else "", clean(run.note, 120)]
        covers = f" ×{figures.count(run.covers)}" if run.covers > 1 else ""
        lines.append(
            Content.assemble(
                (f"{figures.moment(run.planned_at, zone, now)}  ", "$dim"),
                (f"{look.glyph} {look.word}{covers}", looks.TONES[look.tone]),
                ("  " + " · ".join(part for part in told if part), ""),
            )
        )
    return Content("\n").join(lines)


def meaning(answer: Explanation, schedule: Schedule, now: datetime, zone: tzinfo | None, width: int) -> Content:
    """Return what a timing that is being typed means."""
    entries = [
        ("means", answer.words, "bold"),
        ("how often", often(answer.frequency), ""),
        *collided(answer.collisions[:1], zone, now),
        *(("note", note, "$warning") for note in answer.notes),
    ]
    told = pairs([entry for entry in entries if entry[1]], width=width, label_width=LABEL)
    return Content("\n").join([*told, *plans(answer.upcoming.times[:3], schedule, now, zone, width)])
