"""The prices of the sample exchange: every bar is a pure function of seed, symbol, timeframe and time.

Days come first: a mean-reverting walk over all sessions since 2016 from one hash stream a symbol. Minutes are a bridge
from the day's open to its close that stays within and touches its high and low, and shares out its volume, so any
session can be made alone and minutes add up to days. Prices are whole cents inside, hence exact on the wire.
"""

from __future__ import annotations

import bisect
import hashlib
import math
from array import array
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from statistics import NormalDist
from typing import Final

from qsuite_console.model import calendar
from qsuite_console.model.market import Session
from qsuite_console.sandbox.minutes import Bar, Minutes, bridge
from qsuite_console.sandbox.timeframes import Timeframe, Unit
from qsuite_console.sandbox.universe import Instrument, instruments

FIRST_DAY: Final = date(2016, 1, 4)
LAST_DAY: Final = date(calendar.LAST_YEAR, 12, 31)
_LEVELS: Final = 4096
_REPEAT: Final = 65_536 // _LEVELS
_REVERSION: Final = 0.998  # of the daily log price: keeps it within a factor of about two for ever
_OPEN_MINUTE: Final = 570  # 09:30 New York
_STREAMS: Final = 5
_KEPT: Final = 1000  # symbols whose days are remembered, 70 kB each
_STRIDE: Final = 256  # sessions, about a year
_CLOCK: Final = tuple(f"T{m // 60:02}:{m % 60:02}:00Z" for m in range(1440))
LABEL: Final = "%Y-%m-%dT%H:%M:%SZ"


@lru_cache(maxsize=1)
def normal_table() -> tuple[float, ...]:
    """Return a table that turns any 16-bit number into a standard normal."""
    normal = NormalDist()
    return tuple(normal.inv_cdf((i + 0.5) / _LEVELS) for i in range(_LEVELS)) * _REPEAT


@lru_cache(maxsize=1)
def weight_table() -> tuple[float, ...]:
    """Return a table that turns any 16-bit number into a log-normal weight around 1."""
    return tuple(math.exp(0.35 * x) for x in normal_table()[:_LEVELS]) * _REPEAT


@lru_cache(maxsize=1)
def all_sessions() -> tuple[tuple[Session, ...], tuple[date, ...], tuple[str, ...]]:
    """Return every session the exchange knows, their days and the labels of their daily bars."""
    found = tuple(calendar.sessions(FIRST_DAY, LAST_DAY))
    return found, tuple(s.day for s in found), tuple(calendar.midnight(s.day).strftime(LABEL) for s in found)


@lru_cache(maxsize=128)
def _minute_labels(session: Session) -> tuple[str, ...]:
    first = session.open_at.hour * 60 + session.open_at.minute
    day = session.open_at.strftime("%Y-%m-%d")
    return tuple(day + _CLOCK[first + k] for k in range(session_minutes(session)))


def session_minutes(session: Session) -> int:
    """Return the length of a session in minutes."""
    return int((session.close_at - session.open_at).total_seconds()) // 60


class Market:
    """All instruments of one universe and their bars."""

    def __init__(self, *, symbols: int, seed: int) -> None:
        self.seed = seed
        self.instruments = instruments(symbols, seed)
        self.by_symbol = {i.symbol: i for i in self.instruments}
        self._days: dict[str, tuple[array[int], memoryview]] = {}

    def bars(
        self, symbol: str, timeframe: Timeframe, first: str, last: str, *, until: datetime, descending: bool = False
    ) -> Iterator[Sequence[Bar]]:
        """Yield pieces of the bars labelled ``first`` to ``last`` (inclusive, as LABEL), in order of time.

        Only sessions that had begun at ``until`` have any; a day's bar appears when its session has closed.
        """
        instrument = self.by_symbol[symbol]
        if timeframe.minutes:
            pieces = self._intraday(instrument, timeframe.minutes, first, last, until, descending)
            yield from pieces
            return
        found = self._longer(instrument, timeframe, first, last, until)
        yield found[::-1] if descending else found

    def daily(self, instrument: Instrument, start: int, stop: int) -> list[Bar]:
        """Return the daily bars of sessions ``start`` to ``stop`` (indexes into ``all_sessions``, end excluded)."""
        labels = all_sessions()[2][start:stop]
        closes, noise = self._path(instrument, stop)
        normals, weights = normal_table(), weight_table()
        spread, usual = 0.5 * instrument.volatility, instrument.volume
        bars = []
        for index, label in enumerate(labels, start + 1):
            _, gap, up, down, size = noise[index * _STREAMS : (index + 1) * _STREAMS]
            opened, close = int(closes[index - 1] * (1 + 0.6 * spread * normals[gap])), closes[index]
            high, low = (opened, close) if opened > close else (close, opened)
            high += 1 + int(high * spread * abs(normals[up]))
            low -= 1 + int(low * spread * abs(normals[down]))
            volume = 1000 + int(usual * weights[size])
            average = (opened + high + low + close) / 400
            trades = 390 + volume // 90
            bars.append(Bar(close / 100, high / 100, low / 100, trades, opened / 100, label, volume, average))
        return bars

    def minutes(self, instrument: Instrument, index: int) -> list[Bar]:
        """Return the minute bars of the session with this index."""
        labels = _minute_labels(all_sessions()[0][index])
        made, kept = self._minutes(instrument, index)
        return made.bars(labels if kept is None else [labels[k] for k in kept])

    def _minutes(self, instrument: Instrument, index: int) -> tuple[Minutes, Sequence[int] | None]:
        """Return a session's minutes, and which of the session's they are where not every one had a trade."""
        session = all_sessions()[0][index]
        day = self.daily(instrument, index, index + 1)[0]
        count = session_minutes(session)
        key = f"{self.seed}/{instrument.symbol}/{session.day}".encode()
        noise = memoryview(hashlib.shake_128(key).digest(count * 8)).cast("H")
        walk = list(accumulate(map(normal_table().__getitem__, noise[:count])))
        weights = weight_table()
        kept = None
        if instrument.is_illiquid:
            shares = noise[3 * count :]
            kept = [k for k, x in enumerate(shares) if x % 33]
            walk, volumes = [walk[k] for k in kept], [weights[shares[k]] for k in kept]
        else:
            volumes = list(map(weights.__getitem__, noise[3 * count :]))
        return bridge(day, instrument.volatility, walk, noise[count : 3 * count], volumes), kept

    def _grouped(self, instrument: Instrument, index: int, length: int) -> list[Bar]:
        """Return a session's bars of ``length`` minutes, aligned to New York's midnight."""
        session = all_sessions()[0][index]
        made, kept = self._minutes(instrument, index)
        first = session.open_at.hour * 60 + session.open_at.minute - _OPEN_MINUTE
        date_text = session.open_at.strftime("%Y-%m-%d")
        starts: Sequence[int]
        if kept is None:
            starts = _starts(len(made.closes), length)
            groups = [(_OPEN_MINUTE + start) // length for start in starts]
        else:
            each = [(_OPEN_MINUTE + k) // length for k in kept]
            starts = [k for k, group in enumerate(each) if not k or group != each[k - 1]]
            groups = [each[start] for start in starts]
        return made.grouped(starts, [date_text + _CLOCK[group * length + first] for group in groups])

    def index_range(self, instrument: Instrument, first: str, last: str, until: datetime) -> tuple[int, int]:
        """Return the sessions [start, stop) of the instrument that touch the labels and had begun at ``until``."""
        sessions, days, labels = all_sessions()
        start = max(0, bisect.bisect_right(labels, first) - 1)
        stop = min(bisect.bisect_right(labels, last), bisect.bisect_right(sessions, until, key=lambda s: s.open_at))
        if instrument.listed is not None:
            start = max(start, bisect.bisect_left(days, instrument.listed))
        if instrument.delisted is not None:
            stop = min(stop, bisect.bisect_left(days, instrument.delisted))
        return start, stop

    def _path(self, instrument: Instrument, stop: int) -> tuple[array[int], memoryview]:
        """Return the closes in cents, one before the first session, and the noise of the sessions before ``stop``.

        More is computed than was asked for, so that later questions rarely begin again.
        """
        found = self._days.get(instrument.symbol)
        if found is None or len(found[0]) <= stop:
            count = min(len(all_sessions()[0]), -(-stop // _STRIDE) * _STRIDE) + 1
            key = f"{self.seed}/{instrument.symbol}/days".encode()
            noise = memoryview(hashlib.shake_128(key).digest(count * _STREAMS * 2)).cast("H")
            scale = instrument.volatility
            steps = map(normal_table().__getitem__, noise[::_STREAMS].tolist())
            walk = accumulate(steps, lambda x, step: _REVERSION * x + step)
            cents = instrument.price * 100
            exp = math.exp
            if len(self._days) >= _KEPT:
                del self._days[next(iter(self._days))]
            found = array("i", [int(cents * exp(scale * x)) for x in walk]), noise
            self._days[instrument.symbol] = found
        return found

    def _intraday(
        self, instrument: Instrument, length: int, first: str, last: str, until: datetime, descending: bool
    ) -> Iterator[Sequence[Bar]]:
        start, stop = self.index_range(instrument, first, last, until)
        final = min(last, (until - timedelta(minutes=length)).strftime(LABEL))
        for index in reversed(range(start, stop)) if descending else range(start, stop):
            found = self.minutes(instrument, index) if length == 1 else self._grouped(instrument, index, length)
            if found and (found[0].t < first or found[-1].t > final):
                found = [bar for bar in found if first <= bar.t <= final]
            yield found[::-1] if descending else found

    def _longer(
        self, instrument: Instrument, timeframe: Timeframe, first: str, last: str, until: datetime
    ) -> list[Bar]:
        sessions, _, labels = all_sessions()
        starts = labels
        if timeframe.unit is not Unit.DAY:
            starts = _period_labels(timeframe)
        start, stop = self.index_range(instrument, "", "9", until)
        if stop > start and sessions[stop - 1].close_at > until:
            stop -= 1
        start = max(start, bisect.bisect_left(starts, first))
        stop = min(stop, bisect.bisect_right(starts, last))
        found = self.daily(instrument, start, stop)
        return found if timeframe.unit is Unit.DAY else merged(found, starts[start:stop])


@lru_cache(maxsize=16)
def _period_labels(timeframe: Timeframe) -> tuple[str, ...]:
    """Return for every session the label of the week or months it belongs to: never falling."""
    return tuple(calendar.midnight(_period_start(day, timeframe)).strftime(LABEL) for day in all_sessions()[1])


def _period_start(day: date, timeframe: Timeframe) -> date:
    if timeframe.unit is Unit.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(month=(day.month - 1) // timeframe.count * timeframe.count + 1, day=1)


@lru_cache(maxsize=256)
def _starts(count: int, length: int) -> tuple[int, ...]:
    """Return the minutes of a whole session with which bars of ``length`` minutes of New York's clock begin."""
    return tuple(k for k in range(count) if not k or not (_OPEN_MINUTE + k) % length)


def merged(bars: Sequence[Bar], labels: Sequence[str]) -> list[Bar]:
    """Return one bar for each run of equal labels."""
    found: list[Bar] = []
    worth = 0.0
    for bar, label in zip(bars, labels, strict=True):
        if not found or found[-1].t != label:
            found.append(Bar(bar.c, bar.h, bar.low, bar.n, bar.o, label, bar.v, bar.vw))
            worth = bar.vw * bar.v
            continue
        whole = found[-1]
        whole.c, whole.h, whole.low = bar.c, max(whole.h, bar.h), min(whole.low, bar.low)
        whole.n, whole.v = whole.n + bar.n, whole.v + bar.v
        worth += bar.vw * bar.v
        whole.vw = round(worth / whole.v, 4) if whole.v else whole.vw
    return found
