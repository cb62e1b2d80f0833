"""From a file's records to COPY text: each record is judged; good ones become rows, bad ones get reason and place.

Pure and free of database work, so that it runs off the event loop, for every job that loads files. Prices are decimals
from end to end. Of records with the same symbol and time the last one counts, as if stored one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from time import sleep
from typing import Any, Final

import msgspec

from qsuite_console.model.decimals import round_to, too_fine
from qsuite_console.model.markets import STOCKS, Market, market_of
from qsuite_console.model.text import clean
from qsuite_console.model.timeframes import OUTSIDE, Grid, is_intraday, period_end, step_seconds
from qsuite_console.providers.records import REQUIRED, Record, Records, columns_of
from qsuite_console.providers.usual import PRICES, Usual

_NUMBER: Final = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,2})?", re.ASCII)
_PRICE_LIMIT: Final = Decimal(10) ** 12
_VOLUME_LIMIT: Final = Decimal(10) ** 18
_TRADES_LIMIT: Final = 2**31
_DIGITS: Final = 60  # before or behind the point; more is no number of this world
_GRID_LIMIT: Final = 50_000  # timestamps remembered at once
_TURN: Final = 1_000  # records judged at a stretch, in a few ms
_TURN_S: Final = 20e-6  # long enough for a loop in another thread to take the interpreter, which sleep(0) is not
_SYMBOL: Final = itemgetter(0)
_NO_END: Final = date(2199, 12, 31)
_UNKNOWN_LIMIT: Final = 1_000  # unknown symbols remembered by name


class Problem(Exception):
    """Why a record is refused."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that becomes no row: its line (or row), why, and what was there."""

    number: int
    symbol: str
    reason: str
    raw: str


@dataclass(slots=True)
class FilePage:
    """What a chunk of records came to."""

    rows: bytes = b""
    count: int = 0
    numbers: list[int] = field(default_factory=list)  # the record that each row was made of
    spans: dict[str, tuple[datetime, datetime, int]] = field(default_factory=dict)  # symbol -> first, end, rows
    rejected: list[Rejected] = field(default_factory=list)
    filtered: int = 0  # records of other symbols or days than were asked for
    unknown: dict[str, int] = field(default_factory=dict)  # symbols the destination can't hold -> records

    @property
    def months(self) -> set[date]:
        """Return the first days of the UTC months that rows fall into."""
        found: set[date] = set()
        for low, high, _ in self.spans.values():
            month = low.date().replace(day=1)
            while month <= high.date():
                found.add(month)
                month = date(month.year + month.month // 12, month.month % 12 + 1, 1)
        return found


class Judge:
    """Turns records of ``days`` (first, last; None: no end) into rows for one destination; made once a run.

    ``owners``: symbol -> first column of its rows, where only the symbols in it can be stored (None: any); the others
    are counted, and rejected one by one where ``rejects_unknown``.
    """

    def __init__(
        self,
        timeframe: str,
        days: tuple[date, date | None],
        columns: Sequence[str],
        scales: Mapping[str, int],
        *,
        owners: Mapping[str, int | str] | None,
        symbols: frozenset[str] | None,
        now: datetime,
        rejects_unknown: bool = False,
    ) -> None:
        self._timeframe, self._columns, self._scales = timeframe, columns, scales
        self._owners, self._symbols, self._rejects_unknown = owners, symbols, rejects_unknown
        self._frame = f"{timeframe}\t" if "timeframe" in columns else ""
        self._bounds = (days[0], days[1] or _NO_END)
        self._now = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        self._grids: dict[str, Grid] = {}
        self._usual = Usual(
            columns,
            scales,
            tick_s=step_seconds(timeframe) if is_intraday(timeframe) else 0,
            read_symbol=self._sender,
            read_time=lambda text, market: _or_nothing(self._time, text, market),
            read_volume=lambda text: _or_nothing(self._volume, text),
            read_optional={
                "trade_count": lambda text: _or_nothing(_trades, text),
                "vwap": lambda text: _or_nothing(self._average, text),
            },
        )

    def judge(self, records: Records) -> FilePage:
        """Return the rows of a chunk with all that was left out of it."""
        page = FilePage()
        keys: list[tuple[str, str] | None] = [None] * len(records)
        rows = [""] * len(records)
        for first in range(0, len(records), _TURN):
            sleep(_TURN_S)
            last = min(first + _TURN, len(records))
            found = columns_of(records[first:last]) if isinstance(records, list) else records.columns(first, last)
            for place in self._usual.take(found, first, keys, rows):
                record = records[place]
                try:
                    if record.problem:
                        raise Problem(record.problem)
                    made = self._row(record, page)
                except Problem as problem:
                    page.rejected.append(_reject(record, _symbol_text(record), str(problem)))
                    continue
                if made is not None:
                    keys[place], rows[place] = made
        _drop_doubles(records, keys, rows, page)
        page.rows = "".join(rows).encode()
        places = range(len(rows)) if all(rows) else [place for place, row in enumerate(rows) if row]
        page.count = len(places)
        if isinstance(records, list):
            page.numbers = [records[place].number for place in places]
        else:
            page.numbers = records.numbers(places)
        self._measure(keys, page)
        return page

    def _row(self, record: Record, page: FilePage) -> tuple[tuple[str, str], str] | None:
        values = record.values
        missing = [name for name in REQUIRED if values.get(name) is None or values[name] == ""]
        if missing:
            raise Problem(f"missing field{'s' * (len(missing) > 1)} {', '.join(missing)}")
        symbol = values["symbol"]
        symbol = symbol.strip().upper() if isinstance(symbol, str) else ""
        if not STOCKS.symbol.fullmatch(symbol):
            raise Problem("not a symbol")
        if self._symbols is not None and symbol not in self._symbols:
            page.filtered += 1
            return None
        market = market_of(symbol)
        at = self._time(values["timestamp"], market)
        numbers = self._numbers(values)
        if not at:
            page.filtered += 1
            return None
        owner: object = symbol
        if self._owners is not None:
            owner = self._owners.get(symbol)
            if owner is None:
                if symbol in page.unknown or len(page.unknown) < _UNKNOWN_LIMIT:
                    page.unknown[symbol] = page.unknown.get(symbol, 0) + 1
                if self._rejects_unknown:
                    raise Problem("unknown symbol")
                return None
        return (symbol, at), f"{owner}\t{self._frame}{at}\t{numbers}\n"

    def _sender(self, written: str) -> tuple[str, str, Market] | None:
        """Return symbol, begin of its rows, and market; None for one that no row is made of."""
        symbol = written.strip().upper()
        owner = symbol if self._owners is None else self._owners.get(symbol)
        is_asked = self._symbols is None or symbol in self._symbols
        if owner is None or not is_asked or not STOCKS.symbol.fullmatch(symbol):
            return None
        return symbol, f"{owner}\t{self._frame}".rstrip("\t"), market_of(symbol)

    def _time(self, value: Any, market: Market) -> str:
        """Return the canonical timestamp, "" for one outside the range asked for; raises Problem."""
        text = self._zoned(value, market)
        grid = self._grids.get(market.name)
        if grid is None or len(grid.seen) > _GRID_LIMIT:
            grid = self._grids[market.name] = Grid(self._timeframe, *market.day_bounds(*self._bounds), market)
        at = grid.admit(text)
        if at > self._now:
            raise Problem("the timestamp is in the future")
        if not at:
            reason = grid.why(text)
            if reason != OUTSIDE:
                raise Problem(reason)
        return at

    def _zoned(self, value: Any, market: Market) -> str:
        """Return an instant as text: dates are the market's days, instants must say their zone."""
        if isinstance(value, str):
            value = value.strip()
            if "T" in value[10:11] and value[-1:] in "Zz":
                return str(value)  # the usual form: left to the grid, which remembers it
            try:
                value = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
            except ValueError:
                raise Problem("the timestamp can't be read") from None
        if isinstance(value, datetime) and value.tzinfo is not None:
            try:
                return value.astimezone(UTC).isoformat()
            except OverflowError:
                raise Problem("the timestamp can't be read") from None
        is_day = not isinstance(value, datetime) or value.time() == time(0)
        if not isinstance(value, date):
            raise Problem("the timestamp can't be read")
        if is_intraday(self._timeframe) or not is_day:
            raise Problem("the timestamp has no zone")
        day = value.date() if isinstance(value, datetime) else value
        try:
            return market.midnight(day).isoformat()
        except (OverflowError, ValueError):
            raise Problem("the timestamp can't be read") from None

    def _numbers(self, values: Mapping[str, Any]) -> str:
        """Return the numeric columns as COPY text; raises Problem."""
        scales = self._scales
        found = [_number(name, values[name], scales.get(name)) for name in PRICES]
        (opened, _, _), (high, _, _), (low, _, _), (close, _, _) = found
        volume, _, _ = _number("volume", values["volume"], None)
        if not (0 < low <= opened <= high < _PRICE_LIMIT and low <= close <= high and 0 <= volume < _VOLUME_LIMIT):
            raise Problem(_why_not(opened, high, low, close, volume))
        for name, (_, exact, kept) in zip(PRICES, found, strict=True):
            if exact != kept:
                raise Problem(too_fine(name, scales[name]))
        texts = [exact for _, exact, _ in found]
        texts.append(self._volume(values["volume"]))
        if "trade_count" in self._columns:
            texts.append(_trades(values.get("trade_count")))
        if "vwap" in self._columns:
            texts.append(self._average(values.get("vwap")))
        return "\t".join(texts)

    def _volume(self, value: Any) -> str:
        volume, _, rounded = _number("volume", value, self._scales.get("volume"))
        if not 0 <= volume < _VOLUME_LIMIT:
            raise Problem("bad volume")
        return rounded

    def _average(self, value: Any) -> str:
        if value is None or value == "":
            return "\\N"
        average, _, rounded = _number("vwap", value, self._scales.get("vwap"))
        if not 0 <= average < _PRICE_LIMIT:
            raise Problem("bad vwap")
        return rounded

    def _measure(self, keys: Sequence[tuple[str, str] | None], page: FilePage) -> None:
        times: dict[str, list[str]] = {}
        for symbol, group in groupby(filter(None, keys), _SYMBOL):
            times.setdefault(symbol, []).extend(at for _, at in group)
        for symbol, found in times.items():
            first, last, count = min(found), max(found), len(found)
            page.spans[symbol] = (datetime.fromisoformat(first), self._end(symbol, last), count)

    def _end(self, symbol: str, last: str) -> datetime:
        """Return where the bar that begins at ``last`` ends."""
        at, market = datetime.fromisoformat(last), market_of(symbol)
        if is_intraday(self._timeframe):
            return at + timedelta(seconds=step_seconds(self._timeframe))
        return market.midnight(period_end(self._timeframe, market.day_of(at)) + timedelta(days=1))


def _drop_doubles(records: Records, keys: list[tuple[str, str] | None], rows: list[str], page: FilePage) -> None:
    """Reject all but the last of the records with one symbol and time."""
    different = {*keys}
    if len(different) - (None in different) == len(keys) - keys.count(None):
        return
    last: dict[tuple[str, str], int] = {}
    for place, key in enumerate(keys):
        if key is None:
            continue
        earlier = last.get(key)
        if earlier is not None:
            reason = f"duplicate: line {records[place].number} has the same symbol and time"
            page.rejected.append(_reject(records[earlier], key[0], reason))
            keys[earlier], rows[earlier] = None, ""
        last[key] = place
    page.rejected.sort(key=lambda bad: bad.number)


def _or_nothing(read: Callable[..., str], *arguments: Any) -> str:
    """Return what a reader returns, "" for what it refuses."""
    try:
        return read(*arguments)
    except Problem:
        return ""


def _why_not(opened: Decimal, high: Decimal, low: Decimal, close: Decimal, volume: Decimal) -> str:
    prices = (opened, high, low, close)
    rules = (
        (min(prices) <= 0, "a price is not positive"),
        (max(prices) >= _PRICE_LIMIT, "a price is too large"),
        (high < low, "high < low"),
        (not low <= opened <= high, "open outside low to high"),
        (not low <= close <= high, "close outside low to high"),
        (volume < 0, "negative volume"),
    )
    return next((reason for is_broken, reason in rules if is_broken), "volume is too large")


def _number(name: str, value: Any, scale: int | None) -> tuple[Decimal, str, str]:
    """Return a number exactly, as COPY text, and as text rounded to ``scale`` decimals; raises Problem."""
    if isinstance(value, str | Decimal | int | float) and not isinstance(value, bool):
        found = _read(value, scale)
        if found is not None:
            return found
    raise Problem(f"{name} is not a number")


@lru_cache(maxsize=8_192, typed=True)  # prices come again and again, row by row
def _read(value: str | Decimal | float, scale: int | None) -> tuple[Decimal, str, str] | None:
    return _parse(value, scale)


def _parse(value: str | Decimal | float, scale: int | None) -> tuple[Decimal, str, str] | None:
    if isinstance(value, str):
        value = value.strip()
        if not _NUMBER.fullmatch(value):
            return None
    found = value if isinstance(value, Decimal) else Decimal(value if isinstance(value, str) else repr(value))
    if not found.is_finite() or (found and not -_DIGITS < found.adjusted() < _DIGITS):
        return None
    exact = f"{found:f}"
    kept = round_to(found, scale)
    return found, exact, exact if kept is found else f"{kept:f}"


def _trades(value: Any) -> str:
    if value is None or value == "":
        return "\\N"
    count, _, _ = _number("trade_count", value, None)
    if count != count.to_integral_value() or not 0 <= count < _TRADES_LIMIT:
        raise Problem("bad trade count")
    return str(int(count))


def _symbol_text(record: Record) -> str:
    return clean(str(record.values.get("symbol") or "?").strip().upper(), 40) or "?"


def _reject(record: Record, symbol: str, reason: str) -> Rejected:
    raw = record.raw or msgspec.json.encode(record.values, enc_hook=str).decode("utf-8", "replace")
    return Rejected(record.number, symbol, reason, clean(raw, 1000))
