"""Keys of the plan that puts the platform in shape."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command

SCOPES: Final = {
    "optimize": "Putting in shape",
}

ROWS: Final[tuple[Command, ...]] = (
    Command(id="optimize.do", keys="d", title="Do it", help="Do the step under the cursor; asks first.",
            scope="optimize", action="perform", is_shown=True, when="step"),
    Command(id="optimize.all", keys="A", title="Do all", help="Do every safe step that is left; asks once.",
            scope="optimize", action="perform_all", is_shown=True, when="safe"),
    Command(id="optimize.again", keys="r", title="Look again", help="Look at everything anew and make a new plan.",
            scope="optimize", action="again", is_shown=True),
    Command(id="optimize.copy", keys="y", title="Copy", help="Copy the command line that does the step.",
            scope="optimize", action="copy", is_shown=True, when="entry"),
    Command(id="optimize.tab", keys="tab,shift+tab", title="Steps or text", scope="optimize", action="other",
            help="Change between the steps and what is said of one."),
)  # fmt: skip
