"""What an endpoint is told of, made from facts that are on disk. Pure, and the same facts always make the same ids:
noticing something twice, or again after a restart, tells it once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from qsuite_console.config.notices import Endpoint
from qsuite_console.logs import REDACTOR
from qsuite_console.model.deliveries import MissedRun, Notice
from qsuite_console.model.health import Alert
from qsuite_console.model.jobs import SCHEDULED, Job
from qsuite_console.model.reports import ReportInfo
from qsuite_console.model.text import clean

TEST: Final = "test"
REPORT: Final = "report.sent"  # its file goes along, see enclosures
MESSAGE: Final = "message"  # what a person or a schedule has to say


def of_jobs(
    endpoints: Iterable[Endpoint], target: str, jobs: Iterable[Job], watched: Collection[tuple[int, str]] = ()
) -> Iterator[Notice]:
    """Yield what is to be told of jobs that have ended; ``watched``: (job, endpoint) that asked for just this one."""
    listed = tuple(endpoints)
    for job in jobs:
        event = f"job.{job.state.value}"
        schedule = job.origin.removeprefix(SCHEDULED) if job.origin.startswith(SCHEDULED) else ""
        at = job.finished_at or job.created_at
        for endpoint in listed:
            if endpoint.wants_job(event, job.kind, schedule) or (job.id, endpoint.name) in watched:
                key = f"{target}|{job.id}|{event}|{at.isoformat()}"
                yield _notice(endpoint, event, f"job {job.id}", at, _job(target, job, schedule), key)


def of_alerts(endpoints: Iterable[Endpoint], target: str, alerts: Iterable[Alert]) -> Iterator[Notice]:
    """Yield what is to be told of alerts as they stand: loud ones, and ends of those that were told."""
    listed = tuple(endpoints)
    for alert in alerts:
        body = _alert(target, alert)
        for endpoint in listed:
            for level in ("warning", "critical"):
                fired = _id(endpoint, f"{target}|{alert.id}|{alert.since.isoformat()}|{level}")
                if alert.is_loud and alert.level == level and endpoint.wants_alert("alert.fired", alert.id, level):
                    yield Notice(
                        id=fired,
                        endpoint=endpoint.name,
                        event="alert.fired",
                        subject=alert.id,
                        body=_json("alert.fired", alert.since, body),
                    )
            ended = alert.cleared_at
            if ended is not None and endpoint.wants_alert("alert.cleared", alert.id, alert.level):
                key = f"{target}|{alert.id}|{alert.since.isoformat()}|"
                cleared = _notice(endpoint, "alert.cleared", alert.id, ended, body, f"{key}cleared")
                yield msgspec.structs.replace(cleared, follows=_id(endpoint, f"{key}{alert.level}"))


def of_misses(endpoints: Iterable[Endpoint], target: str, runs: Iterable[MissedRun]) -> Iterator[Notice]:
    """Yield what is to be told of plans that nothing came of."""
    listed = tuple(endpoints)
    for run in runs:
        event = "schedule.missed"
        body = {
            "target": target,
            "schedule": run.schedule,
            "planned_at": run.planned_at,
            "outcome": run.outcome,
            "note": _text(run.note),
        }
        for endpoint in listed:
            if endpoint.wants_schedule(event, run.schedule):
                key = f"{target}|schedule {run.schedule_id}|{run.planned_at.isoformat()}"
                yield _notice(endpoint, event, f"schedule {run.schedule}", run.at, body, key)


def of_test(endpoint: Endpoint, target: str, now: datetime, nonce: str) -> Notice:
    """Return a notice that only says that notices arrive."""
    body = {"target": target, "message": "this is a test of qsuite-console"}
    return _notice(endpoint, TEST, "test", now, body, f"{target}|test|{nonce}")


def of_report(endpoint: Endpoint, target: str, report: ReportInfo, now: datetime, nonce: str = "") -> Notice:
    """Return a notice that a report goes to an endpoint: once, or once more for each ``nonce``."""
    body = {
        "target": target,
        "report": report.name,
        "title": _text(report.title, 300),
        "of": report.target,
        "window": _text(report.window, 200),
        "file": report.file,
        "format": report.format,
        "bytes": report.bytes,
        "pages": report.pages or None,
        "is_partial": report.is_partial,
        "job": report.job_id,
        "created_at": report.created_at,
        "expires_at": report.expires_at,
    }
    key = f"{target}|report {report.file}|{report.created_at.isoformat() if nonce else ''}|{nonce}"
    return _notice(endpoint, REPORT, report.file, now, body, key)


def of_message(
    endpoint: Endpoint, target: str, now: datetime, *, message: str, data: Mapping[str, Any], job_id: int, mark: str
) -> Notice:
    """Return what a job has to say: once, however often the job is tried; ``mark`` tells it from all others."""
    body = {"target": target, "message": _text(message), "job": job_id, "data": data or None}
    return _notice(endpoint, MESSAGE, f"job {job_id}", now, body, f"{target}|message|{mark}")


def _notice(endpoint: Endpoint, event: str, subject: str, at: datetime, body: dict[str, Any], key: str) -> Notice:
    return Notice(
        id=_id(endpoint, key), endpoint=endpoint.name, event=event, subject=subject, body=_json(event, at, body)
    )


def _id(endpoint: Endpoint, key: str) -> str:
    return f"msg_{hashlib.sha256(f'{endpoint.way}|{endpoint.name}|{key}'.encode()).hexdigest()[:32]}"


def _json(event: str, at: datetime, body: dict[str, Any]) -> str:
    return msgspec.json.encode({"type": event, "timestamp": at, "data": body}).decode()


def _text(value: object, limit: int = 1000) -> str:
    return REDACTOR.mask(clean(value, limit))


def _job(target: str, job: Job, schedule: str) -> dict[str, Any]:
    """Return what is told of a job: never its parameters."""
    lasted = None
    if job.started_at is not None and job.finished_at is not None:
        lasted = round((job.finished_at - job.started_at).total_seconds(), 3)
    return {
        "target": target,
        "id": job.id,
        "kind": job.kind,
        "title": _text(job.title, 300),
        "queue": job.queue,
        "state": job.state.value,
        "attempts": job.attempt,
        "error": None if job.error is None else _text(job.error),
        "reason": None if job.reason is None else _text(job.reason),
        "schedule": schedule or None,
        "correlation_id": job.correlation_id,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "duration_s": lasted,
    }


def _alert(target: str, alert: Alert) -> dict[str, Any]:
    return {
        "target": target,
        "alert": alert.id,
        "source": alert.source,
        "level": alert.level.value,
        "state": alert.state.value,
        "title": _text(alert.title, 200),
        "message": _text(alert.message),
        "value": alert.value,
        "unit": alert.unit,
        "limit": alert.limit,
        "since": alert.since,
        "cleared_at": alert.cleared_at,
        "duration_s": None if alert.cleared_at is None else round((alert.cleared_at - alert.since).total_seconds(), 3),
    }
