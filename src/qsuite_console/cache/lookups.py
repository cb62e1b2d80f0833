"""The console's own lookups of keys: the server counts them as hits and misses, a hit rate must not.

Which commands count was measured on 7.0, 8.0 and 9.1: SCAN, MEMORY USAGE and writes do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

_COUNTED: Final = frozenset(
    [
        "TYPE",
        "PTTL",
        "EXISTS",
        "OBJECT",
        "STRLEN",
        "GETRANGE",
        "HLEN",
        "HSCAN",
        "HSTRLEN",
        "HMGET",
        "LLEN",
        "LRANGE",
        "SCARD",
        "SSCAN",
        "ZCARD",
        "ZRANGE",
        "XLEN",
        "XREVRANGE",
        "XINFO",
    ]
)


@dataclass(slots=True)
class OwnLookups:
    """Counters since the client was made, to be subtracted interval by interval."""

    hits: int = 0
    misses: int = 0

    def add(self, *, hits: int, misses: int = 0) -> None:
        """Count lookups that were made."""
        self.hits += hits
        self.misses += misses

    def note(self, command: str, answer: Any) -> None:
        """Count a command by its answer, if the server counts it."""
        if command in _COUNTED:
            is_missing = (command == "TYPE" and answer == b"none") or (command, answer) in (("PTTL", -2), ("EXISTS", 0))
            self.add(hits=not is_missing, misses=is_missing)
