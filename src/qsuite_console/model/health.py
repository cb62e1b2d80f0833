"""Snapshots of what is watched, as the overview shows it: readings with level, figure, limit, age and history."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import msgspec

from qsuite_console.model.advice import Score


class Level(StrEnum):
    """How a thing is. ``unknown`` is neither good nor bad: it was not measured."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One labelled number under a reading; ``text`` is ready for the screen ("12 / 100"), ``value`` for machines."""

    name: str  # stable identifier: "connections"
    label: str
    text: str
    value: float | None = None  # in ``unit``: what limits compare
    unit: str = ""
    amount: float | None = None  # the number in ``text`` where limits compare another: 12 sessions, of 100
    level: Level = Level.OK
    limit: str = ""  # "warn 80 %, critical 95 %"


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One tile: a source, its headline figure, its history and what it is made of."""

    source: str  # "postgresql", "redis", "host", "jobs", "console"
    title: str
    level: Level
    headline: Figure
    figures: tuple[Figure, ...] = ()
    history: tuple[float | None, ...] = ()  # headline values, oldest first, one a sample; None is a gap
    interval_s: float = 2.0
    sampled_at: datetime | None = None  # of the last good sample: the age of what is shown
    error: str | None = None  # why the newest sample is missing, in one line


class AlertState(StrEnum):
    """An alert burns until its value has stayed beyond the clear limit."""

    FIRING = "firing"
    CLEARED = "cleared"


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold that was crossed for long enough, or a source that stopped answering."""

    id: str  # stable per rule: "postgresql.connections"
    source: str
    level: Level
    state: AlertState
    message: str
    since: datetime
    cleared_at: datetime | None = None
    title: str = ""  # what it is about: "connections in use"
    about: str = ""  # what is measured, and why it matters
    value: float | None = None  # when it fired, or became critical
    unit: str = ""
    limit: str = ""  # "warn 80 %, critical 95 %"
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    silenced_until: datetime | None = None  # it is visible all the same, but quiet
    silenced_by: str = ""
    silence_reason: str = ""

    @property
    def is_burning(self) -> bool:
        """Tell whether it burns."""
        return self.state is AlertState.FIRING

    @property
    def is_loud(self) -> bool:
        """Tell whether it burns and nobody has taken it or silenced it."""
        return self.is_burning and self.acknowledged_by is None and self.silenced_until is None


class AlertTally(msgspec.Struct, frozen=True, kw_only=True):
    """How many alerts burn: loud ones, and those that were acknowledged or silenced (silenced counts first)."""

    burning: int = 0
    critical: int = 0  # of the burning ones
    acknowledged: int = 0
    silenced: int = 0


def tally(alerts: Iterable[Alert]) -> AlertTally:
    """Count the alerts that burn; each once."""
    firing = [alert for alert in alerts if alert.is_burning]
    loud = [alert for alert in firing if alert.is_loud]
    silenced = sum(alert.silenced_until is not None for alert in firing)
    return AlertTally(
        burning=len(loud),
        critical=sum(alert.level is Level.CRITICAL for alert in loud),
        acknowledged=len(firing) - len(loud) - silenced,
        silenced=silenced,
    )


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All readings of one moment."""

    at: datetime | None = None
    readings: tuple[Reading, ...] = ()
    alerts: tuple[Alert, ...] = ()  # firing first, then recently cleared
    scores: tuple[Score, ...] = ()  # overall first; what is known now, with reasons
