"""A timing in the words an operator would use: "every weekday at 09:25 New York time". Says all that it means: where a
form has no short words, its parts are listed.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from qsuite_console.engine import cron
from qsuite_console.model.schedules import Timing, length

_WEEKDAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_WEEKS: Final = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", cron.LAST: "last"}
_FEW: Final = 6  # times of the day that are listed one by one


def words(timing: Timing) -> str:
    """Return what a timing means in plain words; raises InvalidParameters for a cron expression that is wrong."""
    if timing.every_s:
        return f"every {length(timing.every_s)}"
    if timing.once_at is not None:
        local = timing.once_at.astimezone(ZoneInfo(timing.zone))
        return f"once, on {local:%a} {local.day} {local:%b %Y} at {clock(local)} {place(timing.zone)}"
    parsed = cron.parse(timing.cron)
    days, listed = _days(parsed), _listed(parsed)
    if listed:
        return f"{days} at {_and(listed)} {place(timing.zone)}"
    return f"{_pace(parsed)}{'' if days == 'every day' else f' {_on(days)}'}{_zone_of(parsed, timing.zone)}"


def clock(at: datetime) -> str:
    """Return a time of the day, with seconds only where there are any."""
    return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"


def place(zone: str) -> str:
    """Return whose time it is: "UTC", "New York time"."""
    return zone if "/" not in zone else f"{zone.rpartition('/')[2].replace('_', ' ')} time"


def _zone_of(parsed: cron.Cron, zone: str) -> str:
    """Return the zone where it matters: not for what comes every hour of every day."""
    is_everywhere = parsed.is_hourly and parsed.days is None and parsed.weekdays is None and not parsed.weeks
    return "" if is_everywhere and len(parsed.months) == 12 else f", {place(zone)}"


def _on(days: str) -> str:
    if days.startswith("every weekday"):
        return days.replace("every weekday", "on weekdays", 1)
    return days if days.startswith("on ") else f"on {days}"


def _listed(parsed: cron.Cron) -> list[str]:
    """Return the times of the day one by one where they are few, else nothing."""
    seconds = parsed.seconds
    if len(parsed.hours) * len(parsed.minutes) * len(seconds) > _FEW:
        return []
    with_seconds = seconds != (0,)
    times = [(hour, minute, second) for hour in parsed.hours for minute in parsed.minutes for second in seconds]
    return [f"{hour:02}:{minute:02}" + (f":{second:02}" if with_seconds else "") for hour, minute, second in times]


def _pace(parsed: cron.Cron) -> str:
    """Return what comes more often than a few times a day."""
    if parsed.seconds == (0,):
        return _minutes(parsed)
    every = _step(parsed.seconds, 60)
    told = f"at second {_and(_ranges(parsed.seconds))}"
    if every:
        told = "every second" if every == 1 else f"every {every} seconds"
    if len(parsed.minutes) == 60:
        return f"{told}{'' if every else ' of every minute'}{_from_to(parsed)}"
    return f"{told} of minute {_and(_ranges(parsed.minutes))}{_of_hours(parsed)}"


def _minutes(parsed: cron.Cron) -> str:
    minutes, hours = parsed.minutes, parsed.hours
    every = _step(minutes, 60)
    if every:
        return f"{'every minute' if every == 1 else f'every {every} minutes'}{_from_to(parsed)}"
    if len(minutes) > 1:
        return f"at minute {_and(_ranges(minutes))}{_of_hours(parsed)}"
    spaced = _step(hours, 24)
    if spaced > 1:
        first, second = (f"{hour:02}:{minutes[0]:02}" for hour in hours[:2])
        return f"every {spaced} hours ({first}, {second} …)"
    return f"every hour{f' at {minutes[0]} past' if minutes[0] and len(hours) == 24 else ''}{_from_to(parsed)}"


def _of_hours(parsed: cron.Cron) -> str:
    return " of every hour" if len(parsed.hours) == 24 else f" of hour {_and(_ranges(parsed.hours))}"


def _from_to(parsed: cron.Cron) -> str:
    """Return which hours, where not all: those of a stretch by its first and its last run."""
    hours = parsed.hours
    if len(hours) == 24:
        return ""
    if hours[-1] - hours[0] + 1 == len(hours):
        return f" from {hours[0]:02}:{parsed.minutes[0]:02} to {hours[-1]:02}:{parsed.minutes[-1]:02}"
    return f" of hour {_and(_ranges(hours))}"


def _days(parsed: cron.Cron) -> str:
    """Return which days, beginning with every, on or in."""
    months = "" if len(parsed.months) == 12 else _and([calendar.month_name[month] for month in parsed.months])
    named = [day for day in (_month_days(parsed.days, months), _week_days(parsed)) if day]
    if not named:
        return f"every day in {months}" if months else "every day"
    if parsed.days is None:
        return f"{named[0]} in {months}" if months else named[0]
    if len(named) == 1:
        return named[0]
    extra = named[1] if not months else f"{named[1]} in {months}"
    return f"{named[0]} and {extra}"


def _month_days(days: Sequence[int] | None, months: str) -> str:
    if days is None:
        return ""
    told = _and(_ranges([day for day in days if day != cron.LAST]))
    parts = [f"day {told}"] if told else []
    parts += ["the last day"] if cron.LAST in days else []
    return f"on {_and(parts)} of {months or 'the month'}"


def _week_days(parsed: cron.Cron) -> str:
    if parsed.weeks:
        return f"on the {_and([f'{_WEEKS[which]} {_WEEKDAYS[day]}' for day, which in parsed.weeks])} of the month"
    if parsed.weekdays is None:
        return ""
    if parsed.weekdays == (1, 2, 3, 4, 5):
        return "every weekday"
    if len(parsed.weekdays) == 7:
        return "every day"
    return f"every {_and([_WEEKDAYS[day] for day in parsed.weekdays])}"


def _step(values: Sequence[int], whole: int) -> int:
    """Return n where the values are every n-th from 0 on and n divides the whole evenly, else 0."""
    if len(values) < 2:
        return 0
    step = values[1] - values[0]
    return step if whole % step == 0 and tuple(values) == tuple(range(0, whole, step)) else 0


def _ranges(values: Sequence[int]) -> list[str]:
    """Return values with runs of three and more folded: 1, 5–9."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    told: list[str] = []
    for run in runs:
        told += [f"{run[0]}–{run[-1]}"] if len(run) > 2 else [str(value) for value in run]
    return told


def _and(parts: Sequence[object]) -> str:
    texts = [str(part) for part in parts]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}" if texts else ""
