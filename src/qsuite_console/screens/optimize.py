"""What would put the platform in shape: a plan to look through, and each step's job followed where it stands.

The plan is made once and again only when asked for: a step that is being done must not move away under the cursor.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Static

from qsuite_console import commands
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.errors import ConsoleError, ReadOnly
from qsuite_console.model.events import AnyEvent, JobChanged
from qsuite_console.model.jobs import TERMINAL, Job, JobState, Submission
from qsuite_console.model.optimizing import Optimization, Step, score_of
from qsuite_console.model.text import clean
from qsuite_console.screens.acting import ORIGIN, name_to_type
from qsuite_console.screens.base import ConsoleScreen
from qsuite_console.screens.dialogs.confirm import ConfirmDialog
from qsuite_console.widgets import figures, job_rows
from qsuite_console.widgets.entry_table import EntryTable
from qsuite_console.widgets.live_table import Cell, Column, LiveTable, Row
from qsuite_console.widgets.text_view import TextView, pairs

_COLUMNS: Final = (
    Column("number", "#", 2, is_right=True, keep=9),
    Column("look", "", 1, keep=9),
    Column("title", "STEP", 24, is_flexible=True, keep=10),
    Column("state", "STATE", 12, keep=8),
    Column("found", "FOUND", 54, keep=2, at_least=110),
)
_AREAS: Final = ("overall", "database", "cache", "system")
_REDO: Final = frozenset({JobState.FAILED, JobState.CANCELLED})
_LOOKING: Final = "Looking at servers, tables, indexes, partitions and the cache: a few seconds"


class _Outcomes:
    """What became of the steps so far."""

    def __init__(self) -> None:
        self.jobs: dict[int, Job] = {}  # step -> the job that does it
        self.said: dict[int, tuple[str, str]] = {}  # step -> tone and words of what became of an operation

    def clear(self) -> None:
        """Know nothing."""
        self.jobs.clear()
        self.said.clear()

    def told(self, step: Step) -> list[tuple[str, str, str]]:
        """Return lines of what became of it."""
        job, lines = self.jobs.get(step.number), []
        if job is not None:
            lines.append(("job", f"#{job.id} {job.state}{f': {job.error}' if job.error else ''}", ""))
        if step.number in self.said:
            lines.append(("outcome", self.said[step.number][1], ""))
        return lines

    def is_open(self, step: Step) -> bool:
        """Return whether it can be done, for the first time or again."""
        job = self.jobs.get(step.number)
        tone = self.said.get(step.number, ("", ""))[0]
        return tone != "ok" and (job is None or job.state in _REDO)

    def row(self, step: Step) -> Row:
        """Return the step as a line."""
        glyph, word, tone = self.state_of(step)
        return {
            "number": Cell(str(step.number), "dim"),
            "look": Cell(glyph, tone),
            "title": Cell(step.title),
            "state": Cell(word, tone),
            "found": Cell("; ".join(step.evidence), "dim"),
        }

    def state_of(self, step: Step) -> tuple[str, str, str]:
        """Return glyph, word and tone of how it stands."""
        job = self.jobs.get(step.number)
        if job is not None:
            look = job_rows.look_of(job)
            share = job.progress.fraction if job.state is JobState.RUNNING else None
            return look.glyph, look.word if share is None else f"{share * 100:.0f} %", look.tone
        if step.number in self.said:
            tone = self.said[step.number][0]
            return ("✔", "done", tone) if tone == "ok" else ("✖", "failed", tone)
        return ("○", "ready", "") if step.is_safe else ("▲", "left to you", "warn")


class OptimizeScreen(ConsoleScreen):
    """The page of the plan, pushed over a main screen."""

    SCOPE = "optimize"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("optimize")
    BINDING_GROUP_TITLE = commands.SCOPES["optimize"]
    AUTO_FOCUS = "#steps"
    DEFAULT_CSS = """
    OptimizeScreen #head { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    OptimizeScreen #steps { height: 1fr; min-height: 5; }
    OptimizeScreen #step { height: 11; }
    """

    def __init__(self, subject: object = None) -> None:
        super().__init__()
        self._plan: Optimization | None = None
        self._problem = ""
        self._outcomes = _Outcomes()

    def compose_body(self) -> ComposeResult:
        """One line, the steps, more of the one under the cursor."""
        yield Static("", id="head", markup=False)
        steps = EntryTable[Step](_COLUMNS, self._outcomes.row, id="steps", empty=_LOOKING)
        steps.border_title = "Plan"
        yield steps
        text = TextView(id="step", classes="panel")
        text.border_title = "Step"
        yield text

    def on_mount(self) -> None:
        """Look at everything."""
        super().on_mount()
        self.action_again()

    # what it shows

    def show(self, state: ConsoleState) -> None:
        """Follow the jobs of the steps."""
        ours = {job.id: number for number, job in self._outcomes.jobs.items()}
        moved = [job for job in state.running if job.id in ours and job != self._outcomes.jobs[ours[job.id]]]
        for job in moved:
            self._outcomes.jobs[ours[job.id]] = job
        if moved:
            self._draw()

    def follow(self, events: tuple[AnyEvent, ...], *, is_whole: bool) -> None:
        """Take the states that the jobs enter; read them anew where facts are missing."""
        ours = {job.id: number for number, job in self._outcomes.jobs.items()}
        if is_whole and any(job.state not in TERMINAL for job in self._outcomes.jobs.values()):
            self._read()
        for event in events:
            if isinstance(event, JobChanged) and event.job.id in ours:
                self._took(ours[event.job.id], event.job)

    def tick(self, now: datetime) -> None:
        """Say how old the plan is."""
        self._draw_head(now)

    def on_live_table_moved(self) -> None:
        """Tell of the step under the cursor, and what can be done with it."""
        self._draw_step()
        self.refresh_bindings()

    def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Open the job of the step, or ask to do it."""
        job = self._outcomes.jobs.get(int(message.key))
        if job is not None:
            self.console.open_page("job", job.id)
        else:
            self.action_perform()

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        step = self._steps.entry
        if condition == "safe":
            return bool(self._left())
        return step is not None and (condition == "entry" or self._outcomes.is_open(step))

    @property
    def _steps(self) -> EntryTable[Step]:
        return self.query_one("#steps", EntryTable)

    def _draw(self) -> None:
        plan = self._plan
        table = self._steps
        if plan is None:
            table.empty = f"{self._problem}\nr looks again" if self._problem else _LOOKING
        elif not plan.steps:
            table.empty = "Nothing is to be done"
        table.show({step.number: step for step in plan.steps} if plan is not None else {})
        self._draw_head(self.now)
        self._draw_step()
        self.refresh_bindings()

    def _draw_head(self, now: datetime) -> None:
        plan = self._plan
        if plan is None:
            self.query_one("#head", Static).update("")
            return
        scores = "  ".join(f"{area} {_number(score_of(plan.scores, area))}" for area in _AREAS)
        parts = [scores, figures.plural(len(plan.safe), "safe step")]
        if plan.left:
            parts.append(f"{len(plan.left)} left to you")
        if plan.others:
            parts.append(f"{plan.others} more: analyze")
        age = figures.age(max(0.0, (now - plan.at).total_seconds()))
        self.query_one("#head", Static).update(Content.styled(" · ".join([*parts, f"{age} old"]), "$dim"))

    def _draw_step(self) -> None:
        view, step = self.query_one("#step", TextView), self._steps.entry
        if step is None:
            unread = self._plan.unread if self._plan is not None else ()
            told = [("not read", f"{one.what}: {one.why}", "") for one in unread]
            view.show(lambda width: Content("\n").join(pairs(told, width=width)))
            return
        entries = [("found", "; ".join(step.evidence), ""), ("then", step.consequence, "")]
        if step.rule:
            entries.append(("rule", step.rule, "$dim"))
        if step.why_not:
            entries.append(("left to you", step.why_not, "$warning"))
        entries.append(("runs", step.command, "$accent"))
        entries += self._outcomes.told(step)
        view.show(lambda width: Content("\n").join(pairs(entries, width=width, label_width=11)))

    # what it does

    @work(exclusive=True, group="optimize-look")
    async def action_again(self) -> None:
        """Look at everything anew; what was done is forgotten here, its jobs go on."""
        self._plan, self._problem = None, ""
        self._outcomes.clear()
        self._draw()
        try:
            answer = await self.control.ask("optimize", {})
        except ConsoleError as error:
            self._problem = f"✖ {clean(error.message, 200)}{f': {clean(error.hint, 200)}' if error.hint else ''}"
        else:
            self._plan = answer if isinstance(answer, Optimization) else None
        self._draw()

    @work(group="optimize-do")
    async def action_perform(self) -> None:
        """Do the step under the cursor."""
        step = self._steps.entry
        if step is not None and self._outcomes.is_open(step):
            await self._perform([step])

    @work(group="optimize-do")
    async def action_perform_all(self) -> None:
        """Do every safe step that is left."""
        await self._perform(self._left())

    def action_copy(self) -> None:
        """Copy the command line of the step."""
        step = self._steps.entry
        if step is not None:
            self.app.copy_to_clipboard(step.command)
            self.tell(f"Copied: {step.command}")

    def action_other(self) -> None:
        """Focus the other of the two panels."""
        text = self.query_one("#step", TextView)
        (self._steps if self.focused is text else text).focus()

    def _left(self) -> list[Step]:
        return [step for step in self._plan.safe if self._outcomes.is_open(step)] if self._plan is not None else []

    async def _perform(self, steps: Sequence[Step]) -> None:
        if not steps:
            self.tell("Nothing is left to do here")
            return
        if not self.may_change():
            return
        if self.state.is_read_only:
            name = clean(self.state.target.name, 60)
            self.tell_error(ReadOnly(f"{name} is read-only here: nothing of the plan can be done"))
            return
        typed = name_to_type(self)
        title = f"{steps[0].title[0].upper()}{steps[0].title[1:]}?" if len(steps) == 1 else f"Do {len(steps)} steps?"
        if not await self.agrees(ConfirmDialog(title, _question(steps), do="do it", typed=typed)):
            return
        for step in steps:
            await (self._submit(step, typed) if step.kind else self._operate(step, typed))
        self._draw()

    async def _submit(self, step: Step, typed: str) -> None:
        submission = Submission(kind=step.kind, parameters=step.parameters, origin=ORIGIN, confirmation=typed)
        receipt = await self.attempt(self.control.submit(submission))
        detail = None if receipt is None else await self.attempt(self.control.job(receipt.job_id))
        if detail is not None:
            self._took(step.number, detail.job)

    async def _operate(self, step: Step, typed: str) -> None:
        proposal = await self.attempt(self.control.propose(step.operation, step.parameters, origin=ORIGIN))
        if proposal is None:
            return
        outcome = await self.attempt(
            self.control.perform(step.operation, proposal.parameters, confirmation=typed, origin=ORIGIN)
        )
        if outcome is not None:
            self._outcomes.said[step.number] = ("ok" if outcome.is_done else "error", clean(outcome.message, 300))

    def _took(self, number: int, job: Job) -> None:
        before = self._outcomes.jobs.get(number)
        self._outcomes.jobs[number] = job
        self._draw()
        if before is not None and job.state in TERMINAL and before.state not in TERMINAL:
            live = sum(one.state not in TERMINAL for one in self._outcomes.jobs.values())
            if not live:
                failed = sum(one.state is not JobState.SUCCEEDED for one in self._outcomes.jobs.values())
                rest = f", {failed} of {len(self._outcomes.jobs)} not done" if failed else ""
                self.tell(f"Every job of the plan has ended{rest}; r looks again")

    @work(exclusive=True, group="optimize-read")
    async def _read(self) -> None:
        for number, known in list(self._outcomes.jobs.items()):
            detail = await self.attempt(self.control.job(known.id))
            if detail is not None:
                self._took(number, detail.job)


def _question(steps: Sequence[Step]) -> list[str]:
    if len(steps) == 1:
        step = steps[0]
        left = [f"Not done by itself: {step.why_not}."] if step.why_not else []
        return [*step.evidence, "", f"Then: {step.consequence}.", *left]
    settings = sum(not step.kind for step in steps)
    told = "Jobs can be cancelled; " + ("a setting counts" if settings == 1 else "settings count") + " at once."
    last = told if settings else "Each is a job that can be cancelled."
    return [*(f"{step.number:>2}  {step.title}" for step in steps), "", last]


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.0f}"
