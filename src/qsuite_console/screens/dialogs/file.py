"""The name of a file to write: suggested, refused in words until it is good, never overwritten unasked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.text import clean
from qsuite_console.screens.leaving import Dialog


class Named(NamedTuple):
    """A file that was written, as it was named."""

    path: Path
    is_overwritten: bool


class FileDialog(Dialog[Named | None]):
    """Returns what was written, or None. ``write`` gets the path and whether it may overwrite; raises ConsoleError."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back")]
    DEFAULT_CSS = """
    FileDialog { align: center middle; }
    FileDialog Input { background: $panel; margin-top: 1; }
    FileDialog #why { color: $warning; }
    FileDialog #keys { margin-top: 1; }
    """

    def __init__(self, title: str, what: str, name: str, write: Callable[[Path, bool], None]) -> None:
        super().__init__()
        self._title = clean(title, 80)
        self._what = clean(what, 300)
        self._name = name
        self._write = write
        self._refused = ""  # a name that exists: given again, it is overwritten

    def compose(self) -> ComposeResult:
        """What, where, keys."""
        with Vertical(classes="dialog") as box:
            box.border_title = Content(self._title)
            yield Static(self._what, markup=False)
            yield Input(self._name, id="name", max_length=400)
            yield Static("", id="why", markup=False)
            key = "bold $footer-key-foreground"
            yield Static(Content.assemble(("Enter ", key), "write it    ", ("Esc ", key), "leave"), id="keys")

    def on_mount(self) -> None:
        """Let the name be changed at once."""
        self.query_one(Input).focus()

    def on_input_changed(self) -> None:
        """Another name is another file."""
        self._refused = ""
        self.query_one("#why", Static).update("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Write, or say why not."""
        text = event.value.strip()
        path = Path(text).expanduser()
        is_forced = bool(text) and text == self._refused
        try:
            self._write(path, is_forced)
        except ConsoleError as error:
            is_there = path.is_file()
            self._refused = text if is_there else ""
            why = f"{clean(text, 100)} exists: Enter again overwrites it" if is_there else error.message
            self.query_one("#why", Static).update(clean(why, 200))
        else:
            self.dismiss(Named(path.resolve(), is_forced))

    def action_leave(self) -> None:
        """Write nothing."""
        self.dismiss(None)
