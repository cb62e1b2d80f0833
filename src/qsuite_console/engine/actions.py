"""What an operator does to existing jobs, on the engine's loop: one answer per job, in words that say what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from qsuite_console.engine.core import Core
from qsuite_console.engine.ports import AuditEntry, Claiming, Note
from qsuite_console.engine.runner import PAUSE_PATIENCE_S, Wish
from qsuite_console.model.errors import ConsoleError, HistoryUnavailable
from qsuite_console.model.events import JobDeleted
from qsuite_console.model.jobs import TERMINAL, ActionResult, Job, JobAction, JobState
from qsuite_console.model.wire import pack_error

CANCEL_WAIT_S: Final = 1.5  # how long an answer waits to be able to say what became of a running job
PAUSE_WAIT_S: Final = PAUSE_PATIENCE_S + 2.0
AT_ONCE: Final = 64


async def act(core: Core, action: JobAction, job_ids: Sequence[int], origin: str) -> tuple[ActionResult, ...]:
    """Do one thing to some jobs; a refusal of one never keeps the others from it."""
    ids = tuple(dict.fromkeys(job_ids))
    results: list[ActionResult] = []
    for first in range(0, len(ids), AT_ONCE):
        results.extend(await asyncio.gather(*(_one(core, action, job_id, origin) for job_id in ids[first:][:AT_ONCE])))
    return tuple(results)


async def _one(core: Core, action: JobAction, job_id: int, origin: str) -> ActionResult:
    job: Job | None = None
    try:
        job = (await core.store.detail(job_id)).job
        worker = core.workers.get(job.kind)
        changes_data = worker is None or worker.kind.changes_data
        core.around.gate.check_action(action, job.kind, changes_data=changes_data)
        return ActionResult(job_id=job_id, is_done=True, message=await _ACTIONS[action](core, job, origin))
    except ConsoleError as error:
        if isinstance(error, HistoryUnavailable):
            core.trouble.report(error)
        message = f"{error.message}; {error.hint}" if error.hint else error.message
        refusal = pack_error(error).type
    subject = f"job {job_id}" if job is None else _subject(job)
    await core.around.gate.record(origin, f"jobs.{action}", subject, f"refused: {message}")
    return ActionResult(job_id=job_id, is_done=False, message=message, refusal=refusal)


def _subject(job: Job) -> str:
    return f"job {job.id} ({job.kind})"


def _note(core: Core, action: JobAction, origin: str) -> Note:
    """Return what writes the audit of an action, told by the state it led to."""

    def note(job: Job, _: JobState | None) -> AuditEntry:
        result = f"job {job.id} is {'deleted' if action is JobAction.DELETE else job.state.value}"
        if job.state is JobState.RUNNING:
            result = f"job {job.id} was told to stop"
        return core.around.gate.entry(origin, f"jobs.{action}", _subject(job), result)

    return note


async def _cancel(core: Core, job: Job, origin: str) -> str:
    note = _note(core, JobAction.CANCEL, origin)
    cancelled = core.apply(await core.store.request_cancel(job.id, now=core.clock.now(), note=note))
    if cancelled.state is not JobState.RUNNING:
        return f"job {job.id} is cancelled"
    attempt = core.attempts.get(job.id)
    if attempt is None:
        return f"job {job.id} will be cancelled"
    attempt.ask(Wish.CANCEL)
    ended = await core.wait_ended(job.id, CANCEL_WAIT_S)
    if ended is None:
        return f"job {job.id} was told to stop and is still cleaning up"
    return f"job {job.id} is cancelled" if ended.state is JobState.CANCELLED else f"job {job.id} had already ended"


async def _pause(core: Core, job: Job, origin: str) -> str:
    attempt = core.attempts.get(job.id)
    if attempt is None:
        note = _note(core, JobAction.PAUSE, origin)
        core.apply(await core.store.hold(job.id, now=core.clock.now(), note=note))
        return f"job {job.id} is paused"
    attempt.ask(Wish.PAUSE, PAUSE_PATIENCE_S)
    ended, _ = await asyncio.gather(
        core.wait_ended(job.id, PAUSE_WAIT_S),
        core.around.gate.record(origin, "jobs.pause", _subject(job), "asked to pause at its next safe point"),
    )
    if ended is None:
        return f"job {job.id} was asked to pause and has not reached a safe point yet"
    if ended.state is JobState.PAUSED:
        return f"job {job.id} is paused; it goes on from its last checkpoint"
    return f"job {job.id} {_WORDS.get(ended.state, ended.state.value)} before it could pause"


async def _resume(core: Core, job: Job, origin: str) -> str:
    released = await core.store.release(job.id, now=core.clock.now(), note=_note(core, JobAction.RESUME, origin))
    core.dispatcher.want(job.id, job.queue)
    return f"job {job.id} is {core.apply(released).state.value} again"


async def _retry(core: Core, job: Job, origin: str) -> str:
    queued = await core.store.requeue(job.id, now=core.clock.now(), note=_note(core, JobAction.RETRY, origin))
    core.dispatcher.want(job.id, job.queue)
    core.apply(queued)
    return f"job {job.id} is queued again"


async def _delete(core: Core, job: Job, origin: str) -> str:
    gone = await core.store.delete([job.id], note=_note(core, JobAction.DELETE, origin))
    if not gone:
        raise ConsoleError(
            f"job {job.id} is {job.state.value}: only a finished job can be deleted", hint="cancel it first"
        )
    core.bus.publish(JobDeleted(at=core.clock.now(), job_id=job.id, previous=gone[0].state))
    return f"job {job.id} is deleted"


async def _profile(core: Core, job: Job, origin: str) -> str:
    if job.state in TERMINAL:
        raise ConsoleError(f"job {job.id} is over: it {_WORDS[job.state]}", hint="profile one that runs or waits")
    if core.claiming is Claiming.NONE:
        raise ConsoleError("no engine runs that could profile it", hint="start one first")
    is_measured = core.profile(job.id)
    if is_measured is False:
        raise ConsoleError(f"job {job.id} runs in another process, which can't be asked to profile it")
    which = "its next attempt" if is_measured is None else "from now on it"
    result = f"{which} is profiled; where its time went will be at the end of its log"
    await core.around.gate.record(origin, "jobs.profile", _subject(job), result)
    return f"job {job.id}: {result}"


_WORDS: Final = {JobState.SUCCEEDED: "succeeded", JobState.FAILED: "failed", JobState.CANCELLED: "was cancelled"}
_ACTIONS: Final = {
    JobAction.CANCEL: _cancel,
    JobAction.PAUSE: _pause,
    JobAction.RESUME: _resume,
    JobAction.RETRY: _retry,
    JobAction.DELETE: _delete,
    JobAction.PROFILE: _profile,
}
