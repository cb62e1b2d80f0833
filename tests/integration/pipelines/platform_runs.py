"""A platform of 300 pipelines with the runs of 30 days, the same rows in Python, and services that read it."""

from __future__ import annotations

import os
import statistics
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from fakes.backfill import open_services
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings, Settings, TableSettings
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.pipelines import RunStatistics
from qsuite_console.workers import Services

PIPELINES = 300
RUNS = 300_000 if os.environ.get("QSUITE_FULL") else 60_000
NOW = datetime.now(UTC).replace(microsecond=0)
MONTH_S = 30 * 86_400.0
# Runs of 30 days, in no order of their pipelines; every 50th shares its instant with the one before; the newest run.
FILL = f"""
INSERT INTO pipelines (name, status)
SELECT 'pipe-' || lpad(i::text, 3, '0') || CASE WHEN i = 7 THEN '_100%' ELSE '' END,
       CASE WHEN i % 17 = 0 THEN 'paused' ELSE 'active' END
  FROM generate_series(1, {PIPELINES}) i;
INSERT INTO pipeline_runs (pipeline_id, status, created_at, started_at, completed_at, error_message)
SELECT 1 + (i::bigint * 7919) % {PIPELINES - 1}, state, at, CASE WHEN state <> 'pending' THEN at + interval '2 s' END,
       CASE WHEN state IN ('success', 'failed', 'cancelled')
            THEN at + interval '2 s' + (1 + i % 97 * 3.25) * interval '1 s' END,
       CASE WHEN state = 'failed' THEN 'source timed out' END
  FROM (SELECT i, $1::timestamptz - ({RUNS} - i + CASE WHEN i % 50 = 0 THEN 1 ELSE 0 END)
                  * interval '30 days' / {RUNS} AS at,
               CASE WHEN i > {RUNS} - 40 THEN CASE WHEN i % 4 = 0 THEN 'pending' ELSE 'running' END
                    WHEN i % 20 = 3 THEN 'failed' WHEN i % 61 = 5 THEN 'cancelled'
                    WHEN i = {RUNS // 2} THEN 'running' ELSE 'success' END AS state
          FROM generate_series(1, {RUNS}) i) s;
INSERT INTO task_runs (pipeline_run_id, task_name, status, started_at, completed_at, rows_processed)
SELECT r.id, t.name, CASE WHEN r.status = 'failed' AND t.n = 4 THEN 'failed' WHEN r.status = 'failed' AND t.n = 5
                          THEN 'skipped' ELSE 'success' END,
       r.started_at + (t.n - 1) * interval '1 s', r.started_at + t.n * interval '1 s', r.id * t.n
  FROM pipeline_runs r, unnest(ARRAY['extract', 'clean', 'transform', 'load', 'notify']) WITH ORDINALITY AS t (name, n)
 WHERE r.id % 50 = 0 OR r.status = 'failed' AND r.id % 3 = 0;
ANALYZE pipelines; ANALYZE pipeline_runs; ANALYZE task_runs
"""


@dataclass
class Platform:
    dsn: str
    runs: list[dict[str, Any]]
    names: dict[int, str]


async def execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    for each in statements:
        await connection.execute(each)
    await connection.close()


class StillClock(SystemClock):
    """All questions are asked at one instant."""

    def now(self) -> datetime:
        return NOW


@asynccontextmanager
async def services(dsn: str, *, pgbouncer: bool = False, **tables: str) -> AsyncIterator[Services]:
    database = DatabaseSettings(dsn=Secret(dsn), pool_min=0, pgbouncer=pgbouncer)
    settings = Settings(database=database, tables=TableSettings(**tables))
    async with open_services(settings, StillClock()) as found:
        yield found


def took(row: Mapping[str, Any]) -> float:
    return float((row["completed_at"] - row["started_at"]).total_seconds())


def percentile(values: list[float], share: float) -> float:
    """As percentile_cont defines it."""
    ordered, at = sorted(values), share * (len(values) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def counted(rows: list[dict[str, Any]]) -> RunStatistics:
    times = [took(row) for row in rows if row["status"] == "success"]
    return RunStatistics(
        total=len(rows),
        **{name: sum(row["status"] == name for row in rows)
           for name in ("pending", "running", "success", "failed", "cancelled")},
        mean_s=pytest.approx(statistics.fmean(times)) if times else None,
        p50_s=pytest.approx(percentile(times, 0.5)) if times else None,
        p95_s=pytest.approx(percentile(times, 0.95)) if times else None,
    )  # fmt: skip


def since(platform: Platform, window_s: float, **wanted: Any) -> list[dict[str, Any]]:
    start = NOW - timedelta(seconds=window_s)
    return [row for row in platform.runs if row["created_at"] >= start and all(row[k] == v for k, v in wanted.items())]
