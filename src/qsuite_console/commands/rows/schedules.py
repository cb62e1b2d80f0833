"""Keys of the Schedules screen."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command
from qsuite_console.commands.rows import panes

SCOPES: Final = {
    "schedules": "Schedules",
}

ROWS: Final[tuple[Command, ...]] = (
    Command(id="schedules.new", keys="n", title="New", scope="schedules", action="new", is_shown=True,
            help="Make a schedule: which job, when; what it means is said while you type."),
    Command(id="schedules.edit", keys="e", title="Edit", scope="schedules", action="edit", is_shown=True,
            when="schedule", help="Change the schedule under the cursor."),
    Command(id="schedules.run", keys="R", title="Run now", scope="schedules", action="run", is_shown=True,
            when="schedule", help="Make its job at once, beside its plans; paused or not."),
    Command(id="schedules.pause", keys="p", title="Pause", scope="schedules", action="pause", is_shown=True,
            when="pause", help="Make no more jobs by it until it is resumed; a job it has made runs on."),
    Command(id="schedules.resume", keys="p", title="Resume", scope="schedules", action="resume", is_shown=True,
            when="resume", help="Let it plan again, from now on; on production this confirms its jobs."),
    Command(id="schedules.delete", keys="D", title="Delete", scope="schedules", action="delete", is_shown=True,
            when="schedule", help="Remove the schedule and the list of its runs; jobs it has made stay."),
    Command(id="schedules.copy", keys="y", title="Copy", scope="schedules", action="copy", when="schedule",
            help="Copy the schedule as the command that makes it."),
    *panes.keys("schedules"),
)  # fmt: skip
