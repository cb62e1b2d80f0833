"""Which platform: the targets of the configuration, what the header will show of each, and which one this is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from qsuite_console.engine.state import TargetView
from qsuite_console.model.text import clean
from qsuite_console.screens.leaving import Dialog
from qsuite_console.widgets.status_bar import target_badge


class TargetChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One target of the configuration; ``problem`` says why it can't be opened as it is."""

    view: TargetView
    is_current: bool = False
    problem: str = ""


class Targets(Protocol):
    """The platforms this console can be pointed at; implemented where they are opened."""

    async def choices(self) -> Sequence[TargetChoice]:
        """Return every target, in the order of the configuration."""
        ...

    async def prepare(self, name: str) -> None:
        """Open another target beside the present one; raises ConsoleError when it can't be."""
        ...


class TargetDialog(Dialog[str | None]):
    """Returns the name of the chosen target, or None to stay."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Stay"),
        Binding("j", "cursor(1)", "Down"),
        Binding("k", "cursor(-1)", "Up"),
    ]
    DEFAULT_CSS = """
    TargetDialog { align: center middle; }
    TargetDialog .dialog { width: 76; max-width: 96%; max-height: 90%; }
    TargetDialog OptionList { height: auto; max-height: 16; background: transparent; border: none; padding: 0; }
    TargetDialog OptionList:focus { border: none; }
    TargetDialog #keys { margin-top: 1; }
    """

    def __init__(self, choices: Sequence[TargetChoice]) -> None:
        super().__init__()
        self._choices = tuple(choices)

    def compose(self) -> ComposeResult:
        """One entry a target, then the keys."""
        with Vertical(classes="dialog") as box:
            box.border_title = "Target"
            yield OptionList(*(Option(_entry(choice), id=f"t{n}") for n, choice in enumerate(self._choices)))
            key = "bold $footer-key-foreground"
            yield Static(Content.assemble(("Enter ", key), "switch to it    ", ("Esc ", key), "stay"), id="keys")

    def on_mount(self) -> None:
        """Begin on the present one."""
        options = self.query_one(OptionList)
        options.highlighted = next((n for n, choice in enumerate(self._choices) if choice.is_current), 0)
        options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Return what was chosen; the present one means to stay."""
        choice = self._choices[event.option_index]
        self.dismiss(None if choice.is_current else choice.view.name)

    def action_cursor(self, by: int) -> None:
        """Move to another entry."""
        options = self.query_one(OptionList)
        options.action_cursor_down() if by > 0 else options.action_cursor_up()

    def action_leave(self) -> None:
        """Return nothing."""
        self.dismiss(None)


def _entry(choice: TargetChoice) -> Content:
    """Return two lines: how it is called and marked, and where it is."""
    view = choice.view
    mark = ("● ", "bold $primary") if choice.is_current else ("  ", "")
    words = [Content.assemble(mark, (f"{clean(view.name, 24):<14} ", "bold"))]
    if view.word or view.is_production:
        words.append(target_badge(view, has_name=False))
    if view.is_read_only:
        words.append(Content.styled("  read-only", "bold $warning"))
    if choice.is_current:
        words.append(Content.styled("  you are here", "$dim"))
    where = ", ".join(clean(each, 60) for each in (view.database, view.cache) if each) or "no address configured"
    second = Content.styled(f"    ✖ {clean(choice.problem, 200)}", "$error") if choice.problem else None
    return Content("\n").join([Content("").join(words), second or Content.styled(f"    {where}", "$dim")])
