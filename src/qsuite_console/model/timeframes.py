"""Timeframes: how long a bar is, where it may start, how many a session holds. Pure.

Days, weeks and months are the market's: a daily bar is labelled with its midnight, in New York 04:00 or 05:00 UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

from qsuite_console.model.market import Session
from qsuite_console.model.markets import STOCKS, Market

Timeframe = Literal["1Min", "5Min", "15Min", "30Min", "1Hour", "1Day", "1Week", "1Month"]

_SECONDS: Final = {"1Min": 60, "5Min": 300, "15Min": 900, "30Min": 1800, "1Hour": 3600}
_DAY: Final = timedelta(days=1)
OUTSIDE: Final = "outside the requested range"


def is_intraday(timeframe: str) -> bool:
    """Return whether several bars of it fit into one session."""
    return timeframe in _SECONDS


def step_seconds(timeframe: str) -> int:
    """Return the grid on which bars start, in seconds; 86,400 for days and longer (counted from midnight)."""
    return _SECONDS.get(timeframe, 86_400)


def align(timeframe: str, start: date, end: date) -> tuple[date, date]:
    """Return the range widened at its start and narrowed at its end to whole weeks or months; days are unchanged."""
    if timeframe == "1Week":
        return start - timedelta(days=start.weekday()), end - timedelta(days=(end.weekday() + 1) % 7)
    if timeframe == "1Month":
        following = end + _DAY
        return start.replace(day=1), following.replace(day=1) - _DAY
    return start, end


def labels(timeframe: str, sessions: Sequence[Session]) -> list[date]:
    """Return the day that labels each period with a session in it: the day itself, its Monday, its first of month."""
    if timeframe == "1Week":
        return sorted({s.day - timedelta(days=s.day.weekday()) for s in sessions})
    if timeframe == "1Month":
        return sorted({s.day.replace(day=1) for s in sessions})
    return [s.day for s in sessions]


def expected_bars(timeframe: str, sessions: Sequence[Session]) -> int:
    """Return how many bars one symbol that trades all the time has in these sessions (regular hours)."""
    if not is_intraday(timeframe):
        return len(labels(timeframe, sessions))
    step = _SECONDS[timeframe]
    total = 0
    for session in sessions:
        first = int(session.open_at.timestamp()) // step
        last = -(-int(session.close_at.timestamp()) // step)
        total += last - first
    return total


def period_end(timeframe: str, label: date) -> date:
    """Return the last day of the period that ``label`` names."""
    if timeframe == "1Week":
        return label + timedelta(days=6)
    if timeframe == "1Month":
        return (label.replace(day=28) + timedelta(days=4)).replace(day=1) - _DAY
    return label


class Grid:
    """Tells whether a timestamp may label a bar of the timeframe within [low, high); remembers what it has seen.

    The provider writes each instant for hundreds of symbols, so the second look is one dictionary access.
    """

    def __init__(self, timeframe: str, low: datetime, high: datetime, market: Market = STOCKS) -> None:
        self._market = market
        self._step = step_seconds(timeframe)
        self._is_intraday = is_intraday(timeframe)
        self._low, self._high = low, high
        self.seen: dict[str, str] = {}  # text -> canonical text, "" for a refused one

    def admit(self, text: str) -> str:
        """Return the instant as ``2025-01-02T05:00:00Z``, or "" when no bar may carry it (``why`` says why)."""
        known = self.seen.get(text)
        if known is None:
            at = _instant(text)
            is_good = at is not None and not self._problem(at)
            known = at.strftime("%Y-%m-%dT%H:%M:%SZ") if at is not None and is_good else ""
            self.seen[text] = known
        return known

    def why(self, text: str) -> str:
        """Return the reason a timestamp is refused, "" for a good one."""
        at = _instant(text)
        return "the timestamp can't be read" if at is None else self._problem(at)

    def _problem(self, at: datetime) -> str:
        if not self._low <= at < self._high:
            return OUTSIDE
        if self._is_intraday:
            return "the timestamp is off the grid" if at.timestamp() % self._step else ""
        is_midnight = at == self._market.midnight(self._market.day_of(at))
        return "" if is_midnight else f"the timestamp is not {self._market.zone}'s midnight"


def _instant(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if at.tzinfo is None else at.astimezone(UTC)
