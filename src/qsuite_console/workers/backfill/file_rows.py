"""What the ledger and the quarantine keep of a chunk of records from a file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from qsuite_console.db.ledger import Covered, Refused
from qsuite_console.providers.judging import FilePage


def refusals(page: FilePage, file: str) -> list[Refused]:
    """Return a chunk's rejected records for the quarantine, each with its file and line."""
    return [Refused(bad.symbol, None, f"{bad.reason} ({file}:{bad.number})", bad.raw) for bad in page.rejected]


class Hulls:
    """What a run has loaded of each symbol: periods of neighbouring chunks are made to touch, so that they merge."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[datetime, datetime]] = {}

    def cover(self, spans: Mapping[str, tuple[datetime, datetime, int]]) -> list[Covered]:
        """Return the ledger's entries for a chunk; none for what lies within earlier chunks."""
        found: list[Covered] = []
        for symbol, (first, end, count) in spans.items():
            low, high = first, end
            known = self._known.get(symbol)
            if known is not None:
                if known[0] <= first and end <= known[1]:
                    continue
                low = known[1] if first >= known[1] else low
                high = known[0] if end <= known[0] else high
            self._known[symbol] = (low, high) if known is None else (min(low, known[0]), max(high, known[1]))
            found.append(Covered(symbol, low, high, count))
        return found
