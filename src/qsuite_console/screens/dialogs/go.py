"""What follows g: the screens by letter, at the bottom of the screen, until one is pressed. Any other key leaves."""

from __future__ import annotations

from typing import ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from qsuite_console import commands
from qsuite_console.screens.leaving import Dialog
from qsuite_console.widgets.key_bar import key_entry

_TOP: Final = "top"


class GoDialog(Dialog[str | None]):
    """Returns a place's name, TOP, or None."""

    TOP: ClassVar[str] = _TOP
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(place.letter, f"choose('{place.name}')", place.title, show=False) for place in commands.PLACES),
        Binding("g", f"choose('{_TOP}')", "Top of the list", show=False),
        Binding("escape", "leave", "Back", show=False),
    ]
    DEFAULT_CSS = """
    GoDialog { background: transparent; align: left bottom; }
    GoDialog > Static { height: auto; width: 100%; background: $panel; padding: 0 1; }
    """

    def compose(self) -> ComposeResult:
        """The hints, on as many lines as they need."""
        yield Static(self._hints())

    def on_resize(self) -> None:
        """Break the lines anew."""
        self.query_one(Static).update(self._hints())

    def _hints(self) -> Content:
        entries = [key_entry(place.letter, place.title) for place in commands.PLACES]
        lines, gap, width = [Content.assemble(("g ", "bold $primary"), "…")], Content("  "), self.app.size.width - 2
        for entry in (*entries, key_entry("g", "top of the list")):
            if lines[-1].cell_length + len(gap.plain) + entry.cell_length <= width:
                lines[-1] = Content.assemble(lines[-1], gap, entry)
            else:
                lines.append(Content.assemble(" " * 3, gap, entry))
        return Content("\n").join(lines)

    def action_choose(self, name: str) -> None:
        """Return what was chosen."""
        self.dismiss(name)

    def action_leave(self) -> None:
        """Return nothing."""
        self.dismiss(None)

    def on_key(self, event: events.Key) -> None:
        """Leave on any key that means nothing here."""
        if event.key not in {"g", "escape", *(place.letter for place in commands.PLACES)}:
            event.stop()
            self.dismiss(None)
