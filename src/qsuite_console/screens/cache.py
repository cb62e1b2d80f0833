"""Redis from the operator's side: what it holds, how well it serves, who uses it."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.screens.panes import Pane, PaneScreen


class CacheScreen(PaneScreen):
    """The panes of the cache."""

    SCOPE = "cache"
    SOURCE = "redis"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("cache")
    BINDING_GROUP_TITLE = commands.SCOPES["cache"]
    PANES: ClassVar[tuple[type[Pane[Any]], ...]] = ()
