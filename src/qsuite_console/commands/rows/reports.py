"""Keys of the Reports screen."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command
from qsuite_console.commands.rows import panes

SCOPES: Final = {
    "reports": "Reports",
    "report-list": "List of reports",
}

ROWS: Final[tuple[Command, ...]] = (
    Command(id="reports.new", keys="n", title="New", scope="reports", action="new", is_shown=True,
            help="Make a report: choose which, over which window, as what; it is a job like any other."),
    Command(id="report-list.copy", keys="y", title="Copy path", scope="report-list", action="copy", is_shown=True,
            when="row", help="Copy the path of the report's file."),
    *panes.keys("reports"),
)  # fmt: skip
