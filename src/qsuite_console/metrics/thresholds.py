"""When a figure is bad, and when that deserves an alert: pure functions over one table.

A value fires after staying beyond a limit for ``for_s`` and clears only after ``clear_s`` inside an easier limit, so
a value that flaps around its limit gives one alert, not many. What was not measured neither fires nor clears.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from msgspec import structs

from qsuite_console.model.health import Alert, AlertState, Level

_SEVERITY: Final = {Level.OK: 0, Level.UNKNOWN: 0, Level.WARNING: 1, Level.CRITICAL: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Limits of one figure. ``is_low_bad``: trouble is below the limits (hit rates), else above them."""

    id: str  # "<source>.<figure>"
    title: str  # as a person says it: "connections in use"
    unit: str = ""
    warning: float | None = None
    critical: float | None = None
    is_low_bad: bool = False
    clear: float | None = None  # None: a tenth below the warning (or only) limit
    for_s: float = 6.0
    clear_s: float = 6.0

    @property
    def source(self) -> str:
        """Return what it watches: "postgresql"."""
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Watch:
    """Where one rule stands. ``beyond_since`` and ``worse_since`` (critical) and ``calm_since`` are monotonic."""

    beyond_since: float | None = None
    worse_since: float | None = None
    calm_since: float | None = None
    alert: Alert | None = None  # the newest: burning, or the last one that cleared

    @property
    def is_firing(self) -> bool:
        """Tell whether the alert burns."""
        return self.alert is not None and self.alert.state is AlertState.FIRING


RULES: Final[dict[str, Rule]] = {
    rule.id: rule
    for rule in (
        Rule(id="postgresql.connections", title="connections in use", unit="%", warning=80, critical=95),
        Rule(
            id="postgresql.cache_hit", title="cache hit rate", unit="%", warning=95, is_low_bad=True, clear=96, for_s=30
        ),
        Rule(id="postgresql.long_queries", title="queries running over 30 s", warning=6, clear=5),
        Rule(id="postgresql.lock_waits", title="sessions waiting for a lock", warning=1, clear=0, for_s=10),
        Rule(id="postgresql.oldest_transaction", title="oldest transaction", unit="s", warning=300, critical=1800),
        Rule(id="postgresql.replication_lag", title="replication behind", unit="MiB", warning=128, critical=1024),
        Rule(id="redis.memory", title="memory in use", unit="%", warning=85, critical=95),
        Rule(id="redis.hit_rate", title="hit rate", unit="%", warning=80, is_low_bad=True, clear=82, for_s=30),
        Rule(id="redis.clients", title="clients connected", unit="%", warning=80, critical=95),
        Rule(id="redis.evictions", title="keys evicted", unit="/s", warning=1, critical=50),
        Rule(id="redis.fragmentation", title="memory fragmentation", warning=1.5, critical=3, for_s=60),
        Rule(id="host.cpu", title="CPU", unit="%", warning=80, critical=95, for_s=30),
        Rule(id="host.memory", title="memory in use", unit="%", warning=75, critical=90),
        Rule(id="host.disk", title="disk in use", unit="%", warning=85, critical=95, for_s=0, clear=84),
        Rule(id="jobs.queued", title="jobs waiting in one queue", warning=100, critical=500),
        Rule(id="jobs.failure_rate", title="failed jobs of the last hour", unit="%", warning=5, for_s=0),
        Rule(id="jobs.loop_lag", title="engine held up", unit="s", warning=0.5, critical=2, for_s=0, clear=0.2),
    )
}


def silence(source: str, title: str) -> Rule:
    """Return the rule for a source that does not answer; its value is the number of failures in a row."""
    return Rule(id=f"{source}.answers", title=f"{title} does not answer", critical=2, clear=0, for_s=0, clear_s=4)


def level(rule: Rule, value: float | None) -> Level:
    """Return how ``value`` stands now, without memory."""
    if value is None:
        return Level.UNKNOWN
    if _beyond(rule, rule.critical, value):
        return Level.CRITICAL
    return Level.WARNING if _beyond(rule, rule.warning, value) else Level.OK


def limits(rule: Rule) -> str:
    """Return the limits in words: "warn 80 %, critical 95 %"."""
    sign = "below " if rule.is_low_bad else ""
    named = (("warn", rule.warning), ("critical", rule.critical))
    return ", ".join(f"{name} {sign}{_quantity(rule, limit)}" for name, limit in named if limit is not None)


def worst(levels: Iterable[Level]) -> Level:
    """Return the worst of what was measured; unknown only when nothing was."""
    known = [one for one in levels if one is not Level.UNKNOWN]
    return max(known, key=_SEVERITY.__getitem__, default=Level.UNKNOWN)


def step(rule: Rule, watch: Watch, value: float | None, *, at: datetime, now: float, message: str = "") -> Watch:
    """Return where the rule stands after one more value; ``now`` is monotonic seconds, ``message`` replaces ours."""
    current = level(rule, value)
    if value is None:
        return replace(watch, beyond_since=None, worse_since=None, calm_since=None)
    worse_since = _since(watch.worse_since, current is Level.CRITICAL, now)
    if not watch.is_firing:
        beyond_since = _since(watch.beyond_since, current is not Level.OK, now)
        calm = Watch(beyond_since=beyond_since, worse_since=worse_since, alert=watch.alert)
        if beyond_since is None or now - beyond_since < rule.for_s:
            return calm
        return replace(calm, alert=_fire(rule, current, value, at, message))
    alert = watch.alert
    assert alert is not None
    calm_since = _since(watch.calm_since, _is_calm(rule, value), now)
    if calm_since is not None and now - calm_since >= rule.clear_s:
        return Watch(alert=_cleared(alert, at))
    is_worse = alert.level is not Level.CRITICAL and worse_since is not None and now - worse_since >= rule.for_s
    if is_worse:
        alert = structs.replace(_fire(rule, Level.CRITICAL, value, at, message), since=alert.since)
    return replace(watch, worse_since=worse_since, calm_since=calm_since, alert=alert)


def _since(before: float | None, holds: bool, now: float) -> float | None:
    if not holds:
        return None
    return now if before is None else before


def _beyond(rule: Rule, limit: float | None, value: float) -> bool:
    if limit is None:
        return False
    return value < limit if rule.is_low_bad else value >= limit


def _is_calm(rule: Rule, value: float) -> bool:
    first = rule.warning if rule.warning is not None else rule.critical
    if first is None:
        return True
    if rule.is_low_bad:
        return value >= (rule.clear if rule.clear is not None else first * 1.1)
    return value <= (rule.clear if rule.clear is not None else first * 0.9)


def _fire(rule: Rule, reached: Level, value: float, at: datetime, message: str) -> Alert:
    text = message or f"{rule.title}: {_quantity(rule, value)} ({limits(rule)})"
    return Alert(id=rule.id, source=rule.source, level=reached, state=AlertState.FIRING, message=text, since=at)


def _cleared(alert: Alert, at: datetime) -> Alert:
    return structs.replace(alert, state=AlertState.CLEARED, cleared_at=at)


def _quantity(rule: Rule, value: float) -> str:
    number = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.1f}"
    return f"{number} {rule.unit}".strip()
