"""The demo platform: what its readings, alerts, jobs, attempts and logs look like."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from qsuite_console.model.health import Alert, AlertState, Figure, Level, Reading
from qsuite_console.model.jobs import (
    TERMINAL,
    Job,
    JobState,
    Progress,
    QueueView,
)

NOW = datetime(2026, 11, 20, 14, 32, 7, tzinfo=UTC)


def wave(base: float, swing: float, phase: float, n: int = 240) -> tuple[float, ...]:
    """A believable series: slow and fast waves and a deterministic jitter."""
    return tuple(
        base
        + swing * math.sin(i / 23 + phase)
        + swing * 0.4 * math.sin(i / 5.3 + 2 * phase)
        + swing * 0.25 * math.sin(i * 12.9898 + phase * 78.233)
        for i in range(n)
    )


def _figure(
    name: str, label: str, text: str, value: float, unit: str = "", level: Level = Level.OK, limit: str = ""
) -> Figure:
    return Figure(name=name, label=label, text=text, value=value, unit=unit, level=level, limit=limit)


def _postgresql(at: datetime) -> Reading:
    return Reading(
        source="postgresql",
        title="PostgreSQL",
        level=Level.OK,
        headline=_figure("connections", "connections", "34 / 100", 34, "", limit="warn 80, critical 95"),
        figures=(
            _figure("tps", "transactions", "412 /s", 412, "/s"),
            _figure("hit", "cache hit", "99.2 %", 99.2, "%", limit="warn 95 %"),
            _figure("latency", "round trip", "0.8 ms", 0.8, "ms", limit="warn 2 s, critical 5 s"),
            _figure("long", "long queries", "1", 1, "", limit="warn 5"),
            _figure("locks", "lock waits", "0", 0),
            _figure("size", "size", "18.4 GiB", 18.4, "GiB"),
        ),
        history=wave(34, 6, 0.4),
        interval_s=2.0,
        sampled_at=at - timedelta(seconds=1),
    )


def _redis(at: datetime) -> Reading:
    return Reading(
        source="redis",
        title="Redis",
        level=Level.OK,
        headline=_figure("hit", "hit rate", "97.4 %", 97.4, "%", limit="warn 80 %"),
        figures=(
            _figure("ops", "operations", "2.1k /s", 2100, "/s"),
            _figure("memory", "memory", "1.2 / 4 GiB", 1.2, "GiB", limit="warn 75 %, critical 90 %"),
            _figure("clients", "clients", "18", 18),
            _figure("keys", "keys", "48,210", 48210),
            _figure("evicted", "evicted", "0 /s", 0, "/s"),
        ),
        history=wave(96, 2.4, 1.7),
        interval_s=2.0,
        sampled_at=at - timedelta(seconds=1),
    )


def _host(at: datetime) -> Reading:
    return Reading(
        source="host",
        title="Host",
        level=Level.WARNING,
        headline=_figure("memory", "memory", "78 %", 78, "%", Level.WARNING, "warn 75 %, critical 90 %"),
        figures=(
            _figure("cpu", "CPU", "41 %", 41, "%", limit="warn 80 %"),
            _figure("memory_used", "memory used", "12.5 / 16 GiB", 12.5, "GiB", Level.WARNING, "warn 75 %"),
            _figure("disk", "disk /", "63 %", 63, "%", limit="warn 85 %, critical 95 %"),
            _figure("load", "load", "1.8  1.6  1.2", 1.8),
            _figure("network", "network", "3.2 MiB/s", 3.2, "MiB/s"),
        ),
        history=wave(72, 5, 2.9),
        interval_s=2.0,
        sampled_at=at - timedelta(seconds=1),
    )


def _jobs(at: datetime) -> Reading:
    return Reading(
        source="jobs",
        title="Jobs",
        level=Level.OK,
        headline=_figure("running", "running", "3 / 18 slots", 3, "", limit="queue: warn 100, critical 500"),
        figures=(
            _figure("queued", "queued", "12", 12, "", limit="warn 100, critical 500"),
            _figure("failed", "failed, last hour", "2 of 96", 2, "", limit="warn 5 %"),
            _figure("wait", "wait p95", "0.2 s", 0.2, "s"),
            _figure("done", "done, last hour", "94", 94),
        ),
        history=tuple(float(round(v)) for v in wave(3, 1.6, 0.9)),
        interval_s=2.0,
        sampled_at=at - timedelta(seconds=1),
    )


def readings(at: datetime = NOW) -> tuple[Reading, ...]:
    """The four tiles of a platform that works, with a host short of memory."""
    return (_postgresql(at), _redis(at), _host(at), _jobs(at))


def alerts(at: datetime = NOW) -> tuple[Alert, ...]:
    return (
        Alert(
            id="host.memory",
            source="host",
            level=Level.WARNING,
            state=AlertState.FIRING,
            message="memory 78 % has been above 75 % for 6 min",
            since=at - timedelta(minutes=6),
        ),
        Alert(
            id="postgresql.long_queries",
            source="postgresql",
            level=Level.WARNING,
            state=AlertState.CLEARED,
            message="7 queries ran longer than 30 s",
            since=at - timedelta(minutes=52),
            cleared_at=at - timedelta(minutes=47),
        ),
    )


def job(job_id: int, title: str, state: JobState, *, at: datetime = NOW, ago_s: float = 60.0, **more: Any) -> Job:
    """One job; ``ago_s`` is when it was created."""
    created = at - timedelta(seconds=ago_s)
    kind = more.pop("kind", title.split(" ")[0])
    started = created + timedelta(seconds=0.2) if state not in (JobState.QUEUED, JobState.SCHEDULED) else None
    values: dict[str, Any] = {
        "queue": "data_processing",
        "priority": 5,
        "parameters": {"symbols": "AAPL,MSFT", "timeframe": "1Day", "start": "2024-01-02", "end": "2024-12-31"},
        "created_at": created,
        "run_at": created,
        "started_at": started,
        "finished_at": created + timedelta(seconds=ago_s / 2) if state in TERMINAL else None,
        "attempt": 0 if started is None else 1,
        "tries": 0 if started is None else 1,
        "correlation_id": f"c-{job_id:06d}",
        "origin": "console",
    }
    values.update(more)
    return Job(id=job_id, kind=kind, title=title, state=state, **values)


def _backfill_figures(
    rows_per_s: float, requests: int, total: int, symbols: int, of: int, months: str
) -> dict[str, float | str]:
    return {
        "requests": requests,
        "requests_total": total,
        "rows": rows_per_s * 100,
        "rows_per_s": rows_per_s,
        "symbols_done": symbols,
        "symbols_total": of,
        "http_429": 0,
        "rate_limit": 200,
        "rate_remaining": 36,
        "rate_reset_s": 22,
        "retries": 1,
        "quarantined": 3,
        "bytes": 48_211_004,
        "phase": "fetch",
        "months_running": months,
    }


def running_jobs(at: datetime = NOW) -> tuple[Job, ...]:
    def progress(fraction: float, total: float, rate: float, message: str, **figures: Any) -> Progress:
        done = fraction * total
        return Progress(
            fraction=fraction,
            done=done,
            total=total,
            unit="rows",
            message=message,
            rate=rate,
            eta_s=(total - done) / rate,
            figures=figures,
            updated_at=at,
        )

    return (
        job(
            412,
            "backfill AAPL, MSFT, NVDA +197 1Min 2024",
            JobState.RUNNING,
            at=at,
            ago_s=744,
            progress=progress(
                0.62,
                19_500_000,
                31_240,
                "2024-08 AAPL..QZZZ",
                **_backfill_figures(31_240, 1209, 1950, 124, 200, "AAPL..QZZZ"),
            ),
        ),
        job(
            415,
            "backfill all 1Day 2015–2025",
            JobState.RUNNING,
            at=at,
            ago_s=301,
            progress=progress(
                0.31,
                1_385_000,
                8_912,
                "2018-03 AAPL..MSTR",
                **_backfill_figures(8_912, 43, 139, 155, 500, "AAPL..MSTR"),
            ),
        ),
        job(
            418,
            "backfill TSLA 5Min 2025 → price_ticks",
            JobState.RUNNING,
            at=at,
            ago_s=95,
            attempt=2,
            tries=2,
            progress=progress(0.94, 19_656, 1_204, "verifying", **_backfill_figures(1_204, 2, 2, 0, 1, "TSLA")),
        ),
    )


_SYMBOLS = ("AAPL", "MSFT", "NVDA", "TSLA", "AMZN", "GOOG", "META", "AMD", "INTC", "NFLX", "JPM", "XOM")
_FRAMES = ("1Min", "5Min", "1Hour", "1Day")
_ERRORS = (
    "database does not answer: connection refused (db-1:5432/qsuite)",
    "the provider refused the key: 403 forbidden",
    "soft time limit of 1680 s reached; 61 % was saved",
)


def history_jobs(number: int = 400, at: datetime = NOW) -> tuple[Job, ...]:
    """``number`` older jobs with ids 1..number: mostly succeeded, some failed, cancelled, paused, waiting."""
    made = []
    for job_id in range(1, number + 1):
        age = (number - job_id + 3) * 471.0
        title = f"backfill {_SYMBOLS[job_id % 12]} {_FRAMES[job_id % 4]} {2015 + job_id % 11}"
        state, more = JobState.SUCCEEDED, {}
        if job_id % 31 == 0:
            state, more = JobState.FAILED, {"error": _ERRORS[job_id // 31 % 3], "attempt": 4}
        elif job_id % 57 == 0:
            state = JobState.CANCELLED
        progress = Progress(
            fraction=1.0 if state is JobState.SUCCEEDED else 0.61,
            done=98_280.0 * (job_id % 7 + 1),
            unit="rows",
            total=98_280.0 * (job_id % 7 + 1),
            rate=24_100.0 + 700 * (job_id % 9),
        )
        more = {
            "progress": progress,
            "finished_at": at - timedelta(seconds=age - 12 - job_id % 190),
            "attempt": 1,
            **more,
        }
        made.append(
            job(
                job_id,
                title,
                state,
                at=at,
                ago_s=age,
                origin=("console", "cli", "schedule:nightly")[job_id % 3],
                **more,
            )
        )
    return tuple(made)


def waiting_jobs(at: datetime = NOW) -> tuple[Job, ...]:
    retry = job(
        410,
        "backfill NVDA 1Min 2019",
        JobState.SCHEDULED,
        at=at,
        ago_s=812,
        attempt=2,
        tries=2,
        error="429 too many requests",
        reason="retry in 12 s",
        progress=Progress(fraction=0.08, done=7900, total=98_280, unit="rows"),
    )
    retry = msgspec.structs.replace(retry, run_at=at + timedelta(seconds=12), started_at=at - timedelta(seconds=60))
    return (
        retry,
        job(
            411,
            "backfill AMZN, GOOG 1Hour 2020",
            JobState.PAUSED,
            at=at,
            ago_s=790,
            progress=Progress(fraction=0.47, done=2310, total=4914, unit="rows"),
            reason="paused by root",
        ),
        *(
            job(n, f"backfill {_SYMBOLS[n % 12]} 1Day {2005 + n % 20}", JobState.QUEUED, at=at, ago_s=(431 - n) * 11.0)
            for n in (413, 414, 416, 417, *range(419, 427))
        ),
    )


QUEUES = (
    QueueView(name="execution", concurrency=4),
    QueueView(name="ai", concurrency=2),
    QueueView(name="data_processing", concurrency=3, running=3, queued=12, scheduled=1),
    QueueView(name="analytics", concurrency=2),
    QueueView(name="generation", concurrency=2),
    QueueView(name="general", concurrency=4),
    QueueView(name="maintenance", concurrency=1),
)
