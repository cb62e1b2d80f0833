"""Reports: what was made, the file itself part by part, and making another one as a job."""

from __future__ import annotations

import logging
from typing import Final

import msgspec
from aiohttp import web

from qsuite_console.headless.routes import owning
from qsuite_console.headless.routes.changing import perform
from qsuite_console.headless.table import Api, Call, Query, Route
from qsuite_console.model.access import Scope
from qsuite_console.model.errors import ConsoleError, NotFound
from qsuite_console.model.jobs import Receipt, Submission
from qsuite_console.model.operations import Outcome
from qsuite_console.model.reports import ReportInfo, ReportList, ReportPart, ReportPreview
from qsuite_console.model.requests import ReportRequest, SendRequest

FILE: Final = "application/octet-stream"
_log: Final = logging.getLogger(__name__)
_MEDIA: Final = {"pdf": "application/pdf", "html": "text/html", "json": "application/json", "csv": "text/csv"}


async def _list(api: Api, call: Call) -> ReportList:
    found = await api.control.ask("reports.list", call.query)
    if not isinstance(found, ReportList):
        raise ConsoleError("the engine answered with something else than reports")
    if not call.caller.own_jobs_only:
        return found
    own = [msgspec.structs.replace(report, path="") for report in found.reports if await _is_own(api, call, report)]
    return msgspec.structs.replace(found, reports=tuple(own), bytes=sum(report.bytes for report in own), directory="")


async def _is_own(api: Api, call: Call, report: ReportInfo) -> bool:
    """Tell whether a job of the caller made it: the directory holds those of all targets."""
    if not call.caller.own_jobs_only:
        return True
    if report.target != api.control.state.target.name:
        return False
    try:
        await owning.require(api, call, report.job_id)
    except NotFound:
        return False
    return True


async def _require(api: Api, call: Call, report: ReportInfo) -> None:
    if not await _is_own(api, call, report):
        raise NotFound(f"there is no report {report.file}", hint="this token sees those of its own jobs")


async def _show(api: Api, call: Call) -> ReportPreview:
    found = await api.control.ask("reports.preview", {"file": call.path["file"]})
    if not isinstance(found, ReportPreview):
        raise ConsoleError("the engine answered with something else than a report")
    await _require(api, call, found.report)
    return found


async def _download(api: Api, call: Call) -> web.StreamResponse:
    """Send the file; a page of a report is never run by the browser that asks for it: it is an attachment."""
    part = await _part(api, call.path["file"], 0)
    await _require(api, call, part.report)
    report, tag = part.report, f'"{part.report.file}-{part.report.created_at.timestamp():.6f}-{part.size}"'
    if call.request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={"ETag": tag})
    response = web.StreamResponse(
        headers={
            "ETag": tag,
            "Content-Type": _MEDIA.get(report.format, FILE),
            "Content-Length": str(part.size),
            "Content-Disposition": f'attachment; filename="{report.file}"',
            "Content-Security-Policy": "sandbox",
            "Cache-Control": "private, no-cache",
            "X-Content-Type-Options": "nosniff",
        }
    )
    await response.prepare(call.request)
    try:
        await _send_parts(api, response, part)
    except ConsoleError as error:  # the head is sent: all that can be told is that this is not the whole file
        _log.warning("%s was not sent whole: %s", report.file, error.message)
        if call.request.transport is not None:
            call.request.transport.abort()
        return response
    await response.write_eof()
    return response


async def _send_parts(api: Api, response: web.StreamResponse, part: ReportPart) -> None:
    report, sent = part.report, 0
    while part.data:
        await response.write(part.data)
        sent += len(part.data)
        if sent >= part.size:
            return
        part = await _part(api, report.file, sent)
        if part.report.created_at != report.created_at:
            break
    raise ConsoleError(f"{report.file} was removed or made anew while it was sent")


async def _part(api: Api, file: str, offset: int) -> ReportPart:
    found = await api.control.ask("reports.content", {"file": file, "offset": offset})
    if not isinstance(found, ReportPart):
        raise ConsoleError("the engine answered with something else than a report")
    return found


async def _create(api: Api, call: Call) -> Receipt:
    asked = call.decode(ReportRequest)
    submission = Submission(
        kind="report",
        parameters={**asked.parameters, "name": asked.name, "format": asked.format},
        origin=call.origin(asked.origin),
        confirmation=asked.confirmation,
        join=not call.caller.own_jobs_only,
    )
    return await api.control.submit(submission)


async def _send(api: Api, call: Call) -> Outcome:
    asked = call.decode(SendRequest)
    return await perform(api, call, "reports.send", {"file": call.path["file"], "endpoint": asked.endpoint}, asked)


async def _remove(api: Api, call: Call) -> Outcome:
    return await perform(api, call, "reports.remove", {"file": call.path["file"]})


ROUTES: Final = (
    Route(
        "GET",
        "/reports",
        _list,
        "reports that were made and are still there, newest first",
        answers=ReportList,
        queries=(Query("text", default="", help="a part of title, name, target or file"),),
        is_for_own=True,
    ),
    Route(
        "POST",
        "/reports",
        _create,
        "make a report as a job; the receipt names it and says how long it takes",
        scope=Scope.OPERATE,
        takes=ReportRequest,
        answers=Receipt,
        status=202,
        is_for_own=True,
    ),
    Route(
        "GET",
        "/reports/{file}",
        _show,
        "one report, and what it says as plain text",
        answers=ReportPreview,
        is_for_own=True,
    ),
    Route("GET", "/reports/{file}/download", _download, "the file of a report", media=FILE, is_for_own=True),
    Route(
        "POST",
        "/reports/{file}/send",
        _send,
        "send it, with its file, to a webhook, a program or by e-mail",
        scope=Scope.OPERATE,
        takes=SendRequest,
        answers=Outcome,
    ),
    Route(
        "DELETE",
        "/reports/{file}",
        _remove,
        "remove its file; the job that made it stays",
        scope=Scope.OPERATE,
        answers=Outcome,
    ),
)
