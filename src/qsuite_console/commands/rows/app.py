"""Keys that work everywhere."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command

SCOPES: Final = {"app": "Everywhere"}

ROWS: Final[tuple[Command, ...]] = (
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
    Command(id="app.target", keys="at", title="Target", help="Show the targets and switch to another platform.",
            scope="app", action="target", verb="target", usage="[NAME]"),
    Command(id="app.background", keys="ampersand", title="Background", scope="app", action="background",
            verb="background", help="Hand the engine over to a process of its own: jobs go on without this terminal."),
    Command(id="app.foreground", keys="", title="Foreground", scope="app", action="foreground", verb="foreground",
            help="Run the engine in this console: the one in the background ends, its jobs go on here."),
    Command(id="app.run", keys="", title="Run a job", scope="app", action="run", verb="run",
            usage="[KIND NAME=VALUE…]", help="Run any kind of job, programs of the configuration too; asks first."),
    Command(id="app.act", keys="", title="Change the platform", scope="app", action="act", verb="act",
            usage="[OPERATION NAME=VALUE…]", help="Cancel a query, apply a setting, delete a key; asks first."),
    Command(id="app.optimize", keys="", title="Optimize", scope="app", action="optimize", verb="optimize",
            help="What would put the platform in shape, and why; do it step by step or all that is safe."),
    Command(id="app.audit", keys="", title="Audit", help="Who did what on this platform, with what result.",
            scope="app", action="audit", verb="audit", usage="[WORDS]"),
    Command(id="app.back", keys="escape", title="Back", help="Leave one layer: dialog, filter, page. Never quits.",
            scope="app", action="back", is_fixed=True),
    Command(id="app.quit", keys="q", title="Quit", help="Go back, or quit from a main screen; asks while jobs run.",
            scope="app", action="leave", verb="quit"),
    Command(id="app.quit-now", keys="ctrl+q", title="Quit", help="Quit from anywhere; asks while jobs run.",
            scope="app", action="quit", is_fixed=True),
)  # fmt: skip
