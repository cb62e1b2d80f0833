"""The line after ``/``: filters while it is typed; Enter keeps the filter, Esc goes back to the one before."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from qsuite_console.model.text import clean


class FilterBar(Horizontal):
    """Hidden until ``open``; posts Changed while typing and Closed at the end."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "revert", "Leave the filter", show=False)]
    DEFAULT_CSS = """
    FilterBar {
        height: 1; display: none; background: $panel; padding: 0 1;
        & > #slash { width: 2; color: $primary; text-style: bold; }
        & > Input { width: 1fr; background: $panel; }
        & > #problem { width: auto; color: $error; }
    }
    """

    class Changed(Message):
        """The text is another one now."""

        def __init__(self, bar: FilterBar, text: str) -> None:
            super().__init__()
            self.bar = bar
            self.text = text

    class Closed(Message):
        """The operator is done; ``text`` is the filter that stays."""

        def __init__(self, bar: FilterBar, text: str) -> None:
            super().__init__()
            self.bar = bar
            self.text = text

    def __init__(self, placeholder: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._placeholder = placeholder
        self._before = ""

    def compose(self) -> ComposeResult:
        """A slash, the text, what is wrong with it."""
        yield Static("/", id="slash")
        yield Input(placeholder=self._placeholder, select_on_focus=False)
        yield Static("", id="problem", markup=False)

    def open(self, text: str, *, placeholder: str = "") -> None:
        """Let the operator edit ``text``; ``placeholder`` says what may be typed where that varies."""
        self._before = text
        self.display = True
        line = self.query_one(Input)
        if placeholder:
            line.placeholder = placeholder
        with line.prevent(Input.Changed):
            line.value = text
        line.cursor_position = len(text)
        self.show_problem("")
        line.focus()

    def show_problem(self, text: str) -> None:
        """Say what can't be understood, "" for nothing."""
        self.query_one("#problem", Static).update(Content(f" ✖ {clean(text, 60)}" if text else ""))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter as it is typed."""
        event.stop()
        self.post_message(self.Changed(self, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter."""
        event.stop()
        self._close(event.value)

    def action_revert(self) -> None:
        """Go back to the filter before."""
        self._close(self._before)

    def _close(self, text: str) -> None:
        self.display = False
        self.post_message(self.Closed(self, text))
