"""Turns sources into snapshots every two seconds, whatever the sources do.

Each source is read by its own task under its own budget. What has answered is shown at once; who has not, is shown as
soon as its budget is over, with the last good figures, their age and the cause. One source never holds up another.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import structs

from qsuite_console.db.application import PulseReader
from qsuite_console.metrics import thresholds
from qsuite_console.metrics.alerts import AlertBook
from qsuite_console.metrics.from_application import ApplicationSource
from qsuite_console.metrics.from_celery import CelerySource
from qsuite_console.metrics.from_host import HostSource
from qsuite_console.metrics.from_jobs import JobsSource, LoopLag
from qsuite_console.metrics.from_pgbouncer import PgBouncerSource
from qsuite_console.metrics.from_postgres import PostgresSource
from qsuite_console.metrics.from_redis import RedisSource
from qsuite_console.metrics.monitoring import unkept
from qsuite_console.metrics.punctuality import Punctuality, measure
from qsuite_console.metrics.sources import OwnLoad, Sample, Source, SourceSilent, rejudged
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.health import Figure, Level, Reading, Snapshot
from qsuite_console.model.jobs import Job, QueueView, Statistics
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.workers import Services

INTERVAL_S: Final = 2.0
BUDGET_S: Final = 0.9  # with the interval: what stops answering is shown as stale within three seconds
HISTORY: Final = 150  # points of a tile's curve: five minutes
_FIRST_LOOK_S: Final = 0.25
_FIRST_INTERVAL_S: Final = 1.0
_log: Final = logging.getLogger(__name__)


class PlatformSampler:
    """Implements ``engine.upkeep.Sampler`` over PostgreSQL, PgBouncer, Redis, Celery, this host and the jobs."""

    def __init__(
        self,
        services: Services,
        *,
        job_counts: Callable[[], Mapping[str, int]],
        queues: Callable[[], Sequence[QueueView]] | None = None,
        statistics: Callable[[float], Awaitable[Statistics]] | None = None,
        backfills: Callable[[], Sequence[Job]] | None = None,
        directories: Sequence[Path] = (),
        interval_s: float = INTERVAL_S,
        budget_s: float = BUDGET_S,
    ) -> None:
        """``directories``: whose disks count, our own first. ``job_counts``: jobs per state, without waiting."""
        clock = services.clock
        self._lag = LoopLag()
        self._services = services
        self._clock = clock
        self._interval_s = interval_s
        self._budget_s = budget_s
        database, own = services.settings.database, OwnLoad()
        pooler = PgBouncerSource(services.pooler, clock, budget_s=budget_s)
        sources: tuple[Source, ...] = (
            PostgresSource(database, clock, budget_s=budget_s, own=own),
            *((pooler,) if services.pooler.is_configured else ()),
            RedisSource(services.cache, clock),
            *((CelerySource(services.celery, clock),) if services.celery is not None else ()),
            HostSource(directories),
            JobsSource(
                job_counts,
                queues=queues,
                statistics=statistics,
                lag=self._lag,
                backfills=backfills,
                clock=clock,
                punctuality=self._punctuality,
            ),
            ApplicationSource(PulseReader(database, services.settings.tables, clock), clock, own),
        )
        self._monitoring = services.monitoring or unkept(clock)
        book = self._monitoring.book
        self._tiles = tuple(Tile(source, clock, interval_s, book) for source in sources)

    async def _punctuality(self) -> Punctuality | None:
        """Return how schedules keep their word; None where there are none."""
        scheduler = self._services.schedules
        return None if scheduler is None else await measure(scheduler, self._clock.now())

    async def run(self, publish: Callable[[Snapshot], None]) -> None:
        """Publish a snapshot every interval until cancelled, then close every connection of its own."""
        book, recorder = self._monitoring.book, self._monitoring.recorder
        await book.load()
        for source in {rule.source for rule in book.rules.values()} - {tile.source.name for tile in self._tiles}:
            book.unwatch(source)
        book.on_change = lambda: publish(self.snapshot())
        beside = [asyncio.create_task(self._lag.run(), name="loop lag")]
        if self._monitoring.scores is not None:
            beside.append(asyncio.create_task(self._monitoring.scores.run(self._services), name="scores"))
        loop = asyncio.get_running_loop()
        try:
            publish(self.snapshot())
            interval_s = min(_FIRST_INTERVAL_S, self._interval_s)  # rates need two samples: have them soon
            while True:
                started = loop.time()
                await self._round(publish)
                recorder.take(self.snapshot())
                await book.settle()
                # After a long hold-up (a suspended laptop) the missed rounds are left out, not made up for.
                await asyncio.sleep(max(0.05, interval_s - (loop.time() - started)))
                interval_s = self._interval_s
        finally:
            for task in beside:
                task.cancel()
            book.on_change = lambda: None
            await asyncio.gather(*beside, *(tile.source.close() for tile in self._tiles), return_exceptions=True)

    def snapshot(self) -> Snapshot:
        """Return what is known now."""
        watched = self._monitoring
        watched.readings = tuple(tile.reading() for tile in self._tiles if not tile.is_absent)
        keeper = watched.scores
        return Snapshot(
            at=self._clock.now(),
            readings=tuple(watched.readings),
            alerts=watched.book.alerts(),
            scores=() if keeper is None else keeper.scores(watched.book.values, watched.readings),
        )

    async def _round(self, publish: Callable[[Snapshot], None]) -> None:
        reads = {asyncio.create_task(tile.measure(self._budget_s)) for tile in self._tiles}
        try:
            _, late = await asyncio.wait(reads, timeout=_FIRST_LOOK_S)
            publish(self.snapshot())
            if late:
                await asyncio.wait(late)
                publish(self.snapshot())
        finally:
            for read in reads:
                read.cancel()
            await asyncio.gather(*reads, return_exceptions=True)


class Tile:
    """One source with its history, its newest sample and where its alerts stand."""

    def __init__(self, source: Source, clock: Clock, interval_s: float, book: AlertBook) -> None:
        self.source = source
        self._book = book
        self._clock = clock
        self._interval_s = interval_s
        self._sample: Sample | None = None
        self._sampled_at: datetime | None = None
        self._error: str | None = None
        self._failures = 0
        self._history: deque[float | None] = deque(maxlen=HISTORY)

    @property
    def is_absent(self) -> bool:
        """Return whether the platform has nothing of the kind: a source may find that out only by looking."""
        return bool(getattr(self.source, "is_absent", False))

    async def measure(self, budget_s: float) -> None:
        """Take one sample within ``budget_s``; a failure is kept as the tile's error, never raised."""
        if self.source.unconfigured:
            self._book.unwatch(self.source.name)
            return
        try:
            async with asyncio.timeout(budget_s + 0.05):  # sources that know the budget shall say the cause themselves
                sample = await self.source.read()
        except TimeoutError:
            self._fail(SourceSilent(f"{self.source.title} did not answer within {budget_s:g} s"))
        except ConsoleError as error:
            self._fail(error)
        except Exception as error:  # a bug in one reader must cost one tile, not the sampler
            _log.exception("reading %s failed", self.source.name)
            self._fail(SourceSilent(f"reading failed: {type(error).__name__}: {clean(error, 120)}"))
        else:
            self._keep(sample)

    def reading(self) -> Reading:
        """Return the tile as it shall be shown."""
        missing = self.source.unconfigured
        if missing:
            headline = structs.replace(self.source.headline, text="–")
            return self._reading(Level.UNKNOWN, Sample(headline=headline), missing)
        sample = self._sample or Sample(headline=self.source.headline)
        if self._error is not None:
            return self._reading(Level.CRITICAL, sample, self._error)
        level = thresholds.worst((sample.headline.level, *(figure.level for figure in sample.figures)))
        return self._reading(level, sample, None)

    def _reading(self, level: Level, sample: Sample, error: str | None) -> Reading:
        return Reading(
            source=self.source.name,
            title=self.source.title,
            level=level,
            headline=sample.headline,
            figures=sample.figures,
            history=tuple(self._history),
            interval_s=self._interval_s,
            sampled_at=self._sampled_at,
            error=error,
        )

    def _keep(self, sample: Sample) -> None:
        if sample.problem:
            self._fail(SourceSilent(sample.problem), sample.watched)
            return
        self._sample = replace(
            sample,
            headline=self._rejudged(sample.headline),
            figures=tuple(self._rejudged(figure) for figure in sample.figures),
        )
        self._sampled_at = self._clock.now()
        self._error, self._failures = None, 0
        self._history.append(sample.headline.value)
        self._book.judge(self.source.name, sample.watched)

    def _fail(self, error: ConsoleError, watched: Mapping[str, float | None] | None = None) -> None:
        self._failures += 1
        self._error = clean(error, 300)
        self._history.append(None)
        self._book.judge(self.source.name, watched or {}, failures=self._failures, error=self._error)

    def _rejudged(self, figure: Figure) -> Figure:
        """Return a figure by the rules in force, which may differ from those its source knows."""
        rule = self._book.rules.get(f"{self.source.name}.{figure.name}")
        return figure if rule is None else rejudged(rule, figure)
