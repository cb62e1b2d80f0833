"""What can be changed on the platform, and what an operation must know: dialogs made of the operations' own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from qsuite_console.model.kinds import ParameterSpec
from qsuite_console.model.operations import OperationInfo
from qsuite_console.model.text import clean
from qsuite_console.screens.leaving import Dialog

AROUND = 9  # lines of border, padding, help and keys
_KEY = "bold $footer-key-foreground"


class OperationDialog(Dialog[OperationInfo | None]):
    """Returns the chosen operation, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Leave"),
        Binding("j", "cursor(1)", "Down"),
        Binding("k", "cursor(-1)", "Up"),
    ]
    DEFAULT_CSS = """
    OperationDialog { align: center middle; }
    OperationDialog .dialog { width: 84; max-width: 96%; max-height: 90%; }
    OperationDialog OptionList { height: auto; background: transparent; border: none; padding: 0; }
    OperationDialog OptionList:focus { border: none; }
    OperationDialog #about { margin-top: 1; height: 2; color: $dim; }
    OperationDialog #keys { margin-top: 1; }
    """

    def __init__(self, operations: Sequence[OperationInfo], *, title: str = "Change the platform") -> None:
        super().__init__()
        self._title = title
        self._operations = tuple(operations)

    def compose(self) -> ComposeResult:
        """One line an operation."""
        with Vertical(classes="dialog") as box:
            box.border_title = self._title
            yield OptionList(*(Option(_line(each), id=f"o{n}") for n, each in enumerate(self._operations)))
            box.styles.max_height = "100%"
            yield Static("", id="about")
            yield Static(Content.assemble(("Enter ", _KEY), "choose    ", ("Esc ", _KEY), "leave"), id="keys")

    def on_mount(self) -> None:
        """Begin at the top."""
        self.query_one(OptionList).focus()

    def on_resize(self) -> None:
        """Keep help and keys on the screen however small it is."""
        self.query_one(OptionList).styles.max_height = max(2, self.size.height - AROUND)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Say what the operation under the cursor does."""
        self.query_one("#about", Static).update(Content(clean(self._operations[event.option_index].help, 200)))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Return what was chosen."""
        self.dismiss(self._operations[event.option_index])

    def action_cursor(self, by: int) -> None:
        """Move to another entry."""
        options = self.query_one(OptionList)
        options.action_cursor_down() if by > 0 else options.action_cursor_up()

    def action_leave(self) -> None:
        """Return nothing."""
        self.dismiss(None)


class ParameterDialog(Dialog[dict[str, Any] | None]):
    """Returns what was typed for each parameter, without those left empty; None to leave."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave"),
        Binding("down", "app.focus_next", "Next", show=False),
        Binding("up", "app.focus_previous", "Previous", show=False),
    ]
    DEFAULT_CSS = """
    ParameterDialog { align: center middle; }
    ParameterDialog .dialog { width: 76; max-width: 96%; max-height: 90%; }
    ParameterDialog VerticalScroll { height: auto; max-height: 1fr; }
    ParameterDialog Input { background: $panel; margin-bottom: 1; }
    ParameterDialog #problem { color: $error; height: auto; display: none; }
    """

    def __init__(
        self, operation: OperationInfo, *, values: Mapping[str, Any] | None = None, problem: str = "", field: str = ""
    ) -> None:
        """``values`` are what was typed before; ``problem`` is what was wrong with it, in ``field`` where known."""
        super().__init__()
        self._operation = operation
        self._values = values or {}
        self._problem, self._field = problem, field

    def compose(self) -> ComposeResult:
        """Help, then a labelled field for each parameter."""
        with Vertical(classes="dialog") as box:
            box.border_title = Content(clean(self._operation.title, 60))
            with VerticalScroll():
                yield Static(Content(clean(self._operation.help, 300)))
                for spec in self._operation.parameters:
                    yield Static(_label(spec))
                    default = "" if spec.default is None else str(spec.default)
                    default = str(self._values.get(spec.name, default))
                    yield Input(default, placeholder=spec.placeholder, id=f"p-{spec.name}")
            yield Static("", id="problem", markup=False)
            yield Static(
                Content.assemble(("Enter ", _KEY), "see what it would do    ", ("Esc ", _KEY), "leave"), id="keys"
            )

    def on_mount(self) -> None:
        """Begin with the first field, or with the one that was refused."""
        names = [spec.name for spec in self._operation.parameters]
        self.query_one(f"#p-{self._field if self._field in names else names[0]}", Input).focus()
        if self._problem:
            self._say(self._problem)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go to the next empty field that is needed, or return what was typed."""
        values = {spec.name: self.query_one(f"#p-{spec.name}", Input).value for spec in self._operation.parameters}
        missing = [spec for spec in self._operation.parameters if spec.is_required and not values[spec.name].strip()]
        if missing:
            self._say(f"{missing[0].label} is needed")
            self.query_one(f"#p-{missing[0].name}", Input).focus()
            return
        self.dismiss({name: text for name, text in values.items() if text.strip()})

    def _say(self, text: str) -> None:
        problem = self.query_one("#problem", Static)
        problem.update(f"✖ {clean(text, 300)}")
        problem.display = True

    def action_leave(self) -> None:
        """Return nothing."""
        self.dismiss(None)


def _line(operation: OperationInfo) -> Content:
    return Content.assemble((f"{clean(operation.name, 26):<27}", "bold"), (clean(operation.title, 36), "$dim"))


def _label(spec: ParameterSpec) -> Content:
    words = [spec.help] if spec.help else []
    if spec.choices:
        words.append(f"one of {', '.join(spec.choices)}")
    if not spec.is_required:
        words.append("may stay empty")
    return Content.assemble((clean(spec.label, 60), "bold"), (f"  {clean('; '.join(words), 200)}", "$dim"))
