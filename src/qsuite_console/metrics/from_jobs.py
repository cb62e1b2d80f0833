"""The tile of the console's own work: jobs by state, the deepest queue, failures of the last hour, the engine's lag."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from qsuite_console.metrics import units
from qsuite_console.metrics.punctuality import Punctuality
from qsuite_console.metrics.sources import MEASURING, Sample, figure, judged, share
from qsuite_console.model.clock import Clock, SystemClock
from qsuite_console.model.health import Figure
from qsuite_console.model.jobs import Job, JobState, QueueView, Statistics

WINDOW_S: Final = 3600.0
_STATISTICS_EVERY_S: Final = 10.0
_LAG_STEP_S: Final = 0.25
BACKFILL: Final = "backfill"
_MINIMUM_REQUESTS: Final = 20
_MINIMUM_JOBS: Final = 5  # one failure of one job is no rate


class LoopLag:
    """The longest time the engine's loop was held up since last asked."""

    def __init__(self) -> None:
        self._worst_s = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_STEP_S
            await asyncio.sleep(_LAG_STEP_S)
            self._worst_s = max(self._worst_s, loop.time() - due)

    def take(self) -> float:
        """Return the longest delay in seconds and start over."""
        worst_s, self._worst_s = self._worst_s, 0.0
        return worst_s


class JobsSource:
    """Reads the engine through callables, so that it can be measured without knowing it."""

    name = "jobs"
    title = "Jobs"
    unconfigured = ""

    def __init__(
        self,
        counts: Callable[[], Mapping[str, int]],
        *,
        queues: Callable[[], Sequence[QueueView]] | None = None,
        statistics: Callable[[float], Awaitable[Statistics]] | None = None,
        lag: LoopLag | None = None,
        backfills: Callable[[], Sequence[Job]] | None = None,
        clock: Clock | None = None,
        punctuality: Callable[[], Awaitable[Punctuality | None]] | None = None,
    ) -> None:
        """``backfills``: jobs that may be backfills, the running and the last ones, without waiting."""
        self._punctuality = punctuality
        self._counts = counts
        self._queues = queues
        self._ask = statistics
        self._lag = lag
        self._backfills = backfills
        self._clock = clock or SystemClock()
        self._statistics: Statistics | None = None
        self._asked_at: float | None = None

    @property
    def headline(self) -> Figure:
        """Return the headline before the first sample."""
        return figure("running", "running", MEASURING, None)

    async def read(self) -> Sample:
        """Return one sample."""
        counts = self._counts()
        await self._refresh()
        running = counts.get(JobState.RUNNING, 0)
        deepest, queued_figure = self._queued(counts)
        failure_rate, outcome_figures = self._outcomes()
        lag_s = None if self._lag is None else self._lag.take()
        succeeded, limited, backfill_figures = self._requests()
        not_run, unusual, schedule_figures = await self._schedules()
        scheduled = counts.get(JobState.SCHEDULED, 0)
        paused = counts.get(JobState.PAUSED, 0)
        return Sample(
            headline=figure("running", "running", units.count(running), running),
            figures=(
                queued_figure,
                *outcome_figures,
                figure("scheduled", "scheduled", units.count(scheduled), scheduled),
                figure("paused", "paused", units.count(paused), paused),
                *backfill_figures,
                *schedule_figures,
                *_lag_figure(lag_s),
            ),
            watched={
                "jobs.queued": deepest,
                "jobs.failure_rate": failure_rate,
                "jobs.backfill_success": succeeded,
                "jobs.backfill_limited": limited,
                "jobs.schedules_not_run": not_run,
                "jobs.unusual_runs": unusual,
                "jobs.loop_lag": lag_s,
            },
        )

    async def close(self) -> None:
        """Nothing is open."""

    async def _refresh(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._ask is None or (self._asked_at is not None and now - self._asked_at < _STATISTICS_EVERY_S):
            return
        self._asked_at = now
        self._statistics = await self._ask(WINDOW_S)

    async def _schedules(self) -> tuple[float | None, float | None, tuple[Figure, ...]]:
        """Return how many schedules did not run or ran unlike before; figures only where there are any."""
        found = None if self._punctuality is None else await self._punctuality()
        if found is None:
            return None, None, ()
        named = (
            ("schedules_not_run", "not run", found.not_run),
            ("unusual_runs", "unlike before", found.unusual),
        )
        figures = tuple(
            judged(name, title, ", ".join(names)[:60], len(names), f"jobs.{name}", len(names))
            for name, title, names in named
            if names
        )
        return float(len(found.not_run)), float(len(found.unusual)), figures

    def _requests(self) -> tuple[float | None, float | None, tuple[Figure, ...]]:
        """Return the share of requests that succeeded and of those answered 429, by backfills of the last hour."""
        made = limited = repeated = 0.0
        since = self._clock.now() - timedelta(seconds=WINDOW_S)
        for job in () if self._backfills is None else self._backfills():
            if job.kind == BACKFILL and (job.finished_at is None or job.finished_at >= since):
                numbers = (job.progress.figures.get(name) for name in ("requests", "http_429", "retries"))
                requests, too_many, again = (one if isinstance(one, int | float) else 0.0 for one in numbers)
                made, limited, repeated = made + requests, limited + too_many, repeated + again
        if made < _MINIMUM_REQUESTS:
            return None, None, ()
        success = max(0.0, 100.0 * (made - limited - repeated) / made)
        share_limited = 100.0 * limited / made
        names = ("jobs.backfill_success", "jobs.backfill_limited")
        text = units.percent(success)
        return (
            success,
            share_limited,
            (
                judged("backfill_success", "backfill ok", text, success, names[0], success),
                judged("backfill_limited", "answered 429", units.percent(share_limited), share_limited, names[1],
                       share_limited),
            ),
        )  # fmt: skip

    def _queued(self, counts: Mapping[str, int]) -> tuple[float, Figure]:
        waiting = counts.get(JobState.QUEUED, 0) + counts.get(JobState.INTERRUPTED, 0)
        queues = self._queues() if self._queues is not None else ()
        deepest = max(queues, key=lambda queue: queue.queued, default=None)
        depth = waiting if deepest is None else deepest.queued
        text = units.count(waiting)
        if deepest is not None and 0 < deepest.queued < waiting:
            text += f", {units.count(deepest.queued)} in {deepest.name}"
        return depth, judged("queued", "queued", text, waiting, "jobs.queued", depth)

    def _outcomes(self) -> tuple[float | None, tuple[Figure, ...]]:
        if self._statistics is None:
            return None, ()
        succeeded = sum(kind.succeeded for kind in self._statistics.kinds)
        failed = sum(kind.failed for kind in self._statistics.kinds)
        ended = succeeded + failed
        rate = share(failed, ended) if ended >= _MINIMUM_JOBS else None
        text = "too few jobs" if rate is None else units.percent(rate)
        return rate, (
            figure("succeeded_1h", "done, last hour", units.count(succeeded), succeeded),
            figure("failed_1h", "failed, last hour", units.count(failed), failed),
            judged("failure_rate", "failure rate", text, rate, "jobs.failure_rate", rate),
        )


def _lag_figure(lag_s: float | None) -> tuple[Figure, ...]:
    if lag_s is None:
        return ()
    return (judged("loop_lag", "engine lag", units.span(lag_s), lag_s, "jobs.loop_lag", lag_s),)
