"""The read queries. Each costs the same however long the history is: counters instead of counting, keyset pages on an
index, searches that look at a bounded stretch of ids and say where to go on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from qsuite_console.history.figures import span_for, summarise
from qsuite_console.history.rows import (
    ATTEMPT_COLUMNS,
    COLUMNS,
    Row,
    attempt_of,
    job_of,
    log_of,
    moment,
    rows_of,
    stamp,
    unpack,
)
from qsuite_console.history.schema import ROUTINE
from qsuite_console.model.errors import NotFound
from qsuite_console.model.jobs import (
    Attempt,
    Job,
    JobDetail,
    JobPage,
    JobQuery,
    JobState,
    LogLine,
    RatePoint,
    Statistics,
)

SEARCHED: Final = 20_000  # jobs looked at by one text search
LIMIT: Final = 1000
_NEWEST: Final = (1 << 63) - 1


def page(connection: sqlite3.Connection, query: JobQuery) -> JobPage:
    """Return one page, newest first."""
    limit = max(1, min(query.limit, LIMIT))
    before = _NEWEST if query.before is None else query.before
    notable = "" if query.routine else f" AND NOT ({ROUTINE})"
    if query.text or query.queues or query.origin or (query.states and query.kinds):
        return _search(connection, query, before, limit)
    column = "state" if query.states else "kind"
    wanted = tuple(dict.fromkeys(str(value) for value in query.states or query.kinds))
    if wanted:
        jobs = _union(connection, f"{column} = ? AND id < ?{notable}", wanted, before, limit + 1)
    else:
        rows = _newest(connection, f"FROM jobs WHERE id < ?{notable} ORDER BY id DESC LIMIT ?", (before, limit + 1))
        jobs = [job_of(row) for row in rows]
    is_more = len(jobs) > limit
    jobs = jobs[:limit]
    return JobPage(jobs=tuple(jobs), next_before=jobs[-1].id if is_more else None)


def _union(connection: sqlite3.Connection, which: str, wanted: Sequence[str], before: int, limit: int) -> list[Job]:
    """Take the newest of each wanted state or kind from its index and merge: nothing is scanned beyond the page."""
    rows: list[Row] = []
    for value in wanted:
        rows += _newest(connection, f"FROM jobs WHERE {which} ORDER BY id DESC LIMIT ?", (value, before, limit))
    rows.sort(key=lambda row: -int(row[0]))
    return [job_of(row) for row in rows[:limit]]


def _search(connection: sqlite3.Connection, query: JobQuery, before: int, limit: int) -> JobPage:
    conditions, values = [] if query.routine else [f"NOT ({ROUTINE})"], list[object]([before, SEARCHED])
    for column, wanted in (("state", query.states), ("kind", query.kinds), ("queue", query.queues)):
        if wanted:
            conditions.append(f"{column} IN ({', '.join('?' * len(wanted))})")
            values.extend(str(value) for value in wanted)
    if query.origin:
        conditions.append("origin = ?")
        values.append(query.origin)
    if query.text:
        pattern = "%" + query.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        fields = ("title", "kind", "error", "parameters")
        conditions.append("(" + " OR ".join(f"{field} LIKE ? ESCAPE '\\'" for field in fields) + ")")
        values.extend([pattern] * len(fields))
    stretch = f"SELECT {COLUMNS} FROM jobs WHERE id < ? ORDER BY id DESC LIMIT ?"
    which = f"FROM ({stretch}) WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?"
    rows = _newest(connection, which, (*values, limit + 1))
    jobs = [job_of(row) for row in rows[:limit]]
    if len(rows) > limit:
        return JobPage(jobs=tuple(jobs), next_before=jobs[-1].id)
    last = connection.execute(
        "SELECT id FROM jobs WHERE id < ? ORDER BY id DESC LIMIT 1 OFFSET ?", (before, SEARCHED - 1)
    ).fetchone()
    return JobPage(jobs=tuple(jobs), next_before=None if last is None else last[0])


def _newest(connection: sqlite3.Connection, which: str, values: Sequence[object]) -> list[Row]:
    """Return rows of COLUMNS, newest first, in one step.

    SQLite lets go of the interpreter for every row it steps to, and a busy thread keeps it for a millisecond each time:
    200 rows one by one take ten times as long while a backfill runs.
    """
    listed = f"SELECT json_group_array(json_array({COLUMNS})) FROM (SELECT {COLUMNS} {which})"
    rows = rows_of(connection.execute(listed, values).fetchone()[0])
    rows.sort(key=lambda row: -int(row[0]))
    return rows


def job(connection: sqlite3.Connection, job_id: int) -> Job:
    """Return one job; raises NotFound."""
    row = connection.execute(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise NotFound(f"there is no job {job_id}", hint="`jobs list` shows what there is")
    return job_of(row)


def detail(connection: sqlite3.Connection, job_id: int) -> JobDetail:
    """Return one job with attempts, result and checkpoint; logs and throughput are the telemetry's."""
    found = job(connection, job_id)
    result = connection.execute("SELECT result FROM results WHERE job_id = ?", (job_id,)).fetchone()
    checkpoint = connection.execute("SELECT checkpoint FROM checkpoints WHERE job_id = ?", (job_id,)).fetchone()
    return JobDetail(
        job=found,
        attempts=tuple(attempts(connection, job_id)),
        result=None if result is None else unpack(result[0]),
        checkpoint=None if checkpoint is None else unpack(checkpoint[0]),
    )


def attempts(connection: sqlite3.Connection, job_id: int) -> Sequence[Attempt]:
    """Return the attempts, oldest first; the running one is read from its job."""
    rows = connection.execute(
        f"SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE job_id = ?1 UNION ALL"
        " SELECT id, attempt, started_at, NULL, NULL, NULL, wait_us, NULL, NULL, NULL, owner FROM jobs"
        " WHERE id = ?1 AND state = 'running' ORDER BY 2",
        (job_id,),
    ).fetchall()
    return [attempt_of(row) for row in rows]


def counts(connection: sqlite3.Connection) -> Mapping[str, int]:
    """Return jobs per state from the counters, states without a job included."""
    rows = connection.execute("SELECT state, sum(jobs) FROM counters GROUP BY state").fetchall()
    return {state.value: 0 for state in JobState} | dict(rows)


def queue_depths(connection: sqlite3.Connection) -> Mapping[str, tuple[int, int]]:
    """Return queue -> (queued incl. interrupted, scheduled)."""
    depths: dict[str, tuple[int, int]] = {}
    for queue, state, number in connection.execute("SELECT queue, state, jobs FROM counters").fetchall():
        queued, scheduled = depths.get(queue, (0, 0))
        if state in (JobState.QUEUED, JobState.INTERRUPTED):
            queued += number
        elif state == JobState.SCHEDULED:
            scheduled += number
        depths[queue] = (queued, scheduled)
    return depths


def queue_settings(connection: sqlite3.Connection) -> Mapping[str, tuple[int, bool]]:
    """Return queue -> (concurrency, is_paused)."""
    rows = connection.execute("SELECT name, concurrency, is_paused FROM queues").fetchall()
    return {name: (concurrency, bool(is_paused)) for name, concurrency, is_paused in rows}


def statistics(connection: sqlite3.Connection, window_s: float, now: datetime, slots: Mapping[str, int]) -> Statistics:
    """Return outcomes, percentiles and slot utilisation; the window begins at the next coarser cell's start."""
    span = span_for(window_s)
    at = stamp(now)
    start = int((at / 1e6 - window_s) // span) * span
    rows = connection.execute(
        "SELECT scope, name, measure, bucket, sum(amount) FROM figures WHERE span = ? AND start >= ?"
        " GROUP BY scope, name, measure, bucket",
        (span, start),
    ).fetchall()
    busy = sum(amount for scope, _, measure, _, amount in rows if (scope, measure) == ("engine", "busy"))
    running = connection.execute("SELECT started_at FROM jobs WHERE state = 'running'").fetchall()
    busy += sum((at - max(started, start * 1_000_000)) / 1e6 for (started,) in running)
    changed = {name: concurrency for name, (concurrency, _) in queue_settings(connection).items()}
    available = sum({**slots, **changed}.values()) * (at / 1e6 - start)
    summary = summarise(row for row in rows if row[0] != "engine")
    return Statistics(
        at=now,
        window_s=window_s,
        kinds=summary.get("kind", ()),
        queues=summary.get("queue", ()),
        utilisation=min(1.0, max(0.0, busy / available)) if available > 0 else None,
    )


def progress_text(connection: sqlite3.Connection, job_id: int) -> str | None:
    """Return the newest progress as stored."""
    row = connection.execute("SELECT progress FROM progress WHERE job_id = ?", (job_id,)).fetchone()
    return None if row is None else row[0]


def newest_logs(connection: sqlite3.Connection, job_id: int, limit: int) -> Sequence[LogLine]:
    """Return the last lines of a job, oldest first."""
    rows = connection.execute(
        "SELECT job_id, number, at, level, message, attempt FROM logs WHERE job_id = ? ORDER BY number DESC LIMIT ?",
        (job_id, limit),
    ).fetchall()
    return [log_of(row) for row in reversed(rows)]


def logs_after(connection: sqlite3.Connection, job_id: int, after: int, limit: int) -> Sequence[LogLine]:
    """Return lines numbered above ``after``, oldest first."""
    rows = connection.execute(
        "SELECT job_id, number, at, level, message, attempt FROM logs WHERE job_id = ? AND number > ?"
        " ORDER BY number LIMIT ?",
        (job_id, after, max(1, min(limit, LIMIT * 5))),
    ).fetchall()
    return [log_of(row) for row in rows]


def throughput(connection: sqlite3.Connection, job_id: int) -> tuple[RatePoint, ...]:
    """Return the job's throughput points, oldest first."""
    rows = connection.execute(
        "SELECT at, done, rate FROM throughput WHERE job_id = ? ORDER BY at", (job_id,)
    ).fetchall()
    return tuple(RatePoint(at=moment(at), done=done, rate=rate) for at, done, rate in rows)
