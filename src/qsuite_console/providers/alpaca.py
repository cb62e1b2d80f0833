"""The Alpaca protocol: bars, assets, calendar and clock. Retries and the rate limit belong to the caller.

Protocol: Alpaca's OpenAPI documents market-data-api v1.1 and trading-api. ``start`` and ``end`` of bars are both
inclusive; ``limit`` counts bars over all symbols; an unknown symbol is silently absent, a malformed one refuses all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec

from qsuite_console.config.settings import ProviderSettings
from qsuite_console.model.calendar import midnight
from qsuite_console.model.market import Session
from qsuite_console.model.text import clean
from qsuite_console.providers.errors import (
    InvalidSymbol,
    ProviderError,
    ProviderRefused,
    ProviderThrottled,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from qsuite_console.providers.session import HttpSession, Reply

PAGE_BARS: Final = 10_000
_INVALID_SYMBOL: Final = re.compile(r"invalid symbol\W+([A-Za-z0-9./:_-]{1,40})", re.IGNORECASE)
T = TypeVar("T")
_REGULAR: Final = timedelta(hours=6, minutes=30)


class BarsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask for; the same for every page of a chain."""

    symbols: tuple[str, ...]
    timeframe: str
    start: datetime
    end: datetime  # inclusive
    adjustment: str = "raw"  # "" where the market has none: unknown parameters are refused
    feed: str = ""
    limit: int = PAGE_BARS
    path: str = "/v2/stocks/bars"


class Asset(msgspec.Struct, frozen=True):
    """A listed instrument; ``status`` is active or inactive."""

    symbol: str
    status: str = "active"
    tradable: bool = True
    name: str = ""
    exchange: str = ""


class MarketClock(msgspec.Struct, frozen=True):
    """The exchange's clock."""

    timestamp: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime


class _Day(msgspec.Struct):
    date: date
    open: str
    close: str


class _Message(msgspec.Struct):
    message: str = ""
    code: Any = None


class AlpacaClient:
    """One provider, one key, one pool of connections."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings = settings
        headers = {}
        if settings.key_id:
            headers["APCA-API-KEY-ID"] = settings.key_id.reveal()
        if settings.secret_key:
            headers["APCA-API-SECRET-KEY"] = settings.secret_key.reveal()
        self._http = HttpSession(headers)

    async def bars(self, query: BarsQuery, page_token: str | None = None) -> Reply:
        """Return one page, undecoded (``bars.parse_page``); raises ProviderError by what the answer means."""
        parameters = {
            "symbols": ",".join(query.symbols),
            "timeframe": query.timeframe,
            "start": _instant(query.start),
            "end": _instant(query.end),
            "limit": str(query.limit),
            "sort": "asc",
        }
        if query.adjustment:
            parameters["adjustment"] = query.adjustment
        if query.feed:
            parameters["feed"] = query.feed
        if page_token:
            parameters["page_token"] = page_token
        return await self._get(f"{self.settings.data_url.rstrip('/')}{query.path}", parameters)

    async def assets(self, *, status: str = "", asset_class: str = "us_equity") -> Sequence[Asset]:
        """Return what the provider knows of a class (us_equity, crypto), of every status unless one is given."""
        parameters = {"asset_class": asset_class} | ({"status": status} if status else {})
        reply = await self._get(f"{self.settings.trading_url.rstrip('/')}/v2/assets", parameters)
        return _decode(reply, list[Asset])

    async def calendar(self, start: date, end: date) -> Sequence[Session]:
        """Return the sessions from ``start`` to ``end``, both included."""
        parameters = {"start": start.isoformat(), "end": end.isoformat()}
        reply = await self._get(f"{self.settings.trading_url.rstrip('/')}/v2/calendar", parameters)
        days = _decode(reply, list[_Day])
        try:
            return [_session(day) for day in days if start <= day.date <= end]
        except ValueError as error:
            raise ProviderUnavailable("the provider's calendar can't be read", status=reply.status) from error

    async def clock(self) -> MarketClock:
        """Return the exchange's clock: the cheapest question that proves the key."""
        return _decode(await self._get(f"{self.settings.trading_url.rstrip('/')}/v2/clock", {}), MarketClock)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _get(self, url: str, parameters: dict[str, str]) -> Reply:
        reply = await self._http.get(url, parameters)
        if reply.status != 200:
            raise self._error(reply)
        return reply

    def _error(self, reply: Reply) -> ProviderError:
        text, status, quota = _message(reply), reply.status, reply.quota
        if status in (401, 403):
            if "subscription" in text.lower():
                return ProviderUnauthorized(
                    f"the key's plan does not permit this: {text}",
                    hint="use an earlier end, or --feed iex",
                    status=status,
                    quota=quota,
                )
            if not self.settings.key_id:
                what = "the provider wants a key and none is configured"
            else:
                what = f"the provider refused the key ({status})"
            hint = "set APCA_API_KEY_ID and APCA_API_SECRET_KEY, or run `qsuite-console init`"
            return ProviderUnauthorized(what, hint=hint, status=status, quota=quota)
        if status == 429:
            return ProviderThrottled("the provider's rate limit is used up (429)", status=status, quota=quota)
        if status >= 500 or status == 408:
            return ProviderUnavailable(f"the provider is failing ({status})", status=status, quota=quota)
        named = _INVALID_SYMBOL.search(text)
        if named is not None:
            return InvalidSymbol(named[1].rstrip(".:"), status=status, quota=quota)
        return ProviderRefused(f"the provider refused the request ({status}): {text}", status=status, quota=quota)


def _message(reply: Reply) -> str:
    try:
        found = msgspec.json.decode(reply.body, type=_Message, strict=False).message
    except (msgspec.MsgspecError, UnicodeDecodeError):
        found = ""
    return clean(found, 200) if found else "no reason given"


def _decode(reply: Reply, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(reply.body, type=kind, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProviderUnavailable(
            "the provider sent something that can't be read", hint="check APCA_API_BASE_URL", status=reply.status
        ) from error


def _session(day: _Day) -> Session:
    start = midnight(day.date)
    open_at, close_at = start + _of_day(day.open), start + _of_day(day.close)
    return Session(day=day.date, open_at=open_at, close_at=close_at, is_early_close=close_at - open_at < _REGULAR)


def _of_day(text: str) -> timedelta:
    hours, minutes = text.replace(":", "")[:2], text.replace(":", "")[2:4]
    return timedelta(hours=int(hours), minutes=int(minutes))


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
