"""How the sample exchange behaves: its universe, its limits and the faults it plants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

BAD_KINDS: Final = ("null", "nan", "high_low", "negative_volume", "duplicate", "disorder", "outside")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeOptions:
    """Everything that can be set; the same options give the same answers to the same requests."""

    symbols: int = 500
    seed: int = 42
    rate_limit: int = 200  # requests a window and host
    rate_window_s: float = 60.0
    is_bucket: bool = False  # refill steadily instead of at the window's end
    latency_ms: float = 0.0
    fail_rate: float = 0.0  # share of requests answered by a fault
    bad_rate: float = 0.0  # share of bars that arrive damaged
    bad_kinds: tuple[str, ...] = BAD_KINDS
    key_id: str = "SANDBOXKEY"
    secret_key: str = field(default="sandbox-secret", repr=False)
    now: Callable[[], datetime] = _now
