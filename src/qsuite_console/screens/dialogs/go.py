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
        """One line of hints."""
        entries = [_whole(place.letter, place.title) for place in commands.PLACES]
        entries.append(_whole("g", "top of the list"))
        yield Static(Content.assemble(("g ", "bold $primary"), "… ", Content("  ").join(entries)))

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


def _whole(key: str, title: str) -> Content:
    """Return a hint that is not broken between key and word where the line is short."""
    return Content.assemble((key, "bold $footer-key-foreground"), ("\u00a0" + title.replace(" ", "\u00a0"), "$dim"))
