"""Alerts as they are looked up: pages of the past, silences, and the rules that are in force."""

from __future__ import annotations

from datetime import datetime

import msgspec

from qsuite_console.model.advice import Unread
from qsuite_console.model.health import Alert, Level


class AlertQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts, newest first. ``before`` is the ``next_before`` of the page above; ``text`` is looked for."""

    text: str = ""
    before: str = ""
    limit: int = 200
    burning: bool | None = None  # None: both


class AlertPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of alerts, newest first."""

    alerts: tuple[Alert, ...] = ()
    next_before: str = ""
    at: datetime | None = None
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Until when a rule ("host.cpu") or everything of a source ("host") is quiet, and why."""

    subject: str
    since: datetime
    until: datetime
    by: str
    reason: str = ""

    def covers(self, alert_id: str) -> bool:
        """Tell whether an alert falls under it."""
        return self.subject in (alert_id, alert_id.partition(".")[0])


class SilenceList(msgspec.Struct, frozen=True, kw_only=True):
    """The silences in force, the one that ends first at the top."""

    silences: tuple[Silence, ...] = ()
    at: datetime | None = None
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()


class RuleView(msgspec.Struct, frozen=True, kw_only=True):
    """One rule as it is in force. ``changed``: which of its fields the settings state; ``origin``: where."""

    id: str
    source: str
    title: str
    about: str
    unit: str
    limits: str  # "warn 80 %, critical 95 %"
    warning: float | None
    critical: float | None
    clear: float | None
    is_low_bad: bool
    for_s: float
    clear_s: float
    enabled: bool
    changed: tuple[str, ...] = ()
    value: float | None = None  # newest; None: not measured now
    level: Level = Level.UNKNOWN


class RuleList(msgspec.Struct, frozen=True, kw_only=True):
    """Every rule, by source."""

    rules: tuple[RuleView, ...] = ()
    at: datetime | None = None
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()
