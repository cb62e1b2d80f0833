"""The keys that work here and now, from the live bindings of the focused widget, its screen and the app."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import ClassVar, Final, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from qsuite_console import commands
from qsuite_console.screens.leaving import Dialog

KEYS: Final = 12


class HelpGroup(NamedTuple):
    """The keys of one scope: what to press, what it does, whether it is possible now."""

    title: str
    entries: tuple[tuple[str, str, bool], ...]


def help_groups(screen: Screen[object]) -> list[HelpGroup]:
    """Return the live bindings of a screen: its own first, then those of what has the focus, then the app's.

    Remapped keys show as they are bound; what can't be done now is marked so.
    """
    found: dict[str, dict[str, tuple[list[str], str, bool]]] = {}
    for key, (_, binding, is_enabled, tooltip) in screen.active_bindings.items():
        command = commands.BY_ID.get(binding.id or "")
        if command is not None:
            scope = found.setdefault(command.scope, {})
            scope.setdefault(command.id, ([], tooltip or command.help, is_enabled))[0].append(commands.spoken(key))
    own = getattr(screen, "SCOPE", "")
    order = [own, *(scope for scope in found if scope not in (own, "app")), "app"]
    return [
        HelpGroup(
            commands.SCOPES[scope],
            tuple(
                (" ".join(keys), text, is_enabled)
                for _, (keys, text, is_enabled) in sorted(found[scope].items(), key=lambda e: commands.ORDER[e[0]])
            ),
        )
        for scope in order
        if scope in found
    ]


class HelpScreen(Dialog[None]):
    """Shows the groups it is given; scrolls."""

    SCOPE = "text"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "leave", "Back"),
        Binding("j", "scroll(1)", "Down", show=False),
        Binding("k", "scroll(-1)", "Up", show=False),
    ]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > VerticalScroll { height: auto; scrollbar-size-vertical: 1; }
    """

    def __init__(self, groups: Sequence[HelpGroup]) -> None:
        super().__init__()
        self._groups = tuple(groups)

    def compose(self) -> ComposeResult:
        """One block a group."""
        with VerticalScroll(classes="dialog") as box:
            box.border_title = "Keys here"
            box.border_subtitle = "Esc back"
            blocks = [self._block(group) for group in self._groups if group.entries]
            yield Static(Content("\n\n").join(blocks))

    def _block(self, group: HelpGroup) -> Content:
        lines = [Content.styled(group.title, "bold $primary")]
        room = max(20, min(92, self.app.size.width) - 7 - KEYS - 2)
        for keys, text, is_enabled in group.entries:
            for index, part in enumerate(textwrap.wrap(text, room)):
                key = keys if index == 0 else ""
                tone = "$foreground" if is_enabled else "$faint"
                lines.append(Content.assemble((f"{key:>{KEYS}}  ", "bold $footer-key-foreground"), (part, tone)))
        return Content("\n").join(lines)

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss(None)

    def action_scroll(self, lines: int) -> None:
        """Scroll by lines."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)
