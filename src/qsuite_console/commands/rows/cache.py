"""Keys of the cache screen and its panes: a pane with keys of its own has a scope here, named like its SCOPE."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command
from qsuite_console.commands.rows import panes

SCOPES: Final = {
    "cache": "Cache",
}

ROWS: Final[tuple[Command, ...]] = (*panes.keys("cache"),)
