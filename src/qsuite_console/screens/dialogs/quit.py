"""How to leave while jobs run in this process: the one question that quitting asks."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from qsuite_console.messages import Leaving
from qsuite_console.screens.leaving import Dialog
from qsuite_console.widgets import figures


class QuitDialog(Dialog[Leaving | None]):
    """Returns how to leave, or None to stay."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "choose('background')", "Go on in the background"),
        Binding("d", "choose('drain')", "Drain and quit"),
        Binding("n", "choose('now')", "Quit now"),
        Binding("escape,q,s", "stay", "Stay"),
    ]
    DEFAULT_CSS = """
    QuitDialog { align: center middle; }
    """

    def __init__(self, running: int, *, can_go_on: bool = False) -> None:
        super().__init__()
        self._number = running
        self._can_go_on = can_go_on

    def compose(self) -> ComposeResult:
        """Say what each way does to the running jobs."""
        key = "bold $footer-key-foreground"
        with Vertical(classes="dialog") as box:
            box.border_title = f"{figures.plural(self._number, 'job is', 'jobs are')} running"
            ways = [
                ("d", "Drain and quit", "let them finish, start no others"),
                ("n", "Quit now", "stop them; they resume at the next start"),
                ("Esc", "Stay", ""),
            ]
            if self._can_go_on:
                ways.insert(0, ("b", "Background", "they go on there, from their checkpoints"))
            yield Static(
                Content("\n").join(
                    [
                        Content.assemble((f"{name:<4}", key), f"{way:<18}", (what, "$dim")) if what
                        else Content.assemble((f"{name:<4}", key), way)
                        for name, way, what in ways
                    ]
                )
            )  # fmt: skip

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Take b only where the engine can go on without this console."""
        return self._can_go_on or parameters != (Leaving.BACKGROUND.value,)

    def action_choose(self, how: str) -> None:
        """Leave this way."""
        self.dismiss(Leaving(how))

    def action_stay(self) -> None:
        """Go on."""
        self.dismiss(None)
