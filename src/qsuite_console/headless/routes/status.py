"""One job, as programs ask for it: how far it is, in short, and one action on it with a status of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from qsuite_console.headless.routes import owning
from qsuite_console.headless.table import Api, Call, Route
from qsuite_console.model.access import Scope
from qsuite_console.model.jobs import TERMINAL, ActionResult, Job, JobAction, JobState
from qsuite_console.model.requests import ChangeRequest, JobStatus
from qsuite_console.model.wire import ErrorBody, unpack_error

_SAID: Final = {
    JobAction.CANCEL: "stop it; a running one keeps its checkpoint",
    JobAction.PAUSE: "hold it at its next safe point",
    JobAction.RESUME: "let a paused one go on from its checkpoint",
    JobAction.RETRY: "queue a failed or cancelled one again, from its checkpoint",
}


async def _status(api: Api, call: Call) -> JobStatus:
    return status_of(owning.shown(call, await _find(api, call.job_id())))


async def _find(api: Api, job_id: int) -> Job:
    """Return the job from the state where it is there, which costs nothing, else from the history."""
    state = api.control.state
    known = next((job for job in (*state.running, *state.recent) if job.id == job_id), None)
    return (await api.control.job(job_id)).job if known is None else known


def status_of(job: Job) -> JobStatus:
    """Return a job in short."""
    progress, is_over = job.progress, job.state in TERMINAL
    fraction = 1.0 if job.state is JobState.SUCCEEDED else progress.fraction
    return JobStatus(
        task_id=job.id,
        status=job.state,
        progress=None if fraction is None else round(100 * fraction, 2),
        message=progress.message or job.reason or "",
        estimated_remaining=_remaining(job),
        kind=job.kind,
        title=job.title,
        attempt=job.attempt,
        done=progress.done,
        total=progress.total,
        unit=progress.unit,
        rate=progress.rate,
        error=job.error,
        is_over=is_over,
        is_cancelling=job.cancel_requested and not is_over,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        updated_at=progress.updated_at,
    )


def _remaining(job: Job) -> float | None:
    if job.state in TERMINAL:
        return 0.0
    eta_s = job.progress.eta_s
    return None if job.state is not JobState.RUNNING or eta_s is None else round(eta_s, 1)


def _acting(action: JobAction) -> Callable[[Api, Call], Awaitable[ActionResult]]:
    async def act(api: Api, call: Call) -> ActionResult:
        asked = call.decode(ChangeRequest)
        await owning.require(api, call, call.job_id())
        (result,) = await api.control.act(action, (call.job_id(),), origin=call.origin(asked.origin))
        if not result.is_done:
            raise unpack_error(ErrorBody(type=result.refusal or "Conflict", message=result.message))
        return result

    return act


ROUTES: Final = (
    Route("GET", "/jobs/{job_id}/status", _status, "how far a job is, in short", answers=JobStatus, is_for_own=True),
    *(
        Route(
            "POST",
            f"/jobs/{{job_id}}/{action}",
            _acting(action),
            said,
            scope=Scope.OPERATE,
            takes=ChangeRequest,
            answers=ActionResult,
            is_for_own=True,
        )
        for action, said in _SAID.items()
    ),
    Route(
        "DELETE",
        "/jobs/{job_id}",
        _acting(JobAction.DELETE),
        "forget a finished job with its log and result",
        scope=Scope.OPERATE,
        answers=ActionResult,
        is_for_own=True,
    ),
)
