"""Which cached keys are to go: chosen by what a person has in mind, counted before anything happens."""

from __future__ import annotations

from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from qsuite_console.screens.leaving import Dialog

# what it is by, an example, and which keys that means
WAYS: Final = (
    ("symbol", "AAPL", "every key that speaks of the symbol: price:AAPL, ohlcv:AAPL:1Min"),
    ("user", "42", "every key of the user: positions:42"),
    ("family", "price", "every key of a family: price, order_book, market_data, positions or analytics"),
    ("pattern", "ohlcv:AAPL:*", "every key that matches, * is any text, ? one character"),
)
_KEY: Final = "bold $footer-key-foreground"


class InvalidateDialog(Dialog[tuple[str, str] | None]):
    """Returns (by, value), or None to leave; the field has the focus, up and down choose the way."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave"),
        Binding("down,tab", "way(1)", "Next way", priority=True),
        Binding("up,shift+tab", "way(-1)", "Way before", priority=True),
    ]
    DEFAULT_CSS = """
    InvalidateDialog { align: center middle; }
    InvalidateDialog .dialog { width: 76; max-width: 96%; }
    InvalidateDialog Input { background: $panel; margin: 1 0; }
    InvalidateDialog #meaning { color: $dim; height: 2; margin-bottom: 1; }
    """

    def __init__(self, by: str = "symbol", value: str = "") -> None:
        super().__init__()
        self._way = next((number for number, way in enumerate(WAYS) if way[0] == by), 0)
        self._value = value

    def compose(self) -> ComposeResult:
        """Show the ways, the field, what it means, the keys."""
        with Vertical(classes="dialog -danger") as box:
            box.border_title = "Invalidate cached keys"
            yield Static("", id="ways")
            yield Input(self._value, id="value")
            yield Static("", id="meaning", markup=False)
            yield Static(
                Content.assemble(
                    ("Enter ", _KEY), "count them first    ", ("↑↓ ", _KEY), "choose    ", ("Esc ", _KEY), "leave"
                ),
                id="keys",
            )

    def on_mount(self) -> None:
        """Begin in the field."""
        self._draw()
        self.query_one(Input).focus()

    def action_way(self, by: int) -> None:
        """Take the next way; what was typed stays."""
        self._way = (self._way + by) % len(WAYS)
        self._draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return what was chosen; nothing typed is nothing chosen."""
        value = event.value.strip()
        if value:
            self.dismiss((WAYS[self._way][0], value))
        else:
            self.query_one("#meaning", Static).update(f"name one, such as {WAYS[self._way][1]}")

    def action_leave(self) -> None:
        """Return nothing."""
        self.dismiss(None)

    def _draw(self) -> None:
        _, example, meaning = WAYS[self._way]
        parts = [("by  ", "$dim")]
        for number, (way, _, _) in enumerate(WAYS):
            is_chosen = number == self._way
            parts.append((f"▸{way} " if is_chosen else f" {way} ", "bold reverse" if is_chosen else "$dim"))
        self.query_one("#ways", Static).update(Content.assemble(*parts))
        self.query_one("#meaning", Static).update(meaning)
        self.query_one(Input).placeholder = example
