from __future__ import annotations

from datetime import UTC, datetime

from qsuite_console.metrics.from_jobs import JobsSource
from qsuite_console.model.health import Figure, Level
from qsuite_console.model.jobs import KindStatistics, QueueView, Statistics

COUNTS = {"running": 3, "queued": 700, "interrupted": 5, "scheduled": 2, "paused": 1, "succeeded": 90}


async def statistics(window_s: float) -> Statistics:
    kinds = (KindStatistics(name="backfill", succeeded=18, failed=1), KindStatistics(name="report", failed=1))
    return Statistics(at=datetime.now(UTC), window_s=window_s, kinds=kinds)


def named(figures: tuple[Figure, ...], name: str) -> Figure:
    return next(figure for figure in figures if figure.name == name)


async def test_the_tile_counts_jobs_and_judges_the_deepest_queue() -> None:
    queues = (
        QueueView(name="general", concurrency=4, queued=650),
        QueueView(name="execution", concurrency=4, queued=55),
    )
    sample = await JobsSource(lambda: COUNTS, queues=lambda: queues, statistics=statistics).read()
    assert (sample.headline.text, sample.headline.value) == ("3", 3)
    queued = named(sample.figures, "queued")
    assert (queued.text, queued.amount, queued.value) == ("705, 650 in general", 705, 650)
    assert queued.level is Level.CRITICAL
    assert queued.limit == "warn 100, critical 500"
    assert named(sample.figures, "failed_1h").value == 2
    rate = named(sample.figures, "failure_rate")
    assert (rate.text, rate.level) == ("10.0 %", Level.WARNING)
    assert sample.watched["jobs.queued"] == 650


async def test_without_statistics_nothing_is_made_up() -> None:
    sample = await JobsSource(lambda: {"queued": 3}).read()
    assert [figure.name for figure in sample.figures] == ["queued", "scheduled", "paused"]
    assert sample.watched["jobs.failure_rate"] is None


async def test_few_jobs_are_no_failure_rate() -> None:
    async def one_failed(window_s: float) -> Statistics:
        return Statistics(at=datetime.now(UTC), window_s=window_s, kinds=(KindStatistics(name="x", failed=1),))

    sample = await JobsSource(lambda: {}, statistics=one_failed).read()
    assert named(sample.figures, "failure_rate").text == "too few jobs"
    assert sample.watched["jobs.failure_rate"] is None
