"""Ask before something that can't be undone: the title says what, the body what it does in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from qsuite_console.model.text import clean
from qsuite_console.screens.leaving import Dialog

FRAME: Final = 6  # lines of border, padding and keys
FIELD: Final = 2


class ConfirmDialog(Dialog[bool]):
    """Returns True on y, or, on a production target, after its name was typed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "confirm", "Yes"),
        Binding("escape,n,q", "leave", "No"),
        Binding("down,pagedown", "scroll(1)", "Down", show=False),
        Binding("up,pageup", "scroll(-1)", "Up", show=False),
    ]
    DEFAULT_CSS = """
    ConfirmDialog { align: center middle; }
    ConfirmDialog #what { height: auto; scrollbar-size-vertical: 1; }
    ConfirmDialog Input { margin-top: 1; background: $panel; }
    ConfirmDialog #keys { margin-top: 1; }
    """

    def __init__(self, title: str, lines: Sequence[str], *, do: str, typed: str = "", why: str = "production") -> None:
        """``typed`` is what must be typed; ``why``, in a word, stands beside it in the frame."""
        super().__init__()
        self._title = clean(title, 200)
        self._lines = tuple(lines)
        self._do = do
        self._typed = clean(typed, 60)
        self._why = why

    def compose(self) -> ComposeResult:
        """Show the consequence, then the keys."""
        with Vertical(classes="dialog -danger") as box:
            box.border_title = Content(self._title)
            box.border_subtitle = Content(f"{self._why}: {self._typed}" if self._typed else "")
            box.styles.max_height = "100%"
            with VerticalScroll(id="what", can_focus=False):
                yield Static("\n".join(clean(line, 300) for line in self._lines), markup=False)
            if self._typed:
                yield Input(placeholder=f"type {self._typed} to confirm", id="typed")
            key = "bold $footer-key-foreground"
            yes = "Enter" if self._typed else "y"
            yield Static(
                Content.assemble((f"{yes} ", key), self._do, "    ", ("Esc ", key), "leave everything as it is"),
                id="keys",
            )

    def on_resize(self) -> None:
        """Keep the field and the keys on the screen however small it is: what is long scrolls."""
        around = FRAME + (FIELD if self._typed else 0)
        self.query_one("#what").styles.max_height = max(2, self.size.height - around)

    def action_scroll(self, by: int) -> None:
        """Show more of a long text."""
        what = self.query_one("#what")
        what.scroll_down(animate=False) if by > 0 else what.scroll_up(animate=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Confirm when the name is right."""
        if event.value.strip() == self._typed:
            self.dismiss(True)
        else:
            event.input.value = ""
            event.input.placeholder = f"that is not {self._typed}; Esc leaves"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Take y only where no name has to be typed."""
        return not (self._typed and action == "confirm")

    def action_confirm(self) -> None:
        """Do it."""
        self.dismiss(True)

    def action_leave(self) -> None:
        """Leave everything as it is."""
        self.dismiss(False)
