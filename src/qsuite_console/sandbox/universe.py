"""The instruments of the sample exchange: the same for the exchange, the seeded tables and the traffic.

Everything about an instrument follows from its number, so a smaller universe is the beginning of a larger one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

KNOWN: Final = (
    ("AAPL", "Apple Inc. Common Stock", 232.0),
    ("MSFT", "Microsoft Corporation Common Stock", 428.0),
    ("GOOGL", "Alphabet Inc. Class A Common Stock", 178.0),
    ("AMZN", "Amazon.com, Inc. Common Stock", 201.0),
    ("TSLA", "Tesla, Inc. Common Stock", 342.0),
)
LIMIT: Final = 10_000
_CONSONANTS: Final = "BCDFGHJKLMNPQRSTVWXZ"
_VOWELS: Final = "AEIOU"
_STEP: Final = 1_237  # has no factor in common with the 2,000 and 10,000 names, so every name comes once
_TRADES: Final = ("Holdings", "Energy", "Biosciences", "Logistics", "Semiconductor", "Financial", "Foods", "Networks")
_LISTED_FROM: Final = date(2025, 3, 3)
_DELISTED: Final = (date(2026, 6, 30), date(2026, 9, 30))


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One listed share. ``price`` in dollars, ``volume`` in shares a day, ``volatility`` of daily log returns."""

    number: int  # from 1
    symbol: str
    name: str
    exchange: str
    price: float
    volatility: float
    volume: int
    is_illiquid: bool  # about 3 % of its minutes pass without a trade
    listed: date | None  # None: always was
    delisted: date | None  # first day without trading; None: still listed


def instruments(count: int, seed: int) -> tuple[Instrument, ...]:
    """Return the first ``count`` instruments (1 to 10,000); the last two of 20 or more are delisted."""
    if not 1 <= count <= LIMIT:
        raise ValueError(f"symbols must be 1 to {LIMIT}, not {count}")
    return tuple(_instrument(n, seed, count) for n in range(1, count + 1))


def _instrument(number: int, seed: int, count: int) -> Instrument:
    u = [x / 256 for x in hashlib.shake_128(f"{seed}/instrument/{number}".encode()).digest(4)]
    if number <= len(KNOWN):
        symbol, name, price = KNOWN[number - 1]
        volume, volatility = 30_000_000 + int(u[1] * 30_000_000), 0.010 + 0.008 * u[2]
    else:
        symbol = _symbol(number - len(KNOWN) - 1)
        name = f"{symbol.title()} {_TRADES[number % len(_TRADES)]} Inc. Common Stock"
        price = round(8 + 400 * u[0] ** 2, 2)
        volume, volatility = int(150_000 * 40 ** u[1]), 0.008 + 0.016 * u[2]
    is_delisted = count >= 20 and number > count - len(_DELISTED)
    return Instrument(
        number=number,
        symbol=symbol,
        name=name,
        exchange="NASDAQ" if number <= len(KNOWN) or u[3] < 0.5 else "NYSE",
        price=price,
        volatility=volatility,
        volume=volume,
        is_illiquid=number % 10 == 0,
        listed=_LISTED_FROM + timedelta(days=number * 37 % 400) if number % 50 == 33 else None,
        delisted=_DELISTED[number - count - 1] if is_delisted else None,
    )


def _symbol(index: int) -> str:
    """Return the name of the ``index``-th unknown share: three letters for 2,000 of them, then four."""
    c, v = len(_CONSONANTS), len(_VOWELS)
    short = c * v * c
    if index < short:
        number = index * _STEP % short
        return _CONSONANTS[number // (v * c)] + _VOWELS[number // c % v] + _CONSONANTS[number % c]
    number = (index - short) * _STEP % (short * v)
    middle = _VOWELS[number // (c * v) % v] + _CONSONANTS[number // v % c]
    return _CONSONANTS[number // (v * c * v)] + middle + _VOWELS[number % v]
