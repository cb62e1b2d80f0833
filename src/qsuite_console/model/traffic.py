"""What the engine's HTTP interface has been asked, and how long it took to answer."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from qsuite_console.model.advice import Unread

SLOW_S: Final = 2.0
VERY_SLOW_S: Final = 5.0


class RouteCost(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the route table since the start. Percentiles are of its newest answers; a wait for news is no cost.

    ``queries`` are those sent to PostgreSQL; ``refused`` are answers 4xx, ``failed`` 5xx.
    """

    route: str  # "GET /jobs/{job_id}"
    answered: int = 0
    refused: int = 0
    failed: int = 0
    cached: int = 0  # of the answered: from the cache, or not changed
    slow: int = 0
    very_slow: int = 0
    total_ms: float = 0.0
    last_ms: float = 0.0
    worst_ms: float = 0.0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    queries: int = 0
    last_queries: int = 0
    most_queries: int = 0
    body_bytes: int = 0  # of all answers


class SlowRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that took 2 seconds or longer; 5 or longer is very slow."""

    at: datetime
    route: str
    path: str
    caller: str
    status: int
    ms: float
    queries: int
    is_very_slow: bool


class RequestsView(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``system.requests``: busiest routes first, newest slow requests first."""

    at: datetime
    since: datetime | None = None
    routes: tuple[RouteCost, ...] = ()
    slow: tuple[SlowRequest, ...] = ()
    turned_away: dict[str, int] = {}  # before any route: reason -> number
    callers: dict[str, int] = {}  # who asked -> requests
    listens_on: tuple[str, ...] = ()
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()
