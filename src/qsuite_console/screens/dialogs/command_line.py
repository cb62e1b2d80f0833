"""The line after ":": a verb and its argument, with what may be typed shown above it and what is wrong below."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Static

from qsuite_console import commands
from qsuite_console.model.errors import UsageProblem
from qsuite_console.model.text import clean
from qsuite_console.screens.leaving import Dialog

SHOWN = 10


class CommandLine(Dialog[commands.Invocation | None]):
    """Returns what was asked for; stays open, with the reason, while it can't be understood."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back"),
        Binding("tab", "complete", "Complete", priority=True),
    ]
    DEFAULT_CSS = """
    CommandLine { background: transparent; align: left bottom; }
    CommandLine > Vertical { height: auto; background: $panel; padding: 0 1; }
    CommandLine Horizontal { height: 1; }
    CommandLine #colon { width: 1; color: $primary; text-style: bold; }
    CommandLine Input { background: $panel; width: 1fr; }
    CommandLine #hints { height: auto; }
    """

    def compose(self) -> ComposeResult:
        """Hints above the line."""
        with Vertical():
            yield Static("", id="hints")
            with Horizontal():
                yield Static(":", id="colon")
                yield Input(id="line", select_on_focus=False)

    def on_mount(self) -> None:
        """Show the first hints."""
        self._hint("")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what may be meant."""
        self._hint(event.value)

    def _hint(self, typed: str) -> None:
        found = commands.complete(typed)[:SHOWN]
        width = max(20, self.size.width - 2)
        lines = [
            Content.assemble(
                (f"{command.verb} ", "bold $foreground"),
                (f"{command.usage} " if command.usage else "", "$foreground"),
                (" " * max(1, 20 - len(command.verb) - len(command.usage)), ""),
                (command.help, "$dim"),
            ).truncate(width, ellipsis=True)
            for command in found
        ]
        if not found and typed.strip():
            lines = [Content.styled(f"no command begins with {clean(typed, 40)}", "$warning")]
        self.query_one("#hints", Static).update(Content("\n").join(lines))

    def action_complete(self) -> None:
        """Complete the verb as far as it is certain."""
        line = self.query_one("#line", Input)
        found = [c for c in commands.complete(line.value) if c.verb.startswith(line.value)]
        if not found:
            return
        same = found[0].verb if len(found) == 1 else _common([c.verb for c in found])
        line.value = same + (" " if len(found) == 1 and found[0].usage else "")
        line.cursor_position = len(line.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return what was asked for, or say why not."""
        if not event.value.strip():
            self.dismiss(None)
            return
        try:
            self.dismiss(commands.parse(event.value))
        except UsageProblem as problem:
            self.query_one("#hints", Static).update(Content.styled(f"✖ {clean(problem.message, 200)}", "$error"))

    def action_leave(self) -> None:
        """Return nothing."""
        self.dismiss(None)


def _common(words: list[str]) -> str:
    first, last = min(words), max(words)
    return first[: next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]
