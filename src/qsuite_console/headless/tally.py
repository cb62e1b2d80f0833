"""What has become of jobs since the engine began, as counters that only grow: what a scraper takes rates of.

They are folded from the engine's facts, which it keeps in a bounded ring: from the first look on this looks often
enough to miss none, and says so where it did. Kinds and queues beyond a limit share one name, so that what they are
called can't make the number of series grow.
"""

from __future__ import annotations

import asyncio
import bisect
import logging
from collections import Counter
from datetime import datetime
from typing import Final

from qsuite_console.engine.control import Control
from qsuite_console.model.events import JobChanged
from qsuite_console.model.jobs import TERMINAL, Job, JobState

EVERY_S: Final = 1.0
MAX_NAMES: Final = 100
OTHER: Final = "other"
RUN_S: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14_400.0)
WAIT_S: Final = (0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
_log: Final = logging.getLogger(__name__)


class Histogram:
    """Seconds in buckets."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect.bisect_left(self.bounds, seconds)] += 1
        self.total_s += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Return (upper bound, how many were no longer) with "+Inf" last."""
        rows, so_far = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            so_far += count
            rows.append((bound, float(so_far)))
        return rows


class Tally:
    """One per served engine, used on its loop."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._newest = 0
        self._task: asyncio.Task[None] | None = None
        self._names: dict[str, set[str]] = {"kind": set(), "queue": set()}
        self.submitted: Counter[str] = Counter()  # kind
        self.ended: Counter[tuple[str, str]] = Counter()  # kind, state
        self.retried: Counter[str] = Counter()  # kind
        self.run_s: dict[str, Histogram] = {}  # kind
        self.wait_s: dict[str, Histogram] = {}  # queue
        self.missed = 0

    def fold(self) -> None:
        """Count what has happened since the last time, and keep counting until closed."""
        newest, events = self._control.events(self._newest)
        self.missed += max(0, newest - self._newest - len(events))
        self._newest = newest
        for event in events:
            if isinstance(event, JobChanged):
                self._count(event.job, event.previous, event.at)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="tally")

    async def close(self) -> None:
        """Stop counting."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                self.fold()
            except Exception:
                _log.exception("counting jobs failed")

    def _count(self, job: Job, previous: str | None, at: datetime) -> None:
        kind = self._bounded("kind", job.kind)
        if previous is None:
            self.submitted[kind] += 1
        if job.state is JobState.RUNNING and job.started_at is not None:
            queue = self._bounded("queue", job.queue)
            waited = job.started_at - max(job.created_at, job.run_at)
            self.wait_s.setdefault(queue, Histogram(WAIT_S)).add(max(0.0, waited.total_seconds()))
        elif previous == JobState.RUNNING and job.started_at is not None:
            ran = (job.finished_at or at) - job.started_at
            self.run_s.setdefault(kind, Histogram(RUN_S)).add(max(0.0, ran.total_seconds()))
            self.retried[kind] += job.state is JobState.SCHEDULED
        if job.state in TERMINAL and previous != job.state:
            self.ended[kind, str(job.state)] += 1

    def _bounded(self, label: str, name: str) -> str:
        known = self._names[label]
        if name not in known:
            if len(known) >= MAX_NAMES:
                return OTHER
            known.add(name)
        return name
