"""An engine that has written some lines to its log: a busy job, a provider's limit, a server that went and came."""

from __future__ import annotations

from datetime import datetime, timedelta

from qsuite_console.model.jobs import LogLine
from qsuite_console.model.logtail import LogTail

PROCESS = "pid 4711 on ops-1, since 09:12:00"
LINES = (
    ("INFO", 0, "engine.engine: engine ready, 7 queues, 18 slots"),
    ("INFO", 12, "workers.backfill: backfill AAPL, MSFT 1Min 2024: 62 %, 31,200 rows/s"),
    ("WARNING", 12, "providers.alpaca: 429 from data.alpaca.markets: waits 3.2 s"),
    ("ERROR", 0, "metrics.sampler: PostgreSQL does not answer\nTraceback (most recent call last):\n  TimeoutError"),
    ("INFO", 0, "metrics.sampler: PostgreSQL answers again after 14 s"),
)


def log_line(at: datetime, number: int, level: str, job: int, text: str) -> LogLine:
    """Return the line of that number, as many seconds after ``at``."""
    return LogLine(job_id=job, number=number, at=at + timedelta(seconds=number), level=level, message=text)


def log_tail(now: datetime, lines: tuple[LogLine, ...] | None = None, process: str = PROCESS) -> LogTail:
    """Return an answer of ``system.log``."""
    if lines is None:
        lines = tuple(log_line(now, number, *told) for number, told in enumerate(LINES, 1))
    return LogTail(at=now, process=process, file="/var/log/qsuite-console.log", lines=lines)
