"""PostgreSQL from the operator's side: a pane for each question one asks of it in trouble."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Final

from textual import work
from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.timescale import Timescale
from qsuite_console.screens.database.activity import ActivityPane
from qsuite_console.screens.database.blocking import BlockingPane
from qsuite_console.screens.database.indexes import IndexesPane
from qsuite_console.screens.database.limits import LimitsPane
from qsuite_console.screens.database.pooler import PoolerPane
from qsuite_console.screens.database.progress import ProgressPane
from qsuite_console.screens.database.replication import ReplicationPane
from qsuite_console.screens.database.settings import SettingsPane
from qsuite_console.screens.database.statements import StatementsPane
from qsuite_console.screens.database.tables import TablesPane
from qsuite_console.screens.database.timescale import TimescalePane
from qsuite_console.screens.panes import Pane, PaneScreen
from qsuite_console.widgets.status_bar import reading_of

_AGAIN_S: Final = 10.0


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
        ReplicationPane,
        SettingsPane,
        PoolerPane,
        TimescalePane,
    )

    def __init__(self) -> None:
        super().__init__()
        self._has_timescale: bool | None = None  # None: not known yet
        self._asked_at: datetime | None = None

    def on_mount(self) -> None:
        """Leave out what may not be here until it is known."""
        super().on_mount()
        self._show_present()

    def show(self, state: ConsoleState) -> None:
        """Give the state to the pane, and see whether a pooler is watched."""
        super().show(state)
        self._show_present()

    def tick(self, now: datetime) -> None:
        """Let ages grow, and look for what was not known yet."""
        super().tick(now)
        is_due = self._asked_at is None or (now - self._asked_at).total_seconds() > _AGAIN_S
        if self._has_timescale is None and is_due:
            self._asked_at = now
            self._find_timescale()

    def _show_present(self) -> None:
        absent = [] if reading_of(self.state, PoolerPane.SOURCE) is not None else [PoolerPane.NAME]
        self.leave_out([*absent, *(() if self._has_timescale else (TimescalePane.NAME,))])

    @work(exclusive=True, group="timescale-there")
    async def _find_timescale(self) -> None:
        try:
            answer = await self.control.ask(TimescalePane.PROBE, {})
        except ConsoleError:
            return  # a server that is down says nothing about what it has
        self._has_timescale = isinstance(answer, Timescale) and bool(answer.version)
        self._show_present()
