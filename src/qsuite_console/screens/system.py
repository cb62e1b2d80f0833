"""This machine and the console's own process: where processor time, memory, disks and network go."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.screens.panes import Pane, PaneScreen
from qsuite_console.screens.system_audit import AuditPane
from qsuite_console.screens.system_console import ConsolePane
from qsuite_console.screens.system_host import HostPane
from qsuite_console.screens.system_io import DisksPane, NetworkPane
from qsuite_console.screens.system_processes import ProcessesPane
from qsuite_console.screens.system_requests import RequestsPane


class SystemScreen(PaneScreen):
    """The machine first, then the console and what was done with it."""

    SCOPE = "system"
    SOURCE = "host"
    CSS_PATH = "system.tcss"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("system")
    BINDING_GROUP_TITLE = commands.SCOPES["system"]
    PANES: ClassVar[tuple[type[Pane[Any]], ...]] = (
        HostPane,
        DisksPane,
        NetworkPane,
        ProcessesPane,
        ConsolePane,
        RequestsPane,
        AuditPane,
    )
