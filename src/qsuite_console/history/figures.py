"""Durations and counts kept as histograms per minute, hour and day, so that percentiles over any window cost the same
however long the history is. Buckets are a quarter octave wide: a percentile is exact to about 9 %.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Final

from qsuite_console.model.jobs import KindStatistics

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400
SPANS: Final = (MINUTE, HOUR, DAY)
KEPT_S: Final[Mapping[int, int]] = {MINUTE: 2 * DAY, HOUR: 60 * DAY, DAY: 3650 * DAY}
_PER_OCTAVE: Final = 4

Key = tuple[int, str, str, str, int]  # minute, scope, name, measure, bucket


def bucket_of(microseconds: int) -> int:
    """Return the bucket of a duration; 0 holds everything below a microsecond."""
    return 0 if microseconds < 1 else 1 + int(math.log2(microseconds) * _PER_OCTAVE)


def seconds_of(bucket: int) -> float:
    """Return the geometric middle of a bucket, in seconds."""
    return 0.0 if bucket == 0 else 2.0 ** ((bucket - 0.5) / _PER_OCTAVE) / 1e6


def percentile(buckets: Mapping[int, float], share: float) -> float | None:
    """Return the duration below which ``share`` (0..1) of the histogram lies, in seconds; None where it is empty."""
    total = sum(buckets.values())
    if total <= 0:
        return None
    rank, seen = share * total, 0.0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= rank:
            return seconds_of(bucket)
    return seconds_of(max(buckets))


def span_for(window_s: float) -> int:
    """Return the finest resolution that keeps a window's cost bounded: at most a few hundred cells a series."""
    if window_s <= 6 * HOUR:
        return MINUTE
    return HOUR if window_s <= 14 * DAY else DAY


class Figures:
    """Collects the figures of one transaction, so that a batch of endings writes each cell once."""

    def __init__(self) -> None:
        self._cells: dict[Key, float] = {}

    def ended(self, at: int, kind: str, queue: str, outcome: str) -> None:
        """Count one outcome at a stamp."""
        self._both(at, kind, queue, outcome, 0, 1.0)

    def ran(self, at: int, kind: str, queue: str, wait_us: int, run_us: int) -> None:
        """Count one attempt's wait and run time, in microseconds, at the stamp of its end."""
        self._both(at, kind, queue, "wait", bucket_of(wait_us), 1.0)
        self._both(at, kind, queue, "run", bucket_of(run_us), 1.0)

    def busy(self, started: int, finished: int) -> None:
        """Spread the slot time of one attempt over the minutes it covered."""
        begin, end = started / 1e6, finished / 1e6
        start = int(begin // MINUTE) * MINUTE
        while start <= end:
            self._add((start, "engine", "", "busy", 0), max(0.0, min(end, start + MINUTE) - max(begin, start)))
            start += MINUTE

    def write(self, connection: sqlite3.Connection) -> None:
        """Add what was collected to the stored minutes, hours and days, within the open transaction."""
        if not self._cells:
            return
        stored: dict[tuple[int, int, str, str, str, int], float] = {}
        for (minute, scope, name, measure, bucket), amount in self._cells.items():
            for span in SPANS:
                key = (span, minute - minute % span, scope, name, measure, bucket)
                stored[key] = stored.get(key, 0.0) + amount
        connection.executemany(
            "INSERT INTO figures VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
            [(*key, amount) for key, amount in stored.items()],
        )
        self._cells.clear()

    def _both(self, at: int, kind: str, queue: str, measure: str, bucket: int, amount: float) -> None:
        second = at // 1_000_000
        minute = second - second % MINUTE
        self._add((minute, "kind", kind, measure, bucket), amount)
        self._add((minute, "queue", queue, measure, bucket), amount)

    def _add(self, key: Key, amount: float) -> None:
        self._cells[key] = self._cells.get(key, 0.0) + amount


def summarise(rows: Iterable[tuple[str, str, str, int, float]]) -> dict[str, tuple[KindStatistics, ...]]:
    """Return scope -> figures from rows (scope, name, measure, bucket, amount)."""
    measures: dict[tuple[str, str], dict[str, dict[int, float]]] = {}
    for scope, name, measure, bucket, amount in rows:
        measures.setdefault((scope, name), {}).setdefault(measure, {})[bucket] = amount
    summary: dict[str, list[KindStatistics]] = {}
    for (scope, name), found in sorted(measures.items()):
        summary.setdefault(scope, []).append(_statistics(name, found))
    return {scope: tuple(statistics) for scope, statistics in summary.items()}


def _statistics(name: str, found: Mapping[str, Mapping[int, float]]) -> KindStatistics:
    def count(outcome: str) -> int:
        return round(sum(found.get(outcome, {}).values()))

    wait, run = found.get("wait", {}), found.get("run", {})
    return KindStatistics(
        name=name,
        succeeded=count("succeeded"),
        failed=count("failed"),
        retried=count("retried"),
        cancelled=count("cancelled"),
        wait_p50=percentile(wait, 0.5),
        wait_p95=percentile(wait, 0.95),
        wait_p99=percentile(wait, 0.99),
        run_p50=percentile(run, 0.5),
        run_p95=percentile(run, 0.95),
        run_p99=percentile(run, 0.99),
    )
