"""What burns and what burnt."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.screens.panes import Pane, PaneScreen


class AlertsScreen(PaneScreen):
    """The panes of the alerts."""

    SCOPE = "alerts"
    SOURCE = ""
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("alerts")
    BINDING_GROUP_TITLE = commands.SCOPES["alerts"]
    PANES: ClassVar[tuple[type[Pane[Any]], ...]] = ()
