"""Prices as the platform caches them, ``price:SYMBOL`` -> JSON or a bare number; a whole page costs one MGET.

What other programs wrote is not trusted: a value that is too long or makes no sense counts as absent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

import msgspec

from qsuite_console.cache.client import Cache
from qsuite_console.cache.keys import PRICE

_LONGEST: Final = 4096
_TIMES: Final = ("at", "timestamp", "time", "ts", "updated_at")
_SAID: Final = re.compile(rb'"(?:at|timestamp|time|ts|updated_at)"\s*:\s*"([0-9T:.+Z-]{10,40})"')
_MILLISECONDS: Final = 1e11  # above this a number of seconds would lie beyond the year 5000


class CachedPrice(NamedTuple):
    """A price and when it was written, if it says so."""

    price: Decimal
    at: datetime | None


async def read_prices(cache: Cache, symbols: Sequence[str]) -> dict[str, CachedPrice]:
    """Return symbol -> cached price of those that have one; raises CacheError."""
    if not symbols or not cache.is_configured:
        return {}
    async with cache.guard() as client:
        values = await client.mget([PRICE.key(symbol) for symbol in symbols])
    absent = sum(value is None for value in values)
    cache.lookups.add(hits=len(values) - absent, misses=absent)
    read = ((symbol, parse(value)) for symbol, value in zip(symbols, values, strict=True) if value is not None)
    return {symbol: price for symbol, price in read if price is not None}


def parse(value: bytes | str) -> CachedPrice | None:
    """Return what a cached value says, or None where it says nothing."""
    if len(value) > _LONGEST:
        return None
    try:
        said = msgspec.json.Decoder(float_hook=Decimal).decode(value)
    except (msgspec.DecodeError, InvalidOperation):
        return None
    fields: Mapping[str, Any] = said if isinstance(said, dict) else {"price": said}
    price = _price(fields.get("price"))
    return None if price is None else CachedPrice(price, _instant(fields))


def instant_of(value: bytes) -> datetime | None:
    """Return the instant that a cached value of any family says it is of, None where it says nothing."""
    if len(value) >= _LONGEST:  # cut, or too long to be one of the platform's: its time may still be near its start
        found = _SAID.search(value)
        return None if found is None else _instant({"at": found[1].decode("ascii", "replace")})
    try:
        said = msgspec.json.Decoder(float_hook=Decimal).decode(value)
    except (msgspec.DecodeError, InvalidOperation):
        return None
    return _instant(said) if isinstance(said, dict) else None


def _price(said: object) -> Decimal | None:
    if isinstance(said, bool) or not isinstance(said, str | int | Decimal):
        return None
    try:
        price = Decimal(said)
    except InvalidOperation:
        return None
    return price if price.is_finite() and price > 0 else None


def _instant(fields: Mapping[str, Any]) -> datetime | None:
    said = next((fields[name] for name in _TIMES if fields.get(name) is not None), None)
    try:
        if isinstance(said, str):
            at = datetime.fromisoformat(said)
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        if isinstance(said, int | Decimal) and not isinstance(said, bool) and math.isfinite(said):
            seconds = float(said)
            return datetime.fromtimestamp(seconds / 1000 if seconds > _MILLISECONDS else seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None
