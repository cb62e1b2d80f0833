"""One job in full: facts and throughput, log, attempts, parameters, result; live while it lives.

Its detail is read when it opens and whenever it enters another state; progress comes with the console's state, log
lines are asked for once a second by their number.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import ClassVar, Final

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from qsuite_console import commands
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.errors import ConsoleError, NotFound
from qsuite_console.model.events import AnyEvent, JobChanged, JobDeleted
from qsuite_console.model.jobs import TERMINAL, Attempt, Job, JobAction, JobDetail, RatePoint
from qsuite_console.model.text import clean
from qsuite_console.screens import acting, telling
from qsuite_console.screens.base import ConsoleScreen
from qsuite_console.screens.dialogs.text import TextDialog
from qsuite_console.widgets import job_facts
from qsuite_console.widgets.filter_bar import FilterBar
from qsuite_console.widgets.job_header import JobHeader, Tabs
from qsuite_console.widgets.live_table import Key, LiveTable
from qsuite_console.widgets.log_view import LogView
from qsuite_console.widgets.plot import Plot, Series
from qsuite_console.widgets.text_view import TextView

PAGES: Final = (
    ("summary", "Summary", "#facts"),
    ("log-page", "Log", "#log"),
    ("attempts", "Attempts", "#attempts"),
    ("parameters", "Parameters", "#parameters"),
    ("result", "Result", "#result"),
)
POINTS: Final = 2000


class JobScreen(acting.JobActions, telling.Telling, ConsoleScreen):
    """The page of one job, pushed over a main screen."""

    SCOPE = "job"
    CSS_PATH = "job.tcss"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("job")
    BINDING_GROUP_TITLE = commands.SCOPES["job"]
    AUTO_FOCUS = "#facts"

    def __init__(self, job_id: int, *, page: int = 0) -> None:
        super().__init__()
        self.job_id = job_id
        self._job: Job | None = None
        self._detail: JobDetail | None = None
        self._points: list[RatePoint] = []
        self._page = page
        self._attempts: dict[Key, Attempt] = {}

    def compose_body(self) -> ComposeResult:
        """Header, strip, pages."""
        zone = self.console.zone
        yield JobHeader()
        yield Tabs([title for _, title, _ in PAGES])
        with ContentSwitcher(initial="summary"):
            with Vertical(id="summary"):
                with Horizontal(id="upper"):
                    facts = TextView(id="facts", classes="panel")
                    facts.border_title = "Facts"
                    yield facts
                    plot = Plot(zone=zone, empty="No throughput yet", id="throughput")
                    plot.add_class("panel")
                    plot.border_title = "Throughput"
                    yield plot
                tail = LogView(zone=zone, id="tail", classes="panel")
                tail.border_title = "Log"
                yield tail
            with Vertical(id="log-page"):
                log = LogView(zone=zone, id="log", classes="panel")
                log.border_title = "Log"
                yield log
                yield FilterBar("words  !not", id="filter")
            table = LiveTable(
                job_facts.ATTEMPT_COLUMNS,
                lambda key: job_facts.attempt_row(self._attempts[key], self.now, self.console.zone),
                id="attempts",
                classes="panel",
                empty="Not tried yet",
            )
            table.border_title = "Attempts"
            yield table
            for name in ("parameters", "result"):
                view = TextView(id=name, classes="panel")
                view.border_title = name.capitalize()
                yield view

    def on_mount(self) -> None:
        """Begin on the page that was asked for."""
        super().on_mount()
        if self._page:
            self._show_page()

    # what it shows

    def show(self, state: ConsoleState) -> None:
        """Take the newest progress."""
        job = next((job for job in state.running if job.id == self.job_id), None)
        if job is not None and job != self._job:
            self._use(job)

    def follow(self, events: tuple[AnyEvent, ...], *, is_whole: bool) -> None:
        """Read the detail again when the job enters another state."""
        if is_whole:
            self._load()
        for event in events:
            if isinstance(event, JobChanged) and event.job.id == self.job_id:
                self._use(next((job for job in self.state.running if job.id == self.job_id), event.job))
                self._load()
            elif isinstance(event, JobDeleted) and event.job_id == self.job_id:
                self.tell(f"Job {self.job_id} was deleted")
                self.dismiss()
                return

    def tick(self, now: datetime) -> None:
        """Move times; ask for new log lines while there can be any."""
        if self._job is not None:
            self._render_facts()
            if self._job.state not in TERMINAL:
                self.query_one("#attempts", LiveTable).touch_all()
                self._read_log()

    def _use(self, job: Job) -> None:
        self._job = job
        at, rate = job.progress.updated_at, job.progress.rate
        if at is not None and rate is not None and (not self._points or at > self._points[-1].at):
            self._points = [*self._points, RatePoint(at=at, done=job.progress.done, rate=rate)][-POINTS:]
        self.query_one(JobHeader).job = job
        self._render_facts()
        self._render_throughput()
        self.refresh_bindings()

    def _render_facts(self) -> None:
        job, now, zone = self._job, self.now, self.console.zone
        if job is not None:
            execution = next((one.execution for one in self.state.queues if one.name == job.queue), "local")
            self.query_one("#facts", TextView).show(lambda width: job_facts.facts(job, now, zone, width, execution))

    def _render_throughput(self) -> None:
        if self._job is not None:
            unit = f"{self._job.progress.unit or 'units'}/s"
            points = tuple((point.at, point.rate) for point in self._points)
            self.query_one("#throughput", Plot).show([Series("rate", points)], unit=unit)

    @work(exclusive=True, group="load", exit_on_error=False)
    async def _load(self) -> None:
        """Read everything about the job."""
        try:
            detail = await self.control.job(self.job_id)
        except NotFound as error:
            self.tell_error(error)
            self.dismiss()
            return
        except ConsoleError as error:
            self.tell_error(error)
            return
        self._detail = detail
        self._points = list(detail.throughput)[-POINTS:]
        self._use(detail.job)
        self._attempts = {attempt.number: attempt for attempt in reversed(detail.attempts)}
        self.query_one("#attempts", LiveTable).set_keys(self._attempts)
        self._render_texts(detail)
        for view in self.query(LogView):
            view.say_empty("This job logged nothing" if detail.job.state in TERMINAL else "No line yet")
            view.extend(detail.logs)

    def _render_texts(self, detail: JobDetail) -> None:
        given, result = detail.job.parameters, detail.result
        why = "The result expired, or the job gave none" if detail.job.state in TERMINAL else "No result yet"
        self.query_one("#parameters", TextView).show(
            lambda width: job_facts.mapping(given, empty="No parameters", width=width, is_raw=True)
        )
        self.query_one("#result", TextView).show(lambda width: job_facts.mapping(result, empty=why, width=width))

    @work(exclusive=True, group="log", exit_on_error=False)
    async def _read_log(self) -> None:
        """Ask for the lines after the last."""
        try:
            lines = await self.control.logs(self.job_id, after=self.query_one("#log", LogView).last_number)
        except ConsoleError:
            return  # what is wrong with the engine is told by the console's state
        for view in self.query(LogView):
            view.extend(lines)

    # pages

    def action_neighbour(self, by: int) -> None:
        """Show the job above or below in the list that this page was opened from, on the same page."""
        below = self.app.screen_stack[-2]
        other = below.neighbour_of(self.job_id, by) if isinstance(below, ConsoleScreen) else None
        if other is None:
            self.tell(f"No job {'below' if by > 0 else 'above'} in that list")
        else:
            self.app.switch_screen(JobScreen(other, page=self._page))

    def action_step(self, by: int) -> None:
        """Show the next or previous page."""
        self._page = (self._page + by) % len(PAGES)
        self._show_page()

    def _show_page(self) -> None:
        name, _, focus = PAGES[self._page]
        self.query_one(Tabs).active = self._page
        self.query_one(ContentSwitcher).current = name
        self.query_one(focus, Widget).focus()
        self.refresh_bindings()

    def action_filter(self) -> None:
        """Filter the log, from whichever page."""
        if self._page != 1:
            self.action_step(1 - self._page)
        self.query_one(FilterBar).open(self.query_one("#log", LogView).filter)

    def on_filter_bar_changed(self, message: FilterBar.Changed) -> None:
        """Filter while it is typed."""
        self.query_one("#log", LogView).filter = message.text

    def on_filter_bar_closed(self, message: FilterBar.Closed) -> None:
        """Go back to the log."""
        log = self.query_one("#log", LogView)
        log.filter = message.text
        log.focus()

    def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Show a try's error in full."""
        attempt = self._attempts[message.key]
        self.app.push_screen(TextDialog(f"Try {attempt.number}", attempt.error or "No error"))

    def action_back(self) -> None:
        """Drop the log's filter, then leave."""
        log = self.query_one("#log", LogView)
        if self._page == 1 and log.filter:
            log.filter = ""
        else:
            super().action_back()

    # actions

    def selected(self) -> list[Job]:
        """Return the job."""
        return [self._job] if self._job is not None else []

    def holds(self, condition: str) -> bool:
        """Offer what the job allows."""
        if condition == "log":
            return True
        return self.can(condition) if condition in acting.ACTIONS else True

    @work(group="act")
    async def action_act(self, name: str) -> None:
        """Do one thing to the job."""
        await acting.act(self, JobAction(name), self.selected())

    def action_copy(self) -> None:
        """Copy what the page shows."""
        job = self._job
        if job is None:
            return
        detail = self._detail
        text = {
            "summary": _summary(job),
            "log-page": self.query_one("#log", LogView).plain,
            "attempts": "\n".join(f"{a.number}\t{a.outcome}\t{a.error or ''}" for a in self._attempts.values()),
            "parameters": json.dumps(job.parameters, indent=2, default=str, ensure_ascii=False),
            "result": json.dumps(detail.result if detail else None, indent=2, default=str, ensure_ascii=False),
        }[PAGES[self._page][0]]
        self.console.copy_text(clean(text, 200_000, one_line=False))
        self.tell(f"Copied: {PAGES[self._page][1].lower()} of job {job.id}")


def _summary(job: Job) -> str:
    lines = [f"job {job.id}: {job.title}", f"state: {job.state}", f"correlation: {job.correlation_id}"]
    return "\n".join(lines + ([f"error: {job.error}"] if job.error else []))
