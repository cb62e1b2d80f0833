"""The console's own lookups of keys: the server counts them as hits and misses, a hit rate must not.

Which commands count was measured on 7.0, 8.0 and 9.1: SCAN, MEMORY USAGE and writes do not.
"""

from __future__ import annotations

from collections.abc import Mapping
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


# what they say of a key that isn't there; Redis keeps no empty list, set or hash
_MISSING: Final[Mapping[str, tuple[Any, ...]]] = {
    "TYPE": (b"none",),
    "PTTL": (-2,),
    **{command: (0,) for command in ("EXISTS", "HLEN", "LLEN", "SCARD", "XLEN", "ZCARD")},
}


@dataclass(slots=True)
class OwnLookups:
    """Counters since the client was made, to be subtracted interval by interval."""

    hits: int = 0
    misses: int = 0
    commands: int = 0  # that panels sent, whatever they are

    def add(self, *, hits: int, misses: int = 0) -> None:
        """Count lookups that were made."""
        self.hits += hits
        self.misses += misses

    def note(self, command: str, answer: Any) -> None:
        """Count a command by its answer, if the server counts it."""
        if command in _COUNTED:
            is_missing = answer in _MISSING.get(command, ())
            self.add(hits=not is_missing, misses=is_missing)
