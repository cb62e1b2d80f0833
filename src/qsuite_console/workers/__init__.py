"""What a job does: one module per kind. ``SERVICES`` a worker may use, and the registry from kind to worker.

Kinds are named by import path so that looking at the list loads none of them; other packages add theirs with an
entry point of the group ``qsuite_console.workers`` whose object is a worker class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from qsuite_console.cache.client import Cache
    from qsuite_console.config.settings import Settings
    from qsuite_console.db.database import Database
    from qsuite_console.model.clock import Clock
    from qsuite_console.providers.alpaca import AlpacaClient

ENTRY_POINTS: Final = "qsuite_console.workers"

REGISTRY: Final[Mapping[str, str]] = {
    "backfill": "qsuite_console.workers.backfill:BackfillWorker",
}


@dataclass(frozen=True, slots=True)
class Services:
    """What the composition root hands to every worker. Connections are opened on first use, on the engine's loop."""

    settings: Settings
    clock: Clock
    database: Database
    cache: Cache
    provider: Callable[[], AlpacaClient]
    extra: Mapping[str, object] = field(default_factory=dict)
