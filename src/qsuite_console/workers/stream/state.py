"""How far a copy is and what came of its rows: the checkpoint, and in the end the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from qsuite_console.workers.stream.program import Made, Rejected

NAMED: Final = 20  # rejected rows that a result names
_REASONS: Final = 50
_OTHER: Final = "other"
COPY: Final = "copy"
FINISH: Final = "finish"  # all rows are there; a file gets its name
CHECK: Final = "check"


class State(msgspec.Struct, kw_only=True):
    """Place and figures; kept with the rows."""

    identity: str = ""  # of source, destination and transform: another one can't be continued
    phase: str = COPY
    key: list[str] = []
    estimate: int = 0
    was_empty: bool = False
    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    filtered: int = 0
    dropped: int = 0
    rejected: int = 0
    bytes: int = 0
    reasons: dict[str, int] = {}
    named: list[str] = []
    size: int = 0  # bytes of a CSV file that belong to what is kept
    parts: list[int] = []  # rows of each part of a Parquet file
    elapsed_s: float = 0.0

    @property
    def written(self) -> int:
        """Return the rows that are new or changed in the destination."""
        return self.created + self.updated

    def count(self, rows: int, size: int, made: Made) -> None:
        """Count what was read and what became of it before the destination."""
        self.read += rows
        self.bytes += size
        self.filtered += made.filtered
        self.dropped += made.dropped

    def reject(self, found: Sequence[Rejected]) -> list[str]:
        """Count rejected rows; returns the lines of those that are named."""
        self.rejected += len(found)
        lines = []
        for bad in found:
            reason = bad.reason.partition(":")[0]
            reason = reason if reason in self.reasons or len(self.reasons) < _REASONS else _OTHER
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
            if len(self.named) < NAMED:
                self.named.append(f"{bad.row}: {bad.reason}")
                lines.append(self.named[-1])
        return lines

    def figures(self) -> dict[str, float | str]:
        """Return what a gauge shows."""
        return {
            "written": self.written,
            "unchanged": self.unchanged,
            "filtered": self.filtered,
            "dropped": self.dropped,
            "rejected": self.rejected,
            "bytes": self.bytes,
        }

    def result(self) -> dict[str, Any]:
        """Return the figures of the result."""
        return {
            "rows_read": self.read,
            "rows_written": self.written,
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "filtered": self.filtered,
            "dropped_incomplete": self.dropped,
            "rejected": self.rejected,
            "rejected_first": self.named,
            "rejected_reasons": self.reasons,
            "bytes_read": self.bytes,
            "copy_s": round(self.elapsed_s, 3),
            "rows_per_s": round(self.read / self.elapsed_s) if self.elapsed_s else 0,
        }
