"""Keys of the Pipelines screen and its panes: a pane with keys of its own has a scope here, named like its SCOPE."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command
from qsuite_console.commands.rows import panes

SCOPES: Final = {
    "pipelines": "Pipelines",
    "pipeline-list": "List of pipelines",
    "pipeline-runs": "Runs of pipelines",
}

ROWS: Final[tuple[Command, ...]] = (
    Command(id="pipeline-runs.older", keys="n", title="Older", scope="pipeline-runs", action="older", is_shown=True,
            when="older", help="Show the next page: older runs."),
    Command(id="pipeline-runs.newer", keys="p", title="Newer", scope="pipeline-runs", action="newer", is_shown=True,
            when="newer", help="Show the page before: newer runs."),
    *panes.keys("pipelines"),
    Command(id="pipelines.window", keys="t", title="Time", scope="pipelines", action="window", is_shown=True,
            help="Look back over the last hour, 24 hours, 7 or 30 days."),
    Command(id="pipelines.status", keys="s", title="Status", scope="pipelines", action="status", is_shown=True,
            help="Show only what failed, runs, waits, succeeded, was cancelled; then all again."),
    Command(id="pipeline-runs.copy", keys="y", title="Copy", scope="pipeline-runs", action="copy", when="row",
            help="Copy the run under the cursor, or the one that is open, with its error."),
    Command(id="pipeline-list.copy", keys="y", title="Copy", scope="pipeline-list", action="copy", when="row",
            help="Copy the pipeline's name."),
)  # fmt: skip
