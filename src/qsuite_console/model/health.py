"""Snapshots of what is watched, as the overview shows it: readings with level, figure, limit, age and history."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


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
    value: float | None = None
    unit: str = ""
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
    acknowledged_by: str | None = None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All readings of one moment."""

    at: datetime | None = None
    readings: tuple[Reading, ...] = ()
    alerts: tuple[Alert, ...] = ()  # firing first, then recently cleared
