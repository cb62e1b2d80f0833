"""Keys of the Log screen."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command
from qsuite_console.commands.rows import panes

SCOPES: Final = {
    "journal": "Log",
}

ROWS: Final[tuple[Command, ...]] = (
    Command(id="journal.wrong", keys="e", title="Only what is wrong", scope="journal", action="wrong", is_shown=True,
            help="Show warnings and errors only, or all lines again."),
    Command(id="journal.copy", keys="y", title="Copy", scope="journal", action="copy", is_shown=True,
            help="Copy the lines that are shown."),
    *panes.keys("journal"),
)  # fmt: skip
