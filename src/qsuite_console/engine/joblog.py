"""The log of each job: records emitted while a job runs, from any logger, kept with it; repetition collapses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from qsuite_console.logs import REDACTOR, current_job
from qsuite_console.model.jobs import LogLine
from qsuite_console.model.text import clean

JOB_LOGGER: Final = "qsuite_console.jobs"
REPEATS: Final = 3  # equal warnings and errors kept of one attempt; the rest is counted
_KNOWN: Final = 500
Keep = Callable[[Sequence[LogLine]], None]


class AttemptLog:
    """Lines of one attempt."""

    def __init__(self, job_id: int, attempt: int, keep: Keep, *, correlation_id: str = "") -> None:
        self.correlation_id = correlation_id
        self._job_id = job_id
        self._attempt = attempt
        self._keep = keep
        self._seen: dict[tuple[str, str], int] = {}

    def add(self, level: str, message: str, at: datetime, *, collapses: bool) -> None:
        """Keep one line, unless it is the fourth or later equal warning of this attempt."""
        text = clean(REDACTOR.mask(message), 2000)
        if collapses:
            key = (level, text)
            seen = self._seen.get(key, 0) + 1
            if seen > 1 or len(self._seen) < _KNOWN:
                self._seen[key] = seen
            if seen > REPEATS:
                return
        self._write(level, text, at)

    def close(self, at: datetime) -> None:
        """Say how often collapsed lines came again."""
        for (level, text), seen in self._seen.items():
            if seen > REPEATS:
                self._write(level, f"({seen - REPEATS} more times) {text}", at)
        self._seen.clear()

    def _write(self, level: str, text: str, at: datetime) -> None:
        line = LogLine(job_id=self._job_id, number=0, at=at, level=level, message=text, attempt=self._attempt)
        self._keep((line,))


class JobLogHandler(logging.Handler):
    """Sits on the root logger while an engine runs and hands records of running jobs to their logs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._open: dict[int, AttemptLog] = {}

    def install(self) -> None:
        """Start listening; job loggers speak from INFO up unless told otherwise."""
        logging.getLogger().addHandler(self)
        logger = logging.getLogger(JOB_LOGGER)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)

    def remove(self) -> None:
        """Stop listening."""
        logging.getLogger().removeHandler(self)

    def open(self, job_id: int, log: AttemptLog) -> None:
        """Route records of a job to its log."""
        self._open[job_id] = log

    def shut(self, job_id: int, log: AttemptLog) -> None:
        """Stop routing, unless a newer attempt has taken over."""
        if self._open.get(job_id) is log:
            del self._open[job_id]

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record with the job it belongs to; records of no job are not ours."""
        if not self._open:
            return
        known_id, known_correlation = current_job.get()
        job_id = getattr(record, "job_id", None) or known_id
        log = None if job_id is None else self._open.get(job_id)
        if log is None:
            return
        correlation = getattr(record, "correlation_id", "") or known_correlation
        if correlation and log.correlation_id not in ("", correlation):
            return  # a job of the same number, of another engine in this process
        try:
            message = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                message += f": {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
            at = datetime.fromtimestamp(record.created, UTC)
            log.add(record.levelname, message, at, collapses=record.levelno >= logging.WARNING)
        except Exception:
            self.handleError(record)
