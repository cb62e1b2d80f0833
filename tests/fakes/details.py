"""What the page of one job shows: attempts, log, throughput and result that fit the job."""

from __future__ import annotations

from datetime import datetime, timedelta

from fakes.platform import NOW, wave
from qsuite_console.model.jobs import Attempt, Job, JobDetail, JobState, LogLine, Outcome, RatePoint


def demo_detail(of: Job) -> JobDetail:
    """Attempts, log, throughput and result that fit the job."""
    started = of.started_at or of.created_at
    end = of.finished_at or NOW
    length = max(30.0, (end - started).total_seconds())
    attempts = []
    for number in range(1, of.attempt + 1):
        is_last = number == of.attempt
        begun = started if is_last else started - timedelta(seconds=(of.attempt - number) * 95)
        outcome: Outcome | None = Outcome.RETRY
        if is_last:
            outcome = {
                JobState.SUCCEEDED: Outcome.SUCCEEDED,
                JobState.FAILED: Outcome.FAILED,
                JobState.CANCELLED: Outcome.CANCELLED,
                JobState.PAUSED: Outcome.PAUSED,
                JobState.SCHEDULED: Outcome.RETRY,
            }.get(of.state)
        run_s = None if outcome is None else (length if is_last else 41.0 + number)
        attempts.append(
            Attempt(
                job_id=of.id,
                number=number,
                started_at=begun,
                outcome=outcome,
                run_s=run_s,
                wait_s=0.21 * number,
                finished_at=None if run_s is None else begun + timedelta(seconds=run_s),
                cpu_s=None if run_s is None else run_s * 0.31,
                memory_delta=None if run_s is None else 18_400_000,
                error=(of.error or "429 too many requests") if outcome in (Outcome.RETRY, Outcome.FAILED) else None,
                owner="pid 4711",
            )
        )
    lines = tuple(_log_line(of, n, started) for n in range(1, 61)) if of.attempt else ()
    points = tuple(
        RatePoint(at=started + timedelta(seconds=length * i / 120), done=of.progress.done * i / 120, rate=rate)
        for i, rate in enumerate(wave(max(1000.0, of.progress.rate or 24_000), 4200, of.id * 0.7, 121))
    )
    return JobDetail(
        job=of,
        attempts=tuple(attempts),
        result=_result(of),
        checkpoint={"months": ["2024-01", "2024-02"]} if of.attempt else None,
        logs=lines,
        throughput=points if of.attempt else (),
    )


def _log_line(of: Job, number: int, started: datetime) -> LogLine:
    month = f"2024-{(number // 5) % 12 + 1:02d}"
    level, message = "INFO", f"{month} AAPL..QZZZ: 10,000 bars in 0.31 s, 36 of 200 requests left"
    if number == 1:
        message = "plan: 1,950 requests, 19,500,000 rows, about 10 min at 200/min"
    elif number % 17 == 0:
        level, message = "WARNING", f"{month} NVDA: 1 bar quarantined: high 118.20 < low 121.75"
    elif number % 29 == 0:
        level, message = "ERROR", "HTTP 503 from the provider; next try in 2.4 s"
    return LogLine(
        job_id=of.id,
        number=number,
        at=started + timedelta(seconds=number * 1.7),
        level=level,
        message=message,
        attempt=max(1, of.attempt),
    )


def _result(of: Job) -> dict[str, object] | None:
    return (
        {
            "symbols": 2,
            "requests": 21,
            "rows_expected": 196_560,
            "rows_written": 196_560,
            "rows_present": 196_560,
            "quarantined": 3,
            "http_429": 0,
            "rows_per_s": 24_310.4,
            "symbols_per_s": 0.25,
            "verified": True,
        }
        if of.state is JobState.SUCCEEDED
        else None
    )
