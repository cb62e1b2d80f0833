"""Keys of the overview."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command

SCOPES: Final = {
    "overview": "Overview",
}

ROWS: Final[tuple[Command, ...]] = (
    Command(id="overview.open", keys="enter", title="Open", scope="overview", action="open", is_shown=True,
            help="Open the job, or the pane that shows the cause of the tile or alert."),
    Command(id="overview.figures", keys="i", title="Figures", scope="overview", action="figures", is_shown=True,
            help="Show every figure behind the tile or alert, with its limits.", when="reading"),
    Command(id="overview.next", keys="tab,right,l", title="Next panel", help="Focus the next tile or list.",
            scope="overview", action="step(1)", is_shown=True),
    Command(id="overview.previous", keys="shift+tab,left,h", title="Previous panel",
            help="Focus the previous tile or list.", scope="overview", action="step(-1)"),
    Command(id="overview.optimize", keys="o", title="Optimize", scope="overview", action="optimize",
            help="Show what would put the platform in shape, and why."),
    Command(id="overview.interval", keys="plus", title="Interval", scope="overview", action="interval",
            help="Show new figures with every sample, or only every 5, 15 or 60 seconds: for slow lines."),
    Command(id="overview.down", keys="down,j", title="Down", help="Focus the panel below.",
            scope="overview", action="sink(1)"),
    Command(id="overview.up", keys="up,k", title="Up", help="Focus the panel above.",
            scope="overview", action="sink(-1)"),
)  # fmt: skip
