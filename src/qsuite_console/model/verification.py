"""What was fetched against what is stored: the ledger of a backfill held against a fresh count of rows."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Shortfall(msgspec.Struct, frozen=True, kw_only=True):
    """A fetched period [low, high) that holds fewer rows than were fetched."""

    symbol: str
    low: datetime
    high: datetime
    fetched: int
    present: int
    fetched_at: datetime | None = None


class SymbolRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one symbol in the period, and those missing of what was fetched."""

    symbol: str
    rows: int = 0
    missing: int = 0


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``backfill.verification`` over [low, high); symbols in their order."""

    at: datetime
    table: str
    timeframe: str
    low: datetime
    high: datetime
    symbols: tuple[SymbolRows, ...] = ()
    symbols_total: int = 0
    shortfalls: tuple[Shortfall, ...] = ()
    has_ledger: bool = True
    cost_ms: float = 0.0

    @property
    def rows(self) -> int:
        """Return how many rows are there."""
        return sum(each.rows for each in self.symbols)

    @property
    def rows_missing(self) -> int:
        """Return how many fetched rows are not there."""
        return sum(each.fetched - each.present for each in self.shortfalls)
