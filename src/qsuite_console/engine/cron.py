"""Cron expressions: croniter reads them, field by field; what matches when is walked here, on the wall clock, bounded.

croniter's own walk runs a daily 01:30 twice when the clocks go back and searches fifty years day by day for a
30 February, so only its parser is used. Times here are naive: what a wall clock shows (``occurrences`` knows zones).
"""

from __future__ import annotations

import calendar
import functools
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.text import clean

FIELDS: Final = ("minute", "hour", "day of month", "month", "day of week", "second")
ALIASES: Final[Mapping[str, str]] = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
EMPTY_MONTHS: Final = 50 * 12  # without a match after these it never comes; a fifth Sunday in February takes 40 years
LAST_YEAR: Final = 9900
_RANGES: Final = ("0 to 59", "0 to 23", "1 to 31, or l for the last", "1 to 12, or jan to dec",
                  "0 to 7, or sun to sat; fri#2 is the second Friday, l5 the last", "0 to 59")  # fmt: skip
_LONGEST: Final = 200
_LARGEST: Final = (59, 23, 31, 12, 7, 59)
_NAMED: Final = {
    **{name: str(number) for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])},
    **{
        name: str(number)
        for number, name in enumerate(
            ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
        )
    },
}
_SECOND: Final = timedelta(seconds=1)
_RANDOM: Final = re.compile(r"(?<![a-z])[hr](?![a-z])")
LAST: Final = 0  # among days of the month: the last one; among the weeks of a weekday: its last


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed expression; all sets sorted. ``days`` and ``weekdays`` None: any. Sunday is 0."""

    text: str
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...] | None
    months: tuple[int, ...]
    weekdays: tuple[int, ...] | None
    weeks: tuple[tuple[int, int], ...] = ()  # (weekday, which of the month): instead of ``weekdays``
    has_seconds: bool = False

    @property
    def is_hourly(self) -> bool:
        """Return whether every hour matches: then it keeps pace with real time instead of with times of the day."""
        return len(self.hours) == 24

    def days_of(self, year: int, month: int) -> tuple[int, ...]:
        """Return the days that match in a month; where both kinds of day are given, either will do."""
        first, length = calendar.monthrange(year, month)
        return _days(self.days, self.weekdays, self.weeks, (first + 1) % 7, length)

    def walls(self, start: datetime) -> Iterator[datetime | None]:
        """Yield the wall times from ``start`` on, ascending; ends by itself once nothing comes for fifty years.

        None is yielded for each month without a match, so that whoever iterates can count the steps.
        """
        floor = start.replace(microsecond=0)
        if floor < start:
            floor += _SECOND
        year, month, empty = floor.year, floor.month, 0
        while empty <= EMPTY_MONTHS and year < LAST_YEAR:
            days = self.days_of(year, month) if month in self.months else ()
            is_first = (year, month) == (floor.year, floor.month)
            found = False
            for day in days[bisect_left(days, floor.day) if is_first else 0 :]:
                midnight = floor.replace(year=year, month=month, day=day, hour=0, minute=0, second=0)
                for wall in self._times(midnight, floor if is_first and day == floor.day else None):
                    found = True
                    yield wall
            empty = 0 if found else empty + 1
            if not found:
                yield None
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)

    def _times(self, midnight: datetime, floor: datetime | None) -> Iterator[datetime]:
        """Yield the matching times of one day, from ``floor`` on."""
        hours = self.hours if floor is None else self.hours[bisect_left(self.hours, floor.hour) :]
        for hour in hours:
            is_first = floor is not None and hour == floor.hour
            minutes = self.minutes[bisect_left(self.minutes, floor.minute) :] if floor and is_first else self.minutes
            for minute in minutes:
                for second in self.seconds:
                    wall = midnight.replace(hour=hour, minute=minute, second=second)
                    if floor is None or wall >= floor:
                        yield wall


@functools.lru_cache(maxsize=1024)
def _days(
    days: tuple[int, ...] | None,
    weekdays: tuple[int, ...] | None,
    weeks: tuple[tuple[int, int], ...],
    first: int,
    length: int,
) -> tuple[int, ...]:
    """Return the matching days of a month that begins on weekday ``first`` (Sunday is 0) and has ``length`` days."""
    whole = range(1, length + 1)
    by_day = set() if days is None else {length if day == LAST else day for day in days if day <= length}
    by_weekday: set[int] = set()
    for weekday in weekdays or ():
        by_weekday.update(day for day in whole if (first + day - 1) % 7 == weekday)
    for weekday, which in weeks:
        same = [day for day in whole if (first + day - 1) % 7 == weekday]
        by_weekday.update(same[-1:] if which == LAST else same[which - 1 : which])
    is_any_weekday = weekdays is None and not weeks
    if days is None:
        return tuple(whole) if is_any_weekday else tuple(sorted(by_weekday))
    return tuple(sorted(by_day if is_any_weekday else by_day | by_weekday))


@functools.lru_cache(maxsize=512)
def parse(text: str) -> Cron:
    """Return the expression; raises InvalidParameters for ``cron`` that names the field and what it takes."""
    plain = " ".join(text.lower().split())
    if plain.startswith("@"):
        if plain not in ALIASES:
            raise _refused(f"“{clean(plain, 30)}” is not an alias; one of {', '.join(ALIASES)}")
        plain = ALIASES[plain]
    fields = plain.split(" ") if plain else []
    if len(fields) not in (5, 6):
        raise _refused(
            f"has {len(fields)} fields, not 5: minute, hour, day of month, month, day of week; a sixth is the second,"
            " for example 25 9 * * mon-fri"
        )
    if len(plain) > _LONGEST:
        raise _refused(f"is longer than {_LONGEST} characters")
    return _built(" ".join(text.split()), [_checked(position, field) for position, field in enumerate(fields)])


def _checked(position: int, field: str) -> str:
    """Read one field alone, so that a refusal can name it, and return it without what croniter takes for another.

    It takes a range of one value (5-5) for all values, and a step beyond the field (*/90) for the first value.
    """
    name, allowed = FIELDS[position], _RANGES[position]
    shown = clean(field, 30)
    if _RANDOM.search(field) and position != 4:
        raise _refused(f"{name}: “{shown}” is chosen by chance or hash, which is not kept; {allowed}")
    parts: list[str] = []
    for part in field.split(","):
        stretch, _, step = part.partition("/")
        if step.isdecimal() and int(step) > _LARGEST[position]:
            raise _refused(f"{name}: “{shown}” steps beyond the field; use an interval, or several times")
        first, dash, last = stretch.partition("-")
        is_one = bool(dash) and _number(first) == _number(last)
        parts.append(first if is_one else part)
    alone = ["*"] * max(5, position + 1)
    alone[position] = ",".join(parts)
    _expand(alone, f"{name}: “{shown}” is not valid; {allowed}")
    return alone[position]


def _number(value: str) -> str:
    """Return a value as a number, also where it is the name of a day or month."""
    named = _NAMED.get(value, value)
    return named.lstrip("0") or "0" if named.isdecimal() else named


def _expand(fields: list[str], refusal: str) -> tuple[list[list[Any]], dict[int, set[Any]]]:
    from croniter import CroniterError, croniter  # 40 ms to load: only where there is a cron expression

    try:
        expanded, weeks = croniter.expand(" ".join(fields))
    except (CroniterError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise _refused(refusal) from error
    return expanded, weeks


def _built(text: str, fields: list[str]) -> Cron:
    expanded, weeks = _expand(fields, "is not a cron expression that can be read")
    minutes, hours, days, months, weekdays, *rest = expanded
    has_weeks = bool(weeks)
    return Cron(
        text=text,
        seconds=_values(rest[0], range(60)) if rest else (0,),
        minutes=_values(minutes, range(60)),
        hours=_values(hours, range(24)),
        days=None if "*" in days else tuple(sorted({LAST if day == "l" else int(day) for day in days})),
        months=_values(months, range(1, 13)),
        weekdays=None if "*" in weekdays or has_weeks else tuple(sorted({int(day) % 7 for day in weekdays})),
        weeks=tuple(sorted((int(day) % 7, LAST if n == "l" else int(n)) for day, all_ in weeks.items() for n in all_)),
        has_seconds=bool(rest),
    )


def _values(found: list[Any], whole: range) -> tuple[int, ...]:
    return tuple(whole) if "*" in found else tuple(sorted({int(value) for value in found}))


def _refused(why: str) -> InvalidParameters:
    return InvalidParameters({"cron": why})
