"""A text that is too long for its line, in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from qsuite_console.model.text import clean
from qsuite_console.screens.leaving import Dialog
from qsuite_console.widgets.text_view import TextView

if TYPE_CHECKING:
    from qsuite_console.terminal import TerminalGuard


class TextDialog(Dialog[None]):
    """Shows a text; y copies it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "leave", "Back"),
        Binding("y", "copy", "Copy"),
    ]
    DEFAULT_CSS = """
    TextDialog { align: center middle; }
    TextDialog > TextView { width: 90; }
    """

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._caption = clean(title, 60)
        self._text = clean(text, 20_000, one_line=False)

    def compose(self) -> ComposeResult:
        """One scrolling text."""
        view = TextView(classes="dialog")
        view.border_title = Content(self._caption)
        view.border_subtitle = "y copy · Esc back"
        view.show(Content(self._text))
        yield view

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss(None)

    def action_copy(self) -> None:
        """Copy the text."""
        cast("TerminalGuard[object]", self.app).copy_text(self._text)
        self.notify("Copied", timeout=2)
