"""Actions on jobs, the same from a list, a job's page and the ``:`` line: ask by consequence, do it, say what became.

Cancelling and deleting ask first and name the consequence in numbers; on a production target the name is typed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.jobs import LIVE, TERMINAL, Job, JobAction, JobState
from qsuite_console.screens.dialogs.confirm import ConfirmDialog
from qsuite_console.widgets import figures

if TYPE_CHECKING:
    from qsuite_console.screens.base import ConsoleScreen

ORIGIN: Final = "console"
_PAUSABLE: Final = LIVE - {JobState.PAUSED}
POSSIBLE: Final = {
    JobAction.CANCEL: LIVE,
    JobAction.PAUSE: _PAUSABLE,
    JobAction.RESUME: frozenset({JobState.PAUSED}),
    JobAction.RETRY: frozenset({JobState.FAILED, JobState.CANCELLED}),
    JobAction.DELETE: TERMINAL,
    JobAction.PROFILE: LIVE,
}
_DONE: Final = {
    JobAction.CANCEL: "cancelled",
    JobAction.PAUSE: "paused",
    JobAction.RESUME: "resumed",
    JobAction.RETRY: "queued again",
    JobAction.DELETE: "deleted",
    JobAction.PROFILE: "profiled",
}


def name_to_type(screen: ConsoleScreen) -> str:
    """Return what must be typed before this platform is changed: a production target's name, else nothing."""
    target = screen.state.target
    return target.name if target.is_production else ""


def possible(action: JobAction, jobs: Sequence[Job]) -> list[Job]:
    """Return those of the jobs whose state allows the action."""
    return [job for job in jobs if job.state in POSSIBLE[action] and not _is_repeated(action, job)]


def _is_repeated(action: JobAction, job: Job) -> bool:
    return action is JobAction.CANCEL and job.cancel_requested


def pause_or_resume(jobs: Sequence[Job]) -> JobAction:
    """Return what p means for these jobs: resume when all of them that count are paused."""
    live = [job for job in jobs if job.state in LIVE]
    return JobAction.RESUME if live and all(job.state is JobState.PAUSED for job in live) else JobAction.PAUSE


async def act(screen: ConsoleScreen, action: JobAction, jobs: Sequence[Job]) -> bool:
    """Do one thing to the jobs that allow it, after asking where it matters; returns whether it was done.

    Must run in a worker of the screen: it waits for the answer.
    """
    allowed = possible(action, jobs)
    if not allowed:
        screen.tell(refusal(action, jobs))
        return False
    if not screen.may_change():
        return False
    if action in (JobAction.CANCEL, JobAction.DELETE):
        title, lines = question(action, allowed, skipped=len(jobs) - len(allowed))
        which = "them" if len(allowed) > 1 else "it"
        dialog = ConfirmDialog(title, lines, do=f"{action} {which}", typed=name_to_type(screen))
        if not await screen.agrees(dialog):
            return False
    results = await screen.attempt(screen.control.act(action, [job.id for job in allowed], origin=ORIGIN))
    if results is None:
        return False
    done = [result for result in results if result.is_done]
    refused = [result for result in results if not result.is_done]
    if done:
        what = f"Job {done[0].job_id}" if len(done) == 1 else figures.plural(len(done), "job")
        after = ": where the time went will be at the end of its log" if action is JobAction.PROFILE else ""
        screen.tell(f"{what} {_DONE[action]}{after}")
    if refused:
        screen.tell_error(ConsoleError("; ".join(f"job {r.job_id}: {r.message}" for r in refused[:3])))
    return bool(done)


async def typed(screen: ConsoleScreen, verb: str, ids: Sequence[int]) -> None:
    """Do what was typed with job numbers: open one, or act on them all."""
    jobs: list[Job] = []
    for job_id in ids:
        detail = await screen.attempt(screen.control.job(job_id))
        if detail is None:
            return
        jobs.append(detail.job)
    if verb == "job":
        screen.console.open_page("job", jobs[0].id)
    else:
        await act(screen, JobAction(verb), jobs)


def question(action: JobAction, jobs: Sequence[Job], *, skipped: int = 0) -> tuple[str, list[str]]:
    """Return title and lines of the question: what happens, to how many, what is kept and what is lost."""
    number = len(jobs)
    title = f"{action.capitalize()} {f'job {jobs[0].id}' if number == 1 else figures.plural(number, 'job')}?"
    lines = [f"#{job.id}  {job.title}" for job in jobs[:3]]
    if number > 3:
        lines.append(f"and {figures.count(number - 3)} more")
    lines.append("")
    if action is JobAction.CANCEL:
        running = sum(job.state is JobState.RUNNING for job in jobs)
        if running:
            lines.append(f"{figures.plural(running, 'running job stops', 'running jobs stop')} within a second.")
        if number - running:
            lines.append(f"{figures.plural(number - running, 'waiting job never starts', 'waiting jobs never start')}.")
        lines.append("What is written stays; the checkpoint is kept: R resumes from it.")
    else:
        lines.append(f"{figures.plural(number, 'job')} with parameters, logs, attempts and results: gone for good.")
        lines.append("Data that a job has written stays.")
    if skipped:
        lines.append(
            f"{figures.plural(skipped, 'marked job', 'marked jobs')} can't be {_DONE[action]} now: left alone."
        )
    return title, lines


def refusal(action: JobAction, jobs: Sequence[Job]) -> str:
    """Return why nothing was done."""
    if not jobs:
        return f"No job to {action}"
    if len(jobs) > 1:
        return f"None of the {len(jobs)} jobs can be {_DONE[action]} now"
    job = jobs[0]
    if _is_repeated(action, job):
        return f"Job {job.id} is being cancelled already"
    return f"Job {job.id} is {job.state}: it can't be {_DONE[action]}"


class JobActions:
    """What a screen with jobs mixes in: C, p, R, D, P on what is ``selected``, offered only where it is possible."""

    def selected(self) -> list[Job]:
        """Return the jobs that an action would be about."""
        raise NotImplementedError

    def can(self, name: str) -> bool:
        """Return whether an action is possible for at least one selected job."""
        jobs = self.selected()
        if name in ("pause", "resume") and pause_or_resume(jobs) is not JobAction(name):
            return False
        return bool(possible(JobAction(name), jobs))


ACTIONS: Final = frozenset(action.value for action in JobAction)
