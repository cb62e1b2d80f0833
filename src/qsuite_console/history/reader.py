"""Reading the history without ever writing or checkpointing it: on connections of their own, in one thread of their
own, every query fetched whole so that no read transaction stays open and the log can be folded away.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from qsuite_console.config.settings import QUEUES
from qsuite_console.history import alerts, audit, queries
from qsuite_console.history.deliveries import DeliveryReader
from qsuite_console.history.files import open_for_reading, telemetry_path
from qsuite_console.history.migrations import HISTORY_STEPS, TELEMETRY_STEPS
from qsuite_console.history.rows import progress_of
from qsuite_console.history.schedule_rows import ScheduleReader
from qsuite_console.history.troubles import unavailable
from qsuite_console.model.alerts import AlertPage, AlertQuery, Silence
from qsuite_console.model.audit import AuditLine, AuditQuery
from qsuite_console.model.errors import HistoryMissing, HistoryUnavailable
from qsuite_console.model.health import Alert
from qsuite_console.model.jobs import Attempt, Job, JobDetail, JobPage, JobQuery, JobState, LogLine, Statistics

T = TypeVar("T")
_MOVING = frozenset({JobState.RUNNING, JobState.INTERRUPTED})


class HistoryReader:
    """The reading half of the store; usable alone beside the engine of another process."""

    def __init__(self, path: Path, *, slots: Mapping[str, int] | None = None) -> None:
        self._path = path
        self._slots = dict(slots) if slots is not None else {name: count for name, (count, _) in QUEUES.items()}
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history-reader")
        self._history: sqlite3.Connection | None = None
        self._telemetry: sqlite3.Connection | None = None
        self.schedules = ScheduleReader(self._ask)
        self.deliveries = DeliveryReader(self._ask)

    async def jobs(self, query: JobQuery) -> JobPage:
        """Return a page of jobs, newest first; a search may return fewer than asked and still have a next page."""

        def read() -> JobPage:
            page = queries.page(self._jobs_file(), query)
            return msgspec.structs.replace(page, jobs=tuple(self._with_progress(job) for job in page.jobs))

        return await self._read(read)

    async def detail(self, job_id: int) -> JobDetail:
        """Return everything about one job; raises NotFound."""

        def read() -> JobDetail:
            self._settle()
            detail = queries.detail(self._jobs_file(), job_id)
            telemetry = self._telemetry_file()
            if telemetry is None:
                return detail
            return msgspec.structs.replace(
                detail,
                job=self._with_progress(detail.job),
                logs=tuple(queries.newest_logs(telemetry, job_id, 200)),
                throughput=queries.throughput(telemetry, job_id),
            )

        return await self._read(read)

    async def logs(self, job_id: int, *, after: int = 0, limit: int = 500) -> Sequence[LogLine]:
        """Return the log lines numbered above ``after``, oldest first."""

        def read() -> Sequence[LogLine]:
            self._settle()
            telemetry = self._telemetry_file()
            return () if telemetry is None else queries.logs_after(telemetry, job_id, after, limit)

        return await self._read(read)

    async def attempts(self, job_id: int) -> Sequence[Attempt]:
        """Return the attempts of a job, oldest first, with the running one."""
        return await self._read(lambda: queries.attempts(self._jobs_file(), job_id))

    async def counts(self) -> Mapping[str, int]:
        """Return the number of jobs per state."""
        return await self._read(lambda: queries.counts(self._jobs_file()))

    async def queue_depths(self) -> Mapping[str, tuple[int, int]]:
        """Return queue -> (queued incl. interrupted, scheduled)."""
        return await self._read(lambda: queries.queue_depths(self._jobs_file()))

    async def queue_settings(self) -> Mapping[str, tuple[int, bool]]:
        """Return queue -> (concurrency, is_paused) for the queues an operator has changed."""
        return await self._read(lambda: queries.queue_settings(self._jobs_file()))

    async def statistics(self, *, window_s: float, now: datetime) -> Statistics:
        """Return outcomes and percentiles over a window, and how busy the slots were."""
        return await self._read(lambda: queries.statistics(self._jobs_file(), window_s, now, self._slots))

    async def alert_page(self, target: str, query: AlertQuery) -> AlertPage:
        """Return a page of a target's alerts, newest first."""
        return await self._read(lambda: alerts.page(self._jobs_file(), target, query))

    async def alerts_between(self, target: str, start: datetime, end: datetime) -> Sequence[Alert]:
        """Return the alerts of a target that burned at some time in [start, end], oldest first."""
        return await self._read(lambda: alerts.between(self._jobs_file(), target, start, end))

    async def silences(self, target: str) -> Sequence[Silence]:
        """Return the silences of a target, also those that are over."""
        return await self._read(lambda: alerts.silences(self._jobs_file(), target))

    async def audited(self, query: AuditQuery) -> tuple[tuple[AuditLine, ...], int | None]:
        """Return entries of the audit, newest first, and the number to ask below for more."""
        return await self._read(lambda: audit.page(self._jobs_file(), query))

    def check(self) -> None:
        """Raise HistoryMissing or HistoryUnavailable unless there is a history to read."""
        self._executor.submit(self._translated, lambda: queries.counts(self._jobs_file())).result()

    def close(self) -> None:
        """Close the connections once the running query is done."""
        self._executor.submit(self._close).result()
        self._executor.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _read(self, query: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._translated, query)

    async def _ask(self, query: Callable[[sqlite3.Connection], T]) -> T:
        return await self._read(lambda: query(self._jobs_file()))

    def _translated(self, query: Callable[[], T]) -> T:
        try:
            return query()
        except sqlite3.Error as error:
            self._close()
            raise unavailable(error, str(self._path)) from error
        except OSError as error:
            self._close()
            raise HistoryUnavailable(
                f"the history {self._path} can't be read: {error.strerror}", hint="check the owner and the permissions"
            ) from error

    def _close(self) -> None:
        for connection in (self._history, self._telemetry):
            if connection is not None:
                connection.close()
        self._history = self._telemetry = None

    def _settle(self) -> None:
        """Make what this process has noted readable; another process's telemetry is at most 0.3 s old."""

    def _jobs_file(self) -> sqlite3.Connection:
        if self._history is None:
            self._history = _opened(self._path, len(HISTORY_STEPS))
        if self._history is None:
            raise HistoryMissing(f"there is no history at {self._path}", hint="it is made when the first engine starts")
        return self._history

    def _telemetry_file(self) -> sqlite3.Connection | None:
        if self._telemetry is None:
            self._telemetry = _opened(telemetry_path(self._path), len(TELEMETRY_STEPS))
        return self._telemetry

    def _with_progress(self, job: Job) -> Job:
        if job.state not in _MOVING:
            return job
        telemetry = self._telemetry_file()
        text = None if telemetry is None else queries.progress_text(telemetry, job.id)
        return job if text is None else msgspec.structs.replace(job, progress=progress_of(text))


def open_reader(path: Path) -> HistoryReader:
    """Return a read-only view of a history, whoever owns it; raises HistoryMissing where there is none."""
    reader = HistoryReader(path)
    try:
        reader.check()
    except BaseException:
        reader.close()
        raise
    return reader


def _opened(path: Path, known: int) -> sqlite3.Connection | None:
    """Return the file's connection, None for one that doesn't exist or whose tables are just being made.

    Raises HistoryUnavailable for one whose schema is older than ``known``: its tables lack what is asked for.
    """
    if not path.exists():
        return None
    connection = open_for_reading(path)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except BaseException:
        connection.close()
        raise
    if version >= known:
        return connection
    connection.close()
    if version:
        raise HistoryUnavailable(
            f"the history {path} was written by an older version (schema {version}, this one knows {known})",
            hint="start the console, or qsuite-console --headless, once: it brings the history up to date",
        )
    return None
