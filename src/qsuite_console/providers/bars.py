"""Reads a page of bars: typed and fast where every bar is well formed, bar by bar where one is not.

One null price must cost one bar, never the page; a page that is not JSON at all is fetched again.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from qsuite_console.providers.errors import ProviderUnavailable

MAX_TOKEN: Final = 4096  # characters; a page token is opaque but never a document


_NAMES: Final = {
    "time": "t",
    "open": "o",
    "high": "h",
    "low": "l",
    "close": "c",
    "volume": "v",
    "trades": "n",
    "vwap": "vw",
}


class Bar(msgspec.Struct, frozen=True, gc=False, rename=_NAMES):
    """A bar as the provider writes it; ``time`` is its start.

    Floats print back the digits that were parsed (up to 15 significant ones), so decimals stay exact.
    """

    time: str
    open: float
    high: float
    low: float
    close: float
    volume: int | float
    trades: int | None = None
    vwap: float | None = None


class Malformed(msgspec.Struct, frozen=True):
    """A bar that can't be read, with the reason and what was sent."""

    symbol: str
    reason: str
    raw: str
    time: str | None = None


class Page(msgspec.Struct, frozen=True):
    """One page in the provider's order: symbol by symbol, time ascending."""

    bars: dict[str, list[Bar]]
    next_page_token: str | None = None
    malformed: tuple[Malformed, ...] = ()
    symbols: frozenset[str] = frozenset()  # every symbol that the page mentions


class _Wire(msgspec.Struct):
    bars: dict[str, list[Bar]] | None
    next_page_token: str | None = None


_decoder: Final = msgspec.json.Decoder(_Wire)


def parse_page(body: bytes) -> Page:
    """Return the page in ``body``; raises ProviderUnavailable for a body that is not a page of bars."""
    try:
        wire = _decoder.decode(body)
    except msgspec.ValidationError:
        return _parse_leniently(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _parse_leniently(body)  # NaN is not JSON, but some servers write it
    bars = wire.bars or {}
    return Page(bars, _token(wire.next_page_token), symbols=frozenset(bars))


def _parse_leniently(body: bytes) -> Page:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProviderUnavailable(
            "the provider sent something that is not JSON, or broke off", hint="it is tried again by itself"
        ) from error
    if not isinstance(document, dict) or not isinstance(document.get("bars", ""), dict | None):
        raise ProviderUnavailable("the provider's answer holds no bars", hint="check APCA_API_DATA_URL")
    bars: dict[str, list[Bar]] = {}
    malformed: list[Malformed] = []
    mentioned = document.get("bars") or {}
    for symbol, items in mentioned.items():
        good = bars.setdefault(str(symbol), [])
        for item in items if isinstance(items, list) else [items]:
            try:
                good.append(msgspec.convert(item, Bar))
            except msgspec.ValidationError:
                malformed.append(_describe(str(symbol), item))
    token = document.get("next_page_token")
    if token is not None and not isinstance(token, str):
        raise ProviderUnavailable("the provider's page token is not text", hint="it is tried again by itself")
    return Page(bars, _token(token), tuple(malformed), frozenset(map(str, mentioned)))


def _describe(symbol: str, item: Any) -> Malformed:
    raw = json.dumps(item, default=str)[:1000]
    if not isinstance(item, dict):
        return Malformed(symbol, "not a bar", raw)
    time = item.get("t")
    at = time if isinstance(time, str) else None
    for name in ("t", "o", "h", "l", "c", "v"):
        if name not in item:
            return Malformed(symbol, f"{name} is missing", raw, at)
        if item[name] is None:
            return Malformed(symbol, f"{name} is null", raw, at)
    return Malformed(symbol, "a field has the wrong type", raw, at)


def _token(text: str | None) -> str | None:
    if text and len(text) > MAX_TOKEN:
        raise ProviderUnavailable("the provider's page token is too long", hint="it is tried again by itself")
    return text or None
