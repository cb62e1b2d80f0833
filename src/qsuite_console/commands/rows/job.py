"""Keys of the page of one job."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command

SCOPES: Final = {
    "job": "One job",
}

ROWS: Final[tuple[Command, ...]] = (
    Command(id="job.next-tab", keys="tab,right,l", title="Next page", help="Show the job's next page.", scope="job",
            action="step(1)", is_shown=True),
    Command(id="job.previous-tab", keys="shift+tab,left,h", title="Previous page", help="Show the job's previous page.",
            scope="job", action="step(-1)"),
    Command(id="job.previous", keys="left_square_bracket", title="Previous job", scope="job", action="neighbour(-1)",
            help="Show the job above in the list the page was opened from."),
    Command(id="job.next", keys="right_square_bracket", title="Next job", scope="job", action="neighbour(1)",
            help="Show the job below in the list the page was opened from."),
    Command(id="job.filter", keys="slash", title="Filter log", help="Show only log lines that match.", scope="job",
            action="filter", is_shown=True, when="log"),
    Command(id="job.cancel", keys="C", title="Cancel", help="Cancel the job; its checkpoint is kept.", scope="job",
            action="act('cancel')", is_shown=True, when="cancel"),
    Command(id="job.pause", keys="p", title="Pause", help="Pause the job; its checkpoint is kept.", scope="job",
            action="act('pause')", is_shown=True, when="pause"),
    Command(id="job.resume", keys="p", title="Resume", help="Resume the job from its checkpoint.", scope="job",
            action="act('resume')", is_shown=True, when="resume"),
    Command(id="job.retry", keys="R", title="Retry", help="Queue the job again, from its checkpoint.", scope="job",
            action="act('retry')", is_shown=True, when="retry"),
    Command(id="job.delete", keys="D", title="Delete", help="Delete the job with its log and result.", scope="job",
            action="act('delete')", is_shown=True, when="delete"),
    Command(id="job.tell", keys="t", title="Tell", scope="job", action="tell", is_shown=True,
            help="Tell a webhook, program or e-mail of the configuration when the job has ended; at once if it has."),
    Command(id="job.profile", keys="P", title="Profile", scope="job", action="act('profile')", when="profile",
            help="Have the job say at the end of its log where its time went."),
    Command(id="job.copy", keys="y", title="Copy", help="Copy the page: id, parameters, error, result or log.",
            scope="job", action="copy", is_shown=True),
)  # fmt: skip
