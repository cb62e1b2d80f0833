"""The key families that the platform shares: names, lives and encoding, in one table and nowhere else.

Values are the structs of ``model.cached`` as JSON with decimals as text: what is read back equals the database to the
last digit. A warmed key outlives several periods of its schedule: one late or failed warming never empties the cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)
PERIODS: Final = 3  # of a schedule that a warmed key outlives
_encoder: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFamily:
    """Keys named ``prefix`` + subject. ``ttl_s`` is the life a reader gives on a miss, ``warmed_ttl_s`` a warming."""

    name: str
    prefix: str
    subject: str  # what follows the prefix: "symbol"
    ttl_s: int
    warmed_ttl_s: int

    def key(self, subject: object) -> str:
        """Return the key of one subject: "price:AAPL"."""
        return f"{self.prefix}{subject}"

    def life_s(self, period_s: float) -> float:
        """Return how long a key warmed every ``period_s`` seconds lives (0: warmed once)."""
        return max(self.warmed_ttl_s, PERIODS * period_s)


PRICE: Final = KeyFamily(name="price", prefix="price:", subject="symbol", ttl_s=10, warmed_ttl_s=30)
ORDER_BOOK: Final = KeyFamily(name="order_book", prefix="order_book:", subject="symbol", ttl_s=5, warmed_ttl_s=5)
MARKET_DATA: Final = KeyFamily(name="market_data", prefix="market_data:", subject="symbol", ttl_s=60, warmed_ttl_s=300)
POSITIONS: Final = KeyFamily(name="positions", prefix="positions:", subject="user", ttl_s=300, warmed_ttl_s=600)
ANALYTICS: Final = KeyFamily(name="analytics", prefix="analytics:", subject="hash", ttl_s=1800, warmed_ttl_s=1800)
FAMILIES: Final[Mapping[str, KeyFamily]] = {
    family.name: family for family in (PRICE, ORDER_BOOK, MARKET_DATA, POSITIONS, ANALYTICS)
}


def encode(entry: msgspec.Struct) -> bytes:
    """Return the value as it is stored."""
    return _encoder.encode(entry)


def decode(value: bytes, kind: type[S]) -> S:
    """Return a stored value; raises msgspec.DecodeError for what is not one."""
    return msgspec.json.decode(value, type=kind)
