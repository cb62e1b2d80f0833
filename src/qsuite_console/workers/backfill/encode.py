"""From the provider's page to COPY text: every bar is judged, good ones become rows, bad ones get a reason.

Pure and free of I/O, so that it runs off the event loop. Prices keep the decimals of the JSON text: a float prints
back what was parsed, and COPY's text goes into numeric columns without another conversion.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite
from typing import Final

import msgspec

from qsuite_console.db.ledger import Refused
from qsuite_console.model.text import clean
from qsuite_console.model.timeframes import Grid
from qsuite_console.providers.bars import Bar, Page, parse_page

_PRICE_LIMIT: Final = 1e12  # numeric(18,6)
_VOLUME_LIMIT: Final = 1e18
_TRADES_LIMIT: Final = 2**31
_NULL: Final = "\\N"


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows begin and end for one destination: ``prefixes`` holds each symbol's first columns, tabs included."""

    prefixes: Mapping[str, str]
    grid: Grid
    has_trades: bool
    has_vwap: bool
    fit: Callable[[Bar], Bar | str] | None = None  # a bar as the columns keep it, or the reason why they can't


@dataclass(slots=True)
class Encoded:
    """One page, ready to be stored."""

    rows: bytes = b""
    count: int = 0
    bars: dict[str, int] = field(default_factory=dict)  # symbol -> good bars
    last: dict[str, str] = field(default_factory=dict)  # symbol -> newest good timestamp, canonical
    refused: list[Refused] = field(default_factory=list)
    next_page_token: str | None = None


def encode_page(body: bytes, layout: Layout, previous: Mapping[str, str]) -> Encoded:
    """Decode, judge and encode a page; ``previous`` is each symbol's newest timestamp on the pages before."""
    page = parse_page(body)
    encoded = Encoded(next_page_token=page.next_page_token)
    lines: list[str] = []
    for symbol, bars in page.bars.items():
        prefix = layout.prefixes.get(symbol)
        if prefix is None:
            encoded.refused += [_refuse(symbol, bar, "this symbol was not asked for") for bar in bars]
            continue
        if layout.fit is not None:
            bars = _fitted(symbol, bars, layout.fit, encoded.refused)
        made = _encode_fast(prefix, bars, layout, previous.get(symbol, ""))
        if made is None:
            bars = _sift(symbol, bars, layout, previous.get(symbol, ""), encoded.refused)
            made = _encode_fast(prefix, bars, layout, previous.get(symbol, "")) or []
        if made:
            lines += made
            encoded.bars[symbol] = len(made)
            encoded.last[symbol] = layout.grid.admit(bars[-1].time)
    _note_malformed(page, encoded)
    encoded.rows, encoded.count = "".join(lines).encode(), len(lines)
    return encoded


def _encode_fast(prefix: str, bars: list[Bar], layout: Layout, previous: str) -> list[str] | None:
    """Return the rows of bars that are all good, else None. The hottest loop of the program: 10,000 turns a page."""
    seen, admit = layout.grid.seen, layout.grid.admit
    has_trades, has_vwap = layout.has_trades, layout.has_vwap
    lines: list[str] = []
    add = lines.append
    for bar in bars:
        time, low, high = bar.time, bar.low, bar.high
        at = seen.get(time)
        if at is None:
            at = admit(time)
        if not (
            previous < at
            and 0 < low <= bar.open <= high < _PRICE_LIMIT
            and low <= bar.close <= high
            and 0 <= bar.volume < _VOLUME_LIMIT
        ):
            return None
        row = f"{prefix}{at}\t{bar.open}\t{high}\t{low}\t{bar.close}\t{bar.volume}"
        if has_trades:
            trades = bar.trades
            if trades is None:
                row += "\t\\N"
            elif 0 <= trades < _TRADES_LIMIT:
                row += f"\t{trades}"
            else:
                return None
        if has_vwap:
            vwap = bar.vwap
            if vwap is None:
                row += "\t\\N"
            elif 0 <= vwap < _PRICE_LIMIT:
                row += f"\t{vwap}"
            else:
                return None
        add(row + "\n")
        previous = at
    return lines


def _fitted(symbol: str, bars: list[Bar], fit: Callable[[Bar], Bar | str], refused: list[Refused]) -> list[Bar]:
    kept: list[Bar] = []
    for bar in bars:
        fitted = fit(bar)
        if isinstance(fitted, str):
            refused.append(_refuse(symbol, bar, fitted))
        else:
            kept.append(fitted)
    return kept


def _sift(symbol: str, bars: list[Bar], layout: Layout, previous: str, refused: list[Refused]) -> list[Bar]:
    """Return the good bars in order; the others go to ``refused`` with the reason."""
    sound: list[tuple[str, Bar]] = []
    for bar in bars:
        reason = _problem(bar, layout)
        if reason:
            refused.append(_refuse(symbol, bar, reason))
        else:
            sound.append((layout.grid.admit(bar.time), bar))
    times = [at for at, _ in sound]
    kept = _longest_rise(times, previous)
    known = {times[index] for index in kept} | {previous}
    for index, (at, bar) in enumerate(sound):
        if index not in kept:
            refused.append(_refuse(symbol, bar, "duplicate" if at in known else "out of order"))
    return [bar for index, (_, bar) in enumerate(sound) if index in kept]


def _longest_rise(times: list[str], previous: str) -> set[int]:
    """Return the indexes of the longest strictly rising run of times after ``previous`` (patience sorting).

    One bar with a date too late must not condemn all the good ones behind it, so "greater than the last" won't do.
    """
    tails: list[str] = []
    ends: list[int] = []
    before: dict[int, int] = {}
    for index, at in enumerate(times):
        if at <= previous:
            continue
        place = bisect_left(tails, at)
        if place < len(tails) and tails[place] == at:
            continue  # of equal times the first stays
        if place:
            before[index] = ends[place - 1]
        if place == len(tails):
            tails.append(at)
            ends.append(index)
        else:
            tails[place], ends[place] = at, index
    kept: set[int] = set()
    current = ends[-1] if ends else None
    while current is not None:
        kept.add(current)
        current = before.get(current)
    return kept


def _problem(bar: Bar, layout: Layout) -> str:
    prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
    for name, value in prices.items():
        if not isfinite(value):
            return f"{name} is not a number"
    rules = (
        (min(prices.values()) <= 0, "a price is not positive"),
        (max(prices.values()) >= _PRICE_LIMIT, "a price is too large"),
        (bar.high < bar.low, "high < low"),
        (not bar.low <= bar.open <= bar.high, "open outside low to high"),
        (not bar.low <= bar.close <= bar.high, "close outside low to high"),
        (bar.volume < 0, "negative volume"),
        (not bar.volume < _VOLUME_LIMIT, "volume is not a number or too large"),
        (layout.has_trades and bar.trades is not None and not 0 <= bar.trades < _TRADES_LIMIT, "bad trade count"),
        (layout.has_vwap and bar.vwap is not None and not 0 <= bar.vwap < _PRICE_LIMIT, "bad vwap"),
    )
    for is_broken, reason in rules:
        if is_broken:
            return reason
    return layout.grid.why(bar.time)


def _note_malformed(page: Page, encoded: Encoded) -> None:
    encoded.refused += [
        Refused(clean(item.symbol, 40), _moment(item.time), item.reason, clean(item.raw, 1000))
        for item in page.malformed
    ]


def _refuse(symbol: str, bar: Bar, reason: str) -> Refused:
    raw = json.dumps(msgspec.to_builtins(bar))
    return Refused(clean(symbol, 40), _moment(bar.time), reason, clean(raw, 1000))


def _moment(text: str | None) -> datetime | None:
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
