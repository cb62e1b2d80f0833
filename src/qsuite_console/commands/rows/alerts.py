"""Keys of the alerts screen and its panes: a pane with keys of its own has a scope here, named like its SCOPE."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command
from qsuite_console.commands.rows import panes

SCOPES: Final = {
    "alerts": "Alerts",
}

ROWS: Final[tuple[Command, ...]] = (
    Command(id="alerts.acknowledge", keys="a", title="Acknowledge", scope="alerts", action="acknowledge",
            is_shown=True, when="alert", help="Say that you look after the alert: it burns on, quietly, in your name."),
    Command(id="alerts.silence", keys="s", title="Silence", scope="alerts", action="silence", is_shown=True,
            when="subject", help="Keep the alert, or all of its source, quiet for a while; it stays visible."),
    Command(id="alerts.unsilence", keys="S", title="End silence", scope="alerts", action="unsilence", is_shown=True,
            when="silenced", help="Let what is silenced call again."),
    Command(id="alerts.redeliver", keys="D", title="Deliver again", scope="alerts", action="redeliver", is_shown=True,
            when="delivery", help="Deliver it again, with the same id: from the first try on, also one given up."),
    Command(id="alerts.copy", keys="y", title="Copy", scope="alerts", action="copy", when="line",
            help="Copy the line; of a rule, what the configuration would say."),
    *panes.keys("alerts"),
)  # fmt: skip
