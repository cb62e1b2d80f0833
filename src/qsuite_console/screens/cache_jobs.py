"""Jobs on the cache, started from its screen: asked about where that matters, and followed there until they have ended.

One line tells what runs and what came of it, whatever pane is seen; the job's own page is a key away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from textual.content import Content
from textual.widgets import Static

from qsuite_console.model.events import AnyEvent, JobChanged, JobProgressed
from qsuite_console.model.jobs import LIVE, Job, JobState, Receipt, Submission
from qsuite_console.model.kinds import Plan
from qsuite_console.model.text import clean
from qsuite_console.screens.acting import ORIGIN, name_to_type
from qsuite_console.screens.dialogs.confirm import ConfirmDialog
from qsuite_console.screens.operating import announced
from qsuite_console.widgets import figures
from qsuite_console.widgets.keys import key_of

if TYPE_CHECKING:
    from qsuite_console.screens.base import ConsoleScreen

INVALIDATE: Final = "cache.invalidate"
_KINDS: Final = ("warm.", "cache.")
_NOTED_S: Final = 1.0  # jobs of others that are over sooner are not worth a line
_KEPT_S: Final = 20.0  # what came of a job
_LINES: Final = 2
_LOOKS: Final = {
    JobState.SUCCEEDED: ("●", "$success"),
    JobState.FAILED: ("✖", "$error"),
    JobState.CANCELLED: ("○", "$warning"),
    JobState.RUNNING: ("▶", "$primary"),
}


async def start(
    screen: ConsoleScreen,
    kind: str,
    parameters: Mapping[str, Any],
    *,
    question: str = "",
    consequence: str = "",
    do: str = "start it",
) -> Receipt | None:
    """Plan a job, ask where ``question`` is given or the target is production, submit it, and return its receipt.

    Must run in a worker of the screen: it waits for the answers.
    """
    typed = name_to_type(screen)
    is_refused = screen.state.is_read_only or screen.state.target.is_read_only  # by the engine, in its own words
    if (question or typed) and not is_refused:
        plan = await screen.attempt(announced(screen, screen.control.plan(kind, parameters), "Counting …"))
        if plan is None:
            return None
        if plan.is_noop:
            screen.tell(f"{_capital(plan.title)}: there is nothing of it in the cache")
            return None
        lines = [*plan_lines(plan), *(("", consequence) if consequence else ())]
        dialog = ConfirmDialog(question or f"{_capital(plan.title)}?", lines, do=do, typed=typed)
        if not await screen.agrees(dialog):
            return None
    submission = Submission(kind=kind, parameters=dict(parameters), origin=ORIGIN, confirmation=typed)
    return await screen.attempt(screen.control.submit(submission))


def plan_lines(plan: Plan) -> list[str]:
    """Return what a plan says, a line a figure, then its warnings."""
    width = max((len(line.label) for line in plan.lines), default=0)
    said = [f"{line.label:<{width}}  {line.value}{f', {line.note}' if line.note else ''}" for line in plan.lines]
    return [*said, *plan.warnings]


class CacheJobs(Static):
    """The line: jobs that were started here until a while after their end, those of others once they take time."""

    DEFAULT_CSS = """
    CacheJobs {
        height: auto; max-height: 2; padding: 0 1; display: none; background: $panel;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def __init__(self) -> None:
        super().__init__("", id="cache-jobs", markup=False)
        self._mine: dict[int, Job | None] = {}
        self._said = Content("")
        self.shown: tuple[int, ...] = ()

    def tell_of(self, job_id: int) -> None:
        """Tell of a job from now on; what came of earlier ones makes room."""
        self._mine = {known: job for known, job in self._mine.items() if job is not None and job.state in LIVE}
        self._mine[job_id] = None

    def learn(self, job: Job) -> None:
        """Take a job as it is known now."""
        if job.id in self._mine:
            self._mine[job.id] = job

    def follow(self, events: Sequence[AnyEvent]) -> bool:
        """Take facts; returns whether a job that was started here has ended."""
        has_ended = False
        for event in events:
            if isinstance(event, JobChanged) and event.job.id in self._mine:
                self._mine[event.job.id] = event.job
                has_ended |= event.job.state not in LIVE
            elif isinstance(event, JobProgressed) and (job := self._mine.get(event.job_id)) is not None:
                self._mine[event.job_id] = _moved(job, event)
        return has_ended

    def show(self, running: Iterable[Job], now: datetime) -> None:
        """Draw what is to be told; nothing is no line at all."""
        live = {job.id: job for job in running if job.kind.startswith(_KINDS)}
        for job_id in self._mine:
            if job_id in live:
                self._mine[job_id] = live[job_id]
        others = [job for job in live.values() if job.id not in self._mine and _seconds(job, now) >= _NOTED_S]
        mine = [job for job in self._mine.values() if job is not None and not _is_over(job, now)]
        told = sorted(mine, key=lambda job: -job.id)[:_LINES] + others
        self.shown = tuple(job.id for job in told[:_LINES])
        key = key_of(self, "cache.job")
        said = Content("\n").join([self._line(job, now, key if not number else "") for number, job in
                                   enumerate(told[:_LINES])])  # fmt: skip
        if said != self._said:
            self._said = said
            self.display = bool(said.plain)
            self.update(said)

    @staticmethod
    def _line(job: Job, now: datetime, key: str) -> Content:
        glyph, style = _LOOKS.get(job.state, ("◌", "$dim"))
        return Content.assemble(
            (f"{key or ' '} ", "bold $footer-key-foreground"),
            (f"{glyph} ", style),
            f"job {job.id} {clean(job.title, 60)}: {describe(job, now)}",
        )


def describe(job: Job, now: datetime) -> str:
    """Return how far a job on the cache is, or what came of it."""
    counted = _counted(job)
    if job.state is JobState.SUCCEEDED:
        spent = "" if job.started_at is None else f" in {figures.duration(_seconds(job, now))}"
        return f"{counted or 'done'}{spent}"
    if job.state is JobState.FAILED:
        return f"failed, {clean(job.error or 'see its page', 200)}"
    if job.state is JobState.RUNNING:
        part = "" if job.progress.fraction is None else f"{figures.percent(job.progress.fraction)} "
        return f"{part}{counted or 'working'}, for {figures.duration(_seconds(job, now))}"
    return f"{job.state}{f', {clean(job.reason, 100)}' if job.reason else ''}"


def _counted(job: Job) -> str:
    said = job.progress.figures
    for name, words in (("removed", "removed"), ("given", "given a life"), ("keys", "written")):
        number = said.get(name)
        if isinstance(number, int | float):
            failed = said.get("failed")
            refused = f", {figures.count(failed)} refused" if isinstance(failed, int | float) and failed else ""
            return f"{figures.plural(number, 'key')} {words}{refused}"
    return ""


def _moved(job: Job, event: JobProgressed) -> Job:
    return msgspec.structs.replace(job, progress=event.progress)


def _seconds(job: Job, now: datetime) -> float:
    return 0.0 if job.started_at is None else ((job.finished_at or now) - job.started_at).total_seconds()


def _is_over(job: Job, now: datetime) -> bool:
    return job.finished_at is not None and (now - job.finished_at).total_seconds() > _KEPT_S


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
