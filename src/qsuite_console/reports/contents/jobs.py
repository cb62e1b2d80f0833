"""The report "jobs": what ran, how it went, how long it took, what failed and what was slowest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from qsuite_console.model import units
from qsuite_console.model.jobs import TERMINAL, Job, JobState, KindStatistics, Statistics
from qsuite_console.model.text import clean
from qsuite_console.reports.document import (
    Bar,
    BarChart,
    Block,
    Cell,
    Column,
    Curve,
    Document,
    Fact,
    LineChart,
    Notice,
    Section,
    Table,
    Tone,
    cell,
)
from qsuite_console.reports.frame import Frame, span

_STEPS: Final = 48  # of the chart of jobs over time
_TONES: Final[dict[str, Tone]] = {JobState.SUCCEEDED: "good", JobState.FAILED: "bad", JobState.CANCELLED: "faint"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The jobs of the window, newest first, and the statistics over it; ``is_cut``: there were more jobs."""

    statistics: Statistics
    jobs: tuple[Job, ...]
    is_cut: bool = False
    problems: tuple[str, ...] = ()


def build(frame: Frame, found: Found, *, most_rows: int) -> Document:
    """Return the report; a window without a job gives one that says so."""
    ended = [job for job in found.jobs if job.state in TERMINAL]
    failed = [job for job in found.jobs if job.state is JobState.FAILED]
    counts = Counter(str(job.state) for job in found.jobs)
    share = 100 * counts["succeeded"] / len(ended) if ended else None
    notes = list(found.problems)
    if found.is_cut:
        notes.append(f"only the newest {len(found.jobs):,} jobs were looked at one by one; the statistics are of all")
    if not found.jobs:
        notes.append("no job was made in this window")
    sections = [
        _outcomes(frame, found, most_rows),
        _durations(found.statistics),
        _failures(frame, failed, most_rows),
        _slowest(frame, ended, most_rows),
        _queues(found.statistics),
    ]
    return frame.document(
        "Job report",
        sections,
        subtitle=f"{len(found.jobs):,} jobs, {len(ended):,} of them ended",
        newest=max((job.finished_at or job.started_at or job.created_at for job in found.jobs), default=None),
        coverage=f"{len(found.jobs):,} jobs of the history{', the newest' if found.is_cut else ', all of the window'}",
        notes=notes,
        highlights=(
            Fact("jobs made", f"{len(found.jobs):,}"),
            Fact("of the ended succeeded", "–" if share is None else units.percent(share),
                 "" if share is None else "good" if share >= 95 else "warn"),
            Fact("failed", f"{len(failed):,}", "bad" if failed else "good"),
        ),
    )  # fmt: skip


def _outcomes(frame: Frame, found: Found, most_rows: int) -> Section:
    blocks: list[Block] = []
    if not found.jobs:
        blocks.append(Notice(title="No job was made in this window", tone="faint"))
    else:
        blocks.append(_by_kind(found.jobs))
        blocks.append(_over_time(frame, found.jobs))
    kinds = found.statistics.kinds
    blocks.append(
        Table(
            title="Outcomes by kind",
            columns=(
                Column(title="kind"),
                Column(title="succeeded", is_number=True),
                Column(title="failed", is_number=True),
                Column(title="retried", is_number=True),
                Column(title="cancelled", is_number=True),
                Column(title="success", is_number=True),
            ),
            rows=tuple(_kind_row(one) for one in kinds)[:most_rows],
            total=len(kinds),
            note="From the history's counters; retried counts attempts that were tried again.",
            empty="no job ended in this window",
        )
    )
    return Section(id="outcomes", title="Outcomes", blocks=tuple(blocks))


def _kind_row(one: KindStatistics) -> tuple[Cell, ...]:
    ended = one.succeeded + one.failed
    share = 100 * one.succeeded / ended if ended else None
    return (
        cell(one.name),
        cell(one.succeeded),
        cell(one.failed, tone="bad" if one.failed else ""),
        cell(one.retried, tone="warn" if one.retried else ""),
        cell(one.cancelled),
        cell(None if share is None else round(share, 2), "" if share is None else units.percent(share)),
    )


def _by_kind(jobs: Sequence[Job]) -> BarChart:
    counts = Counter((job.kind, job.state) for job in jobs)
    kinds = sorted({job.kind for job in jobs}, key=lambda kind: (-sum(job.kind == kind for job in jobs), kind))[:20]
    bars = []
    for kind in kinds:
        good, bad = counts[kind, JobState.SUCCEEDED], counts[kind, JobState.FAILED]
        stopped = counts[kind, JobState.CANCELLED]
        total = sum(number for (name, _), number in counts.items() if name == kind)
        other = total - good - bad - stopped
        words = [
            f"{total:,}",
            *(f"{number:,} {word}" for number, word in ((bad, "failed"), (other, "not ended")) if number),
        ]
        parts: tuple[tuple[float, Tone], ...] = ((good, "good"), (bad, "bad"), (stopped, "faint"), (other, ""))
        bars.append(Bar(label=kind, parts=parts, text=", ".join(words)))
    legend: tuple[tuple[str, Tone], ...] = (
        ("succeeded", "good"),
        ("failed", "bad"),
        ("cancelled", "faint"),
        ("not ended", ""),
    )
    return BarChart(title="Jobs by kind and state", unit="jobs", bars=tuple(bars), legend=legend)


def _over_time(frame: Frame, jobs: Sequence[Job]) -> LineChart:
    start, step = frame.start.timestamp(), (frame.end - frame.start).total_seconds() / _STEPS
    made, failed = [0] * _STEPS, [0] * _STEPS
    for job in jobs:
        at = min(_STEPS - 1, max(0, int((job.created_at.timestamp() - start) / step)))
        made[at] += 1
        failed[at] += job.state is JobState.FAILED
    return LineChart(
        title=f"Jobs made, a point for each {span(step)}",
        unit="jobs",
        curves=tuple(
            Curve(
                label=label,
                points=tuple((start + (at + 0.5) * step, float(number)) for at, number in enumerate(numbers)),
            )
            for label, numbers in (("made", made), ("of them failed", failed))
        ),
        start=start,
        end=frame.end.timestamp(),
        zone=frame.zone,
    )


def _durations(statistics: Statistics) -> Section:
    columns = tuple(
        Column(title=f"{what} {which}", is_number=True) for what in ("wait", "run") for which in ("p50", "p95", "p99")
    )
    table = Table(
        title="How long jobs waited and ran",
        columns=(Column(title="kind"), *columns),
        rows=tuple(_duration_row(one) for one in statistics.kinds),
        total=len(statistics.kinds),
        note="Percentiles from histograms: half, 95 % and 99 % of the attempts took at most so long.",
        empty="no job ended in this window",
    )
    return Section(id="durations", title="Durations", blocks=(table,))


def _duration_row(one: KindStatistics) -> tuple[Cell, ...]:
    values = (one.wait_p50, one.wait_p95, one.wait_p99, one.run_p50, one.run_p95, one.run_p99)
    return (cell(one.name), *map(_seconds, values))


def _seconds(value: float | None) -> Cell:
    return cell(None) if value is None else cell(round(value, 3), units.span(value))


def _failures(frame: Frame, failed: Sequence[Job], most_rows: int) -> Section:
    table = Table(
        title="Jobs that failed, newest first",
        columns=(
            Column(title="job", is_number=True),
            Column(title="failed at"),
            Column(title="kind"),
            Column(title="tries", is_number=True),
            Column(title="title and reason", is_wide=True),
        ),
        rows=tuple(
            (
                cell(job.id, str(job.id)),
                cell(job.finished_at, frame.moment(job.finished_at)),
                cell(job.kind),
                cell(job.tries),
                cell(clean(f"{job.title}: {job.error or job.reason or 'no reason given'}", 300)),
            )
            for job in failed[:most_rows]
        ),
        total=len(failed),
        empty="no job failed in this window",
    )
    return Section(id="failures", title="Failures", blocks=(table,))


def _slowest(frame: Frame, ended: Sequence[Job], most_rows: int) -> Section:
    timed = [(seconds, job) for job in ended if (seconds := _run_s(job)) is not None]
    longest = sorted(timed, key=lambda pair: -pair[0])[: min(25, most_rows)]
    table = Table(
        title="The jobs whose last attempt took longest",
        columns=(
            Column(title="job", is_number=True),
            Column(title="took", is_number=True),
            Column(title="state"),
            Column(title="started"),
            Column(title="kind"),
            Column(title="title", is_wide=True),
        ),
        rows=tuple(
            (
                cell(job.id, str(job.id)),
                cell(round(seconds, 3), units.span(seconds)),
                cell(str(job.state), tone=_TONES.get(job.state, "")),
                cell(job.started_at, frame.moment(job.started_at)),
                cell(job.kind),
                cell(clean(job.title, 160)),
            )
            for seconds, job in longest
        ),
        total=len(timed),
        empty="no job ended in this window",
    )
    return Section(id="slowest", title="Slowest", blocks=(table,))


def _run_s(job: Job) -> float | None:
    if job.started_at is None or job.finished_at is None:
        return None
    return max(timedelta(0), job.finished_at - job.started_at).total_seconds()


def _queues(statistics: Statistics) -> Section:
    busy = statistics.utilisation
    table = Table(
        title="Queues",
        columns=(
            Column(title="queue"),
            Column(title="succeeded", is_number=True),
            Column(title="failed", is_number=True),
            Column(title="wait p95", is_number=True),
            Column(title="run p95", is_number=True),
        ),
        rows=tuple(
            (cell(one.name), cell(one.succeeded), cell(one.failed), _seconds(one.wait_p95), _seconds(one.run_p95))
            for one in statistics.queues
        ),
        total=len(statistics.queues),
        note="" if busy is None else f"Slots were busy {units.percent(100 * busy)} of the time.",
        empty="no queue was used in this window",
    )
    return Section(id="queues", title="Queues", blocks=(table,))
