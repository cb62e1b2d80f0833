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
        Binding("d", "choose('drain')", "Drain and quit"),
        Binding("n", "choose('now')", "Quit now"),
        Binding("escape,q,s", "stay", "Stay"),
    ]
    DEFAULT_CSS = """
    QuitDialog { align: center middle; }
    """

    def __init__(self, running: int) -> None:
        super().__init__()
        self._number = running

    def compose(self) -> ComposeResult:
        """Say what each way does to the running jobs."""
        key = "bold $footer-key-foreground"
        with Vertical(classes="dialog") as box:
            box.border_title = f"{figures.plural(self._number, 'job is', 'jobs are')} running"
            yield Static(
                Content.assemble(
                    ("d   ", key), "Drain and quit", ("    let them finish, start no others\n", "$dim"),
                    ("n   ", key), "Quit now", ("          stop them; they resume at the next start\n", "$dim"),
                    ("Esc ", key), "Stay",
                )
            )  # fmt: skip

    def action_choose(self, how: str) -> None:
        """Leave this way."""
        self.dismiss(Leaving(how))

    def action_stay(self) -> None:
        """Go on."""
        self.dismiss(None)
