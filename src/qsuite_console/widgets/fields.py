"""A form made from the parameters of a kind of job: one line a field, its problem under it.

A field is chosen first and typed into second, so that every key of the console works while the form has the focus.
Values stay text here; what they mean is for the engine to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from qsuite_console import commands
from qsuite_console.model.kinds import ParameterSpec
from qsuite_console.model.text import clean

LABEL_CELLS: Final = 13
_CHOICES: Final = frozenset({"choice", "boolean"})
_YES_NO: Final = ("no", "yes")


class Editor(Input):
    """The line that is typed into."""

    SCOPE = "editor"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("editor")

    class Reverted(Message):
        """Typing was given up."""

    def action_revert(self) -> None:
        """Give up what was typed."""
        self.post_message(self.Reverted())


class Field(Widget, can_focus=True):
    """One parameter."""

    SCOPE = "form"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("form")
    BINDING_GROUP_TITLE = commands.SCOPES["form"]
    DEFAULT_CSS = """
    Field {
        height: auto; min-height: 1; width: 1fr; background: $background; color: $foreground;
        & > Editor {
            margin: 0 1 0 15; height: 1; width: 1fr; border: none; padding: 0; background: $surface; color: $foreground;
            &:focus { border: none; background: $surface; background-tint: $foreground 0%; }
            & > .input--placeholder { color: $dim; }
        }
    }
    """

    class Changed(Message):
        """The value is another one, also while it is typed."""

        def __init__(self, field: Field) -> None:
            super().__init__()
            self.field = field

    class Left(Message):
        """The operator goes on to another field: ``steps`` further down."""

        def __init__(self, field: Field, steps: int) -> None:
            super().__init__()
            self.field = field
            self.steps = steps

    class Pressed(Message):
        """Enter on a field that is a button."""

    def __init__(self, spec: ParameterSpec) -> None:
        super().__init__(id=f"field-{spec.name}")
        self.spec = spec
        self.choices: tuple[str, ...] = _YES_NO if spec.type == "boolean" else spec.choices
        self._value = self._default = _text_of(spec.default)
        self._problem = ""
        self._before = ""

    @property
    def value(self) -> str:
        """Return the value as text; "" is none given."""
        return self._value

    @value.setter
    def value(self, text: str) -> None:
        if text == self._value:
            return
        self._value = text
        editor = self.query_one_optional(Editor)
        if editor is not None and editor.value != text:
            editor.value = text
        self.refresh(layout=True)
        self.post_message(self.Changed(self))

    @property
    def problem(self) -> str:
        """Return why the value is refused."""
        return self._problem

    @problem.setter
    def problem(self, text: str) -> None:
        if text != self._problem:
            self._problem = text
            self.refresh(layout=True)

    @property
    def is_choice(self) -> bool:
        """Return whether the value is one of a few, to be stepped through."""
        return bool(self.choices)

    @property
    def is_editing(self) -> bool:
        """Return whether the field is being typed into."""
        return self.query_one_optional(Editor) is not None

    # acting

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what a field of this type has no use for."""
        if commands.condition(self.SCOPE, action, parameters) == "choice":
            return self.is_choice
        return not (action == "edit" and self.is_choice)

    def action_edit(self) -> None:
        """Type into the field."""
        if self.is_editing or self.is_choice:
            return
        self._before = self._value
        editor = Editor(self._value, placeholder=clean(self.spec.placeholder, 60), select_on_focus=True)
        self.mount(editor)
        editor.focus()

    def action_choose(self, steps: int) -> None:
        """Take the next or the previous choice."""
        if self.is_choice:
            at = self.choices.index(self._value) if self._value in self.choices else -1
            self.value = self.choices[(at + steps) % len(self.choices)]

    def action_step(self, steps: int) -> None:
        """Go to another field."""
        self.post_message(self.Left(self, steps))

    def action_reset(self) -> None:
        """Take the default again."""
        self.value = self._default

    def on_input_changed(self, event: Input.Changed) -> None:
        """Take what is typed, as it is typed."""
        event.stop()
        if self.is_editing:
            self.value = event.value.strip()

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep what was typed and go on."""
        event.stop()
        await self._close_editor()
        self.post_message(self.Left(self, 1))

    async def on_editor_reverted(self, event: Editor.Reverted) -> None:
        """Take back what was typed."""
        event.stop()
        self.value = self._before
        await self._close_editor()
        self.focus()

    async def on_descendant_blur(self) -> None:
        """Keep what was typed when the focus goes elsewhere."""
        await self._close_editor()

    async def _close_editor(self) -> None:
        editor = self.query_one_optional(Editor)
        if editor is not None:
            await editor.remove()
            self.refresh(layout=True)

    def on_click(self, event: events.Click) -> None:
        """Choose or edit with the mouse as well."""
        if self.is_choice:
            self.action_choose(1)
        elif event.chain > 1:
            self.action_edit()

    def on_focus(self) -> None:
        """Show the cursor line."""
        self.refresh()

    def on_blur(self) -> None:
        """Take the cursor line away."""
        self.refresh()

    # drawing

    def get_content_height(self, container: Any, viewport: Any, width: int) -> int:
        """Return one line, and those of the problem."""
        return len(self._lines(width))

    def render(self) -> Content:
        """Draw label and value, and what is wrong with it."""
        return Content("\n").join(self._lines(self.content_size.width))

    def _lines(self, width: int) -> list[Content]:
        is_here = self.has_focus
        label = clean(self.spec.label, LABEL_CELLS)
        mark = "✖" if self._problem else "▸" if is_here else " "
        line = Content.assemble(
            (mark + " ", "$block-cursor-foreground" if is_here else "$error"),
            (f"{label:<{LABEL_CELLS}}", "bold $block-cursor-foreground" if is_here else "$dim"),
            self._shown_value(is_here=is_here),
        )
        line = line.truncate(width, ellipsis=True)
        if is_here:
            spare = " " * max(0, width - line.cell_length)
            line = Content.assemble(line, spare).stylize("on $block-cursor-background")
        lines = [line]
        if self._problem:
            text = Content.styled(clean(self._problem, 300), "$error")
            lines += [Content.assemble(" " * (LABEL_CELLS + 2), part) for part in text.wrap(width - LABEL_CELLS - 3)]
        return lines

    def _shown_value(self, *, is_here: bool) -> Content:
        given, absent = "$foreground", "$dim"
        if is_here:
            given, absent = "$block-cursor-foreground", "$block-cursor-foreground 65%"
        value, hint = clean(self._value, 200), clean(self.spec.placeholder, 60)
        if self.is_choice:
            shown = value or hint or "default"
            return Content.styled(f"‹ {shown} ›" if is_here else shown, given if value else absent)
        if value:
            return Content.styled(value, given)
        return Content.styled(hint or ("required" if self.spec.is_required else "—"), absent)


class FieldList(VerticalScroll, can_focus=False):
    """All fields of a kind, in the order of its parameters."""

    DEFAULT_CSS = """
    FieldList { height: auto; width: 1fr; scrollbar-size-vertical: 1; background: $background; }
    """

    class Edited(Message):
        """A value is another one."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    class Hinted(Message):
        """Another field has the focus: what there is to know about it."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, specs: Sequence[ParameterSpec], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._fields = {spec.name: Field(spec) for spec in specs}

    def compose(self) -> ComposeResult:
        """Yield the fields."""
        yield from self._fields.values()

    @property
    def fields(self) -> Mapping[str, Field]:
        """Return name -> field, in order."""
        return self._fields

    def values(self, names: Sequence[str] | None = None) -> dict[str, Any]:
        """Return what was given: text, or a boolean; parameters left empty are absent."""
        given: dict[str, Any] = {}
        for name, field in self._fields.items():
            if field.value and (names is None or name in names):
                given[name] = field.value == "yes" if field.spec.type == "boolean" else field.value
        return given

    def set_problems(self, problems: Mapping[str, str]) -> None:
        """Show each problem at its field."""
        for name, field in self._fields.items():
            field.problem = problems.get(name, "")

    def focus_field(self, name: str | None = None) -> None:
        """Give the focus to a field, by default to the first."""
        field = self._fields.get(name or "") or next(iter(self._fields.values()), None)
        if field is not None:
            field.focus()

    def on_field_changed(self, event: Field.Changed) -> None:
        """Tell the owner."""
        event.stop()
        self.post_message(self.Edited(event.field.spec.name))

    def on_field_left(self, event: Field.Left) -> None:
        """Go to the next field; at the ends, leave the rest to the owner."""
        fields = list(self._fields.values())
        at = fields.index(event.field) + event.steps
        if 0 <= at < len(fields):
            event.stop()
            fields[at].focus()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Say what the field is about."""
        field = event.widget if isinstance(event.widget, Field) else event.widget.parent
        if isinstance(field, Field):
            self.post_message(self.Hinted(field.spec.help))


def _text_of(default: Any) -> str:
    if default is None:
        return ""
    if isinstance(default, bool):
        return "yes" if default else "no"
    return clean(getattr(default, "value", default), 400)
