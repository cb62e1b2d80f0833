"""Figures over time, ready to be plotted: lines with their limits, and what happened meanwhile on the same axis."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Point(msgspec.Struct, frozen=True, array_like=True):
    """One step of a line, which begins at ``at``; None in all three is a gap: nothing was measured there."""

    at: datetime
    mean: float | None = None
    low: float | None = None
    high: float | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One figure ("host.cpu"), oldest point first; limits are in ``unit``, trouble is below them if ``is_low_bad``."""

    name: str
    title: str
    unit: str = ""
    points: tuple[Point, ...] = ()
    warning: float | None = None
    critical: float | None = None
    is_low_bad: bool = False


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened: an alert that burned or a job that ran. ``until`` None: it still does."""

    kind: str  # "alert", "job"
    id: str  # the alert's rule, the job's number
    title: str
    level: str  # of an alert; a job's state
    at: datetime
    until: datetime | None = None


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``metrics.series``: a line for each name asked for, in that order; empty if unknown."""

    at: datetime
    start: datetime
    end: datetime
    step_s: float  # how much time a point stands for, at least
    lines: tuple[Line, ...] = ()
    marks: tuple[Mark, ...] = ()  # oldest first
    problem: str = ""  # why nothing can be looked up, in one line
    cost_ms: float = 0.0
