"""This host and the console's own process."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.screens.panes import Pane, PaneScreen


class SystemScreen(PaneScreen):
    """The panes of the system."""

    SCOPE = "system"
    SOURCE = "host"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("system")
    BINDING_GROUP_TITLE = commands.SCOPES["system"]
    PANES: ClassVar[tuple[type[Pane[Any]], ...]] = ()
