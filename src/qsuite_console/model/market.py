"""Market values that cross boundaries: sessions, coverage of what is stored, quotes, bars, depth, positions."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
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


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the watch list: what the database holds, and what the cache says of the same symbol."""

    symbol: str
    price: Decimal | None = None  # close of the newest bar
    priced_at: datetime | None = None  # start of that bar
    previous_close: Decimal | None = None  # None: no bar since the session opened
    trend: tuple[float, ...] = ()  # recent closes, oldest first
    cached: Decimal | None = None
    cached_at: datetime | None = None

    @property
    def change(self) -> Decimal | None:
        """Return the fraction gained since the previous close."""
        if self.price is None or not self.previous_close:
            return None
        return self.price / self.previous_close - 1


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``market.watch``, in the order asked for. ``at`` is the engine's time."""

    at: datetime
    session_open: datetime
    quotes: tuple[Quote, ...] = ()
    symbols_total: int = 0
    cache_problem: str = ""  # why no price could be read from the cache
    cost_s: float = 0.0


class PriceSource(StrEnum):
    """Who said a price: the platform's cache, or the newest bar in its database."""

    CACHE = "cache"
    DATABASE = "database"


class LatestPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol's newest price and of when it is, where that is said."""

    symbol: str
    price: Decimal
    at: datetime | None = None
    source: PriceSource


class LatestPrices(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``market.prices``, in the order asked for. ``at``: when it was looked up."""

    at: datetime
    prices: tuple[LatestPrice, ...] = ()
    missing: tuple[str, ...] = ()  # symbols without a price
    cache_problem: str = ""  # why no price could be read from the cache


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """Prices and volume of a span that starts ``at``."""

    at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class Bars(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``market.bars``, oldest first."""

    symbol: str
    timeframe: str
    bars: tuple[Bar, ...] = ()


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """Resting quantity at one price."""

    price: Decimal
    quantity: Decimal
    orders: int


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``market.depth``: the platform's own resting limit orders, best price first."""

    symbol: str
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()

    @property
    def is_crossed(self) -> bool:
        """Return whether somebody bids at least what another asks: a fault in the data."""
        return bool(self.bids and self.asks) and self.bids[0].price >= self.asks[0].price


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """What an owner (a user, or an instrument of one user) holds; a short has a negative ``net``."""

    owner: str
    net: Decimal
    average_cost: Decimal
    realised: Decimal


class Positions(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``market.positions``: the largest open ones first; the figures are about all of them."""

    subject: str
    positions: tuple[Position, ...] = ()
    open_total: int = 0
    long: Decimal = Decimal(0)
    short: Decimal = Decimal(0)  # not negative
    realised: Decimal = Decimal(0)  # also of those that are closed


class HourVolume(msgspec.Struct, frozen=True, kw_only=True):
    """Volume of a symbol in one UTC hour and its volume-weighted price."""

    hour: datetime
    symbol: str
    volume: Decimal
    bars: int
    vwap: Decimal | None = None


class Volatility(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``market.volatility``; fractions. None where there are fewer than ten returns."""

    symbol: str
    volatility: float | None = None  # of a year
    log_return: float | None = None  # of a year
    worst: float | None = None
    best: float | None = None
    returns: int = 0
    hours: tuple[HourVolume, ...] = ()  # newest first
    window: str = ""  # what the hours are of
