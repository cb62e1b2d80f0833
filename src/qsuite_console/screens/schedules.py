"""Jobs that make themselves: what each means, when it comes next, what came of it; run, pause, change, remove."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content

from qsuite_console import commands
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.schedules import ScheduleDetail, ScheduleList, ScheduleView, fields_of, written
from qsuite_console.screens.acting import ORIGIN
from qsuite_console.screens.dialogs.schedule import ScheduleDialog, new_values
from qsuite_console.screens.operating import operate
from qsuite_console.screens.panes import Pane, PaneScreen, Question, contains
from qsuite_console.widgets import figures, frames, schedule_rows
from qsuite_console.widgets.entry_table import EntryTable
from qsuite_console.widgets.live_table import LiveTable, Row
from qsuite_console.widgets.text_view import TextView

READING = "report"  # a kind of job that changes nothing: may be scheduled wherever anything may
WIDE = 110  # cells from which the runs stand beside the facts


class SchedulesPane(Pane[ScheduleList]):
    """The list over the schedule under the cursor: its plans and facts, and its last runs."""

    NAME, TITLE, PROBE, KIND = "list", "Schedules", "schedules.list", ScheduleList
    FILTER = "words of the name, the job, what it means; paused"
    EMPTY = "There are no schedules\nn makes one: which job, and when"
    DEFAULT_CSS = """
    SchedulesPane EntryTable { height: 1fr; min-height: 4; }
    SchedulesPane .schedules--lower { height: 54%; min-height: 8; max-height: 20; }
    SchedulesPane #schedule-runs { width: 46%; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.table = EntryTable[ScheduleView](schedule_rows.COLUMNS, self._row, id="schedule-list")
        self._facts = TextView(id="schedule-facts", classes="panel")
        self._runs = TextView(id="schedule-runs", classes="panel")
        self._wanted = ""  # the schedule the cursor shall go to, once it is in the list
        self._detail: Question[ScheduleDetail] = Question("schedules.detail", ScheduleDetail, 2.0)

    def compose_pane(self) -> ComposeResult:
        """List above, one in full below."""
        yield self.table
        with Horizontal(classes="schedules--lower"):
            yield self._facts
            yield self._runs

    @property
    def selected(self) -> ScheduleView | None:
        """Return the schedule under the cursor."""
        return self.table.entry

    def further(self) -> Iterable[tuple[Question[Any], Mapping[str, Any]]]:
        """Yield the question about the schedule under the cursor."""
        if self.selected is not None:
            yield self._detail, {"name": self.selected.schedule.name, "most": schedule_rows.SHOWN_PLANS}

    def on_live_table_moved(self) -> None:
        """Show another one in full."""
        super().on_live_table_moved()
        self.ask_due()
        self._show_selected(self.paned.now)

    def _row(self, view: ScheduleView) -> Row:
        return schedule_rows.row_of(view, self.paned.now)

    def has_nothing(self, answer: ScheduleList) -> bool:
        """Return whether there is no schedule at all."""
        return not answer.schedules

    def show_answer(self, answer: ScheduleList, now: datetime) -> None:
        """Show those that match the filter."""
        self.table.empty = f"No schedule matches “{self.text}”"
        ordered = sorted(answer.schedules, key=lambda view: (not view.schedule.is_enabled, view.schedule.name))
        self.table.show({view.schedule.name: view for view in ordered if self._matches(view)})
        if self._wanted in self.table.keys:
            self.table.cursor = list(self.table.keys).index(self._wanted)
            self._wanted = ""
        paused = sum(not view.schedule.is_enabled for view in answer.schedules)
        told = figures.plural(len(answer.schedules), "schedule") + (f", {paused} paused" if paused else "")
        if not answer.is_running:
            told += " · nothing runs by them here: no engine with slots"
        frames.caption(self.table, Content(told))
        self._show_selected(now)

    def seek(self, name: str) -> None:
        """Go to a schedule, now or once it is there."""
        self._wanted = name
        self.reload()

    def _matches(self, view: ScheduleView) -> bool:
        look, schedule = schedule_rows.look_of(view), view.schedule
        return contains(self.text, schedule.name, schedule.kind, view.words, schedule.note, look.word)

    def _show_selected(self, now: datetime) -> None:
        view, answer = self.selected, self._detail.answer
        if view is None or answer is None or answer.view.schedule.name != view.schedule.name:
            self._facts.show(Content.styled("Reading …" if view else "No schedule is selected", "$dim"))
            self._runs.show(Content(""))
            return
        zone = self.paned.console.zone
        parameters = written(answer.view.schedule.parameters)
        runs = schedule_rows.history(answer.runs, now, zone)
        is_wide = self.size.width >= WIDE
        below = [] if is_wide else [Content(""), Content.styled("last runs", "$dim"), runs]
        self._facts.show(
            lambda width: Content("\n").join([schedule_rows.facts(answer, now, zone, width, parameters), *below])
        )
        self._runs.display = is_wide
        self._runs.show(runs)
        frames.title(self._runs, Content("Last runs"))


class SchedulesScreen(PaneScreen):
    """The list of schedules and what is done to them."""

    SCOPE = "schedules"
    SOURCE = ""
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("schedules")
    BINDING_GROUP_TITLE = commands.SCOPES["schedules"]
    PANES: ClassVar[tuple[type[Pane[Any]], ...]] = (SchedulesPane,)

    @property
    def selected(self) -> ScheduleView | None:
        """Return the schedule under the cursor."""
        return self.pane.selected if isinstance(self.pane, SchedulesPane) else None

    async def take(self, command: commands.Command, argument: str) -> None:
        """Use what is typed after :schedules as the filter."""
        if command.id == "go.schedules":
            await self.turn_to(SchedulesPane.NAME, argument)
        else:
            await super().take(command, argument)

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        view = self.selected
        if condition == "schedule":
            return view is not None
        if condition in ("pause", "resume"):
            return view is not None and view.schedule.is_enabled == (condition == "pause")
        return super().holds(condition)

    async def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Show the page of the schedule's newest job."""
        view = self.selected
        last = None if view is None else view.last
        job_id = None if view is None else view.job_id or (None if last is None else last.job_id)
        if job_id is None:
            self.tell("It has made no job yet")
        else:
            self.console.open_page("job", job_id)

    def action_run(self) -> None:
        """Make its job now."""
        self._do("schedules.run")

    def action_pause(self) -> None:
        """Make no more jobs by it."""
        self._do("schedules.pause")

    def action_resume(self) -> None:
        """Let it plan again."""
        self._do("schedules.enable")

    def action_delete(self) -> None:
        """Remove it, if it is agreed to."""
        self._do("schedules.delete")

    def action_new(self) -> None:
        """Type a new one."""
        self.run_worker(self._edit(new_values()))

    def action_edit(self) -> None:
        """Change the one under the cursor."""
        if (view := self.selected) is not None:
            self.run_worker(self._edit(shown_values(view)))

    def action_copy(self) -> None:
        """Copy it as the command that makes it."""
        if (view := self.selected) is not None:
            self.console.copy_text(command_of(view))
            self.tell("Copied: the command that makes it")

    def _do(self, operation: str) -> None:
        if (view := self.selected) is not None:
            self.run_worker(self._operate(operation, {"name": view.schedule.name}))

    async def _operate(self, operation: str, parameters: Mapping[str, Any]) -> bool:
        is_done = await operate(self, operation, parameters)
        if is_done and self.pane is not None:
            self.pane.reload()
        return is_done

    async def _edit(self, values: Mapping[str, Any]) -> None:
        """Let it be typed until it is saved or left: a no to the question leads back to what was typed."""
        if not self.may_change():
            return
        if self.state.is_read_only and not await self.attempt(self._may_save(str(values.get("kind", "")))):
            return
        given: dict[str, Any] | None = dict(values)
        while given is not None:
            given = await self.app.push_screen_wait(ScheduleDialog(self.control, given, self.now, self.console.zone))
            if given is None:
                return
            if await self._operate("schedules.save", given):
                if isinstance(self.pane, SchedulesPane):
                    self.pane.seek(given["name"])
                return
            given["when"] = next(given[name] for name in ("cron", "every", "once") if given[name])
            given["enabled"] = "yes" if given["enabled"] else "no"

    async def _may_save(self, kind: str) -> bool:
        """Return true, or raise what forbids it before anything is typed: on a read-only target jobs may only read."""
        with contextlib.suppress(InvalidParameters):  # whatever is to be typed yet
            await self.control.propose("schedules.save", {"kind": kind or READING}, origin=ORIGIN)
        return True


def shown_values(view: ScheduleView) -> dict[str, Any]:
    """Return what the form holds of a schedule."""
    fields = fields_of(view.schedule)
    when = next((fields[name] for name in ("cron", "every", "once") if fields[name]), "")
    return {**fields, "when": when, "enabled": "yes" if view.schedule.is_enabled else "no"}


def command_of(view: ScheduleView) -> str:
    """Return the command line that makes a schedule."""
    fields = fields_of(view.schedule)
    name, kind = fields.pop("name"), fields.pop("kind")
    flags = [
        f"--{flag} {shlex.quote(str(fields[flag]))}"
        for flag in ("cron", "every", "once", "zone", "missed", "grace", "overlap", "jitter", "note", "parameters")
        if fields[flag]
    ]
    if not view.schedule.is_enabled:
        flags.append("--paused")
    return " ".join(["qsuite-console schedules add", name, kind, *flags])
