"""Jobs: made, listed by keyset, shown, and acted on."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from qsuite_console.headless.routes import owning
from qsuite_console.headless.table import Api, Call, Query, Route
from qsuite_console.model.access import Scope
from qsuite_console.model.errors import UsageProblem
from qsuite_console.model.jobs import (
    ActionResult,
    JobDetail,
    JobPage,
    JobQuery,
    JobState,
    LogLine,
    Receipt,
    Submission,
)
from qsuite_console.model.text import clean
from qsuite_console.model.wire import ActRequest

MAX_PAGE: Final = 10_000
MAX_LINES: Final = 5000
MAX_JOB_IDS: Final = 10_000


async def _submit(api: Api, call: Call) -> Receipt:
    # A misspelt "parameters" must not start a job with the defaults.
    unknown = sorted(set(call.decode(dict[str, Any])) - set(Submission.__struct_fields__))
    if unknown:
        known = ", ".join(Submission.__struct_fields__)
        raise UsageProblem(f"a submission has no {clean(unknown[0], 40)!r}", hint=f"it has {known}")
    submission = call.decode(Submission)
    # To join a job is to see it, and to let it go on where it is paused.
    join = submission.join and not call.caller.own_jobs_only
    return await api.control.submit(
        msgspec.structs.replace(submission, origin=call.origin(submission.origin), join=join)
    )


async def _act(api: Api, call: Call) -> tuple[ActionResult, ...]:
    asked = call.decode(ActRequest)
    if len(asked.job_ids) > MAX_JOB_IDS:
        raise UsageProblem(f"at most {MAX_JOB_IDS:,} jobs at a time, {len(asked.job_ids):,} were named")
    job_ids, refused = await owning.split(api, call, asked.job_ids)
    done = await api.control.act(asked.action, job_ids, origin=call.origin(asked.origin)) if job_ids else ()
    results = refused | {result.job_id: result for result in done}
    return tuple(results[job_id] for job_id in dict.fromkeys(asked.job_ids))


async def _jobs(api: Api, call: Call) -> JobPage:
    query = JobQuery(**call.query)
    if call.caller.own_jobs_only:
        query = msgspec.structs.replace(query, origin=call.caller.origin)
    return await api.control.jobs(query)


async def _job(api: Api, call: Call) -> JobDetail:
    return await owning.detail(api, call, call.job_id())


async def _logs(api: Api, call: Call) -> tuple[LogLine, ...]:
    await owning.require(api, call, call.job_id())
    return await api.control.logs(call.job_id(), after=call.query["after"], limit=call.query["limit"])


_FILTERS: Final = (
    Query("states", JobState, help="only jobs in one of these states", is_list=True),
    Query("kinds", help="only jobs of these kinds", is_list=True),
    Query("queues", help="only jobs of these queues", is_list=True),
    Query("text", default="", help="a part of title, kind, error or parameters"),
    Query("routine", bool, True, help="false: without the jobs that schedules made and that succeeded"),
    Query("origin", default="", help="only jobs that this asked for: cli, console, http:NAME, schedule NAME"),
    Query("before", int, None, 0, 2**53, "a page's next_before: the page after it"),
    Query("limit", int, 200, 1, MAX_PAGE, "jobs a page"),
)

ROUTES: Final = (
    Route(
        "POST",
        "/jobs",
        _submit,
        "make a job; durable when answered",
        scope=Scope.OPERATE,
        takes=Submission,
        answers=Receipt,
        status=201,
        is_for_own=True,
    ),
    Route("GET", "/jobs", _jobs, "a page of jobs, newest first", answers=JobPage, queries=_FILTERS, is_for_own=True),
    Route(
        "POST",
        "/jobs/actions",
        _act,
        "cancel, pause, resume, retry or delete some jobs",
        scope=Scope.OPERATE,
        takes=ActRequest,
        answers=tuple[ActionResult, ...],
        is_for_own=True,
    ),
    Route("GET", "/jobs/{job_id}", _job, "everything about one job", answers=JobDetail, is_for_own=True),
    Route(
        "GET",
        "/jobs/{job_id}/logs",
        _logs,
        "its log lines after a number",
        answers=tuple[LogLine, ...],
        queries=(
            Query("after", int, 0, 0, 2**53, "only lines numbered above this"),
            Query("limit", int, 500, 1, MAX_LINES, "lines at most"),
        ),
        is_for_own=True,
    ),
)
