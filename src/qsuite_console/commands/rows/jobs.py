"""Keys of the list of jobs, and what is typed about one job."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command

SCOPES: Final = {
    "jobs": "Jobs",
}

ROWS: Final[tuple[Command, ...]] = (
    Command(id="jobs.filter", keys="slash", title="Filter", scope="jobs", action="filter", is_shown=True,
            help="Show only jobs that match: words, !not, /regex/, state:failed kind:backfill queue:general."),
    Command(id="jobs.mark", keys="space", title="Mark", help="Mark the job and go to the next; actions take all marks.",
            scope="jobs", action="mark", is_shown=True, when="job"),
    Command(id="jobs.cancel", keys="C", title="Cancel", help="Cancel the marked jobs, or the one under the cursor.",
            scope="jobs", action="act('cancel')", is_shown=True, when="cancel", verb="cancel", usage="ID…"),
    Command(id="jobs.pause", keys="p", title="Pause", help="Pause the marked jobs, or the one under the cursor.",
            scope="jobs", action="act('pause')", is_shown=True, when="pause", verb="pause", usage="ID…"),
    Command(id="jobs.resume", keys="p", title="Resume", help="Resume paused jobs from their checkpoint.",
            scope="jobs", action="act('resume')", is_shown=True, when="resume", verb="resume", usage="ID…"),
    Command(id="jobs.retry", keys="R", title="Retry",
            help="Queue failed or cancelled jobs again, from their checkpoint.", scope="jobs",
            action="act('retry')", is_shown=True, when="retry", verb="retry", usage="ID…"),
    Command(id="jobs.delete", keys="D", title="Delete", help="Delete finished jobs with their logs and results.",
            scope="jobs", action="act('delete')", is_shown=True, when="delete", verb="delete", usage="ID…"),
    Command(id="jobs.profile", keys="P", title="Profile", scope="jobs", action="act('profile')", when="profile",
            help="Have the job say at the end of its log where its time went.", verb="profile", usage="ID…"),
    Command(id="jobs.routine", keys="s", title="Scheduled", scope="jobs", action="routine",
            help="Show also, or no more, the jobs that schedules made and that succeeded; a filter finds them anyway."),
    Command(id="jobs.copy", keys="y", title="Copy", help="Copy the job's id and title to the clipboard.",
            scope="jobs", action="copy", when="job"),
)  # fmt: skip

VERBS: Final = (
    Command(id="verb.job", keys="", title="Open a job", help="Show the page of one job.", scope="app", action="",
            verb="job", usage="ID"),
)  # fmt: skip
