"""Keeps every sample's figures and answers how they went: the probe ``metrics.series``.

Taking a snapshot costs the engine's loop a list of numbers; files and threads are ``history.samples``'s own. What is
kept of a figure is what its limits compare, so that a line and its limits share an axis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from qsuite_console.engine.parameters import decode
from qsuite_console.history.samples import SPANS, Samples, Stored, Value
from qsuite_console.metrics import thresholds
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.health import Figure, Reading, Snapshot
from qsuite_console.model.instants import stated
from qsuite_console.model.jobs import Job, JobQuery
from qsuite_console.model.series import Line, Mark, Point, Series

if TYPE_CHECKING:
    from qsuite_console.metrics.monitoring import Monitoring
    from qsuite_console.workers import Services

LONGEST_S: Final = 90 * 86_400
SAMPLE_S: Final = 2.0  # how far samples are apart
GAP: Final = 2.6  # steps without a value before a line is broken: one late sample is no gap
MOST_MARKS: Final = 60
_JOBS_LOOKED_AT: Final = 500


class SeriesParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which figures, how far back from ``end`` (now), in at most so many points."""

    names: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=16)]
    window_s: Annotated[float, msgspec.Meta(ge=10, le=LONGEST_S)] = 3600.0
    end: datetime | None = None
    points: Annotated[int, msgspec.Meta(ge=2, le=2000)] = 240
    marks: bool = True


class Recorder:
    """Takes snapshots of one target. Without a file (it could not be opened) nothing is kept, and that is said."""

    def __init__(self, samples: Samples | None, *, problem: str = "") -> None:
        self.problem = problem
        self._samples = samples
        self._taken: dict[str, datetime] = {}

    def take(self, snapshot: Snapshot) -> None:
        """Keep what is new in a snapshot; never waits."""
        if self._samples is None:
            return
        for reading in snapshot.readings:
            at = reading.sampled_at
            if at is not None and reading.error is None and self._taken.get(reading.source) != at:
                self._taken[reading.source] = at
                self._samples.note(_values(reading, at))

    async def known(self) -> dict[str, tuple[str, str]]:
        """Return name -> (title, unit) of every figure that was ever kept; raises HistoryUnavailable."""
        return {} if self._samples is None else await self._samples.known()

    async def points(
        self, name: str, start: datetime, end: datetime, now: datetime, most: int
    ) -> tuple[float, list[Point]]:
        """Return (seconds a point stands for, points) of one figure with its gaps; raises HistoryUnavailable."""
        step_s, span = resolution((end - start).total_seconds(), (now - start).total_seconds(), most)
        rows = [] if self._samples is None else await self._samples.read(name, start, end, step_s, span)
        return step_s, list(with_gaps(rows, step_s))

    def close(self) -> None:
        """Write what waits."""
        if self._samples is not None:
            self._samples.close()


def resolution(window_s: float, age_s: float, most: int) -> tuple[float, int]:
    """Return (step in seconds, span of the rows to read) for a window that began ``age_s`` ago."""
    span = next((span for span, kept_s in SPANS.items() if age_s <= kept_s), max(SPANS))
    least = span or SAMPLE_S
    steps = max(1, -(-window_s // (least * most)))
    return least * steps, span


def with_gaps(rows: Sequence[Stored], step_s: float) -> Iterator[Point]:
    """Yield the rows as points, with an empty one wherever too much time lies between two."""
    before: datetime | None = None
    for row in rows:
        if before is not None and (row.at - before).total_seconds() > GAP * step_s:
            yield Point(before + timedelta(seconds=step_s))
        yield Point(row.at, row.mean, row.low, row.high)
        before = row.at


def _values(reading: Reading, at: datetime) -> Iterator[Value]:
    for figure in (reading.headline, *reading.figures):
        if figure.value is not None:
            yield Value(at, f"{reading.source}.{figure.name}", _title(reading, figure), figure.unit, figure.value)


def _title(reading: Reading, figure: Figure) -> str:
    return f"{reading.title} {figure.label}"


class SeriesProbe:
    """Answers ``metrics.series``."""

    name = "metrics.series"
    timeout_s = 10.0

    def __init__(self, services: Services) -> None:
        self._clock: Clock = services.clock
        self._monitoring: Monitoring | None = services.monitoring

    async def ask(self, parameters: Mapping[str, Any]) -> Series:
        """Return the lines; raises InvalidParameters. A history that can't be read is a problem in the answer."""
        wanted: SeriesParameters = decode(SeriesParameters, parameters)
        begun, now = self._clock.monotonic(), self._clock.now()
        end = now if wanted.end is None else min(stated(wanted.end, "end"), now)
        start = end - timedelta(seconds=wanted.window_s)
        monitoring = self._monitoring
        if monitoring is None:
            return Series(at=now, start=start, end=end, step_s=0.0, problem="nothing is recorded here")
        problem, step_s, lines = monitoring.recorder.problem, 0.0, list[Line]()
        marks: tuple[Mark, ...] = ()
        try:
            known = await monitoring.recorder.known()
            for name in dict.fromkeys(wanted.names):
                step_s, points = await monitoring.recorder.points(name, start, end, now, wanted.points)
                lines.append(_line(name, known.get(name, (name, "")), points, monitoring.rules))
            marks = await _marks(monitoring, start, end) if wanted.marks else ()
        except ConsoleError as error:
            problem = error.message
        cost_ms = round(1000 * (self._clock.monotonic() - begun), 1)
        return Series(
            at=now,
            start=start,
            end=end,
            step_s=step_s,
            lines=tuple(lines),
            marks=marks,
            problem=problem,
            cost_ms=cost_ms,
        )


def _line(name: str, described: tuple[str, str], points: Sequence[Point], rules: Mapping[str, thresholds.Rule]) -> Line:
    title, unit = described
    rule = rules.get(name)
    return Line(
        name=name,
        title=title,
        unit=unit,
        points=tuple(points),
        warning=rule.warning if rule is not None and rule.enabled else None,
        critical=rule.critical if rule is not None and rule.enabled else None,
        is_low_bad=rule is not None and rule.is_low_bad,
    )


async def _marks(monitoring: Monitoring, start: datetime, end: datetime) -> tuple[Mark, ...]:
    alerts, jobs = await asyncio.gather(
        monitoring.alerts_between(start, end), monitoring.jobs(JobQuery(limit=_JOBS_LOOKED_AT))
    )
    found = [
        Mark(kind="alert", id=a.id, title=a.title or a.id, level=a.level, at=a.since, until=a.cleared_at)
        for a in alerts
    ]
    found += [mark for job in jobs.jobs if (mark := _job_mark(job, start, end)) is not None]
    newest = sorted(found, key=lambda mark: (mark.kind == "alert", mark.at))[-MOST_MARKS:]
    return tuple(sorted(newest, key=lambda mark: mark.at))


def _job_mark(job: Job, start: datetime, end: datetime) -> Mark | None:
    began, ended = job.started_at, job.finished_at
    if began is None or began > end or (ended is not None and ended < start):
        return None
    return Mark(kind="job", id=str(job.id), title=job.title, level=job.state, at=began, until=ended)
