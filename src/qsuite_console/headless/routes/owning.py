"""What a caller that may see no jobs but its own is told: of those of others, that there are none."""

from __future__ import annotations

from collections.abc import Sequence

from qsuite_console.headless.table import Api, Call
from qsuite_console.model.errors import NotFound
from qsuite_console.model.jobs import ActionResult, Job, JobDetail


def is_visible(call: Call, job: Job) -> bool:
    """Tell whether the caller may see the job."""
    return not call.caller.own_jobs_only or job.origin == call.caller.origin


def shown(call: Call, job: Job) -> Job:
    """Return the job if the caller may see it, else raise NotFound as for one that is not there."""
    if not is_visible(call, job):
        raise NotFound(f"there is no job {job.id}", hint="this token sees the jobs it made")
    return job


async def require(api: Api, call: Call, job_id: int) -> None:
    """Raise NotFound unless the caller may see the job; asks nothing for callers that see all."""
    if call.caller.own_jobs_only:
        await detail(api, call, job_id)


async def detail(api: Api, call: Call, job_id: int) -> JobDetail:
    """Return everything about a job the caller may see; raises NotFound."""
    found = await api.control.job(job_id)
    shown(call, found.job)
    return found


async def split(api: Api, call: Call, job_ids: Sequence[int]) -> tuple[tuple[int, ...], dict[int, ActionResult]]:
    """Return those of the jobs that the caller may act on, and a refusal for each of the others."""
    if not call.caller.own_jobs_only:
        return tuple(job_ids), {}
    refused: dict[int, ActionResult] = {}
    for job_id in dict.fromkeys(job_ids):
        try:
            await detail(api, call, job_id)
        except NotFound as error:
            refused[job_id] = ActionResult(
                job_id=job_id, is_done=False, message=error.message, refusal=type(error).__name__
            )
    return tuple(job_id for job_id in job_ids if job_id not in refused), refused
