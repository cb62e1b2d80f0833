"""Who is to be told of the end of one job, beside whoever is told of jobs like it. Gone with the job."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from qsuite_console.history.rows import COLUMNS, job_of, stamp
from qsuite_console.model.errors import NotFound
from qsuite_console.model.jobs import Job

if TYPE_CHECKING:
    from qsuite_console.history.deliveries import Read
    from qsuite_console.history.writer import Transaction, Writer

SCHEMA: Final = (
    """CREATE TABLE job_watches (
        job_id INTEGER NOT NULL,
        endpoint TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (job_id, endpoint)
    ) WITHOUT ROWID""",
    """CREATE TRIGGER job_watches_forgotten AFTER DELETE ON jobs BEGIN
        DELETE FROM job_watches WHERE job_id = old.id;
    END""",
)


class WatchBook:
    """Keeps them; raises HistoryUnavailable where the disk refuses."""

    def __init__(self, read: Read, writer: Writer) -> None:
        self._ask = read
        self._writer = writer

    async def job(self, job_id: int) -> Job:
        """Return a job as it stands; raises NotFound."""

        def read(connection: sqlite3.Connection) -> Job:
            return _job(connection, job_id)

        found: Job = await self._ask(read)
        return found

    async def of(self, job_ids: Sequence[int]) -> frozenset[tuple[int, str]]:
        """Return (job, endpoint) for those of the jobs whose end somebody wants to know."""

        def read(connection: sqlite3.Connection) -> frozenset[tuple[int, str]]:
            found = set[tuple[int, str]]()
            for job_id in job_ids:
                rows = connection.execute("SELECT job_id, endpoint FROM job_watches WHERE job_id = ?", (job_id,))
                found.update((number, name) for number, name in rows.fetchall())
            return frozenset(found)

        known: frozenset[tuple[int, str]] = await self._ask(read) if job_ids else frozenset()
        return known

    async def add(self, job_id: int, endpoint: str, now: datetime) -> Job:
        """Keep that an endpoint is told of a job's end, and return the job as it stands then; raises NotFound."""

        def work(transaction: Transaction) -> Job:
            job = _job(transaction.connection, job_id)
            transaction.connection.execute(
                "INSERT INTO job_watches VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (job_id, endpoint, stamp(now))
            )
            return job

        return await self._writer.run(work, lane="deliveries")

    async def drop(self, job_id: int, endpoint: str) -> bool:
        """Tell an endpoint no more than it is told anyhow; returns whether it was to be told."""

        def work(transaction: Transaction) -> bool:
            return bool(
                transaction.connection.execute(
                    "DELETE FROM job_watches WHERE job_id = ? AND endpoint = ?", (job_id, endpoint)
                ).rowcount
            )

        return await self._writer.run(work, lane="deliveries")


def _job(connection: sqlite3.Connection, job_id: int) -> Job:
    row = connection.execute(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise NotFound(f"there is no job {job_id}", hint="qsuite-console jobs lists them")
    return job_of(row)
