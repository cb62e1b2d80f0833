"""The line at the bottom: the keys that work here, as they are bound now. What doesn't fit is never half shown.

Every answer and every row under the cursor may change what is possible; mostly it doesn't, and nothing is painted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget

from qsuite_console import commands

GAP: Final = "  "
_Live = tuple[Binding, bool]  # and whether its action is possible now


class KeyBar(Widget):
    """Left: the screen's own keys. Right: the screens and the help, shortened where the line is."""

    DEFAULT_CSS = """
    KeyBar { height: 1; dock: bottom; background: $bar; color: $foreground; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._live: list[_Live] = []
        self._drawn: tuple[object, Content] = (None, Content(""))

    def on_mount(self) -> None:
        """Repaint when another widget has the focus or an action became possible."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        if screen is self.screen and self._look() != self._drawn[0]:
            self.refresh()

    def _look(self) -> object:
        """Read the live keys; return all that the line depends on."""
        self._live = [(binding, is_enabled) for _, binding, is_enabled, _ in self.screen.active_bindings.values()]
        return self.size.width, self.app.current_mode, len(self.app.screen_stack), tuple(self._live)

    def render(self) -> Content:
        """Take keys in table order while they fit: the screen's own first, then other screens, then the way out."""
        look = self._look()
        if look != self._drawn[0]:
            self._drawn = look, self._line(self.size.width - 2)
        return self._drawn[1]

    def _line(self, width: int) -> Content:
        own = self._own()
        wanted = sum(c.cell_length + len(GAP) for c in own)
        rights = [self._places(is_long=is_long, has_quit=q) for is_long in (True, False) for q in (True, False)]
        right = next((c for c in rights if wanted + c.cell_length <= width), rights[-1])
        room = width - right.cell_length
        taken: list[Content] = []
        for entry in own:
            if entry.cell_length + len(GAP) <= room:
                room -= entry.cell_length + len(GAP)
                taken.append(entry)
        left = Content(GAP).join(taken)
        return Content.assemble(" ", left, " " * max(1, width - left.cell_length - right.cell_length), right)

    def _own(self) -> list[Content]:
        entries: dict[str, tuple[int, Content]] = {}
        for binding, is_enabled in self._live:
            if not binding.show or binding.action in entries or not is_enabled:
                continue
            order = commands.ORDER.get(binding.id or "", len(commands.ORDER))
            entries[binding.action] = (order, key_entry(self.app.get_key_display(binding), binding.description))
        return [content for _, content in sorted(entries.values(), key=lambda entry: entry[0])]

    def _places(self, *, is_long: bool, has_quit: bool) -> Content:
        bound = {binding.id: binding for binding, _ in self._live}
        entries: list[Content] = []
        if is_long:
            for place in commands.PLACES:
                if (binding := bound.get(f"go.{place.name}")) is not None:
                    is_here = self.app.current_mode == place.name
                    entries.append(key_entry(self.app.get_key_display(binding), place.title, is_here=is_here))
        elif bound.get("go.overview") is not None:
            keys = [self.app.get_key_display(b) for p in commands.PLACES if (b := bound.get(f"go.{p.name}"))]
            entries.append(key_entry(_span(keys), "Screens"))
        if (binding := bound.get("app.help")) is not None:
            entries.append(key_entry(self.app.get_key_display(binding), "Help"))
        if has_quit and (binding := bound.get("app.quit")) is not None:
            word = "Back" if len(self.app.screen_stack) > 1 else "Quit"
            entries.append(key_entry(self.app.get_key_display(binding).split(" ")[0], word))
        return Content(GAP).join(entries)


def _span(keys: Sequence[str]) -> str:
    """Return a row of keys as people read it: "0-9" where they are digits, whatever the order of what they lead to."""
    if all(key.isdigit() and len(key) == 1 for key in keys):
        keys = sorted(keys)
    return f"{keys[0]}-{keys[-1]}"


def key_entry(key: str, title: str, *, is_here: bool = False) -> Content:
    """Return a key and its word, as every hint in the console shows them."""
    return Content.assemble((key, "bold $footer-key-foreground"), " ", (title, "bold" if is_here else "$dim"))
