"""The form of a backfill and its plan: what is typed is checked at once and planned a moment later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from qsuite_console import commands
from qsuite_console.model.calendar import last_completed, sessions
from qsuite_console.model.errors import ConsoleError, InvalidParameters
from qsuite_console.model.jobs import Receipt, Submission
from qsuite_console.model.kinds import KindInfo, ParameterSpec, Plan
from qsuite_console.model.text import clean
from qsuite_console.screens import acting
from qsuite_console.screens.backfill_cells import TABLES, timeframes
from qsuite_console.screens.dialogs.confirm import ConfirmDialog
from qsuite_console.widgets.fields import Field, FieldList
from qsuite_console.widgets.keys import key_of
from qsuite_console.widgets.plan_view import PlanView

if TYPE_CHECKING:
    from textual.binding import BindingType

    from qsuite_console.screens.base import ConsoleScreen

KIND: Final = "backfill"
DATES: Final = "dates-preset"
PRESETS: Final = ("5 sessions", "1 month", "this year", "1 year", "5 years", "own dates")
OWN: Final = PRESETS[-1]
PLAN_AFTER_S: Final = 0.4  # of quiet typing
PLAN_AGAIN_S: Final = 5.0  # after a plan that failed
ORIGIN: Final = "console"


def preset_range(name: str, now: datetime) -> tuple[date, date] | None:
    """Return first and last day of a preset, ending with the last finished session; None for own dates."""
    end = last_completed(now).day
    match name:
        case "5 sessions":
            days = [session.day for session in sessions(end - timedelta(days=21), end)]
            return days[-5], end
        case "1 month":
            return end - timedelta(days=30), end
        case "this year":
            return date(end.year, 1, 1), end
        case "1 year":
            return end - timedelta(days=365), end
        case "5 years":
            return end - timedelta(days=5 * 365 + 1), end
    return None


class StartButton(Widget, can_focus=True):
    """The last line of the form."""

    SCOPE = "form"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("form")
    DEFAULT_CSS = """
    StartButton { height: 1; width: 1fr; }
    """

    class Pressed(Message):
        """Enter or a click."""

    class Left(Message):
        """The operator goes back up."""

    def render(self) -> Content:
        """Draw the button like the fields above it."""
        if not self.has_focus:
            key = key_of(self, "backfill.start")
            return Content.assemble(("  Start backfill", "bold $foreground"), (f"  {key}", "$dim"))
        line = Content.styled("▸ Start backfill  Enter", "bold $block-cursor-foreground")
        spare = " " * max(0, self.size.width - line.cell_length)
        return Content.assemble(line, spare).stylize("on $block-cursor-background")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only pressing and leaving make sense here."""
        return action in {"edit", "step"}

    def action_edit(self) -> None:
        """Press it."""
        self.post_message(self.Pressed())

    def action_step(self, steps: int) -> None:
        """Go back up, or on to the next panel."""
        if steps < 0:
            self.post_message(self.Left())
        else:
            self.screen.focus_next()

    def on_click(self) -> None:
        """Press it."""
        self.post_message(self.Pressed())


class FormPane(Vertical):
    """Form above, plan below; posts Submitted and Scoped."""

    class Submitted(Message):
        """A job was made, or an equal one joined."""

        def __init__(self, receipt: Receipt, parameters: Mapping[str, Any]) -> None:
            super().__init__()
            self.receipt = receipt
            self.parameters = parameters

    class Scoped(Message):
        """Table or timeframe were chosen: the map may follow."""

        def __init__(self, table: str, timeframe: str) -> None:
            super().__init__()
            self.table = table
            self.timeframe = timeframe

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.kind: KindInfo | None = None
        self._touched: set[str] = set()
        self._setting_dates = False
        self._planning_since: float | None = None
        self._plan_failed_at: float | None = None
        self._form_box = Vertical(id="form-box", classes="panel")
        self._plan_box = VerticalScroll(id="plan-box", classes="panel", can_focus=False)
        self._button = StartButton()
        self._hint = Static("", id="hint", markup=False)
        self.plan_view = PlanView(id="plan")
        self.fields: FieldList | None = None  # known when the engine has described the kind

    @property
    def _console_screen(self) -> ConsoleScreen:
        return cast("ConsoleScreen", self.screen)

    def compose(self) -> ComposeResult:
        """Frame both."""
        yield self._form_box
        with self._plan_box:
            yield self.plan_view

    def on_mount(self) -> None:
        """Ask what a backfill may be told."""
        self._form_box.border_title = panel_title(key_of(self, "backfill.form"), "Backfill")
        self._plan_box.border_title = plain("Plan")
        self.load()

    @work(exclusive=True, group="form-load")
    async def load(self) -> None:
        """Make the form from the kind's own description."""
        try:
            kinds = await self._console_screen.control.kinds()
        except ConsoleError as error:
            again = f"{key_of(self, 'backfill.reload')} tries again"
            self.plan_view.fail(f"{error.message}\n{error.hint or again}")
            return
        self.kind = next((kind for kind in kinds if kind.name == KIND), None)
        if self.kind is None:
            self.plan_view.fail("this engine has no backfill\nit was started without that worker: see its log")
            return
        fields = FieldList(self._specs(self.kind), id="fields")
        await self._form_box.remove_children()
        await self._form_box.mount(fields, self._button, self._hint)
        self.fields = fields
        if "start" in fields.fields:
            self._apply_dates()
        if self.screen.focused is None and self.display:
            fields.focus_field()
        self._announce_scope()
        self.refresh_plan()

    @staticmethod
    def _specs(kind: KindInfo) -> list[ParameterSpec]:
        specs = list(kind.parameters)
        at = next((index for index, spec in enumerate(specs) if spec.name == "start" and spec.type == "date"), None)
        if at is not None:
            preset = ParameterSpec(
                name=DATES, type="choice", label="Dates", choices=PRESETS, default="this year",
                help="A range that ends with the last finished session.",
            )  # fmt: skip
            specs.insert(at, preset)
        return specs

    # what the form holds

    def parameters(self) -> dict[str, Any]:
        """Return the parameters as they were given."""
        if self.fields is None or self.kind is None:
            return {}
        return self.fields.values([spec.name for spec in self.kind.parameters])

    def fill(self, values: Mapping[str, str]) -> None:
        """Put values into the form, as typed by hand."""
        if self.fields is not None:
            for name, text in values.items():
                if name in self.fields.fields:
                    self.fields.fields[name].value = text

    def step_dates(self, steps: int) -> None:
        """Take the next range of dates."""
        if self.fields is not None and DATES in self.fields.fields:
            self.fields.fields[DATES].action_choose(steps)

    def _apply_dates(self) -> None:
        if self.fields is None or DATES not in self.fields.fields:
            return
        span = preset_range(self.fields.fields[DATES].value, self._console_screen.now)
        if span is not None:
            self._setting_dates = True
            self.fill({"start": span[0].isoformat(), "end": span[1].isoformat()})

    def on_field_list_edited(self, event: FieldList.Edited) -> None:
        """Check at once, plan when it is quiet."""
        event.stop()
        if event.name == DATES:
            self._apply_dates()
        elif self.fields is not None and event.name in {"start", "end"} and DATES in self.fields.fields:
            preset = self.fields.fields[DATES]
            span = preset_range(preset.value, self._console_screen.now)
            given = tuple(self.fields.fields[n].value for n in ("start", "end") if n in self.fields.fields)
            if span is not None and given != tuple(day.isoformat() for day in span) and not self._setting_dates:
                preset.value = OWN
            self._setting_dates = False
        if event.name in {"table", "timeframe"}:
            self._make_possible(event.name)
            self._announce_scope()
        self._touched.add(event.name)
        self.refresh_plan()

    def _make_possible(self, changed: str) -> None:
        """Let the timeframe follow a table that holds one only, and the table a timeframe that it can't hold."""
        values = {name: str(value) for name, value in self.parameters().items()}
        table, timeframe = values.get("table", ""), values.get("timeframe", "")
        if timeframe and timeframe not in timeframes(table):
            self.fill({"timeframe": timeframes(table)[0]} if changed == "table" else {"table": TABLES[0]})

    def on_field_list_hinted(self, event: FieldList.Hinted) -> None:
        """Show what the field is for: below the fields, or in the frame where there is no line for it."""
        event.stop()
        text = clean(event.text, 200)
        self._hint.update(text)
        self._form_box.border_subtitle = plain("" if self._hint.display else clean(text, 70))

    def _announce_scope(self) -> None:
        values = self.parameters()
        self.post_message(self.Scoped(str(values.get("table", "")), str(values.get("timeframe", ""))))

    # plan

    @work(exclusive=True, group="form-plan")
    async def refresh_plan(self) -> None:
        """Validate what is there, then plan it."""
        self._planning_since = self._plan_failed_at = None
        is_valid = self.fields is not None and await self._is_valid(self._touched)
        self._show_plan_title()
        if not is_valid:
            return
        await asyncio.sleep(PLAN_AFTER_S)
        if self.kind is not None and not self.kind.can_plan:
            self.plan_view.ask("this kind can't be planned: start it without")
            return
        self._planning_since = time.monotonic()
        self.plan_view.wait(0)
        try:
            plan = await self._console_screen.control.plan(KIND, self.parameters())
        except InvalidParameters as problem:
            self._show_problems(problem.problems, set(problem.problems))
        except ConsoleError as error:
            self.plan_view.fail(f"{error.message}\n{error.hint}".strip())
            self._plan_failed_at = time.monotonic()
        else:
            self.plan_view.show(plan)
        finally:
            self._planning_since = None
            self._show_plan_title()

    async def _is_valid(self, shown: set[str]) -> bool:
        try:
            problems = await self._console_screen.control.check(KIND, self.parameters())
        except ConsoleError as error:
            self.plan_view.fail(f"{error.message}\n{error.hint}".strip())
            return False
        found = {problem.field: problem.message for problem in problems}
        return self._show_problems(found, shown)

    def _show_problems(self, problems: Mapping[str, str], shown: set[str]) -> bool:
        fields = self.fields
        if fields is None:
            return False
        fields.set_problems({name: text for name, text in problems.items() if name in shown})
        if not problems:
            return True
        whole = problems.get("")
        if whole:
            self.plan_view.fail(whole)
            return False
        empty = [field.spec.label for name, field in fields.fields.items() if name in problems and not field.value]
        wrong = [field.spec.label for name, field in fields.fields.items() if name in problems and field.value]
        parts = [f"Fill in {' and '.join(empty)}" if empty else "", f"correct {' and '.join(wrong)}" if wrong else ""]
        text = ", ".join(part for part in parts if part) or "; ".join(problems.values())
        self.plan_view.ask(f"{text[0].upper()}{text[1:]}: then the plan appears here.")
        return False

    def _show_plan_title(self) -> None:
        plan = self.plan_view.plan
        self._plan_box.border_subtitle = plain(clean(plan.title, 60) if plan is not None else "")

    def tick(self) -> None:
        """Count the seconds of a plan that takes its time; plan again a while after one that failed."""
        if self._planning_since is not None:
            self.plan_view.wait(time.monotonic() - self._planning_since)
        elif self._plan_failed_at is not None and time.monotonic() - self._plan_failed_at > PLAN_AGAIN_S:
            self.refresh_plan()

    # start

    def on_start_button_pressed(self, event: StartButton.Pressed) -> None:
        """Start."""
        event.stop()
        self.start()

    def on_start_button_left(self, event: StartButton.Left) -> None:
        """Go to the last field."""
        event.stop()
        if self.fields is not None:
            self.fields.focus_field(list(self.fields.fields)[-1])

    def on_field_left(self, event: Field.Left) -> None:
        """Go on to the button below the last field, or back over the first."""
        event.stop()
        if event.steps > 0:
            self._button.focus()
        else:
            self.screen.focus_previous()

    @work(exclusive=True, group="form-start")
    async def start(self) -> None:
        """Submit what the form describes."""
        screen, fields = self._console_screen, self.fields
        if fields is None:
            return
        names = set(fields.fields)
        self._touched |= names
        if not await self._is_valid(names):
            wrong = next((name for name, field in fields.fields.items() if field.problem), None)
            if wrong is not None:
                fields.focus_field(wrong)
            return
        parameters = self.parameters()
        if not await self.may_change(self.plan_view.plan):
            return
        submission = Submission(
            kind=KIND, parameters=parameters, origin=ORIGIN, confirmation=acting.name_to_type(screen)
        )
        receipt = await screen.attempt(screen.control.submit(submission))
        if receipt is not None:
            screen.tell(receipt_line(receipt))
            self.post_message(self.Submitted(receipt, parameters))

    async def may_change(self, plan: Plan | None) -> bool:
        """Ask for the target's name before data of a production platform is changed."""
        typed = acting.name_to_type(self._console_screen)
        if not typed:
            return True
        lines = [f"{line.label}: {line.value} {line.note}".strip() for line in plan.lines] if plan is not None else []
        dialog = ConfirmDialog("Start this backfill on production?", lines, do="start it", typed=typed)
        return await self._console_screen.agrees(dialog)


def receipt_line(receipt: Receipt) -> str:
    """Return what became of a submission."""
    if receipt.joined:
        return f"Job {receipt.job_id} does this already: {'it goes on' if receipt.resumed else 'joined it'}"
    return f"Job {receipt.job_id} is queued"


def panel_title(key: str, title: str) -> Any:
    """Return a panel's title with the key that leads to it; a Content, since a str would be read as markup."""
    return Content.assemble((key, "$footer-key-foreground"), f" {title}")


def plain(text: str) -> Any:
    """Return a text for a frame: a Content, since a str would be read as markup."""
    return Content(text)
