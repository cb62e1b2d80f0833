"""Where bars are traded: zone of the days, sessions, endpoint. One row a market, so that nothing else asks which it is.

Stocks follow New York and its exchange's calendar. Crypto never closes: every UTC day is a session, daily bars begin
at 00:00Z, and there are neither splits nor feeds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import Final

from qsuite_console.model import calendar
from qsuite_console.model.calendar import last_completed
from qsuite_console.model.market import Session

DELAY_OF_DATA_S: Final = 20 * 60  # the free plan holds back 15 minutes; some slack for the last bar to settle
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Market:
    """One kind of instrument as a backfill sees it. ``symbol`` is the form of its symbols, ``example`` one of them."""

    name: str
    asset_class: str
    path: str  # of the provider's bars
    zone: str  # for people
    symbol: re.Pattern[str]
    example: str
    midnight: Callable[[date], datetime]
    day_of: Callable[[datetime], date]
    last_day: Callable[[datetime], date]  # the newest whole session at an instant
    computed_sessions: Callable[[date, date], Sequence[Session]]
    has_exchange_calendar: bool  # the provider and the platform know its sessions better than the rules
    has_adjustments: bool
    is_fractional: bool  # volumes have decimals

    def day_bounds(self, first: date, last: date) -> tuple[datetime, datetime]:
        """Return [from, to) in UTC of the days ``first`` to ``last``, both included."""
        return self.midnight(first), self.midnight(last + _DAY)


def _utc_midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), UTC)


def _utc_day(at: datetime) -> date:
    return at.astimezone(UTC).date()


def _last_utc_day(now: datetime) -> date:
    return _utc_day(now - timedelta(seconds=DELAY_OF_DATA_S)) - _DAY


def _last_session_day(now: datetime) -> date:
    return last_completed(now - timedelta(seconds=DELAY_OF_DATA_S)).day


def _every_day(start: date, end: date) -> list[Session]:
    days = (start + _DAY * number for number in range((end - start).days + 1))
    return [Session(day=day, open_at=_utc_midnight(day), close_at=_utc_midnight(day + _DAY)) for day in days]


STOCKS: Final = Market(
    name="stocks",
    asset_class="us_equity",
    path="/v2/stocks/bars",
    zone="New York",
    symbol=re.compile(r"[A-Z0-9][A-Z0-9]{0,11}(?:[./-][A-Z0-9]{1,8}){0,2}"),
    example="AAPL",
    midnight=calendar.midnight,
    day_of=calendar.trading_day,
    last_day=_last_session_day,
    computed_sessions=calendar.sessions,
    has_exchange_calendar=True,
    has_adjustments=True,
    is_fractional=False,
)
CRYPTO: Final = Market(
    name="crypto",
    asset_class="crypto",
    path="/v1beta3/crypto/us/bars",
    zone="UTC",
    symbol=re.compile(r"[A-Z0-9]{1,12}/[A-Z0-9]{2,8}"),
    example="BTC/USD",
    midnight=_utc_midnight,
    day_of=_utc_day,
    last_day=_last_utc_day,
    computed_sessions=_every_day,
    has_exchange_calendar=False,
    has_adjustments=False,
    is_fractional=True,
)
MARKETS: Final[Mapping[str, Market]] = MappingProxyType({market.name: market for market in (STOCKS, CRYPTO)})


def market_of(symbol: str) -> Market:
    """Return the market that a symbol of a file belongs to, by its form."""
    return CRYPTO if CRYPTO.symbol.fullmatch(symbol) else STOCKS
