"""Celery on Redis from the operator's side, whoever's workers they are: what waits, who works, what became of it."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.screens.celery_kinds import KindsPane
from qsuite_console.screens.celery_queues import QueuesPane
from qsuite_console.screens.celery_tasks import HistoryPane, TasksPane
from qsuite_console.screens.celery_workers import WorkersPane
from qsuite_console.screens.panes import Pane, PaneScreen


class CeleryScreen(PaneScreen):
    """Queues first: whether work piles up is what one comes for."""

    SCOPE = "celery"
    SOURCE = "celery"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("celery")
    BINDING_GROUP_TITLE = commands.SCOPES["celery"]
    PANES: ClassVar[tuple[type[Pane[Any]], ...]] = (QueuesPane, WorkersPane, TasksPane, KindsPane, HistoryPane)
