"""The New York exchange's calendar, computed: the fallback when neither the provider nor the database has one.

Pure rules for 1990-2035, without a time-zone database. One-off closures and early closes are listed; halts and late
opens within a session are not modelled. Sources: NYSE "Holidays & Trading Hours", NYSE Rule 7.2 and its archive of
special closings; New York's daylight-saving rules of 1987 and 2007 (15 U.S.C. 260a).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final

from qsuite_console.model.market import Session

FIRST_YEAR: Final = 1990
LAST_YEAR: Final = 2035

_OPEN: Final = time(9, 30)
_CLOSE: Final = time(16)
_EARLY: Final = time(13)
_EARLY_BEFORE_1993: Final = time(14)
_MONDAY, _THURSDAY, _FRIDAY, _SATURDAY, _SUNDAY = 0, 3, 4, 5, 6

_SPECIAL_CLOSURES: Final = frozenset(
    {
        date(1994, 4, 27),  # funeral of Richard Nixon
        date(2001, 9, 11),
        date(2001, 9, 12),
        date(2001, 9, 13),
        date(2001, 9, 14),
        date(2004, 6, 11),  # mourning for Ronald Reagan
        date(2007, 1, 2),  # mourning for Gerald Ford
        date(2012, 10, 29),  # hurricane Sandy
        date(2012, 10, 30),
        date(2018, 12, 5),  # mourning for George H. W. Bush
        date(2025, 1, 9),  # mourning for Jimmy Carter
    }
)
_SPECIAL_EARLY: Final = frozenset({date(1997, 12, 26), date(1999, 12, 31), date(2003, 12, 26)})


def sessions(start: date, end: date) -> list[Session]:
    """Return the sessions from ``start`` to ``end``, both included, oldest first; nothing outside 1990-2035."""
    found: list[Session] = []
    for year in range(max(start.year, FIRST_YEAR), min(end.year, LAST_YEAR) + 1):
        found.extend(s for s in _year(year) if start <= s.day <= end)
    return found


def session(day: date) -> Session | None:
    """Return the session of ``day``, or None where the exchange is closed."""
    found = sessions(day, day)
    return found[0] if found else None


def last_completed(now: datetime) -> Session:
    """Return the newest session that had closed at ``now`` (aware); raises ValueError before the first one."""
    today = now.astimezone(UTC).date()
    for candidate in reversed(sessions(today - timedelta(days=14), today)):
        if candidate.close_at <= now:
            return candidate
    raise ValueError(f"no session before {now.isoformat()}: the calendar covers {FIRST_YEAR} to {LAST_YEAR}")


def midnight(day: date) -> datetime:
    """Return New York's midnight of ``day`` in UTC: the label of a daily bar."""
    return _to_utc(day, time(0))


def trading_day(at: datetime) -> date:
    """Return the New York calendar day of an aware instant."""
    utc = at.astimezone(UTC)
    standard = (utc - timedelta(hours=5)).date()
    is_later = utc >= midnight(standard + timedelta(days=1))  # summer time: the day begins an hour earlier
    return standard + timedelta(days=1) if is_later else standard


@lru_cache(maxsize=LAST_YEAR - FIRST_YEAR + 1)
def _year(year: int) -> tuple[Session, ...]:
    closed = _holidays(year) | _SPECIAL_CLOSURES
    early = _early_closes(year) | _SPECIAL_EARLY
    found: list[Session] = []
    day = date(year, 1, 1)
    while day.year == year:
        if day.weekday() < _SATURDAY and day not in closed:
            is_early = day in early
            close = _CLOSE if not is_early else _EARLY if year >= 1993 else _EARLY_BEFORE_1993
            found.append(
                Session(
                    day=day,
                    open_at=_to_utc(day, _OPEN),
                    close_at=_to_utc(day, close),
                    is_early_close=is_early,
                )
            )
        day += timedelta(days=1)
    return tuple(found)


def _holidays(year: int) -> frozenset[date]:
    new_year = date(year, 1, 1)
    found = {
        # On a Saturday it is not made up: the Friday before belongs to the old year's accounts.
        new_year if new_year.weekday() != _SATURDAY else None,
        _observed(new_year) if new_year.weekday() == _SUNDAY else None,
        _nth(year, 1, _MONDAY, 3) if year >= 1998 else None,
        _nth(year, 2, _MONDAY, 3),
        _easter(year) - timedelta(days=2),
        _nth(year, 6, _MONDAY, 1) - timedelta(days=7),  # the last Monday of May
        _observed(date(year, 6, 19)) if year >= 2022 else None,
        _observed(date(year, 7, 4)),
        _nth(year, 9, _MONDAY, 1),
        _nth(year, 11, _THURSDAY, 4),
        _observed(date(year, 12, 25)),
    }
    return frozenset(day for day in found if day is not None)


def _early_closes(year: int) -> frozenset[date]:
    found: set[date] = set()
    if year >= 1992:
        found.add(_nth(year, 11, _THURSDAY, 4) + timedelta(days=1))
    eve = date(year, 12, 24)
    if eve.weekday() < _FRIDAY:
        found.add(eve)
    third = date(year, 7, 3)
    if year >= 1995 and third.weekday() < _FRIDAY:
        is_wednesday = third.weekday() == 2
        if not is_wednesday or year >= 2013:
            found.add(third)
        else:  # until 2012 the Friday after a Thursday holiday closed early instead
            found.add(date(year, 7, 5))
    return frozenset(found)


def _observed(day: date) -> date:
    """Return the weekday on which a holiday is kept: Friday for a Saturday, Monday for a Sunday."""
    if day.weekday() == _SATURDAY:
        return day - timedelta(days=1)
    return day + timedelta(days=1) if day.weekday() == _SUNDAY else day


def _nth(year: int, month: int, weekday: int, n: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (n - 1))


def _easter(year: int) -> date:
    """Return Easter Sunday (Gregorian computus of Meeus, Jones and Butcher)."""
    a, b, c = year % 19, year // 100, year % 100
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


def _to_utc(day: date, at: time) -> datetime:
    """Return a New York wall time as UTC; the switch is at 02:00 on a Sunday, so midnight keeps the old offset."""
    if day.year >= 2007:
        first, last = _nth(day.year, 3, _SUNDAY, 2), _nth(day.year, 11, _SUNDAY, 1)
    else:
        first, last = _nth(day.year, 4, _SUNDAY, 1), _nth(day.year, 11, _SUNDAY, 1) - timedelta(days=7)
    local = datetime.combine(day, at)
    summer = datetime.combine(first, time(2)) <= local < datetime.combine(last, time(2))
    return (local + timedelta(hours=4 if summer else 5)).replace(tzinfo=UTC)
