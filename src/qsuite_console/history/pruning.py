"""Forgetting in small steps: at most a thousand rows a transaction, so that no job ever waits long behind it."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from qsuite_console.config.settings import EngineSettings
from qsuite_console.history import alerts, deliveries, schedule_rows
from qsuite_console.history.figures import KEPT_S
from qsuite_console.history.rows import stamp
from qsuite_console.history.telemetry import Telemetry
from qsuite_console.history.writer import Transaction, Writer
from qsuite_console.model.runs import Prunable

STEP: Final = 1000
_MICROSECOND: Final = timedelta(microseconds=1)
ROUTINE_KEPT: Final = timedelta(days=2)  # jobs of schedules that succeeded; longer while their run is listed
AUDIT_LIMIT: Final = 200_000
_FREED_PAGES: Final = 256  # given back to the file system a step: a megabyte


async def prune(writer: Writer, telemetry: Telemetry, settings: EngineSettings, now: datetime) -> int:
    """Drop expired results, old jobs, jobs beyond the count, old figures and audit rows; returns how many jobs went."""
    at = stamp(now)
    while await writer.run(lambda t: _drop_results(t, at), is_essential=True) == STEP:
        continue
    oldest = stamp(now - timedelta(days=settings.history_max_age_days))
    routine = stamp(now - ROUTINE_KEPT)
    gone = 0
    await writer.run(lambda t: schedule_rows.drop_runs(t, routine), is_essential=True)
    while True:
        ids = await writer.run(lambda t: schedule_rows.drop_routine(t, routine, STEP), is_essential=True)
        telemetry.forget(ids)
        gone += len(ids)
        if len(ids) < STEP:
            break
    while True:
        ids = await writer.run(lambda t: _drop_jobs(t, oldest, settings.history_max_jobs), is_essential=True)
        telemetry.forget(ids)
        gone += len(ids)
        if len(ids) < STEP:
            break
    for span, kept_s in KEPT_S.items():
        before = at // 1_000_000 - kept_s
        while await writer.run(partial(_drop_figures, span=span, before=before), is_essential=True) == STEP:
            continue
    while await writer.run(_drop_audit, is_essential=True) == STEP:
        continue
    await writer.run(lambda t: alerts.drop(t, at), is_essential=True)
    while await writer.run(lambda t: deliveries.drop(t, at), is_essential=True) == STEP:
        continue
    while await writer.run(_shrink, is_essential=True):
        continue
    return gone


def prunable(connection: sqlite3.Connection, settings: EngineSettings, now: datetime) -> Prunable:
    """Return what ``prune`` would drop now; only reads."""
    at, oldest = stamp(now), stamp(now - timedelta(days=settings.history_max_age_days))
    results, size = connection.execute(
        "SELECT count(*), coalesce(sum(length(result)), 0) FROM results WHERE expires_at <= ?", (at,)
    ).fetchone()
    (old,) = connection.execute(
        "SELECT count(*) FROM jobs WHERE finished_at IS NOT NULL AND finished_at < ?", (oldest,)
    ).fetchone()
    figures = sum(
        connection.execute(
            "SELECT count(*) FROM figures WHERE span = ? AND start < ?", (span, at // 1_000_000 - kept_s)
        ).fetchone()[0]
        for span, kept_s in KEPT_S.items()
    )
    (audit,) = connection.execute(
        "SELECT count(*) FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?", (AUDIT_LIMIT,)
    ).fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    return Prunable(
        results=results,
        result_bytes=size,
        jobs=max(
            old,
            _surplus(connection, settings.history_max_jobs),
            schedule_rows.routine(connection, at - ROUTINE_KEPT // _MICROSECOND),
        ),  # both count from the oldest
        figures=figures,
        audit=audit,
        alerts=alerts.droppable(connection, at),
        free_bytes=free * page_size if free >= _FREED_PAGES else 0,
    )


def _surplus(connection: sqlite3.Connection, kept: int) -> int:
    (total,) = connection.execute(
        "SELECT coalesce(sum(jobs), 0) FROM counters WHERE state IN ('succeeded', 'failed', 'cancelled')"
    ).fetchone()
    return max(0, int(total) - kept)


def _drop_results(transaction: Transaction, at: int) -> int:
    return transaction.connection.execute(
        "DELETE FROM results WHERE job_id IN (SELECT job_id FROM results WHERE expires_at <= ? LIMIT ?)", (at, STEP)
    ).rowcount


def _drop_jobs(transaction: Transaction, oldest: int, kept: int) -> list[int]:
    connection = transaction.connection
    surplus = min(STEP, _surplus(connection, kept))
    rows = connection.execute(
        "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE finished_at IS NOT NULL ORDER BY finished_at LIMIT ?)"
        " OR id IN (SELECT id FROM jobs WHERE finished_at IS NOT NULL AND finished_at < ? ORDER BY finished_at LIMIT ?)"
        " RETURNING id",
        (surplus, oldest, STEP),
    ).fetchall()
    return [row[0] for row in rows]


def _drop_figures(transaction: Transaction, span: int, before: int) -> int:
    return transaction.connection.execute(
        "DELETE FROM figures WHERE (span, start, scope, name, measure, bucket) IN"
        " (SELECT span, start, scope, name, measure, bucket FROM figures WHERE span = ? AND start < ? LIMIT ?)",
        (span, before, STEP),
    ).rowcount


def _drop_audit(transaction: Transaction) -> int:
    return transaction.connection.execute(
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?"
        " ORDER BY id LIMIT ?)",
        (AUDIT_LIMIT, STEP),
    ).rowcount


def _shrink(transaction: Transaction) -> bool:
    (free,) = transaction.connection.execute("PRAGMA freelist_count").fetchone()
    if free < _FREED_PAGES:
        return False
    transaction.connection.execute(f"PRAGMA incremental_vacuum({_FREED_PAGES})").fetchall()
    return True
