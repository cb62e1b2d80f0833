"""The rows themselves: data only, in the order in which footer, palette and help show them."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command, Place

PLACES: Final = (
    Place(
        name="overview",
        number="1",
        letter="o",
        title="Overview",
        target="qsuite_console.screens.overview:OverviewScreen",
        help="health, running jobs and what needs attention",
    ),
    Place(
        name="jobs",
        number="2",
        letter="j",
        title="Jobs",
        target="qsuite_console.screens.jobs:JobsScreen",
        help="every job, live, with filter and actions",
    ),
    Place(
        name="backfill",
        number="3",
        letter="b",
        title="Backfill",
        target="qsuite_console.screens.backfill:BackfillScreen",
        help="plan, start and watch a backfill; the coverage map",
    ),
    Place(
        name="market",
        number="4",
        letter="m",
        title="Market",
        target="qsuite_console.screens.market:MarketScreen",
        help="prices, candles, depth, positions, volatility; cache against database",
    ),
)

# Pages that are pushed over a screen, each for one thing.
PAGES: Final = {
    "job": "qsuite_console.screens.job:JobScreen",
}

SCOPES: Final[dict[str, str]] = {
    "app": "Everywhere",
    "table": "Lists",
    "log": "Logs",
    "text": "Figures and texts",
    "overview": "Overview",
    "jobs": "Jobs",
    "job": "One job",
    "backfill": "Backfill",
    "coverage": "Coverage map",
    "form": "Forms",
    "editor": "Typing",
    "run": "Run",
    "market": "Market",
}

_GO: Final = tuple(
    Command(
        id=f"go.{place.name}",
        keys=place.number,
        title=place.title,
        help=f"Show {place.title}: {place.help}. Also g {place.letter}.",
        scope="app",
        action=f"go('{place.name}')",
        verb=place.name,
        usage="[FILTER]" if place.name in ("jobs", "market") else "",
    )
    for place in PLACES
)

_APP: Final = (
    *_GO,
    Command(id="app.go", keys="g", title="Go to", help="Wait for the letter of a screen, or g for the top of a list.",
            scope="app", action="prefix"),
    Command(id="app.previous", keys="left_square_bracket", title="Previous screen", scope="app", action="neighbour(-1)",
            help="Show the screen before this one, by number."),
    Command(id="app.next", keys="right_square_bracket", title="Next screen", scope="app", action="neighbour(1)",
            help="Show the screen after this one, by number."),
    Command(id="app.last", keys="minus", title="Last screen", scope="app", action="last",
            help="Show the screen you came from; again to return."),
    Command(id="app.command", keys="colon", title="Command", help="Type a command; Tab completes it.",
            scope="app", action="command_line"),
    Command(id="app.palette", keys="ctrl+p", title="Palette", help="Find a screen, command, job or theme by name.",
            scope="app", action="command_palette", is_fixed=True),
    Command(id="app.help", keys="question_mark", title="Help", help="Show the keys that work here and now.",
            scope="app", action="help", verb="help"),
    Command(id="app.theme", keys="", title="Theme", help="Use another theme: dark, light, contrast, safe, mono, ansi.",
            scope="app", action="next_theme", verb="theme", usage="[NAME]"),
    Command(id="app.back", keys="escape", title="Back", help="Leave one layer: dialog, filter, page. Never quits.",
            scope="app", action="back", is_fixed=True),
    Command(id="app.quit", keys="q", title="Quit", help="Go back, or quit from a main screen; asks while jobs run.",
            scope="app", action="leave", verb="quit"),
    Command(id="app.quit-now", keys="ctrl+q", title="Quit", help="Quit from anywhere; asks while jobs run.",
            scope="app", action="quit", is_fixed=True),
)  # fmt: skip

_TABLE: Final = (
    Command(id="table.open", keys="enter", title="Open", help="Open what is under the cursor.", scope="table",
            action="open", is_shown=True, when="row"),
    Command(id="table.down", keys="down,j", title="Down", help="Next line.", scope="table", action="move(1)"),
    Command(id="table.up", keys="up,k", title="Up", help="Previous line.", scope="table", action="move(-1)"),
    Command(id="table.page-down", keys="pagedown,ctrl+f", title="Page down", help="Next page.", scope="table",
            action="page(1)"),
    Command(id="table.page-up", keys="pageup,ctrl+b", title="Page up", help="Previous page.", scope="table",
            action="page(-1)"),
    Command(id="table.top", keys="home", title="Top", help="First line. Also g g.", scope="table", action="edge(0)"),
    Command(id="table.bottom", keys="end,G", title="Bottom", help="Last line.", scope="table", action="edge(1)"),
)  # fmt: skip

_LOG: Final = (
    Command(id="log.down", keys="down,j", title="Down", help="Scroll down a line.", scope="log", action="scroll(1)"),
    Command(id="log.up", keys="up,k", title="Up", help="Scroll up a line; stops following.", scope="log",
            action="scroll(-1)"),
    Command(id="log.page-down", keys="pagedown,ctrl+f", title="Page down", help="Scroll down a page.", scope="log",
            action="scroll_page(1)"),
    Command(id="log.page-up", keys="pageup,ctrl+b", title="Page up", help="Scroll up a page; stops following.",
            scope="log", action="scroll_page(-1)"),
    Command(id="log.top", keys="home", title="Top", help="First line. Also g g.", scope="log", action="edge(0)"),
    Command(id="log.follow", keys="end,G", title="Follow", help="Go to the end and follow new lines.", scope="log",
            action="edge(1)", is_shown=True, when="behind"),
)  # fmt: skip

_TEXT: Final = (
    Command(id="text.down", keys="down,j", title="Down", help="Scroll down a line.", scope="text",
            action="scroll_down"),
    Command(id="text.up", keys="up,k", title="Up", help="Scroll up a line.", scope="text", action="scroll_up"),
    Command(id="text.page-down", keys="pagedown,ctrl+f", title="Page down", help="Scroll down a page.", scope="text",
            action="page_down"),
    Command(id="text.page-up", keys="pageup,ctrl+b", title="Page up", help="Scroll up a page.", scope="text",
            action="page_up"),
    Command(id="text.top", keys="home", title="Top", help="First line. Also g g.", scope="text", action="scroll_home"),
    Command(id="text.bottom", keys="end,G", title="Bottom", help="Last line.", scope="text", action="scroll_end"),
)  # fmt: skip

_OVERVIEW: Final = (
    Command(id="overview.open", keys="enter", title="Open", help="Open the tile or line that has the focus.",
            scope="overview", action="open", is_shown=True),
    Command(id="overview.next", keys="tab,right,l", title="Next panel", help="Focus the next tile or list.",
            scope="overview", action="step(1)", is_shown=True),
    Command(id="overview.previous", keys="shift+tab,left,h", title="Previous panel",
            help="Focus the previous tile or list.", scope="overview", action="step(-1)"),
    Command(id="overview.interval", keys="plus", title="Interval", scope="overview", action="interval",
            help="Show new figures with every sample, or only every 5, 15 or 60 seconds: for slow lines."),
    Command(id="overview.down", keys="down,j", title="Down", help="Focus the panel below.",
            scope="overview", action="sink(1)"),
    Command(id="overview.up", keys="up,k", title="Up", help="Focus the panel above.",
            scope="overview", action="sink(-1)"),
)  # fmt: skip

_JOBS: Final = (
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
    Command(id="jobs.copy", keys="y", title="Copy", help="Copy the job's id and title to the clipboard.",
            scope="jobs", action="copy", when="job"),
)  # fmt: skip

_JOB: Final = (
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
    Command(id="job.copy", keys="y", title="Copy", help="Copy the page: id, parameters, error, result or log.",
            scope="job", action="copy", is_shown=True),
)  # fmt: skip

VERBS: Final = (
    Command(id="verb.job", keys="", title="Open a job", help="Show the page of one job.", scope="app", action="",
            verb="job", usage="ID"),
)  # fmt: skip

# Commands of the backfill screen and the coverage map.
_BACKFILL: Final = (
    Command(id="backfill.start", keys="ctrl+s", title="Start", help="Start the backfill that the form describes.",
            scope="backfill", action="start", is_shown=True, when="form"),
    Command(id="form.edit", keys="enter", title="Edit", help="Type into the field; Enter keeps it, Esc does not.",
            scope="form", action="edit", is_shown=True),
    Command(id="form.next-choice", keys="right,l,space", title="Change", help="Next choice, or start typing.",
            scope="form", action="choose(1)", is_shown=True, when="choice"),
    Command(id="backfill.dates", keys="d", title="Dates", help="Next range: 5 sessions, month, this year, 1, 5 years.",
            scope="backfill", action="dates(1)", is_shown=True, when="form"),
    Command(id="coverage.queue", keys="enter", title="Backfill", scope="coverage", action="queue", is_shown=True,
            help="Fetch what is missing in this month of this symbol.", when="fillable"),
    Command(id="coverage.filter", keys="slash", title="Filter", help="Show only symbols that begin with these letters.",
            scope="coverage", action="wish('filter')", is_shown=True),
    Command(id="coverage.timeframe", keys="t", title="Timeframe", help="Coverage of the next timeframe.",
            scope="coverage", action="wish('timeframe')", is_shown=True),
    Command(id="run.open", keys="enter", title="Open", help="Open the page of this job.", scope="run", action="open",
            is_shown=True, when="job"),
    Command(id="backfill.form", keys="f", title="Form", help="Show the form and its plan.", scope="backfill",
            action="view('form')", when="other:form"),
    Command(id="backfill.map", keys="m", title="Map", help="Show what is stored: symbol by month.", scope="backfill",
            action="view('map')", when="other:map"),
    Command(id="backfill.run", keys="w", title="Run", help="Watch the running backfill, or see the last one's result.",
            scope="backfill", action="view('run')", when="other:run"),
    Command(id="backfill.next-view", keys="ctrl+t", title="Next view", scope="backfill", action="next_view",
            help="Form, map, run; works while you type."),
    Command(id="backfill.pause", keys="p", title="Pause", help="Pause the backfill shown; its checkpoint is kept.",
            scope="backfill", action="act('pause')", is_shown=True, when="pause"),
    Command(id="backfill.resume", keys="p", title="Resume", help="Resume the backfill shown from its checkpoint.",
            scope="backfill", action="act('resume')", is_shown=True, when="resume"),
    Command(id="backfill.cancel", keys="C", title="Cancel", help="Cancel the backfill shown; its checkpoint is kept.",
            scope="backfill", action="act('cancel')", is_shown=True, when="cancel"),
    Command(id="backfill.next-run", keys="n", title="Next run", help="Show the next of several running backfills.",
            scope="backfill", action="next_run", is_shown=True, when="several"),
    Command(id="backfill.reload", keys="r", title="Reload", help="Read the coverage map and the plan again.",
            scope="backfill", action="reload"),
    Command(id="form.previous-choice", keys="left,h", title="Previous", help="Previous choice.", scope="form",
            action="choose(-1)", when="choice"),
    Command(id="form.down", keys="down,j,tab", title="Down", help="Next field.", scope="form", action="step(1)"),
    Command(id="form.up", keys="up,k,shift+tab", title="Up", help="Previous field.", scope="form", action="step(-1)"),
    Command(id="form.reset", keys="backspace,delete", title="Default", help="Give the field its default back.",
            scope="form", action="reset"),
    Command(id="editor.revert", keys="escape", title="Leave", help="Leave the field as it was before typing.",
            scope="editor", action="revert", is_shown=True),
    Command(id="coverage.left", keys="left,h", title="Left", help="Month before.", scope="coverage",
            action="move(-1, 0)"),
    Command(id="coverage.right", keys="right,l", title="Right", help="Month after.", scope="coverage",
            action="move(1, 0)"),
    Command(id="coverage.down", keys="down,j", title="Down", help="Next symbol.", scope="coverage",
            action="move(0, 1)"),
    Command(id="coverage.up", keys="up,k", title="Up", help="Previous symbol.", scope="coverage",
            action="move(0, -1)"),
    Command(id="coverage.page-down", keys="pagedown,ctrl+f", title="Page down", help="Next page of symbols.",
            scope="coverage", action="page(1)"),
    Command(id="coverage.page-up", keys="pageup,ctrl+b", title="Page up", help="Previous page of symbols.",
            scope="coverage", action="page(-1)"),
    Command(id="coverage.top", keys="home", title="Top", help="First symbol. Also g g.", scope="coverage",
            action="edge(0)"),
    Command(id="coverage.bottom", keys="end,G", title="Bottom", help="Last symbol loaded.", scope="coverage",
            action="edge(1)"),
    Command(id="coverage.older", keys="comma", title="Older", help="Earlier months.", scope="coverage",
            action="months(-1)", is_shown=True),
    Command(id="coverage.newer", keys="full_stop", title="Newer", help="Later months.", scope="coverage",
            action="months(1)"),
    Command(id="coverage.table", keys="T", title="Table", help="Coverage in the other table.", scope="coverage",
            action="wish('table')", is_shown=True),
)  # fmt: skip

_MARKET: Final = (
    Command(id="market.filter", keys="slash", title="Filter", help="Show only symbols that begin with these letters.",
            scope="market", action="filter", is_shown=True),
    Command(id="market.next", keys="tab,right,l", title="Next panel", scope="market", action="step(1)", is_shown=True,
            help="Watch list, chart, depth, positions, volatility."),
    Command(id="market.previous", keys="shift+tab,left,h", title="Previous panel", help="The panel before.",
            scope="market", action="step(-1)"),
    Command(id="market.timeframe", keys="t", title="Timeframe", scope="market", action="timeframe", is_shown=True,
            help="Candles of 1, 5, 15 minutes, an hour, a day."),
    Command(id="market.order", keys="s", title="Sort", help="Order by symbol, gainers first, losers first.",
            scope="market", action="order", is_shown=True),
    Command(id="market.reload", keys="r", title="Reload", help="Read everything again now.", scope="market",
            action="reload"),
)  # fmt: skip

COMMANDS: Final[tuple[Command, ...]] = (
    *_APP, *_TABLE, *_LOG, *_TEXT, *_OVERVIEW, *_JOBS, *_JOB, *_BACKFILL, *_MARKET, *VERBS,
)  # fmt: skip
BY_ID: Final = {command.id: command for command in COMMANDS}
ORDER: Final = {command.id: index for index, command in enumerate(COMMANDS)}


def of(scope: str) -> tuple[Command, ...]:
    """Return the commands of one scope, in table order."""
    return tuple(command for command in COMMANDS if command.scope == scope)
