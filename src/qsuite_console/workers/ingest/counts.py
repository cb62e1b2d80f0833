"""What came of the records so far: the checkpoint, and in the end the result.

Bounded whatever the input: reasons and unknown symbols are kept up to a limit, the records themselves in a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from qsuite_console.providers.judging import Rejected

NAMED: Final = 20  # bad records that a result names
_REASONS: Final = 50
_UNKNOWN: Final = 1_000
_OTHER: Final = "other"


class Counts(msgspec.Struct, kw_only=True):
    """Place and figures; saved after each chunk's commit."""

    identity: str = ""  # of the sources: another content begins anew
    source: int = 0
    offset: int = 0
    number: int = 0
    records: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    rejects_size: int = 0  # bytes of the rejects file that belong to what is stored
    reasons: dict[str, int] = {}
    named: list[str] = []
    unknown: dict[str, int] = {}
    new_symbols: list[str] = []
    stale: list[str] = []  # symbols whose keys are still to be removed from the cache
    keys_removed: int = 0
    elapsed_s: float = 0.0
    is_stored: bool = False

    def reject(self, name: str, found: Sequence[Rejected]) -> None:
        """Count bad records of the source ``name`` ("" where there is only one)."""
        self.rejected += len(found)
        for bad in found:
            reason = bad.reason.partition(":")[0]
            reason = reason if reason in self.reasons or len(self.reasons) < _REASONS else _OTHER
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
            if len(self.named) < NAMED:
                self.named.append(describe(bad, name))

    def miss(self, unknown: dict[str, int]) -> None:
        """Count records of symbols that the platform does not know."""
        for symbol, count in unknown.items():
            if symbol in self.unknown or len(self.unknown) < _UNKNOWN:
                self.unknown[symbol] = self.unknown.get(symbol, 0) + count

    def figures(self) -> dict[str, float | str]:
        """Return what a gauge shows."""
        return {
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "rejected": self.rejected,
        }

    def result(self, table: str, timeframe: str, sources: int, rejects_file: str) -> dict[str, Any]:
        """Return the result."""
        return {
            "table": table,
            "timeframe": timeframe,
            "files": sources,
            "records": self.records,
            "created": self.created,
            "updated": self.updated,
            "skipped": self.unchanged,
            "rejected": self.rejected,
            "rejected_first": self.named,
            "rejected_reasons": self.reasons,
            "rejects_file": rejects_file if self.rejected else "",
            "unknown_symbols": self.unknown,
            "symbols_created": self.new_symbols,
            "keys_invalidated": self.keys_removed,
            "duration_s": round(self.elapsed_s, 3),
            "records_per_s": round(self.records / self.elapsed_s) if self.elapsed_s else 0,
        }


def describe(bad: Rejected, name: str = "") -> str:
    """Return ``Record 17: missing fields close, volume``; the number is the line of a text file."""
    reason = f"{bad.reason} {bad.symbol}" if bad.reason == "unknown symbol" else bad.reason
    return f"{name + ': ' if name else ''}Record {bad.number}: {reason}"
