from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from qsuite_console.metrics.from_jobs import JobsSource
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.health import Figure, Level
from qsuite_console.model.jobs import Job, JobState, KindStatistics, Progress, QueueView, Statistics

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


def backfill(requests: float, limited: float = 0, retries: float = 0, *, ended_ago_s: float | None = None) -> Job:
    clock = SystemClock()
    figures = {"phase": "fetch", "requests": requests, "http_429": limited, "retries": retries}
    return Job(
        id=1, kind="backfill", title="backfill", queue="q", priority=5, state=JobState.RUNNING, parameters={},
        created_at=clock.now(), run_at=clock.now(), correlation_id="c", progress=Progress(figures=figures),
        finished_at=None if ended_ago_s is None else clock.now() - timedelta(seconds=ended_ago_s),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("jobs", "success", "limited"),
    [
        ((backfill(200),), 100.0, 0.0),
        ((backfill(100, limited=4, retries=6),), 90.0, 4.0),
        ((backfill(100, limited=10), backfill(100, ended_ago_s=60)), 95.0, 5.0),
        ((backfill(100, limited=10), backfill(1000, ended_ago_s=7200)), 90.0, 10.0),
        ((backfill(10),), None, None),
        ((), None, None),
    ],
)
async def test_backfills_of_the_last_hour_are_judged_by_their_requests(
    jobs: tuple[Job, ...], success: float | None, limited: float | None
) -> None:
    sample = await JobsSource(lambda: COUNTS, backfills=lambda: jobs).read()
    assert (sample.watched["jobs.backfill_success"], sample.watched["jobs.backfill_limited"]) == (success, limited)
    names = {figure.name for figure in sample.figures}
    assert ("backfill_success" in names) is (success is not None)
