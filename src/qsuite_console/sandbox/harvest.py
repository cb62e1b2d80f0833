"""The bars of a fresh platform as lines for COPY, made on a thread of their own while the servers start.

Making them takes about as long as starting and filling the servers; side by side a first start takes half the time.

Left out or damaged on purpose, for coverage maps and detectors (by ticker number): % 7 = 3 the second month of daily
bars, % 11 = 5 the second half of the third, % 13 = 8 the last; % 100 = 17 one day the ledger says was fetched; % 25 = 3
45 minutes of the newest session.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from queue import Empty, Full, Queue
from typing import Final

from qsuite_console.model import calendar
from qsuite_console.sandbox.market import Market, all_sessions
from qsuite_console.sandbox.minutes import Bar
from qsuite_console.sandbox.universe import Instrument

_DAILY_MONTHS: Final = 4
_FIRST_DAILY: Final = date(2026, 1, 1)  # daily bars before it are left for a backfill to fetch
_DAY: Final = timedelta(days=1)
_HOLE: Final = range(100, 145)  # minutes
MINUTE_LEDGER: Final = "1Min|marketdata"  # the ledger's names of what was fetched into which table
DAILY_LEDGER: Final = "1Day"
_PIECE: Final = 2000  # lines: large enough that the driver's overhead vanishes
_AHEAD: Final = 256  # pieces that wait to be written: 36 MB
_POLL_S: Final = 0.1

Entry = tuple[str, str, datetime, datetime, int]  # symbol, ledger, from, until, bars


@dataclass(frozen=True, slots=True)
class _Month:
    """A stretch of sessions [start, stop) within one month, by index."""

    first: date
    start: int
    stop: int


class Harvest:
    """The bars up to the ``anchor`` session, begun at once. Read levels, daily, minutes and then the ledger."""

    def __init__(self, market: Market, anchor: date) -> None:
        self.anchor = anchor
        self.ledger: list[Entry] = []  # what the lines read so far cover
        self.levels: Future[Sequence[tuple[int, float]]] = Future()  # each listed ticker and its newest close
        self._market = market
        self._pieces: Queue[bytes | Exception | None] = Queue(_AHEAD)
        self._is_closed = threading.Event()
        threading.Thread(target=self._make, name="harvest", daemon=True).start()

    @property
    def first_day(self) -> date:
        """Return the first day of the months that daily bars begin in."""
        return _months(self.anchor)[0].first

    def daily(self) -> AsyncIterator[bytes]:
        """Yield the lines of the daily bars in pieces."""
        return self._read()

    def minutes(self) -> AsyncIterator[bytes]:
        """Yield the lines of the anchor session's minute bars in pieces."""
        return self._read()

    def close(self) -> None:
        """End the thread; what it has made and nobody read is dropped."""
        self._is_closed.set()

    async def _read(self) -> AsyncIterator[bytes]:
        while (piece := await asyncio.to_thread(self._take)) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def _make(self) -> None:
        try:
            index = all_sessions()[1].index(self.anchor)
            listed = [i for i in self._market.instruments if is_listed(i, self.anchor)]
            self.levels.set_result([(i.number, self._market.daily(i, index, index + 1)[0].c) for i in listed])
            months = _months(self.anchor)
            for lines in (
                _daily_rows(self._market, months, self.ledger),
                _minute_rows(self._market, self.anchor, self.ledger),
            ):
                for piece in _pieces(lines):
                    self._put(piece)
                self._put(None)
        except Exception as error:  # raised again where the lines are read
            if not self.levels.done():
                self.levels.set_exception(error)
            self._put(error)

    def _take(self) -> bytes | Exception | None:
        while not self._is_closed.is_set():
            with suppress(Empty):
                return self._pieces.get(timeout=_POLL_S)
        return None

    def _put(self, piece: bytes | Exception | None) -> None:
        while not self._is_closed.is_set():
            with suppress(Full):
                self._pieces.put(piece, timeout=_POLL_S)
                return


def _daily_rows(market: Market, months: Sequence[_Month], ledger: list[Entry]) -> Iterator[str]:
    """Yield the lines of daily bars, and note in ``ledger`` what they cover."""
    days = all_sessions()[1]
    for instrument in market.instruments:
        for start, stop in _stretches(instrument, months):
            bars = market.daily(instrument, *_traded(instrument, start, stop))
            covered = calendar.midnight(days[start]), calendar.midnight(days[stop - 1] + _DAY)
            ledger.append((instrument.symbol, DAILY_LEDGER, *covered, len(bars)))
            if instrument.number % 100 == 17 and len(bars) > 5:
                del bars[4]
            for b in bars:
                yield f"{instrument.symbol}\t1Day\t{b.t}\t{b.o}\t{b.h}\t{b.low}\t{b.c}\t{b.v}\t{b.n}\t{b.vw:.4f}\n"


def _minute_rows(market: Market, anchor: date, ledger: list[Entry]) -> Iterator[str]:
    """Yield the lines of the anchor session's minute bars, and note in ``ledger`` what they cover."""
    sessions, days, _ = all_sessions()
    index = days.index(anchor)
    opened = sessions[index].open_at
    low, high = calendar.midnight(anchor), calendar.midnight(anchor + _DAY)
    hole = opened + timedelta(minutes=_HOLE.start), opened + timedelta(minutes=_HOLE.stop)
    for instrument in market.instruments:
        bars: Sequence[Bar] = market.minutes(instrument, index) if is_listed(instrument, anchor) else ()
        stretches = [(low, hole[0]), (hole[1], high)] if instrument.number % 25 == 3 else [(low, high)]
        for start, stop in stretches:
            first, last = (at.strftime("%Y-%m-%dT%H:%M:%SZ") for at in (start, stop))
            kept = [b for b in bars if first <= b.t < last]
            ledger.append((instrument.symbol, MINUTE_LEDGER, start, stop, len(kept)))
            for b in kept:
                yield f"{instrument.number}\t{b.t}\t{b.o}\t{b.h}\t{b.low}\t{b.c}\t{b.v}\n"


def _months(anchor: date) -> list[_Month]:
    """Return the months of daily bars up to the anchor session, none of them before 2026."""
    days = all_sessions()[1]
    stop = days.index(anchor) + 1
    starts: dict[date, int] = {}
    for index in range(stop - 23 * _DAILY_MONTHS - 10, stop):
        starts.setdefault(days[index].replace(day=1), index)
    chosen = [month for month in sorted(starts)[-_DAILY_MONTHS:] if month >= _FIRST_DAILY] or [anchor.replace(day=1)]
    ends = [*(starts[month] for month in chosen[1:]), stop]
    return [_Month(month, starts[month], end) for month, end in zip(chosen, ends, strict=True)]


def _stretches(instrument: Instrument, months: Sequence[_Month]) -> list[tuple[int, int]]:
    """Return the runs of sessions [start, stop) that are stored, with the instrument's planted gaps left out."""
    pieces: list[tuple[int, int]] = []
    for place, month in enumerate(months):
        start, stop = month.start, month.stop
        if (place, instrument.number % 7) == (1, 3) or (place, instrument.number % 13) == (_DAILY_MONTHS - 1, 8):
            continue
        if (place, instrument.number % 11) == (2, 5):
            stop = (start + stop) // 2
        if pieces and pieces[-1][1] == start:
            pieces[-1] = (pieces[-1][0], stop)
        else:
            pieces.append((start, stop))
    return pieces


def _traded(instrument: Instrument, start: int, stop: int) -> tuple[int, int]:
    """Return the part of the sessions [start, stop) in which the instrument was listed."""
    days = all_sessions()[1]
    while start < stop and not is_listed(instrument, days[start]):
        start += 1
    while stop > start and not is_listed(instrument, days[stop - 1]):
        stop -= 1
    return start, stop


def is_listed(instrument: Instrument, day: date) -> bool:
    """Tell whether the instrument trades on ``day``."""
    begun = instrument.listed is None or day >= instrument.listed
    return begun and (instrument.delisted is None or day < instrument.delisted)


def _pieces(lines: Iterator[str]) -> Iterator[bytes]:
    while piece := "".join(islice(lines, _PIECE)):
        yield piece.encode()
