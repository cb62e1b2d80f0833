"""PostgreSQL from the operator's side: a pane for each question one asks of it in trouble."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.screens.database.activity import ActivityPane
from qsuite_console.screens.database.blocking import BlockingPane
from qsuite_console.screens.database.indexes import IndexesPane
from qsuite_console.screens.database.limits import LimitsPane
from qsuite_console.screens.database.progress import ProgressPane
from qsuite_console.screens.database.statements import StatementsPane
from qsuite_console.screens.database.tables import TablesPane
from qsuite_console.screens.panes import Pane, PaneScreen


class DatabaseScreen(PaneScreen):
    """The panes in the order in which trouble is looked for."""

    SCOPE = "database"
    SOURCE = "postgresql"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("database")
    BINDING_GROUP_TITLE = commands.SCOPES["database"]
    PANES: ClassVar[tuple[type[Pane[Any]], ...]] = (
        ActivityPane,
        BlockingPane,
        ProgressPane,
        StatementsPane,
        TablesPane,
        IndexesPane,
        LimitsPane,
    )
