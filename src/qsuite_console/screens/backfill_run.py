"""The running backfills, one at a time, and the result of the last one when none runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final, cast

import msgspec
from textual import work
from textual.content import Content
from textual.widget import Widget

from qsuite_console import commands
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.jobs import LIVE, Job, JobDetail, JobQuery, JobState
from qsuite_console.model.text import clean
from qsuite_console.screens.backfill_form import panel_title, plain
from qsuite_console.widgets import figures, frames
from qsuite_console.widgets.keys import key_of
from qsuite_console.widgets.run_view import live_lines, number, result_lines

if TYPE_CHECKING:
    from textual.binding import BindingType

    from qsuite_console.screens.base import ConsoleScreen

KIND: Final = "backfill"
HISTORY: Final = 240  # points of the throughput kept for each job
KNOWN: Final = 50
_ORDER: Final = {JobState.RUNNING: 0, JobState.PAUSED: 1, JobState.INTERRUPTED: 2, JobState.QUEUED: 3}


class RunPane(Widget, can_focus=True):
    """Shows one backfill; its owner feeds it with jobs."""

    SCOPE = "run"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("run")
    BINDING_GROUP_TITLE = commands.SCOPES["run"]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="panel")
        self._jobs: dict[int, Job] = {}
        self._rates: dict[int, deque[float | None]] = {}
        self._chosen: int | None = None
        self._last: JobDetail | None = None
        self._drawn: tuple[str, ...] = ()
        self._is_known = False
        self._problem = ""

    @property
    def _console_screen(self) -> ConsoleScreen:
        return cast("ConsoleScreen", self.screen)

    @property
    def jobs(self) -> Sequence[Job]:
        """Return the backfills known here, newest first."""
        return sorted(self._jobs.values(), key=lambda job: job.id, reverse=True)

    @property
    def runs(self) -> list[Job]:
        """Return the live backfills: running first, then those that wait."""
        live = [job for job in self._jobs.values() if job.state in LIVE]
        return sorted(live, key=lambda job: (_ORDER.get(job.state, 4), job.id))

    @property
    def current(self) -> Job | None:
        """Return the backfill shown, live or finished."""
        runs = self.runs
        chosen = next((job for job in runs if job.id == self._chosen), None)
        if chosen is not None or runs:
            return chosen or runs[0]
        return self._last.job if self._last is not None else None

    def choose(self, job_id: int) -> None:
        """Show this job as soon as it is known."""
        self._chosen = job_id
        self._redraw()

    def next_run(self) -> None:
        """Show the next of several live ones."""
        runs = self.runs
        if len(runs) > 1:
            at = next((index for index, job in enumerate(runs) if job.id == self._chosen), 0)
            self.choose(runs[(at + 1) % len(runs)].id)

    # feeding

    @work(exclusive=True, group="run-load")
    async def load(self) -> None:
        """Read the newest backfills: facts were missed, or this is the first look."""
        try:
            page = await self._console_screen.control.jobs(JobQuery(kinds=(KIND,), limit=20))
        except ConsoleError as error:
            self._problem = error.message
            self._redraw()
            return
        self._problem, self._is_known = "", True
        self.take(page.jobs)
        self._find_last()

    def take(self, jobs: Iterable[Job]) -> None:
        """Take newer versions of jobs; other kinds are left out."""
        is_finished = False
        for job in jobs:
            if job.kind != KIND:
                continue
            before = self._jobs.get(job.id)
            self._jobs[job.id] = job
            is_finished |= before is not None and before.state in LIVE and job.state not in LIVE
            self._note_rate(job, before)
        while len(self._jobs) > KNOWN:
            oldest = min(self._jobs)
            self._jobs.pop(oldest)
            self._rates.pop(oldest, None)
        if is_finished:
            self._find_last()
        self._redraw()

    def _note_rate(self, job: Job, before: Job | None) -> None:
        if job.state is not JobState.RUNNING or job.progress.updated_at is None:
            return
        if before is not None and before.progress.updated_at == job.progress.updated_at and job.id in self._rates:
            return
        rates = self._rates.setdefault(job.id, deque(maxlen=HISTORY))
        rate = number(job.progress.figures, "rows_per_s")
        rates.append(job.progress.rate if rate is None else rate)
        if len(rates) == 1:
            self._recall(job.id)

    @work(group="run-recall")
    async def _recall(self, job_id: int) -> None:
        """Start the plot with what was measured before this screen looked."""
        try:
            detail = await self._console_screen.control.job(job_id)
        except ConsoleError:
            return  # the plot then starts now, which is all it claims
        rates = self._rates.get(job_id)
        if rates is not None and detail.throughput:
            later = list(rates)
            rates.clear()
            rates.extend([*(point.rate for point in detail.throughput[-HISTORY:]), *later])
            self._redraw()

    def _find_last(self) -> None:
        finished = [job for job in self._jobs.values() if job.state not in LIVE]
        if finished:
            newest = max(finished, key=lambda job: (job.finished_at is not None, job.finished_at, job.id))
            if self._last is None or self._last.job != newest:
                self._read_last(newest)

    @work(exclusive=True, group="run-last")
    async def _read_last(self, job: Job) -> None:
        try:
            self._last = await self._console_screen.control.job(job.id)
        except ConsoleError as error:
            self._last = JobDetail(job=msgspec.structs.replace(job, error=job.error or error.message))
        self._redraw()

    def _redraw(self) -> None:
        drawn = tuple(line.plain for line in self._lines())
        if drawn != self._drawn:
            self._drawn = drawn
            self.refresh()
        runs = self.runs
        running = sum(job.state is JobState.RUNNING for job in runs)
        more = (
            f"{running} running, {len(runs) - running} waiting · {key_of(self, 'backfill.next-run')} shows the next"
            if len(runs) > 1
            else ""
        )
        title = "Run" if runs or self._last is None else "Last run"
        frames.title(self, panel_title(key_of(self, "backfill.run"), title))
        frames.caption(self, plain(more))
        self.refresh_bindings()

    # drawing

    def action_open(self) -> None:
        """Open the page of the job shown."""
        job = self.current
        if job is not None:
            self._console_screen.console.open_page("job", job.id)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim Enter while there is nothing to open."""
        return (True if self.current is not None else None) if action == "open" else True

    def render(self) -> Content:
        """Draw the job shown."""
        return Content("\n").join(self._lines())

    def _lines(self) -> list[Content]:
        width, height = self.content_size
        if width < 8 or height < 1:
            return []
        job = self.current
        if job is not None and job.state in LIVE:
            return live_lines(job, tuple(self._rates.get(job.id, ())), width, height)
        if self._last is not None:
            return result_lines(self._last, width, height, ended=self._ended(self._last.job.finished_at))
        if self._problem:
            return [
                Content.styled(f"✖ {clean(self._problem, 300)}", "$error"),
                self._hint("backfill.reload", "tries again"),
            ]
        if not self._is_known:
            return [Content.styled("reading the history…", "$dim")]
        return [
            Content.styled("No backfill has run yet.", "$foreground"),
            self._hint(
                "backfill.start", "starts what the form describes, Enter on a gap of the map fetches that month"
            ),
        ]

    def _hint(self, command_id: str, does: str) -> Content:
        return Content.assemble((key_of(self, command_id), "bold $footer-key-foreground"), (f" {does}", "$dim"))

    def _ended(self, at: datetime | None) -> str:
        if at is None:
            return ""
        return f"{figures.age((self._console_screen.now - at).total_seconds())} ago"
