"""What each route has cost: numbers, times, queries and the slow requests, bounded whatever is asked for how long."""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from qsuite_console.model.access import Caller
from qsuite_console.model.clock import Clock, SystemClock
from qsuite_console.model.text import clean
from qsuite_console.model.traffic import SLOW_S, VERY_SLOW_S, RequestsView, RouteCost, SlowRequest

_SAMPLES: Final = 1000  # newest answers of a route whose times make its percentiles
_SLOW_KEPT: Final = 100
_CALLERS: Final = 100
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one request took; ``ms`` without the time it waited for news at the caller's wish."""

    route: str
    path: str
    caller: Caller
    status: int
    ms: float
    queries: int
    size: int = 0
    is_cached: bool = False


@dataclass(slots=True)
class _Row:
    answered: int = 0
    refused: int = 0
    failed: int = 0
    cached: int = 0
    slow: int = 0
    very_slow: int = 0
    total_ms: float = 0.0
    last_ms: float = 0.0
    worst_ms: float = 0.0
    queries: int = 0
    last_queries: int = 0
    most_queries: int = 0
    body_bytes: int = 0
    newest: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES))


class RequestCosts:
    """The costs of one interface since it opened; used on the engine's loop."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._rows: dict[str, _Row] = {}
        self._slow: deque[SlowRequest] = deque(maxlen=_SLOW_KEPT)
        self._turned_away: Counter[str] = Counter()
        self._callers: Counter[str] = Counter()
        self._since: datetime | None = None
        self.listens_on: tuple[str, ...] = ()

    def open(self, *listens_on: str) -> None:
        """Say where it listens from now on."""
        self._since = self._clock.now()
        self.listens_on = listens_on

    def turn_away(self, reason: str) -> None:
        """Count a request that came to no route: "no token", "foreign host"; reasons are few."""
        self._turned_away[reason] += 1

    def note(self, spent: Spent) -> None:
        """Add one answer; a slow one is kept with what was asked, and told to the log."""
        row = self._rows.setdefault(spent.route, _Row())
        row.answered += 1
        row.refused += 400 <= spent.status < 500
        row.failed += spent.status >= 500
        row.cached += spent.is_cached
        row.total_ms += spent.ms
        row.last_ms = spent.ms
        row.worst_ms = max(row.worst_ms, spent.ms)
        row.queries += spent.queries
        row.last_queries = spent.queries
        row.most_queries = max(row.most_queries, spent.queries)
        row.body_bytes += spent.size
        row.newest.append(spent.ms)
        name = spent.caller.name or "this machine"
        if name in self._callers or len(self._callers) < _CALLERS:
            self._callers[name] += 1
        if spent.ms >= 1000 * SLOW_S:
            self._keep_slow(row, spent, name)

    def _keep_slow(self, row: _Row, spent: Spent, name: str) -> None:
        is_very_slow = spent.ms >= 1000 * VERY_SLOW_S
        row.slow += not is_very_slow
        row.very_slow += is_very_slow
        path = clean(spent.path, 200)
        self._slow.appendleft(
            SlowRequest(
                at=self._clock.now(),
                route=spent.route,
                path=path,
                caller=name,
                status=spent.status,
                ms=spent.ms,
                queries=spent.queries,
                is_very_slow=is_very_slow,
            )
        )
        method = spent.route.partition(" ")[0]
        word = "very slow" if is_very_slow else "slow"
        level = logging.WARNING if is_very_slow else logging.INFO
        _log.log(level, "%s request: %s %s took %.1f s, %d queries", word, method, path, spent.ms / 1000, spent.queries)

    def view(self) -> RequestsView:
        """Return all of it."""
        rows = [_cost(name, row) for name, row in self._rows.items()]
        return RequestsView(
            at=self._clock.now(),
            since=self._since,
            routes=tuple(sorted(rows, key=lambda row: (-row.total_ms, row.route))),
            slow=tuple(self._slow),
            turned_away=dict(self._turned_away),
            callers=dict(self._callers.most_common()),
            listens_on=self.listens_on,
        )


def _cost(name: str, row: _Row) -> RouteCost:
    ordered = sorted(row.newest)
    return RouteCost(
        route=name,
        answered=row.answered,
        refused=row.refused,
        failed=row.failed,
        cached=row.cached,
        slow=row.slow,
        very_slow=row.very_slow,
        total_ms=row.total_ms,
        last_ms=row.last_ms,
        worst_ms=row.worst_ms,
        p50_ms=_percentile(ordered, 50),
        p95_ms=_percentile(ordered, 95),
        p99_ms=_percentile(ordered, 99),
        queries=row.queries,
        last_queries=row.last_queries,
        most_queries=row.most_queries,
        body_bytes=row.body_bytes,
    )


def _percentile(ordered: list[float], percent: int) -> float | None:
    """Return the nearest-rank percentile of sorted values, None of none."""
    if not ordered:
        return None
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, rank - 1)]
