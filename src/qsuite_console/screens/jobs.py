"""Every job, newest first, live: pages are loaded as the cursor nears the end, changes are merged by id.

Running progress comes with each state; what was missed while another screen was shown is read anew.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content

from qsuite_console import commands
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.errors import ConsoleError, UsageProblem
from qsuite_console.model.events import AnyEvent, JobChanged, JobDeleted
from qsuite_console.model.jobs import Job, JobAction, JobState
from qsuite_console.model.text import clean
from qsuite_console.screens import acting
from qsuite_console.screens.base import ConsoleScreen
from qsuite_console.widgets import figures, frames, job_filter, job_rows
from qsuite_console.widgets.filter_bar import FilterBar
from qsuite_console.widgets.live_table import Key, LiveTable, Row

PAGE = 200
PAGES_A_GO = 5  # pages read for one wish where the filter lets few rows through


class JobsScreen(acting.JobActions, ConsoleScreen):
    """The list, its filter, marks and actions."""

    SCOPE = "jobs"
    CSS_PATH = "jobs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("jobs")
    BINDING_GROUP_TITLE = commands.SCOPES["jobs"]
    AUTO_FOCUS = "#jobs"

    def __init__(self) -> None:
        super().__init__()
        self._jobs: dict[int, Job] = {}
        self._order: list[int] = []  # of the loaded jobs that match, newest first
        self._next_before: int | None = None
        self._is_loaded = False
        self._problem = ""
        self._filter = job_filter.JobFilter()
        self._is_whole = False
        self._possible: tuple[bool, ...] = ()

    def compose_body(self) -> ComposeResult:
        """The list, and the filter under it."""

        def row(key: Key) -> Row:
            job = self._jobs[int(key)]
            is_away = any(one.name == job.queue and one.execution != "local" for one in self.state.queues)
            return job_rows.job_row(job, self.now, self.console.zone, is_away=is_away)

        table = LiveTable(job_rows.JOB_COLUMNS, row, id="jobs", classes="panel", empty="Loading…")
        table.border_title = "Jobs"
        yield table
        yield FilterBar("words  !not  /regex/  state:failed  kind:backfill  queue:general  from:cli", id="filter")

    @property
    def _table(self) -> LiveTable:
        return self.query_one("#jobs", LiveTable)

    # what it shows

    def show(self, state: ConsoleState) -> None:
        """Take the progress of running jobs."""
        changed = [job for job in state.running if job.id in self._jobs and self._jobs[job.id] != job]
        for job in changed:
            self._jobs[job.id] = job
        self._table.touch(job.id for job in changed)
        self._describe()

    def follow(self, events: tuple[AnyEvent, ...], *, is_whole: bool) -> None:
        """Merge what happened; read the first page anew if something was missed."""
        if is_whole:
            self._load()
            return
        changed: set[int] = set()
        gone: set[int] = set()
        for event in events:
            if isinstance(event, JobChanged):
                self._jobs[event.job.id] = event.job
                changed.add(event.job.id)
            elif isinstance(event, JobDeleted):
                gone.add(event.job_id)
                self._jobs.pop(event.job_id, None)
        for job in self.state.running:  # its progress is newer than the fact
            if job.id in changed:
                self._jobs[job.id] = job
        if changed or gone:
            self._merge(changed, gone)

    def _merge(self, changed: set[int], gone: set[int]) -> None:
        shown = set(self._order)
        wanted = {job_id for job_id in changed - gone if self._filter.matches(self._jobs[job_id])}
        if self._next_before is not None:  # beyond the loaded pages: it comes with its page
            wanted = {job_id for job_id in wanted if job_id >= self._next_before}
        after = (shown - gone - changed) | wanted
        if after != shown:
            self._order = arrange(self._table, after)
        self._table.touch(changed & after)
        self._describe()

    def tick(self, now: datetime) -> None:
        """Count down to the next tries; read again after an error."""
        self._table.touch(i for i in self._order if self._jobs[i].state is JobState.SCHEDULED)
        if self._problem:
            self._load()

    def _describe(self) -> None:
        table, total = self._table, sum(self.state.counts.values())
        title = f"Jobs /{clean(self._filter.text, 60)}" if self._filter.text else "Jobs"
        parts = [f"{figures.count(len(table.marks))} marked"] if table.marks else []
        parts.append(
            _how_many(len(self._order), total, is_filtered=bool(self._filter.text), is_all=self._next_before is None)
        )
        hidden = total - len(self._order) if self._filter.hides_routine and self._next_before is None else 0
        if self._is_loaded and hidden > 0:
            parts.append(f"s shows {figures.plural(hidden, 'scheduled one')} that succeeded")
        parts.append("newest first")
        if table.hidden_above:
            parts.insert(0, f"▲ {table.hidden_above} above")
        frames.title(table, Content(title))
        frames.caption(table, Content(" · ".join(parts)))
        table.empty = _why_empty(self._problem, self._filter.text, total, is_loaded=self._is_loaded)
        now_possible = tuple(self.holds(c.when) for c in commands.of(self.SCOPE) if c.when)
        if now_possible != self._possible:
            self._possible = now_possible
            self.refresh_bindings()

    # loading

    @work(exclusive=True, group="load", exit_on_error=False)
    async def _load(self, *, is_more: bool = False) -> None:
        """Read the first page, or the one after the last."""
        wanted, before = self._filter, self._next_before if is_more else None
        found: dict[int, Job] = {}
        for _ in range(PAGES_A_GO):
            try:
                page = await self.control.jobs(wanted.query(before=before, limit=PAGE))
            except ConsoleError as error:
                self._problem = clean(error.message, 200)
                self._describe()
                return
            found.update({job.id: job for job in page.jobs if wanted.matches(job)})
            before = page.next_before
            if before is None or len(found) >= PAGE // 4:
                break
        self._problem, self._is_loaded = "", True
        kept = set(self._order) if is_more else set()
        self._next_before = before
        running = {job.id: job for job in self.state.running}
        self._jobs.update({job_id: running.get(job_id, job) for job_id, job in found.items()})
        self._order = arrange(self._table, kept | set(found))
        if not is_more:
            self._jobs = {job_id: self._jobs[job_id] for job_id in self._order}
        self._table.touch_all()
        self._describe()

    def on_live_table_tail_reached(self) -> None:
        """Load the next page."""
        if self._next_before is not None and self._table.is_near_end:
            self._load(is_more=True)

    # filter

    def action_filter(self) -> None:
        """Edit the filter."""
        self.query_one(FilterBar).open(self._filter.text)

    async def take(self, command: commands.Command, argument: str) -> None:
        """Use what was typed after :jobs as the filter."""
        if command.id == "go.jobs":
            self._use_filter(argument)
        else:
            await super().take(command, argument)

    def on_filter_bar_changed(self, message: FilterBar.Changed) -> None:
        """Filter while it is typed."""
        self._use_filter(message.text)

    def on_filter_bar_closed(self, message: FilterBar.Closed) -> None:
        """Go back to the list."""
        self._use_filter(message.text)
        self._table.focus()

    def _use_filter(self, text: str) -> None:
        bar = self.query_one(FilterBar)
        try:
            wanted = dataclasses.replace(job_filter.parse(text), is_whole=self._is_whole)
        except UsageProblem as problem:
            bar.show_problem(problem.message)
            if not bar.display:
                self.tell_error(problem)
            return
        bar.show_problem("")
        if wanted == self._filter:
            return
        self._filter, self._next_before = wanted, None
        matching = {job_id for job_id, job in self._jobs.items() if wanted.matches(job)}
        self._order = arrange(self._table, matching)
        if wanted.text:  # a new question starts at its first answer; without one the cursor stays on its job
            self._table.action_edge(0)
        self._load()
        self._describe()

    def action_routine(self) -> None:
        """Show, or hide, what schedules made and what went well."""
        self._is_whole = not self._is_whole
        self._use_filter(self._filter.text)
        self.tell(f"{'Also' if self._is_whole else 'Without'} jobs of schedules that succeeded")

    def action_back(self) -> None:
        """Drop the marks, then the filter."""
        if self._table.marks:
            self._table.marks = frozenset()
            self._describe()
        elif self._filter.text:
            self._use_filter("")
        else:
            super().action_back()

    # actions

    def selected(self) -> list[Job]:
        """Return the marked jobs, or the one under the cursor."""
        keys = self._table.marks or {self._table.current}
        return [self._jobs[i] for i in self._order if i in keys]

    def holds(self, condition: str) -> bool:
        """Offer only what at least one selected job allows."""
        if condition == "job":
            return self._table.current is not None
        return self.can(condition) if condition in acting.ACTIONS else True

    def on_live_table_moved(self) -> None:
        """Offer what the job under the cursor allows."""
        self._describe()

    def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Show the job's page."""
        self.console.open_page("job", message.key)

    def neighbour_of(self, job_id: int, by: int) -> int | None:
        """Return the job ``by`` lines below, and move the cursor there."""
        if job_id not in self._order or not 0 <= self._order.index(job_id) + by < len(self._order):
            return None
        at = self._order.index(job_id) + by
        self._table.cursor = at
        return self._order[at]

    def action_mark(self) -> None:
        """Mark or unmark the job and go on to the next."""
        table = self._table
        if table.current is not None:
            table.marks = table.marks ^ {table.current}
            table.action_move(1)
            self._describe()

    @work(group="act")
    async def action_act(self, name: str) -> None:
        """Do one thing to the selected jobs."""
        if await acting.act(self, JobAction(name), self.selected()):
            self._table.marks = frozenset()
            self._describe()

    def action_copy(self) -> None:
        """Copy id and title of the selected jobs."""
        jobs = self.selected()
        self.console.copy_text("\n".join(clean(f"{job.id}\t{job.title}", 400) for job in jobs))
        self.tell(f"Copied {figures.plural(len(jobs), 'job')}")


def arrange(table: LiveTable, ids: set[int]) -> list[int]:
    """Show these jobs, newest first, and return their order."""
    order = sorted(ids, reverse=True)
    table.set_keys(order)
    return order


def _how_many(shown: int, total: int, *, is_filtered: bool, is_all: bool) -> str:
    """Say what part of all jobs is in the list; more are read as the cursor nears its end."""
    if is_filtered:
        return f"{figures.count(shown)} of {figures.plural(total, 'job')} match{'' if is_all else ' so far'}"
    return figures.plural(shown, "job") if is_all else f"first {figures.count(shown)} of {figures.plural(total, 'job')}"


def _why_empty(problem: str, text: str, total: int, *, is_loaded: bool) -> str:
    """Say which of the reasons it is: an error, not read yet, filtered out, none at all."""
    if problem:
        return f"The list can't be read: {problem}\nIt is read again every second."
    if not is_loaded:
        return "Loading…"
    if text:
        return f"No job matches “{clean(text, 60)}”\nEsc clears the filter · / edits it"
    key = commands.spoken(commands.BY_ID["go.backfill"].keys)
    nothing = f"No job yet\n{key} starts a backfill"
    return nothing if not total else "Only jobs of schedules that succeeded\ns shows them"
