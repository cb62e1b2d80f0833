"""Redis from the operator's side: what it holds, how well it serves, who uses it."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.screens.cache_advice import AdvicePane
from qsuite_console.screens.cache_families import FamiliesPane
from qsuite_console.screens.cache_keys import KeysPane
from qsuite_console.screens.cache_memory import MemoryPane
from qsuite_console.screens.cache_use import ClientsPane, CommandsPane, SlowlogPane
from qsuite_console.screens.panes import Pane, PaneScreen


class CacheScreen(PaneScreen):
    """The panes of the cache."""

    SCOPE = "cache"
    SOURCE = "redis"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("cache")
    BINDING_GROUP_TITLE = commands.SCOPES["cache"]
    PANES: ClassVar[tuple[type[Pane[Any]], ...]] = (
        MemoryPane,
        FamiliesPane,
        KeysPane,
        SlowlogPane,
        ClientsPane,
        CommandsPane,
        AdvicePane,
    )
