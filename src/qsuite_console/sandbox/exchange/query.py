"""Query strings read as the provider reads them: strictly, and with its messages."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import msgspec

from qsuite_console.model import calendar
from qsuite_console.sandbox import timeframes
from qsuite_console.sandbox.exchange.answers import Refusal, not_allowed, unreadable
from qsuite_console.sandbox.market import LABEL
from qsuite_console.sandbox.timeframes import Timeframe

BARS: Final = frozenset(
    {
        "symbols",
        "timeframe",
        "start",
        "end",
        "limit",
        "adjustment",
        "asof",
        "feed",
        "currency",
        "page_token",
        "sort",
    }
)
CRYPTO_BARS: Final = BARS - {"adjustment", "asof", "feed", "currency"}
LATEST: Final = frozenset({"symbols", "feed", "currency"})
LIMIT: Final = 10_000
_DEFAULT_LIMIT: Final = 1000
_SYMBOL: Final = re.compile(r"[A-Z]{1,20}([./-][A-Z]{1,5})?")
_PAIR: Final = re.compile(r"[A-Z0-9]{1,12}/[A-Z]{2,6}")
_FEEDS: Final = frozenset({"sip", "iex", "boats", "otc", "delayed_sip"})
_ADJUSTMENTS: Final = frozenset({"raw", "split", "dividend", "spin-off", "all"})
_FRACTION: Final = re.compile(r"(\.\d{6})\d+")
_RECENT: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the questions about one kind of instrument may say."""

    bars: frozenset[str]
    symbol: re.Pattern[str]
    midnight: Callable[[date], datetime]
    day_of: Callable[[datetime], date]


STOCK_RULES: Final = Rules(BARS, _SYMBOL, calendar.midnight, calendar.trading_day)
CRYPTO_RULES: Final = Rules(
    CRYPTO_BARS,
    _PAIR,
    lambda day: datetime.combine(day, time(0), UTC),
    lambda at: at.astimezone(UTC).date(),
)


class Place(msgspec.Struct, frozen=True):
    """Where a page begins: the symbol and the label of the first bar on it."""

    symbol: str
    label: str


class BarsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A readable request for bars; labels are bounds, both included."""

    symbols: tuple[str, ...]  # in the order of the answer
    timeframe: Timeframe
    first: str
    last: str
    limit: int
    descending: bool
    place: Place | None


def refuse_unknown(query: Mapping[str, str], known: frozenset[str]) -> None:
    """Raise the refusal of parameters that don't exist."""
    unknown = [name for name in query if name not in known]
    if unknown:
        raise Refusal(400, f"unexpected query parameter(s): {', '.join(unknown)}")


def read_symbols(text: str | None, rules: Rules = STOCK_RULES) -> tuple[str, ...]:
    """Return the symbols in the order of answers; one malformed symbol refuses the whole batch."""
    if not text:
        raise Refusal(400, "symbols is required")
    symbols = text.split(",")
    for symbol in symbols:
        if not rules.symbol.fullmatch(symbol):
            raise unreadable("symbol", symbol)
    return tuple(sorted(set(symbols)))


def read_bars(query: Mapping[str, str], symbols: str | None, now: datetime, rules: Rules = STOCK_RULES) -> BarsQuery:
    """Return the request for bars; raises Refusal."""
    refuse_unknown(query, rules.bars)
    chosen = read_symbols(symbols, rules)
    timeframe = _timeframe(query.get("timeframe", ""))
    _check_choices(query)
    start, end = _bounds(query, now, rules)
    token = query.get("page_token")
    place = read_token(token, str(timeframe)) if token else None
    if place is not None and place.symbol not in chosen:
        raise unreadable("page_token", str(token))
    sort = query.get("sort", "asc")
    if sort not in {"asc", "desc"}:
        raise unreadable("sort", sort)
    return BarsQuery(
        symbols=chosen,
        timeframe=timeframe,
        first=_ceiling(start).strftime(LABEL),
        last=end.strftime(LABEL),
        limit=_limit(query.get("limit")),
        descending=sort == "desc",
        place=place,
    )


def make_token(place: Place, timeframe: str) -> str:
    """Return the opaque mark of the next page."""
    return base64.b64encode(f"{place.symbol}|{timeframe}|{place.label}".encode()).decode()


def read_token(token: str, timeframe: str) -> Place:
    """Return where the page begins; raises Refusal for a token this exchange didn't make for this timeframe."""
    try:
        symbol, made_for, label = base64.b64decode(token, validate=True).decode().split("|")
        datetime.strptime(label, LABEL).replace(tzinfo=UTC)
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise unreadable("page_token", token) from error
    if made_for != timeframe:
        raise unreadable("page_token", token)
    return Place(symbol, label)


def read_instant(name: str, text: str, *, is_end: bool = False, rules: Rules = STOCK_RULES) -> datetime:
    """Return an RFC 3339 instant or a day of the market (its last moment for an end) in UTC; raises Refusal."""
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            return rules.midnight(day + timedelta(days=1)) - timedelta(seconds=1) if is_end else rules.midnight(day)
        at = datetime.fromisoformat(_FRACTION.sub(r"\1", text))
    except ValueError as error:
        raise unreadable(name, text) from error
    if at.tzinfo is None:
        raise unreadable(name, text)
    return at.astimezone(UTC)


def read_date(name: str, text: str) -> date:
    """Return a day, from a date or the beginning of an instant; raises the trading host's refusal."""
    try:
        return date.fromisoformat(text[:10])
    except ValueError as error:
        raise Refusal(422, f"invalid {name}: {text}", 40010001) from error


def _timeframe(text: str) -> Timeframe:
    if not text:
        raise Refusal(400, "timeframe is required")
    try:
        found = timeframes.parse(text)
    except ValueError as error:
        raise not_allowed(f"timeframe {text} is not supported") from error
    if found is None:
        raise unreadable("timeframe", text)
    return found


def _limit(text: str | None) -> int:
    if text is None:
        return _DEFAULT_LIMIT
    try:
        limit = int(text)
    except ValueError as error:
        raise unreadable("limit", text) from error
    if not 1 <= limit <= LIMIT:
        raise not_allowed(f"limit must be between 1 and {LIMIT}")
    return limit


def _check_choices(query: Mapping[str, str]) -> None:
    feed = query.get("feed", "sip")
    if feed not in _FEEDS:
        raise unreadable("feed", feed)
    adjustment = query.get("adjustment", "raw")
    if not set(adjustment.split(",")) <= _ADJUSTMENTS:
        raise unreadable("adjustment", adjustment)
    if query.get("currency", "USD") != "USD":
        raise unreadable("currency", query["currency"])
    asof = query.get("asof", "-")
    if asof != "-":
        read_instant("asof", asof)


def _bounds(query: Mapping[str, str], now: datetime, rules: Rules) -> tuple[datetime, datetime]:
    given_start, given_end = query.get("start"), query.get("end")
    start = read_instant("start", given_start, rules=rules) if given_start else rules.midnight(rules.day_of(now))
    end = read_instant("end", given_end, is_end=True, rules=rules) if given_end else now
    if query.get("feed") == "sip" and given_end and end > now - _RECENT:
        raise Refusal(403, "subscription does not permit querying recent SIP data", 42210000)
    if end < start and given_end:
        raise not_allowed("end should not be before start")
    return start, end


def _ceiling(at: datetime) -> datetime:
    return at if at.microsecond == 0 else at.replace(microsecond=0) + timedelta(seconds=1)
