"""Values that the platform's cache holds. Each carries the instant its data is of, so that a reader decides for itself
what is too old.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from qsuite_console.model.market import Level


class PriceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Value of ``price:SYMBOL``: the close of the newest bar, which began at ``timestamp``."""

    symbol: str
    price: Decimal
    timestamp: datetime


class MarketEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Value of ``market_data:SYMBOL``: the newest bar, and the close before the session for the change."""

    symbol: str
    timestamp: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    previous_close: Decimal | None = None


class BookEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Value of ``order_book:SYMBOL``: the platform's own resting orders, best level first."""

    symbol: str
    timestamp: datetime  # when it was read
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """One open position: ``net`` is negative for a short one, costs are by moving average."""

    symbol: str
    net: Decimal
    average_cost: Decimal
    realised: Decimal


class PositionsEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Value of ``positions:USER``: every open position of a user."""

    user: int
    timestamp: datetime  # when it was read
    positions: tuple[Holding, ...] = ()
