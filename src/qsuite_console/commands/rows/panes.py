"""Keys that every screen with panes has; each screen makes its own rows of them, so that each can be rebound alone."""

from __future__ import annotations

from qsuite_console.commands.row import Command


def keys(screen: str) -> tuple[Command, ...]:
    """Return the rows of a screen whose scope is ``screen``."""
    return (
        Command(id=f"{screen}.filter", keys="slash", title="Filter", scope=screen, action="filter", is_shown=True,
                help="Show only what contains the text typed.", when="filter"),
        Command(id=f"{screen}.next", keys="tab,right,l", title="Next pane", scope=screen, action="step(1)",
                is_shown=True, help="Show the next pane of this screen.", when="panes"),
        Command(id=f"{screen}.previous", keys="shift+tab,left,h", title="Previous pane", scope=screen,
                action="step(-1)", help="Show the pane before.", when="panes"),
        Command(id=f"{screen}.part", keys="w", title="Next part", scope=screen, action="part", is_shown=True,
                help="Focus the next list, text or chart of the pane.", when="parts"),
        Command(id=f"{screen}.reload", keys="r", title="Reload", scope=screen, action="reload",
                help="Read the pane again now."),
    )  # fmt: skip
