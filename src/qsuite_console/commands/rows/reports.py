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
    Command(id="report-list.send", keys="s", title="Send", scope="report-list", action="send", is_shown=True,
            when="row", help="Send the report to a webhook, a program or by e-mail, as the configuration has them."),
    Command(id="report-list.export", keys="e", title="Export", scope="report-list", action="export", is_shown=True,
            when="row", help="Write a copy of the report to a file of your choice, also from an engine elsewhere."),
    Command(id="report-list.open", keys="o", title="Open file", scope="report-list", action="launch", is_shown=True,
            when="row", help="Open the report with the desktop's program; Enter reads it as text here."),
    Command(id="report-list.remove", keys="D", title="Remove", scope="report-list", action="remove", is_shown=True,
            when="row", help="Remove the report's file; asks first."),
    Command(id="report-list.copy", keys="y", title="Copy path", scope="report-list", action="copy", is_shown=True,
            when="row", help="Copy the path of the report's file."),
    *panes.keys("reports"),
)  # fmt: skip
