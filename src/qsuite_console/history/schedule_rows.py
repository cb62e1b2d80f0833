"""Schedules and their runs as rows: the tables, reading them, forgetting old runs.

What a job became is written to its run by a trigger, in the transaction that ends the job.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from qsuite_console.history.rows import Row, moment
from qsuite_console.history.schema import LIVE_STATES, ROUTINE
from qsuite_console.history.writer import Transaction
from qsuite_console.model.schedules import RunOutcome, Schedule, ScheduleRun

KEPT_RUNS: Final = 500  # of each schedule, and all of the last days
Read = Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]]

SCHEMA: Final = (
    """CREATE TABLE schedules (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        revision INTEGER NOT NULL,
        handled_until INTEGER NOT NULL,
        body TEXT NOT NULL
    )""",
    "CREATE TABLE schedule_offers (name TEXT PRIMARY KEY) WITHOUT ROWID",
    """CREATE TABLE schedule_runs (
        schedule_id INTEGER NOT NULL,
        planned_at INTEGER NOT NULL,
        at INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        run_trigger TEXT NOT NULL,
        job_id INTEGER,
        note TEXT NOT NULL,
        covers INTEGER NOT NULL,
        finished_at INTEGER,
        PRIMARY KEY (schedule_id, planned_at)
    ) WITHOUT ROWID""",
    "CREATE INDEX schedule_runs_job ON schedule_runs (job_id) WHERE job_id IS NOT NULL",
    "CREATE INDEX schedule_runs_open ON schedule_runs (schedule_id, planned_at)"
    " WHERE outcome IN ('started', 'waiting')",
    """CREATE TRIGGER schedule_runs_follow AFTER UPDATE OF state ON jobs
        WHEN new.finished_at IS NOT NULL OR old.finished_at IS NOT NULL BEGIN
        UPDATE schedule_runs SET outcome = CASE WHEN new.finished_at IS NULL THEN 'started' ELSE new.state END,
            finished_at = new.finished_at, note = coalesce(substr(new.error, 1, 200), '')
            WHERE job_id = new.id;
    END""",
    """CREATE TRIGGER schedules_forgotten AFTER DELETE ON schedules BEGIN
        DELETE FROM schedule_runs WHERE schedule_id = old.id;
    END""",
    f"CREATE INDEX jobs_routine ON jobs (finished_at) WHERE {ROUTINE}",
)

COLUMNS: Final = "schedule_id, planned_at, at, outcome, run_trigger, job_id, note, covers, finished_at"
_FORGOTTEN: Final = f"{ROUTINE} AND finished_at < ? AND NOT EXISTS (SELECT 1 FROM schedule_runs WHERE job_id = jobs.id)"
_schedule: Final = msgspec.json.Decoder(Schedule).decode


def schedule_of(row: Row) -> Schedule:
    """Return the schedule of a row (id, revision, handled_until, body)."""
    number, revision, handled_until, body = row
    return msgspec.structs.replace(_schedule(body), id=number, revision=revision, handled_until=moment(handled_until))


def run_of(row: Row) -> ScheduleRun:
    """Return the run of a row of COLUMNS."""
    return ScheduleRun(
        schedule_id=row[0],
        planned_at=moment(row[1]),
        at=moment(row[2]),
        outcome=RunOutcome(row[3]),
        trigger=row[4],
        job_id=row[5],
        note=row[6],
        covers=row[7],
        finished_at=None if row[8] is None else moment(row[8]),
    )


class ScheduleReader:
    """Reads what there is, beside whoever owns the history."""

    def __init__(self, read: Read) -> None:
        self._read = read

    async def all(self) -> Sequence[Schedule]:
        """Return every schedule, by name."""
        rows = await self._rows("SELECT id, revision, handled_until, body FROM schedules ORDER BY name")
        return [schedule_of(row) for row in rows]

    async def last_runs(self) -> Mapping[int, ScheduleRun]:
        """Return the newest run of each schedule that has one."""
        rows = await self._rows(
            f"SELECT {COLUMNS} FROM schedules JOIN schedule_runs ON schedule_id = id WHERE planned_at ="
            " (SELECT max(planned_at) FROM schedule_runs r WHERE r.schedule_id = schedules.id)"
        )
        return {row[0]: run_of(row) for row in rows}

    async def live(self) -> Mapping[int, int]:
        """Return schedule id -> its job that is not over."""
        rows = await self._rows(
            "SELECT schedule_id, max(job_id) FROM schedule_runs JOIN jobs ON jobs.id = job_id"
            f" WHERE outcome IN ('started', 'waiting') AND {LIVE_STATES} GROUP BY schedule_id"
        )
        return dict(rows)

    async def waiting(self) -> Mapping[int, int]:
        """Return schedule id -> how many of its plans wait for the job before them."""
        rows = await self._rows(
            "SELECT schedule_id, count(*) FROM schedule_runs WHERE outcome IN ('started', 'waiting')"
            " AND outcome = 'waiting' GROUP BY schedule_id"
        )
        return dict(rows)

    async def runs(self, schedule_id: int, limit: int) -> Sequence[ScheduleRun]:
        """Return the newest runs of a schedule, newest first."""
        rows = await self._rows(
            f"SELECT {COLUMNS} FROM schedule_runs WHERE schedule_id = ? ORDER BY planned_at DESC LIMIT ?",
            (schedule_id, limit),
        )
        return [run_of(row) for row in rows]

    async def _rows(self, query: str, values: Sequence[object] = ()) -> Sequence[Row]:
        rows: Sequence[Row] = await self._read(lambda connection: connection.execute(query, values).fetchall())
        return rows


def drop_runs(transaction: Transaction, before: int) -> None:
    """Forget runs planned before an instant, but the newest of each schedule."""
    for (number,) in transaction.connection.execute("SELECT id FROM schedules").fetchall():
        transaction.connection.execute(
            "DELETE FROM schedule_runs WHERE schedule_id = ?1 AND planned_at < min(?2, coalesce((SELECT planned_at"
            " FROM schedule_runs WHERE schedule_id = ?1 ORDER BY planned_at DESC LIMIT 1 OFFSET ?3), 0))",
            (number, before, KEPT_RUNS),
        )


def routine(connection: sqlite3.Connection, before: int) -> int:
    """Return how many jobs ``drop_routine`` would remove."""
    (jobs,) = connection.execute(f"SELECT count(*) FROM jobs WHERE {_FORGOTTEN}", (before,)).fetchone()
    return int(jobs)


def drop_routine(transaction: Transaction, before: int, most: int) -> list[int]:
    """Remove jobs that schedules made and that succeeded before an instant, once their runs are forgotten."""
    rows = transaction.connection.execute(
        f"DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE {_FORGOTTEN} ORDER BY finished_at LIMIT ?)"
        " RETURNING id",
        (before, most),
    ).fetchall()
    return [row[0] for row in rows]
