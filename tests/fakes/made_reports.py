"""Reports of the demo platform: one of each, one not complete, one that has expired."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from qsuite_console.model.deliveries import EndpointList, EndpointView
from qsuite_console.model.errors import NotFound
from qsuite_console.model.operations import Proposal
from qsuite_console.model.reports import ReportInfo, ReportList, ReportPart, ReportPreview

Answers = dict[str, Callable[[Mapping[str, Any]], msgspec.Struct]]
FILE = b"%PDF-1.7 twelve and more"
WINDOW = "2026-11-19 18:30 to 2026-11-20 18:30 (1 d), UTC"
_MADE = (
    ("market", "Market report", "pdf", 6, 306_000, 0.01, 7.0, False),
    ("performance", "Performance report", "pdf", 9, 299_343, 2.0, 6.9, True),
    ("custom", "Bars by [b]symbol[/b]", "html", 0, 48_100, 26.0, 0.4, False),
    ("jobs", "Job report", "csv", 0, 3_120, 180.0, -0.5, False),
)


def demo_reports(now: datetime) -> list[ReportInfo]:
    return [
        ReportInfo(
            file=f"{name}-{40 - at}-0a1b2c3d.{form}", path=f"/home/ops/data/reports/{name}-{40 - at}-0a1b2c3d.{form}",
            name=name, format=form, title=title, target="demo", window=WINDOW,
            created_at=now - timedelta(hours=hours), expires_at=now + timedelta(days=days), bytes=size, pages=pages,
            job_id=40 - at, is_partial=partial,
        )
        for at, (name, title, form, pages, size, hours, days, partial) in enumerate(_MADE)
    ]  # fmt: skip


def report_answers(clock: Callable[[], datetime]) -> Answers:
    def listed(parameters: Mapping[str, Any]) -> ReportList:
        text = str(parameters.get("text", "")).lower()
        found = [each for each in demo_reports(clock()) if text in f"{each.title} {each.file}".lower()]
        return ReportList(at=clock(), reports=tuple(found), directory="/d", bytes=660_000, limit=1 << 30, cost_ms=1.2)

    def preview(parameters: Mapping[str, Any]) -> ReportPreview:
        for each in demo_reports(clock()):
            if each.file == parameters["file"]:
                return ReportPreview(at=clock(), report=each, lines=(each.title, "=" * 13, "", "1  Prices"))
        raise NotFound("it is gone")

    def content(parameters: Mapping[str, Any]) -> ReportPart:
        found = next(each for each in demo_reports(clock()) if each.file == parameters["file"])
        at = int(parameters["offset"])
        return ReportPart(at=clock(), report=found, offset=at, data=FILE[at : at + 5], size=len(FILE))

    return {"reports.list": listed, "reports.preview": preview, "reports.content": content}


def somebody(clock: Callable[[], datetime]) -> Answers:
    """Whom reports and ends of jobs go to."""
    told = ("job.failed", "alert.fired")
    endpoints = (
        EndpointView(name="desk", way="webhook", where="hooks.example.com", events=told, delivered=12),
        EndpointView(name="board", way="e-mail", where="ada@example.com, grace@example.com", events=told),
        EndpointView(name="pager", way="command", where="/usr/local/bin/page", events=told,
                     problem="there is no program /usr/local/bin/page to run"),
    )  # fmt: skip

    def listed(parameters: Mapping[str, Any]) -> EndpointList:
        job = parameters.get("job", 0)
        found = tuple(
            msgspec.structs.replace(one, is_told_of_job=bool(job) and one.name == "board") for one in endpoints
        )
        return EndpointList(endpoints=found, at=clock())

    return {"webhooks.list": listed}


def proposed(operation: str, *, asks: bool) -> Callable[[Mapping[str, Any]], Proposal]:
    return lambda parameters: Proposal(
        operation=operation, title=f"{operation} {' '.join(map(str, parameters.values()))}?", do="do it", asks=asks
    )


PROPOSALS = {
    "reports.send": proposed("reports.send", asks=True),
    "reports.remove": proposed("reports.remove", asks=True),
    "jobs.tell": proposed("jobs.tell", asks=False),
    "jobs.untell": proposed("jobs.untell", asks=False),
}
