"""A platform where alerts burn: loud, taken, silenced and cleared ones, their past, silences, rules, curves, scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from fakes.control import FakeControl, demo
from fakes.platform import NOW, readings
from qsuite_console.config.rules import FIELDS, RULES
from qsuite_console.metrics import thresholds
from qsuite_console.model.advice import Analysis, Component, Effect, Evidence, Finding, Machine, Score, Severity
from qsuite_console.model.alerts import AlertPage, RuleList, RuleView, Silence, SilenceList
from qsuite_console.model.events import Sampled
from qsuite_console.model.health import Alert, AlertState, Figure, Level, Reading, Snapshot
from qsuite_console.model.operations import OperationInfo, Outcome, Proposal
from qsuite_console.model.series import Line, Point, Series


def alert(rule_id: str, value: float, level: Level, ago_s: float, **more: Any) -> Alert:
    """One alert as the engine makes it."""
    rule = RULES[rule_id]
    cleared = more.get("cleared_at") is not None
    return Alert(
        id=rule_id,
        source=rule.source,
        level=level,
        state=AlertState.CLEARED if cleared else AlertState.FIRING,
        message=f"{rule.title}: {thresholds.quantity(rule, value)} ({thresholds.limits(rule)})",
        since=NOW - timedelta(seconds=ago_s),
        title=rule.title,
        about=rule.about,
        value=value,
        unit=rule.unit,
        limit=thresholds.limits(rule),
        **more,
    )


CONNECTIONS = alert("postgresql.connections", 96.9, Level.CRITICAL, 754)
MEMORY = alert("host.memory", 78, Level.WARNING, 5400, acknowledged_by="ada@desk",
               acknowledged_at=NOW - timedelta(minutes=80))  # fmt: skip
HITS = alert("redis.hit_rate", 71.4, Level.WARNING, 600, silenced_until=NOW + timedelta(minutes=50),
             silenced_by="bob@night", silence_reason="warming after the restart")  # fmt: skip
DISK = alert("host.disk", 85, Level.WARNING, 3000, cleared_at=NOW - timedelta(minutes=9))
OPEN = (CONNECTIONS, MEMORY, HITS, DISK)
SILENCES = (
    Silence(subject="redis", since=NOW - timedelta(minutes=10), until=NOW + timedelta(minutes=50), by="bob@night",
            reason="warming after the restart"),
    Silence(subject="host.disk", since=NOW - timedelta(minutes=30), until=NOW + timedelta(hours=17), by="ada@desk"),
)  # fmt: skip
SCORES = (
    Score(area="overall", value=63.2, known=1.0, reasons=("database has 38", "cache has 91"),
          components=(Component(title="plain formula", formula="mean of those that are known", value=88.1),)),
    Score(area="database", value=38.2, known=0.93,
          reasons=("connections in use: 96.9 % (good is 60, scores 12)",
                   "not measured: dead rows of autovacuum's trigger (tables can't be read)")),
    Score(area="cache", value=91.4, known=1.0, reasons=("hit rate: 86 % (good is 90, scores 90)",)),
    Score(area="system", value=100.0, known=1.0),
)  # fmt: skip
TRADING = Reading(
    source="application",
    title="Trading",
    level=Level.OK,
    headline=Figure(name="orders_1m", label="orders, last minute", text="224", value=224),
    figures=(
        Figure(
            name="bar_age", label="newest bar", text="42 s old", value=42, unit="s", limit="warn 5 m, critical 15 m"
        ),
        Figure(name="bars_1h", label="bars, last hour", text="29,640", value=29_640),
        Figure(name="pending", label="orders pending", text="3,470", value=3470),
    ),
    sampled_at=NOW,
)


def alerting() -> FakeControl:
    """A demo platform with these alerts."""
    control = demo()
    control.operation_infos = tuple(
        OperationInfo(name=f"alerts.{name}", title=name, help=name, changes_target=False)
        for name in ("acknowledge", "silence", "unsilence")
    )
    for info in control.operation_infos:
        control.proposals[info.name] = _proposed(info.name)
        control.outcomes[info.name] = _done(info.name)
    control.answers |= {
        "alerts.history": _history,
        "alerts.silences": lambda given: SilenceList(silences=SILENCES, at=control.clock.now(), cost_ms=0.1),
        "alerts.rules": lambda given: RuleList(rules=tuple(map(_view, RULES)), at=control.clock.now(), cost_ms=0.2),
        "metrics.series": lambda given: _series(control, given),
        "scores.explain": lambda given: _analysis(),
    }
    control.emit(
        Sampled(at=NOW, snapshot=Snapshot(at=NOW, readings=(*readings(), TRADING), alerts=OPEN, scores=SCORES))
    )
    return control


def _proposed(name: str) -> Any:
    return lambda given: Proposal(operation=name, title=f"{name}?", asks=False, parameters=dict(given))


def _done(name: str) -> Any:
    return lambda given: Outcome(operation=name, is_done=True, message=f"{given['alert']}: {name.split('.')[1]} done")


def _history(given: Mapping[str, Any]) -> AlertPage:
    """450 alerts of the past behind the open ones, by pages."""
    text, limit, before = given.get("text", ""), given["limit"], given.get("before", "")
    past = [
        alert("host.cpu", 80 + n % 15, Level.WARNING, 7200 + 3600 * n,
              cleared_at=NOW - timedelta(seconds=7200 + 3600 * n - 95 - n))
        for n in range(450)
    ]  # fmt: skip
    found = [one for one in (*OPEN, *past) if text in one.message or text in one.id]
    start = int(before or 0)
    end = start + limit
    more = str(end) if end < len(found) else ""
    return AlertPage(alerts=tuple(found[start:end]), next_before=more, at=NOW, cost_ms=0.4)


def _view(rule_id: str) -> RuleView:
    rule = RULES[rule_id]
    value = {"postgresql.connections": 96.9, "host.memory": 78.0, "host.cpu": 41.0}.get(rule_id)
    shown = {name: getattr(rule, name) for name in ("id", "source", "title", "about", "unit", "is_low_bad", *FIELDS)}
    return RuleView(
        **{**shown, "clear": rule.calm},
        limits=thresholds.limits(rule),
        changed=("warning",) if rule_id == "postgresql.connections" else (),
        value=value,
        level=thresholds.level(rule, value),
    )


def _series(control: FakeControl, given: Mapping[str, Any]) -> Series:
    [name] = given["names"]
    rule, now = RULES[name], control.clock.now()
    start = now - timedelta(seconds=given["window_s"])
    step = timedelta(seconds=given["window_s"] / 100)
    wave = [62 + 35 * min(1.0, n / 70) + 2 * math.sin(n / 5) for n in range(100)]
    points = tuple(Point(start + n * step, value, value - 1, value + 1) for n, value in enumerate(wave))
    line = Line(name=name, title=f"{rule.source} {rule.title}", unit=rule.unit, points=points, warning=rule.warning,
                critical=rule.critical, is_low_bad=rule.is_low_bad)  # fmt: skip
    return Series(at=now, start=start, end=now, step_s=step.total_seconds(), lines=(line,))


def _analysis() -> Analysis:
    finding = Finding(
        id="PG01", part="postgresql", subject="max_connections", title="Nearly every connection is taken",
        severity=Severity.WARNING, evidence=(Evidence(name="connections", value=94, text="94 of 97"),),
        formula="sessions / usable", fix="ALTER SYSTEM SET max_connections = 200;", effect=Effect.RESTART,
    )  # fmt: skip
    return Analysis(at=NOW, interval_s=2.0, target="sandbox", database="d", cache="c", machine=Machine(),
                    scores=SCORES, measures=(), findings=(finding,))  # fmt: skip
