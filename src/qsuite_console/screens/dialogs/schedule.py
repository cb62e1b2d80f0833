"""A schedule to be typed: every change is looked at while it is made, and what it means stands under it in plain words.

The engine says what is wrong, by the same look that comes before saving; so a form and a shell never differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, ClassVar, Final

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from qsuite_console.engine.control import Control
from qsuite_console.model.errors import ConsoleError, InvalidParameters, ReadOnly
from qsuite_console.model.kinds import KindInfo, ParameterSpec
from qsuite_console.model.schedules import Explanation, Missed, Overlap, Schedule, timing_of
from qsuite_console.model.text import clean
from qsuite_console.screens.leaving import Dialog
from qsuite_console.widgets import schedule_rows
from qsuite_console.widgets.fields import Editor, Field, FieldList

PAUSE_S: Final = 0.15  # of typing, before it is looked at
AROUND: Final = 6  # lines of border, padding and keys
MEANING: Final = 6
_KEY: Final = "bold $footer-key-foreground"
_WHEN: Final = ("cron", "every", "once")


def _specs(values: Mapping[str, str]) -> tuple[ParameterSpec, ...]:
    """Return the fields, with what they hold at the beginning."""
    named = (
        ("name", "Name", "text", (), "small letters, digits and - . _", "warm-prices"),
        ("kind", "Job", "text", (), "", "warm.prices"),
        ("parameters", "Parameters", "text", (), "", "of the job: name=value name=value"),
        ("when", "When", "text", (), "a cron expression, an interval, or one time: "
         "25 9 * * mon-fri, 5 min, 2026-11-30 09:25", "25 9 * * mon-fri  or  5 min"),
        ("zone", "Time zone", "text", (), "whose clock cron and one-off times mean: UTC, America/New_York", "UTC"),
        ("missed", "Missed", "choice", tuple(Missed), "runs that nothing started in time: skip them, "
         "make up for all with one, or make up each (at most 100)", ""),
        ("grace", "Grace", "text", (), "a run that late is still on time", "60 s"),
        ("overlap", "Overlap", "choice", tuple(Overlap), "while the last job is not over: skip the plan, "
         "let it wait, or cancel that job", ""),
        ("jitter", "Jitter", "text", (), "start up to this much later, so that not all start at once", "0 s"),
        ("note", "Note", "text", (), "what it is for", ""),
        ("enabled", "Enabled", "choice", ("yes", "no"), "no: saved, but paused", ""),
    )  # fmt: skip
    return tuple(
        ParameterSpec(name=name, type=type_, label=label, help=help_, choices=tuple(map(str, choices)),
                      placeholder=holder, default=values.get(name, ""), is_required=name in ("name", "kind", "when"))
        for name, label, type_, choices, help_, holder in named
    )  # fmt: skip


class ScheduleDialog(Dialog[dict[str, Any] | None]):
    """Returns the parameters of ``schedules.save``, looked at and found good; None to leave."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave"),
        Binding("ctrl+s", "save", "Save", priority=True),
    ]
    DEFAULT_CSS = """
    ScheduleDialog { align: center middle; }
    ScheduleDialog FieldList { max-height: 1fr; }
    ScheduleDialog #hint { height: 1; color: $dim; }
    ScheduleDialog #meaning { height: 6; }
    """

    def __init__(self, control: Control, values: Mapping[str, Any], now: datetime, zone: tzinfo | None) -> None:
        """``values``: what the fields hold, ``revision`` of the schedule that is edited."""
        super().__init__()
        self._control = control
        self._revision = int(values.get("revision", 0))
        self._now, self._zone = now, zone
        self._kinds: Sequence[KindInfo] = ()
        self._touched = {name for name, value in values.items() if value}
        self._fields = FieldList(_specs({name: str(value) for name, value in values.items()}))
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Fields, what the one that is typed into is about, what it all means."""
        with Vertical(classes="dialog") as box:
            box.border_title = "Edit schedule" if self._revision else "New schedule"
            yield self._fields
            yield Static("", id="hint")
            yield Static("", id="meaning")
            keys = (("Enter ", "type  "), ("←→ ", "choose  "), ("Ctrl+S ", "save  "), ("Esc ", "leave"))
            yield Static(Content.assemble(*(part for key, word in keys for part in ((key, _KEY), word))), id="keys")

    def on_mount(self) -> None:
        """Begin with the name, or with the time of one that is edited."""
        if self._revision:
            self._fields.fields["name"].disabled = True
        self._fields.focus_field("when" if self._revision else "name")
        self._look()
        self._read_kinds()

    def on_resize(self) -> None:
        """Keep keys and meaning on the screen however small it is."""
        self._fields.styles.max_height = max(5, self.size.height - AROUND - MEANING)

    @work
    async def _read_kinds(self) -> None:
        try:
            self._kinds = await self._control.kinds()
        except ConsoleError as error:
            self._say_hint(clean(error.message, 200))

    def _given(self) -> dict[str, Any]:
        """Return what is typed as ``schedules.save`` takes it."""
        values = {name: field.value for name, field in self._fields.fields.items()}
        when = timing_of(values.pop("when"))
        return {**values, **when, "enabled": values["enabled"] != "no", "revision": self._revision}

    def on_field_list_edited(self, event: FieldList.Edited) -> None:
        """Look again, once the typing pauses."""
        self._touched.add(event.name)
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(PAUSE_S, self._look)
        self._hint(event.name)

    def on_field_list_hinted(self, event: FieldList.Hinted) -> None:
        """Say what the field is about."""
        name = next((name for name, field in self._fields.fields.items() if field.spec.help == event.text), "")
        focused = self.focused
        field = focused.parent if isinstance(focused, Editor) else focused
        self._hint(field.spec.name if isinstance(field, Field) else name)

    def _hint(self, name: str) -> None:
        values = self._fields.fields
        text = values[name].spec.help if name in values else ""
        if name == "kind":
            typed = values["kind"].value.lower()
            near = [kind.name for kind in self._kinds if typed in kind.name] or [kind.name for kind in self._kinds]
            text = ", ".join(near)
        if name == "parameters":
            kind = next((kind for kind in self._kinds if kind.name == values["kind"].value), None)
            text = ", ".join(f"{spec.name}{' (required)' if spec.is_required else ''}" for spec in kind.parameters) \
                if kind is not None else "of the job: name=value, or JSON"  # fmt: skip
        self._say_hint(text)

    def _say_hint(self, text: str) -> None:
        self.query_one("#hint", Static).update(
            Content(clean(text, 300)).truncate(max(20, self.size.width - 8), ellipsis=True)
        )

    @work(exclusive=True, group="look")
    async def _look(self) -> None:
        """Show what is wrong with what was touched, and what the time means."""
        await self._problems(only_touched=True)
        given = self._given()
        asked = {name: given[name] for name in (*_WHEN, "zone", "name")}
        try:
            answer = await self._control.ask("schedules.explain", {**asked, "most": 3})
        except ConsoleError as error:
            self.query_one("#meaning", Static).update(Content.styled(clean(error.message, 200), "$error"))
            return
        assert isinstance(answer, Explanation)
        shown = Content("")
        if not answer.problems and answer.timing is not None:
            schedule = Schedule(name="", kind="", timing=answer.timing, is_enabled=given["enabled"])
            width = self.query_one("#meaning", Static).content_size.width or 70
            shown = schedule_rows.meaning(answer, schedule, self._now, self._zone, width)
        self.query_one("#meaning", Static).update(shown)

    async def _problems(self, *, only_touched: bool) -> bool:
        """Look at what would be saved and show each problem at its field; returns whether there is one."""
        found: dict[str, str] = {}
        try:
            await self._control.propose("schedules.save", self._given())
        except InvalidParameters as error:
            found = {("when" if name in _WHEN else name or "name"): why for name, why in error.problems.items()}
        except ConsoleError as error:
            field = "kind" if isinstance(error, ReadOnly) else "name"
            found = {field: f"{error.message}; {error.hint}" if error.hint else error.message}
        shown = {name: why for name, why in found.items() if not only_touched or name in self._touched}
        self._fields.set_problems({name: clean(why, 200) for name, why in shown.items()})
        if not only_touched and found:
            first = next((name for name in self._fields.fields if name in found), None)
            self._fields.focus_field(first)
        return bool(found)

    @work(exclusive=True, group="save")
    async def action_save(self) -> None:
        """Return what was typed, if nothing is wrong with it; a look that is due from typing does not cut it off."""
        self._touched |= self._fields.fields.keys()
        if not await self._problems(only_touched=False):
            self.workers.cancel_group(self, "look")
            self.dismiss(self._given())

    def action_leave(self) -> None:
        """Return nothing."""
        self.dismiss(None)


def new_values() -> dict[str, Any]:
    """Return what the fields of a new schedule hold."""
    return {"zone": "UTC", "missed": "skip", "grace": "60 s", "overlap": "skip", "jitter": "0 s", "enabled": "yes"}
