"""From what is missing to the fewest requests. Pure: sessions, ledger and symbols in, batches out.

A request may name many symbols and one range, and holds 10,000 bars a page over all of them: so symbols with the same
gap are packed until pages are full, and gaps that differ a little are fetched together where that saves requests.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import ceil
from typing import Final

from qsuite_console.db.ledger import Covered
from qsuite_console.model.market import Session
from qsuite_console.model.markets import STOCKS, Market
from qsuite_console.model.timeframes import expected_bars, labels, period_end

PAGE_BARS: Final = 10_000
URL_SYMBOLS: Final = 6_000  # characters of the symbols parameter; common servers take 8,190 a request line
_FULL: Final = 0.99  # a page this full is full enough
SETTLE_S: Final = 8 * 3600  # corrections of a session arrive until then: its bars are fetched once more


@dataclass(frozen=True, slots=True)
class Period:
    """One label of the range (a session's day, a week, a month) and the bars a symbol has in it.

    [low, high) includes the closed days before it, so that periods touch; [at, own_high) is the label itself.
    """

    label: date
    at: datetime  # the label as an instant: how a bar of a day or longer is stamped
    low: datetime
    high: datetime
    own_high: datetime
    close_at: datetime
    bars: int


@dataclass(frozen=True, slots=True)
class Batch:
    """One request with all its pages: symbols over periods ``first`` to ``last`` (indexes, both included)."""

    symbols: tuple[str, ...]
    first: int
    last: int
    low: datetime
    high: datetime
    bars: int  # expected
    is_straight: bool  # nothing is stored there

    @property
    def pages(self) -> int:
        """Return how many requests the batch is expected to need."""
        return max(1, ceil(self.bars / PAGE_BARS))


def make_periods(
    timeframe: str, start: date, end: date, sessions: Sequence[Session], market: Market = STOCKS
) -> list[Period]:
    """Return the periods in which bars are expected; together they cover [start, end] without a hole."""
    low, high = market.day_bounds(start, end)
    grouped: dict[date, list[Session]] = defaultdict(list)
    for session in sessions:
        grouped[labels(timeframe, [session])[0]].append(session)
    found: list[Period] = []
    for number, (label, own) in enumerate(sorted(grouped.items())):
        own_high = market.midnight(period_end(timeframe, label) + timedelta(days=1))
        found.append(
            Period(
                label=label,
                at=market.midnight(label),
                low=found[-1].own_high if found else low,
                high=own_high if number + 1 < len(grouped) else high,
                own_high=own_high,
                close_at=own[-1].close_at,
                bars=expected_bars(timeframe, own),
            )
        )
    return found


class Timeline:
    """The periods of a range with their bounds laid out for searching: made once, asked for every symbol."""

    def __init__(self, periods: Sequence[Period]) -> None:
        self.periods = periods
        self._starts = [period.at for period in periods]
        self._ends = [period.own_high for period in periods]
        self._settled = [period.close_at + timedelta(seconds=SETTLE_S) for period in periods]

    def index_of(self, at: datetime) -> int | None:
        """Return the period that ``at`` labels, None where none does."""
        index = bisect_left(self._starts, at)
        return index if index < len(self._starts) and self._starts[index] == at else None

    def missing(self, covered: Iterable[Covered], now: datetime) -> list[tuple[int, int]]:
        """Return the runs (first, last index) of one symbol that the ledger's entries leave open."""
        spans: list[tuple[int, int]] = []
        for item in covered:
            first = bisect_left(self._starts, item.low)  # closed days before the first label need no covering
            last = bisect_right(self._ends, item.high) - 1
            if first <= last and item.fetched_at is not None and item.fetched_at < self._settled[last] <= now:
                last -= 1  # fetched too early for late corrections: once more
            if first <= last:
                spans.append((first, last))
        runs: list[tuple[int, int]] = []
        open_from = 0
        for first, last in sorted(spans):
            if first > open_from:
                runs.append((open_from, first - 1))
            open_from = max(open_from, last + 1)
        if open_from < len(self.periods):
            runs.append((open_from, len(self.periods) - 1))
        return runs


def make_batches(
    periods: Sequence[Period], gaps: Mapping[str, Sequence[tuple[int, int]]], occupied: set[str], size: int | None
) -> list[Batch]:
    """Return the requests that fill ``gaps`` (symbol -> runs); ``occupied`` symbols have rows in the range already.

    ``size`` limits the symbols of a request (a profile's); None packs as many as fill pages.
    """
    totals = [0]
    for period in periods:
        totals.append(totals[-1] + period.bars)
    groups: dict[tuple[int, int], set[str]] = defaultdict(set)
    for symbol, runs in gaps.items():
        for run in runs:
            groups[run].add(symbol)
    merged = _merge([(run, symbols) for run, symbols in sorted(groups.items())], totals) if size is None else groups
    filled = {symbol: list(runs) for symbol, runs in gaps.items()}
    batches: list[Batch] = []
    for (first, last), symbols in sorted(merged.items()):
        each = totals[last + 1] - totals[first]
        for pack in pack_symbols(sorted(symbols), each, size):
            is_exact = all((first, last) in filled[symbol] for symbol in pack)
            batches.append(
                Batch(
                    symbols=pack,
                    first=first,
                    last=last,
                    low=periods[first].low,
                    high=periods[last].high if last + 1 == len(periods) else periods[last + 1].at,
                    bars=each * len(pack),
                    is_straight=is_exact and occupied.isdisjoint(pack),
                )
            )
    return batches


def _merge(
    groups: Sequence[tuple[tuple[int, int], set[str]]], totals: Sequence[int]
) -> dict[tuple[int, int], set[str]]:
    """Join neighbouring gaps while one request over both costs fewer pages than two."""

    def pages(run: tuple[int, int], count: int) -> int:
        each = totals[run[1] + 1] - totals[run[0]]
        return max(1, ceil(each * count / PAGE_BARS))

    merged: dict[tuple[int, int], set[str]] = {}
    current: tuple[tuple[int, int], set[str]] | None = None
    for run, symbols in groups:
        if current is None:
            current = (run, set(symbols))
            continue
        wide = (min(current[0][0], run[0]), max(current[0][1], run[1]))
        union = current[1] | symbols
        if pages(wide, len(union)) < pages(current[0], len(current[1])) + pages(run, len(symbols)):
            current = (wide, union)
            continue
        merged.setdefault(current[0], set()).update(current[1])
        current = (run, set(symbols))
    if current is not None:
        merged.setdefault(current[0], set()).update(current[1])
    return merged


def pack_symbols(symbols: Sequence[str], each: int, size: int | None) -> list[tuple[str, ...]]:
    """Split symbols of ``each`` bars into requests whose pages are full, within the URL's length."""
    count = size or _full_count(max(1, each), len(symbols))
    packs: list[tuple[str, ...]] = []
    current: list[str] = []
    length = 0
    for symbol in symbols:
        if current and (len(current) >= count or length + len(symbol) + 1 > URL_SYMBOLS):
            packs.append(tuple(current))
            current, length = [], 0
        current.append(symbol)
        length += len(symbol) + 1
    if current:
        packs.append(tuple(current))
    return packs


def _full_count(each: int, available: int) -> int:
    """Return the fewest symbols a request that fill its pages to 99 %, or the best there is."""
    best, best_fill = 1, 0.0
    for count in range(1, available + 1):
        pages = ceil(count * each / PAGE_BARS)
        fill = count * each / (pages * PAGE_BARS)
        if fill >= _FULL:
            return count
        if fill > best_fill:
            best, best_fill = count, fill
    return best if best_fill >= _FULL else available


def estimate_s(requests: int, rows: int, *, limit: int, latency_s: float = 0.3, concurrent: int = 4) -> float:
    """Return the seconds a run should take: the quota's windows, or what latency and the database allow."""
    windows = max(0, ceil(requests / max(1, limit)) - 1)
    return windows * 60.0 + max(requests * latency_s / max(1, concurrent), rows / 100_000)
