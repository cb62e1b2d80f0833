"""When a figure is bad, and when that deserves an alert: pure functions over the rules of ``config.rules``.

A value fires when it has been beyond a limit for ``for_s`` without once getting well inside it, and clears only after
``clear_s`` inside that easier limit: a value that flaps around its limit gives one alert and one clear, not many, and
never none. What was not measured neither fires nor clears.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from msgspec import structs

from qsuite_console.config.rules import RULES as RULES
from qsuite_console.config.rules import Rule as Rule
from qsuite_console.model import units
from qsuite_console.model.health import Alert, AlertState, Level

_SEVERITY: Final = {Level.OK: 0, Level.UNKNOWN: 0, Level.WARNING: 1, Level.CRITICAL: 2}


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
    return ", ".join(f"{name} {sign}{quantity(rule, limit)}" for name, limit in named if limit is not None)


def worst(levels: Iterable[Level]) -> Level:
    """Return the worst of what was measured; unknown only when nothing was."""
    known = [one for one in levels if one is not Level.UNKNOWN]
    return max(known, key=_SEVERITY.__getitem__, default=Level.UNKNOWN)


def step(rule: Rule, watch: Watch, value: float | None, *, at: datetime, now: float, message: str = "") -> Watch:
    """Return where the rule stands after one more value; ``now`` is monotonic seconds, ``message`` replaces ours."""
    if value is None:
        return replace(watch, beyond_since=None, worse_since=None, calm_since=None)
    current = level(rule, value)
    worse_since = _since(watch.worse_since, current is Level.CRITICAL, _is_inside(rule, rule.critical, value), now)
    if not watch.is_firing:
        beyond_since = _since(watch.beyond_since, current is not Level.OK, _is_calm(rule, value), now)
        waiting = Watch(beyond_since=beyond_since, worse_since=worse_since, alert=watch.alert)
        is_due = beyond_since is not None and now - beyond_since >= rule.for_s
        return replace(waiting, alert=_fire(rule, current, value, at, message)) if is_due and _bad(current) else waiting
    alert = watch.alert
    assert alert is not None
    calm_since = (watch.calm_since if watch.calm_since is not None else now) if _is_calm(rule, value) else None
    if calm_since is not None and now - calm_since >= rule.clear_s:
        return Watch(alert=_cleared(alert, at))
    is_worse = alert.level is not Level.CRITICAL and worse_since is not None and now - worse_since >= rule.for_s
    if is_worse and current is Level.CRITICAL:
        worse = _fire(rule, Level.CRITICAL, value, at, message)
        alert = structs.replace(alert, level=worse.level, message=worse.message, value=value)
    return replace(watch, worse_since=worse_since, calm_since=calm_since, alert=alert)


def _since(before: float | None, begins: bool, ends: bool, now: float) -> float | None:
    """Return since when something lasts; between beginning and ending it goes on but does not begin."""
    if ends:
        return None
    return now if before is None and begins else before


def _bad(current: Level) -> bool:
    return current in (Level.WARNING, Level.CRITICAL)


def _beyond(rule: Rule, limit: float | None, value: float) -> bool:
    if limit is None:
        return False
    return value < limit if rule.is_low_bad else value >= limit


def _is_inside(rule: Rule, limit: float | None, value: float) -> bool:
    """Tell whether a value is well inside a limit, by a tenth."""
    if limit is None:
        return True
    return value >= limit * 1.1 if rule.is_low_bad else value <= limit * 0.9


def _is_calm(rule: Rule, value: float) -> bool:
    calm = rule.calm
    if calm is None:
        return True
    return value >= calm if rule.is_low_bad else value <= calm


def _fire(rule: Rule, reached: Level, value: float, at: datetime, message: str) -> Alert:
    return Alert(
        id=rule.id,
        source=rule.source,
        level=reached,
        state=AlertState.FIRING,
        message=message or f"{rule.title}: {quantity(rule, value)} ({limits(rule)})",
        since=at,
        title=rule.title,
        about=rule.about,
        value=value,
        unit=rule.unit,
        limit=limits(rule),
    )


def _cleared(alert: Alert, at: datetime) -> Alert:
    return structs.replace(alert, state=AlertState.CLEARED, cleared_at=at)


def quantity(rule: Rule, value: float) -> str:
    """Return a value with its unit: "85 %", "1,024 MiB", "5 m 10 s", "1 failure"."""
    return units.quantity(value, rule.unit)
