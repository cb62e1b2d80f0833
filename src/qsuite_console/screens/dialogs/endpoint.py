"""Who is to be told: the webhooks, programs and mail addresses of the configuration, one a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from qsuite_console.model.deliveries import EndpointView
from qsuite_console.model.text import clean
from qsuite_console.screens.leaving import Dialog

_WAYS: Final = {"command": "program"}


class EndpointDialog(Dialog[EndpointView | None]):
    """Returns who was chosen, or None. ``marked``: who is told of it already; chosen again, that is taken back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Leave"),
        Binding("j", "cursor(1)", "Down"),
        Binding("k", "cursor(-1)", "Up"),
    ]
    DEFAULT_CSS = """
    EndpointDialog { align: center middle; }
    EndpointDialog .dialog { width: 76; max-width: 96%; max-height: 90%; }
    EndpointDialog OptionList { height: auto; max-height: 16; background: transparent; border: none; padding: 0; }
    EndpointDialog OptionList:focus { border: none; }
    EndpointDialog #what { margin-bottom: 1; }
    EndpointDialog #keys { margin-top: 1; }
    """

    def __init__(self, title: str, what: str, endpoints: Sequence[EndpointView], do: str) -> None:
        super().__init__()
        self._title = clean(title, 80)
        self._what = clean(what, 300)
        self._endpoints = tuple(endpoints)
        self._do = do

    def compose(self) -> ComposeResult:
        """What it is about, one entry an endpoint, the keys."""
        with Vertical(classes="dialog") as box:
            box.border_title = Content(self._title)
            yield Static(self._what, id="what", markup=False)
            yield OptionList(*(Option(_entry(one), id=f"e{n}") for n, one in enumerate(self._endpoints)))
            key = "bold $footer-key-foreground"
            yield Static(Content.assemble(("Enter ", key), f"{self._do}    ", ("Esc ", key), "leave"), id="keys")

    def on_mount(self) -> None:
        """Begin with the first one that can be told."""
        options = self.query_one(OptionList)
        options.highlighted = next((n for n, one in enumerate(self._endpoints) if not _trouble(one)), 0)
        options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Return who was chosen."""
        self.dismiss(self._endpoints[event.option_index])

    def action_cursor(self, by: int) -> None:
        """Move to another entry."""
        options = self.query_one(OptionList)
        options.action_cursor_down() if by > 0 else options.action_cursor_up()

    def action_leave(self) -> None:
        """Return nobody."""
        self.dismiss(None)


def _entry(one: EndpointView) -> Content:
    """Return two lines: how it is called and told, and where it is or why nothing gets there."""
    mark = ("✔ ", "bold $success") if one.is_told_of_job else ("  ", "")
    said = ("  told already; Enter takes it back", "$dim") if one.is_told_of_job else ("", "")
    first = Content.assemble(
        mark, (f"{clean(one.name, 24):<14} ", "bold"), f"by {_WAYS.get(one.way, clean(one.way, 20))}", said
    )
    trouble = _trouble(one)
    second = (f"    ✖ {clean(trouble, 200)}", "$error") if trouble else (f"    {clean(one.where, 200)}", "$dim")
    return Content("\n").join([first, Content.styled(*second)])


def _trouble(one: EndpointView) -> str:
    if not one.enabled:
        return "told nothing: enabled = false"
    if one.disabled_at is not None:
        return f"told nothing: {one.disabled_why}"
    return one.problem or (f"its last delivery failed: {one.failing}" if one.failing else "")
