"""What programs ask this engine over HTTP: each route's number, times and queries, and the requests that were slow."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from textual.app import ComposeResult
from textual.content import Content

from qsuite_console.model.text import clean
from qsuite_console.model.traffic import SLOW_S, VERY_SLOW_S, RequestsView, RouteCost, SlowRequest
from qsuite_console.screens.panes import Pane
from qsuite_console.screens.system_console import milliseconds
from qsuite_console.widgets import figures, frames
from qsuite_console.widgets.entry_table import EntryTable
from qsuite_console.widgets.live_table import Cell, Column, Row

_ROUTES: Final = (
    Column("route", "ROUTE", 20, is_flexible=True, keep=100),
    Column("answered", "ASKED", 7, is_right=True, keep=90),
    Column("p50", "P50", 8, is_right=True, keep=60),
    Column("p95", "P95", 8, is_right=True, keep=85),
    Column("p99", "P99", 8, is_right=True, keep=55),
    Column("worst", "WORST", 8, is_right=True, keep=50),
    Column("queries", "QUERIES", 7, is_right=True, keep=70),
    Column("cached", "CACHED", 6, is_right=True, keep=20),
    Column("refused", "REFUSED", 7, is_right=True, keep=40),
    Column("failed", "FAILED", 6, is_right=True, keep=80),
)
_SLOW: Final = (
    Column("at", "AT", 9, keep=90),
    Column("took", "TOOK", 12, keep=100),
    Column("path", "REQUEST", 20, is_flexible=True, keep=95),
    Column("status", "STATUS", 6, is_right=True, keep=60),
    Column("queries", "QUERIES", 7, is_right=True, keep=50),
    Column("caller", "BY", 12, keep=70),
)


class RequestsPane(Pane[RequestsView]):
    """Routes above, slow requests below."""

    NAME, TITLE, PROBE, KIND = "requests", "Requests", "system.requests", RequestsView
    SOURCE = "requests"  # no reading speaks for it: it is asked by itself
    EMPTY = "No program has asked this engine anything yet"

    def __init__(self) -> None:
        super().__init__()
        self._now: datetime | None = None
        self._routes = EntryTable[RouteCost](_ROUTES, route_row, id="routes", opens=False)
        self._slow = EntryTable[SlowRequest](
            _SLOW, self._slow_row, id="slow-requests", empty=f"None took {SLOW_S:g} s or longer", opens=False
        )

    def compose_pane(self) -> ComposeResult:
        """Two lists."""
        yield self._routes
        yield self._slow

    def has_nothing(self, answer: RequestsView) -> bool:
        """Return whether nobody ever asked."""
        return not answer.routes and not answer.turned_away and not answer.unread

    def show_answer(self, answer: RequestsView, now: datetime) -> None:
        """Fill both."""
        self._now = now
        since = "" if answer.since is None else f" in {figures.duration((now - answer.since).total_seconds())}"
        asked = sum(row.answered for row in answer.routes)
        frames.title(self._routes, Content(f"{figures.plural(asked, 'request')}{since}"))
        frames.caption(self._routes, Content(" · ".join(_caption(answer))))
        self._routes.show({row.route: row for row in answer.routes})
        very = sum(each.is_very_slow for each in answer.slow)
        frames.title(self._slow, Content("Slow requests"))
        limits = f"slow from {SLOW_S:g} s, very slow from {VERY_SLOW_S:g} s"
        count = f"{figures.count(len(answer.slow))} kept, {figures.count(very)} very slow · " if answer.slow else ""
        frames.caption(self._slow, Content(f"{count}{limits}"))
        self._slow.show({f"{each.at.isoformat()} {each.path} {each.ms}": each for each in answer.slow})

    def _slow_row(self, slow: SlowRequest) -> Row:
        zone = self.paned.console.zone
        at = figures.moment(slow.at, zone, self._now) if self._now is not None else figures.instant(slow.at, zone)
        took = figures.duration(slow.ms / 1000)
        method = slow.route.partition(" ")[0]
        return {
            "at": Cell(at, "dim"),
            "took": Cell(f"✖ {took}" if slow.is_very_slow else f"▲ {took}", "error" if slow.is_very_slow else "warn"),
            "path": f"{method} {clean(slow.path, 200)}",
            "status": Cell(str(slow.status), "error" if slow.status >= 500 else "dim"),
            "queries": figures.count(slow.queries),
            "caller": Cell(clean(slow.caller, 40), "dim"),
        }


def route_row(cost: RouteCost) -> Row:
    """Return what one route took as a row."""
    slow = cost.slow + cost.very_slow
    return {
        "route": clean(cost.route, 80),
        "answered": figures.count(cost.answered),
        "p50": milliseconds(cost.p50_ms),
        "p95": milliseconds(cost.p95_ms),
        "p99": Cell(milliseconds(cost.p99_ms), "dim"),
        "worst": Cell(milliseconds(cost.worst_ms), "warn" if slow else "dim"),
        "queries": figures.count(cost.queries),
        "cached": Cell(figures.count(cost.cached), "dim"),
        "refused": Cell(figures.count(cost.refused), "dim"),
        "failed": Cell(figures.count(cost.failed), "error" if cost.failed else "dim"),
    }


def _caption(answer: RequestsView) -> list[str]:
    parts = ["longest in all first"]
    if answer.callers:
        named = sorted(answer.callers.items(), key=lambda pair: -pair[1])[:3]
        parts.append("by " + ", ".join(f"{clean(name, 30)} {figures.count(number)}" for name, number in named))
    turned_away = sum(answer.turned_away.values())
    if turned_away:
        parts.append(f"{figures.count(turned_away)} turned away")
    parts += [clean(place, 60) for place in answer.listens_on if place.startswith("http")]
    return parts
