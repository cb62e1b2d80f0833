"""What a schedule is to everyone: when which job is made, what happens to a run that was missed or overlaps.

A *plan* is an instant at which a schedule is to make its job. Plans are kept as UTC instants; ``zone`` is where the
wall clock hangs that cron and one-off times are written for. All durations are seconds.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.text import clean

NAME: Final = r"^[a-z0-9][a-z0-9._-]{0,59}$"
LEAST_FIELDS: Final = 5  # of a cron expression
MOST_MADE_UP: Final = 100  # missed runs that the policy "all" makes up; of more, the newest

_DATE: Final = re.compile(r"\d{4}-\d")


class Missed(StrEnum):
    """What becomes of plans that passed while nothing could run them."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class Overlap(StrEnum):
    """What a plan does whose schedule's last job is not over."""

    SKIP = "skip"
    QUEUE = "queue"
    CANCEL = "cancel-previous"


class RunOutcome(StrEnum):
    """What became of one plan."""

    STARTED = "started"  # its job is made and not over
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    WAITING = "waiting"  # for the job before it to end
    SKIPPED = "skipped"  # the job before it was not over
    MISSED = "missed"  # nothing ran at its time, and the policy makes it not up
    REFUSED = "refused"  # read-only target, unconfirmed, unknown kind, parameters that are wrong


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """When: exactly one of ``cron``, ``every_s`` and ``once_at``."""

    cron: str = ""
    every_s: float = 0.0  # counted from 1970-01-01 00:00 UTC: every 300 s is :00, :05, :10 …
    once_at: datetime | None = None
    zone: str = "UTC"


def timing_of(text: str) -> dict[str, str]:
    """Return what one line says as cron, every and once: a date begins a time, five words, a star or @ are cron."""
    text = text.strip()
    field = "every"
    if text.startswith("@") or "*" in text or len(text.split()) >= LEAST_FIELDS:
        field = "cron"
    elif _DATE.match(text):
        field = "once"
    return {"cron": "", "every": "", "once": "", field: text}


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A job that makes itself. ``revision`` grows with every edit."""

    id: int = 0
    name: str
    kind: str
    parameters: dict[str, Any] = {}
    timing: Timing
    missed: Missed = Missed.SKIP
    grace_s: float = 60.0  # a run that late still counts as on time
    overlap: Overlap = Overlap.SKIP
    jitter_s: float = 0.0  # spread over this long after the plan, the same way for the same plan
    is_enabled: bool = True
    note: str = ""  # what it is for, in the operator's words
    confirmed: str = ""  # the production target's name that was typed when it was enabled
    revision: int = 1
    created_at: datetime | None = None
    changed_at: datetime | None = None
    handled_until: datetime | None = None  # every plan up to here has been dealt with


class ScheduleRun(msgspec.Struct, frozen=True, kw_only=True):
    """One plan that was dealt with; ``covers`` counts the plans it stands for (missed ones are told together)."""

    schedule_id: int
    planned_at: datetime
    at: datetime  # when it was dealt with; the first of several that it stands for
    outcome: RunOutcome
    trigger: str = "plan"  # "plan", "made up", "by hand"
    job_id: int | None = None
    note: str = ""  # why, where that needs a word
    covers: int = 1
    finished_at: datetime | None = None

    @property
    def newest_at(self) -> datetime:
        """Return when it happened last: a run that stands for several began before."""
        return max(self.at, self.planned_at)


class Occurrences(msgspec.Struct, frozen=True, kw_only=True):
    """Plans in a stretch of time, ascending. ``truncated``: there may be more, and ``reason`` says why it stopped."""

    times: tuple[datetime, ...] = ()
    truncated: bool = False
    reason: str = ""


class Frequency(msgspec.Struct, frozen=True, kw_only=True):
    """How often; intervals are seconds, None where there is no second plan."""

    per_day: float = 0.0
    per_week: float = 0.0
    shortest_s: float | None = None
    mean_s: float | None = None


class Collision(msgspec.Struct, frozen=True, kw_only=True):
    """Another enabled schedule that plans at the same instants."""

    name: str
    count: int
    first_at: datetime
    within_s: float  # the stretch that was looked at


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as a list shows it."""

    schedule: Schedule
    words: str  # "every weekday at 09:25 New York time"
    next_at: datetime | None = None  # planned; None: paused, over, or never
    starts_at: datetime | None = None  # ``next_at`` with its jitter
    last: ScheduleRun | None = None
    job_id: int | None = None  # its job that is not over
    problem: str = ""  # why it can't run as it stands: a read-only target, a kind that is not there

    @property
    def is_over(self) -> bool:
        """Return whether a one-off has had its time."""
        return self.schedule.timing.once_at is not None and self.schedule.is_enabled and self.next_at is None


class ScheduleList(msgspec.Struct, frozen=True, kw_only=True):
    """All schedules by name; ``is_running``: an engine that runs plans answers, not one that only edits them."""

    at: datetime
    schedules: tuple[ScheduleView, ...] = ()
    is_running: bool = True
    unread: tuple[str, ...] = ()
    cost_ms: float = 0.0


class ScheduleDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule with what is to come and what was."""

    at: datetime
    view: ScheduleView
    upcoming: Occurrences = Occurrences()
    frequency: Frequency = Frequency()
    collisions: tuple[Collision, ...] = ()
    notes: tuple[str, ...] = ()  # the next change of the clocks and what it does here, limits, policies in words
    runs: tuple[ScheduleRun, ...] = ()  # newest first
    cost_ms: float = 0.0


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What a timing means, also one that is being typed: ``problems`` maps fields to what is wrong with them."""

    at: datetime
    words: str = ""
    timing: Timing | None = None
    upcoming: Occurrences = Occurrences()
    frequency: Frequency = Frequency()
    collisions: tuple[Collision, ...] = ()
    notes: tuple[str, ...] = ()
    problems: dict[str, str] = {}
    cost_ms: float = 0.0


def length(seconds: float) -> str:
    """Return a length in whole seconds as one says it: "30 s", "5 min", "1 h 30 min", "2 days"."""
    left, parts = round(seconds), list[str]()
    for unit, name in ((86_400, "day"), (3600, "h"), (60, "min"), (1, "s")):
        number, left = divmod(left, unit)
        if number:
            parts.append(f"{number} {name}{'s' if name == 'day' and number > 1 else ''}")
    return " ".join(parts) or "0 s"


def written(parameters: Mapping[str, Any]) -> str:
    """Return a job's parameters as they are typed."""
    if all(isinstance(value, str | int | float | bool) for value in parameters.values()):
        return " ".join(f"{name}={shlex.quote(str(value))}" for name, value in parameters.items())
    return msgspec.json.encode(parameters).decode()


def parameters_of(text: str) -> dict[str, Any]:
    """Return what ``written`` has written: JSON, or words like symbols=AAPL; raises InvalidParameters."""
    text = text.strip()
    try:
        if text.startswith("{"):
            return msgspec.json.decode(text, type=dict[str, Any])
        pairs = [word.partition("=") for word in shlex.split(text)]
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidParameters({"parameters": f"can't be read: {clean(error, 100)}"}) from error
    if any(not equals or not name for name, equals, _ in pairs):
        raise InvalidParameters({"parameters": "are written name=value, name=value … or as JSON"})
    return {name: value for name, _, value in pairs}


def fields_of(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule as the operation ``schedules.save`` takes it."""
    timing = schedule.timing
    once = "" if timing.once_at is None else f"{timing.once_at.astimezone(ZoneInfo(timing.zone)):%Y-%m-%d %H:%M:%S}"
    return {
        "name": schedule.name,
        "kind": schedule.kind,
        "parameters": written(schedule.parameters),
        "cron": timing.cron,
        "every": length(timing.every_s) if timing.every_s else "",
        "once": once,
        "zone": timing.zone,
        "missed": schedule.missed.value,
        "grace": length(schedule.grace_s),
        "overlap": schedule.overlap.value,
        "jitter": length(schedule.jitter_s),
        "note": schedule.note,
        "enabled": schedule.is_enabled,
        "revision": schedule.revision,
    }
