"""How a state looks: glyph, word and colour together, so that none of them has to carry the meaning alone."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from qsuite_console.model.health import Level, Reading
from qsuite_console.model.jobs import JobState

GRACE_S: Final = 0.7  # beyond the sampling interval: what stops answering looks stale within three seconds


class Look(NamedTuple):
    """``tone`` is the suffix of a colour token: ok, warn, error, run, dim."""

    glyph: str
    word: str
    tone: str


TONES: Final = {
    "ok": "$success",
    "warn": "$warning",
    "error": "$error",
    "run": "$primary",
    "dim": "$dim",
    "accent": "$accent",
    "text": "$foreground",
}

LEVELS: Final = {
    Level.OK: Look("●", "ok", "ok"),
    Level.WARNING: Look("▲", "warning", "warn"),
    Level.CRITICAL: Look("✖", "critical", "error"),
    Level.UNKNOWN: Look("◌", "unknown", "dim"),
}
STALE: Final = Look("◌", "stale", "dim")
LOADING: Final = Look("◌", "waiting", "dim")
FAILED_SOURCE: Final = Look("✖", "no answer", "error")

JOBS: Final = {
    JobState.SCHEDULED: Look("◷", "scheduled", "dim"),
    JobState.QUEUED: Look("·", "queued", "dim"),
    JobState.RUNNING: Look("▶", "running", "run"),
    JobState.PAUSED: Look("‖", "paused", "warn"),
    JobState.SUCCEEDED: Look("✔", "succeeded", "ok"),
    JobState.FAILED: Look("✖", "failed", "error"),
    JobState.CANCELLED: Look("⊘", "cancelled", "dim"),
    JobState.INTERRUPTED: Look("↯", "interrupted", "warn"),
}
RETRYING: Final = Look("↻", "retrying", "warn")
CANCELLING: Final = Look("⊘", "cancelling", "warn")


def age_of(reading: Reading, now: datetime) -> float | None:
    """Return the seconds since the last good sample, or None before the first."""
    return None if reading.sampled_at is None else max(0.0, (now - reading.sampled_at).total_seconds())


def is_stale(reading: Reading, now: datetime) -> bool:
    """Return whether a sample that should be there by now is missing."""
    age = age_of(reading, now)
    return age is not None and age > reading.interval_s + GRACE_S


def of_reading(reading: Reading, now: datetime) -> Look:
    """Return how a reading looks now: an old one is never shown as a confident one."""
    if reading.sampled_at is None:
        return FAILED_SOURCE if reading.error else LOADING
    if is_stale(reading, now):
        return FAILED_SOURCE if reading.error else STALE
    return LEVELS[reading.level]


def of_job(state: JobState, *, attempt: int = 0, is_cancelling: bool = False) -> Look:
    """Return how a job looks: one that waits for its next try differs from one that waits for its time."""
    if is_cancelling and state is JobState.RUNNING:
        return CANCELLING
    if state is JobState.SCHEDULED and attempt > 0:
        return RETRYING
    return JOBS[state]
