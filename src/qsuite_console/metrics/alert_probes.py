"""The questions of the Alerts screen and of the verb ``alerts``: what burns, what burned, silences, rules in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec.structs import replace

from qsuite_console.config.rules import FIELDS
from qsuite_console.engine.parameters import decode
from qsuite_console.metrics import thresholds
from qsuite_console.metrics.monitoring import Monitoring, monitoring_of
from qsuite_console.metrics.thresholds import RULES, Rule
from qsuite_console.model.alerts import AlertPage, AlertQuery, RuleList, RuleView, SilenceList
from qsuite_console.model.health import Alert, Level

if TYPE_CHECKING:
    from qsuite_console.workers import Services


class TextParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for, in any part of it; "" is everything."""

    text: Annotated[str, msgspec.Meta(max_length=200)] = ""


class HistoryParameters(TextParameters, frozen=True, kw_only=True):
    """A page: ``before`` is the ``next_before`` of the one above it."""

    before: Annotated[str, msgspec.Meta(max_length=200)] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 200


class _Probe:
    timeout_s = 5.0

    def __init__(self, services: Services) -> None:
        self._services = services
        self._clock = services.clock

    @property
    def _monitoring(self) -> Monitoring:
        return monitoring_of(self._services)


class OpenProbe(_Probe):
    """Answers ``alerts.open``: what burns, loud or quiet, and what ended in the last minutes."""

    name = "alerts.open"

    async def ask(self, parameters: Mapping[str, Any]) -> AlertPage:
        """Return them, critical first; raises InvalidParameters."""
        text = decode(TextParameters, parameters).text.strip().lower()
        alerts = self._monitoring.book.alerts()
        return AlertPage(alerts=tuple(alert for alert in alerts if matches(alert, text)), at=self._clock.now())


class HistoryProbe(_Probe):
    """Answers ``alerts.history`` by pages."""

    name = "alerts.history"

    async def ask(self, parameters: Mapping[str, Any]) -> AlertPage:
        """Return a page, newest first; raises InvalidParameters, HistoryUnavailable."""
        wanted: HistoryParameters = decode(HistoryParameters, parameters)
        begun = self._clock.monotonic()
        page = await self._monitoring.book.page(AlertQuery(text=wanted.text, before=wanted.before, limit=wanted.limit))
        cost_ms = round(1000 * (self._clock.monotonic() - begun), 1)
        return replace(page, at=self._clock.now(), cost_ms=cost_ms)


class SilencesProbe(_Probe):
    """Answers ``alerts.silences``."""

    name = "alerts.silences"

    async def ask(self, parameters: Mapping[str, Any]) -> SilenceList:
        """Return those in force; raises InvalidParameters."""
        text = decode(TextParameters, parameters).text.strip().lower()
        found = self._monitoring.book.silences()
        return SilenceList(
            silences=tuple(one for one in found if text in f"{one.subject} {one.by} {one.reason}".lower()),
            at=self._clock.now(),
        )


class RulesProbe(_Probe):
    """Answers ``alerts.rules``: the thresholds in force."""

    name = "alerts.rules"

    async def ask(self, parameters: Mapping[str, Any]) -> RuleList:
        """Return them by source; raises InvalidParameters."""
        text = decode(TextParameters, parameters).text.strip().lower()
        monitoring = self._monitoring
        views = (_view(rule, monitoring.book.values.get(rule.id)) for rule in monitoring.rules.values())
        found = tuple(view for view in views if text in f"{view.id} {view.title} {view.about}".lower())
        return RuleList(rules=found, at=self._clock.now())


def matches(alert: Alert, text: str) -> bool:
    """Tell whether a text in lower case stands in an alert."""
    return text in f"{alert.id} {alert.level} {alert.message} {alert.acknowledged_by or ''}".lower()


def _view(rule: Rule, value: float | None) -> RuleView:
    default = RULES.get(rule.id, rule)
    shown = {name: getattr(rule, name) for name in ("id", "source", "title", "about", "unit", "is_low_bad", *FIELDS)}
    return RuleView(
        **{**shown, "clear": rule.calm},
        limits=thresholds.limits(rule),
        changed=tuple(name for name in FIELDS if getattr(rule, name) != getattr(default, name)),
        value=value,
        level=thresholds.level(rule, value) if rule.enabled else Level.UNKNOWN,
    )
