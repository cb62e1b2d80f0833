"""When the terminal rings: once for each alert that becomes loud, or worse, while somebody looks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from qsuite_console.model.health import Alert, Level, Snapshot

_RINGS: Final = {
    "off": frozenset[Level](),
    "critical": frozenset({Level.CRITICAL}),
    "warning": frozenset({Level.WARNING, Level.CRITICAL}),
}


class Bell:
    """Remembers what was loud; what burns in the first snapshot it sees does not ring it."""

    def __init__(self, wanted: str) -> None:
        """``wanted``: "off", "critical", or "warning" for both levels."""
        self._levels = _RINGS[wanted]
        self._loud: frozenset[tuple[str, float, Level]] | None = None

    def rings(self, snapshot: Snapshot) -> bool:
        """Take what is known now and tell whether to ring."""
        if snapshot.at is None:
            return False
        before, self._loud = self._loud, self._all(snapshot.alerts)
        return before is not None and bool(self._loud - before)

    def _all(self, alerts: Iterable[Alert]) -> frozenset[tuple[str, float, Level]]:
        return frozenset(
            (one.id, one.since.timestamp(), one.level) for one in alerts if one.is_loud and one.level in self._levels
        )
