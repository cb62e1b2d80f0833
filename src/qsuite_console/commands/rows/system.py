"""Keys of the system screen and its panes: a pane with keys of its own has a scope here, named like its SCOPE."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command
from qsuite_console.commands.rows import panes

SCOPES: Final = {
    "system": "System",
    "processes": "Processes",
}

ROWS: Final[tuple[Command, ...]] = (
    Command(id="processes.order", keys="o", title="Order", scope="processes", action="order", is_shown=True,
            help="Order by memory, or by processor time."),
    *panes.keys("system"),
)  # fmt: skip
