"""Instants as programs state them, read once: in UTC, and where a calendar can still count days on from them."""

from __future__ import annotations

from datetime import UTC, datetime

from qsuite_console.model.errors import UsageProblem

_YEARS = range(1900, 9000)


def stated(at: datetime, name: str) -> datetime:
    """Return an instant in UTC; raises UsageProblem, naming it, where it says no zone or is at the calendar's ends."""
    if at.tzinfo is None:
        raise UsageProblem(f"{name} must say its zone, as in 2026-11-30T09:25:00Z")
    if at.year not in _YEARS:  # before it is converted: that may lead beyond the calendar
        raise UsageProblem(f"{name} must be of a year from {_YEARS[0]} to {_YEARS[-1]}")
    return at.astimezone(UTC)
