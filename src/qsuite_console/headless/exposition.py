"""The engine's figures for Prometheus: everything from memory, so that a scrape waits for no server and no history.

The number of series is bounded: labels are kinds, queues, states, rules and figures, never a job, a symbol or a path.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from qsuite_console.engine.control import Control
from qsuite_console.engine.state import ConsoleState
from qsuite_console.headless.streams import Hub
from qsuite_console.headless.tally import MAX_NAMES, Histogram
from qsuite_console.model.health import Level, Reading
from qsuite_console.model.jobs import JobState
from qsuite_console.model.text import clean
from qsuite_console.model.traffic import RequestsView

PREFIX: Final = "qsuite_console_"
MAX_FIGURES: Final = 400
MAX_ALERTS: Final = 200
FRESH_S: Final = 1.0  # a scrape this soon after another gets the same answer
Labels = TypeVar("Labels", bound=tuple[str, ...])
_LEVELS: Final = {Level.OK: 0.0, Level.WARNING: 1.0, Level.CRITICAL: 2.0, Level.UNKNOWN: -1.0}


class Exposition:
    """One per served engine, used on its loop."""

    def __init__(self, control: Control, hub: Hub, requests: Callable[[], RequestsView]) -> None:
        self._control = control
        self._hub = hub
        self._requests = requests
        self._tally = hub.tally
        self._kept: dict[str, tuple[float, bytes]] = {}
        self._took_s = 0.0
        self._process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._process)
        GCCollector(registry=self._process)

    async def render(self, accept: str) -> tuple[bytes, str]:
        """Return (text, content type) in the format that ``accept`` asks for."""
        encode, media = choose_encoder(accept)
        now = asyncio.get_running_loop().time()
        kept = self._kept.get(media)
        if kept is None or now - kept[0] >= FRESH_S:
            self._tally.fold()
            began = time.perf_counter()
            kept = now, encode(_Ready([*self._families(), *self._process.collect()]))
            self._took_s = time.perf_counter() - began
            self._kept = {**dict(list(self._kept.items())[-8:]), media: kept}
        return kept[1], media

    def _families(self) -> Iterator[Metric]:
        state = self._control.state
        yield from _about(state)
        yield from _queues(state)
        yield from self._jobs(state)
        yield from _watched(state)
        yield from _burning(state)
        yield from _asked(self._requests())
        yield _gauge("streams", "readers of streams", {(): float(self._hub.readers)})
        yield _counter("streams_dropped", "readers let go because they did not keep up", {(): self._hub.dropped})
        yield _gauge("exposition_seconds", "what making the previous exposition took", {(): self._took_s})

    def _jobs(self, state: ConsoleState) -> Iterator[Metric]:
        tally = self._tally
        counts = {(str(name),): float(state.counts.get(name, 0)) for name in JobState}
        yield _gauge("jobs", "jobs in the history by state", counts, "state")
        submitted = {(kind,): count for kind, count in tally.submitted.items()}
        yield _counter("jobs_submitted", "jobs made since the engine started", submitted, "kind")
        yield _counter("jobs_ended", "jobs that came to an end", tally.ended, "kind", "state")
        retried = {(kind,): count for kind, count in tally.retried.items()}
        yield _counter("job_retries", "attempts that failed and will be repeated", retried, "kind")
        yield _histogram("job_run_seconds", "how long attempts ran", tally.run_s, "kind")
        yield _histogram("job_wait_seconds", "from when a job could start to when it did", tally.wait_s, "queue")
        yield _counter("events_missed", "events that went by uncounted", {(): tally.missed})


class _Ready:
    """What an encoder takes for a registry: families that are made already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return the families."""
        return self._families


def _about(state: ConsoleState) -> Iterator[Metric]:
    told = {"version": state.version, "target": clean(state.target.name, 100)}
    told["read_only"] = "true" if state.is_read_only else "false"
    yield InfoMetricFamily(PREFIX.rstrip("_"), "the engine that answers", told)
    if state.started_at is not None:
        yield _gauge("start_time_seconds", "when the engine began, Unix time", {(): state.started_at.timestamp()})
    yield _gauge(
        "trouble", "1 while the engine is degraded: its history refuses writes", {(): float(bool(state.trouble))}
    )


def _queues(state: ConsoleState) -> Iterator[Metric]:
    queues = sorted(state.queues, key=lambda queue: queue.name)[:MAX_NAMES]
    for name, text, field in (
        ("queue_slots", "jobs that may run at a time", "concurrency"),
        ("queue_running", "jobs that run", "running"),
        ("queue_waiting", "jobs that could run now", "queued"),
        ("queue_scheduled", "jobs that wait for their time", "scheduled"),
        ("queue_paused", "1 while an operator holds the queue", "is_paused"),
    ):
        yield _gauge(name, text, {(clean(queue.name, 100),): float(getattr(queue, field)) for queue in queues}, "queue")


def _watched(state: ConsoleState) -> Iterator[Metric]:
    readings = state.snapshot.readings
    levels = {(reading.source,): _LEVELS[reading.level] for reading in readings}
    yield _gauge("source_level", "0 ok, 1 warning, 2 critical, -1 not known", levels, "source")
    up = {(reading.source,): 0.0 if reading.error else 1.0 for reading in readings}
    yield _gauge("source_up", "1 where the newest sample is there", up, "source")
    sampled = {(r.source,): r.sampled_at.timestamp() for r in readings if r.sampled_at is not None}
    yield _gauge("source_sampled_time_seconds", "when it was last read, Unix time", sampled, "source")
    figures = {key: value for reading in readings for key, value in _figures(reading)}
    kept = dict(list(figures.items())[:MAX_FIGURES])
    yield _gauge("figure", "what the console watches, in the unit of its label", kept, "source", "figure", "unit")
    yield _gauge("figures_left_out", "figures beyond the limit of series", {(): float(len(figures) - len(kept))})
    scores = {(score.area,): score.value for score in state.snapshot.scores if score.value is not None}
    yield _gauge("score", "0 to 100", scores, "area")


def _figures(reading: Reading) -> Iterator[tuple[tuple[str, str, str], float]]:
    for figure in (reading.headline, *reading.figures):
        if figure.value is not None:
            yield (reading.source, clean(figure.name, 100), clean(figure.unit, 20)), figure.value


def _burning(state: ConsoleState) -> Iterator[Metric]:
    burning = [alert for alert in state.snapshot.alerts if alert.is_burning][:MAX_ALERTS]
    rows = {(clean(alert.id, 100), alert.source, str(alert.level)): 1.0 for alert in burning}
    yield _gauge("alert", "1 for each alert that burns", rows, "alert", "source", "level")
    loud = {(level,): float(sum(a.is_loud for a in burning if a.level == level)) for level in ("warning", "critical")}
    yield _gauge("alerts_loud", "alerts that burn and nobody has taken or silenced", loud, "level")


def _asked(requests: RequestsView) -> Iterator[Metric]:
    rows = {row.route: row for row in requests.routes}
    outcomes = {}
    for route, row in rows.items():
        outcomes[route, "refused"], outcomes[route, "failed"] = row.refused, row.failed
        outcomes[route, "answered"] = row.answered - row.refused - row.failed
    yield _counter("http_requests", "requests by route and what became of them", outcomes, "route", "outcome")
    spent = {(route,): row.total_ms / 1000 for route, row in rows.items()}
    yield _counter("http_seconds", "time that requests took", spent, "route")
    queries = {(route,): row.queries for route, row in rows.items()}
    yield _counter("http_database_queries", "queries that requests sent to PostgreSQL", queries, "route")
    slow = {(route,): row.slow + row.very_slow for route, row in rows.items()}
    yield _counter("http_slow_requests", "requests that took 2 s or longer", slow, "route")
    away = {(reason,): count for reason, count in requests.turned_away.items()}
    yield _counter("http_turned_away", "requests refused before any route", away, "reason")


def _gauge(name: str, text: str, rows: Mapping[Labels, float], *labels: str) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for values, value in rows.items():
        family.add_metric(values, value)
    return family


def _counter(name: str, text: str, rows: Mapping[Labels, float], *labels: str) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for values, value in rows.items():
        family.add_metric(values, float(value))
    return family


def _histogram(name: str, text: str, rows: Mapping[str, Histogram], label: str) -> Metric:
    family = HistogramMetricFamily(PREFIX + name, text, labels=[label])
    for value, histogram in rows.items():
        family.add_metric([clean(value, 100)], histogram.cumulative(), histogram.total_s)
    return family
