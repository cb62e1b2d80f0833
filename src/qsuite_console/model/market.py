"""Market values that cross boundaries: timeframes, sessions of the exchange, coverage of what is stored."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

import msgspec


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One trading day of the exchange; bars are expected in [open_at, close_at), both UTC."""

    day: date
    open_at: datetime
    close_at: datetime
    is_early_close: bool = False


class CellState(StrEnum):
    """One cell of the coverage map: a symbol in a month."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    GAP = "gap"
    RUNNING = "running"
    FAILED = "failed"
    NONE = "none"  # nothing is expected there: before the listing, in the future


class CoverageCell(msgspec.Struct, frozen=True, kw_only=True):
    """Stored and expected sessions of one symbol in one month ("2025-03")."""

    month: str
    state: CellState
    present: int = 0
    expected: int = 0


class CoverageRow(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol's line of the map."""

    symbol: str
    cells: tuple[CoverageCell, ...]


class CoverageMap(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``backfill.coverage``; rows are in symbol order, all with the same months."""

    table: str
    timeframe: str
    months: tuple[str, ...]
    rows: tuple[CoverageRow, ...]
    symbols_total: int = 0
    next_after: str | None = None  # keyset: pass as ``after`` for the next symbols
