"""Timings as people type them, read into what is computed with; every refusal names its field and what would do."""

from __future__ import annotations

import difflib
import functools
import re
import zoneinfo
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from qsuite_console.engine import cron
from qsuite_console.engine.occurrences import following
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.schedules import Timing
from qsuite_console.model.text import clean

LONGEST_S: Final = 86_400
_UNITS: Final = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", ""), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
}
_PART: Final = re.compile(r"([0-9]{1,9})\s*([a-z]*)\s*")
_ONCE: Final = re.compile(r"(\d{4}-\d{2}-\d{2})[t ](\d{1,2}:\d{2}(?::\d{2})?)(z|[+-]\d{2}:\d{2})?")


def read_timing(given: str, every: str, once: str, zone: str, now: datetime) -> Timing:
    """Return the timing; exactly one of cron expression, interval and time is given. Raises InvalidParameters."""
    problems: dict[str, str] = {}
    named = {"cron": given.strip(), "every": every.strip(), "once": once.strip()}
    asked = [name for name, text in named.items() if text]
    zone = zone.strip() or "UTC"
    for name, why in (("zone", check_zone(zone)), (asked[0] if asked else "cron", _check_one(asked))):
        if why:
            problems[name] = why
    if problems:
        raise InvalidParameters(problems)
    if asked == ["every"]:
        return Timing(every_s=_read_every(named["every"]), zone=zone)
    if asked == ["once"]:
        return Timing(once_at=_read_once(named["once"], zone, now), zone=zone)
    timing = Timing(cron=cron.parse(named["cron"]).text, zone=zone)
    if following(timing, now) is None:
        raise InvalidParameters({"cron": "never comes: there is no such day, as 30 February"})
    return timing


def read_span(name: str, text: str, *, longest_s: int = 7 * LONGEST_S) -> float:
    """Return a length in seconds from "90", "90 s", "5 min", "1h30m"; raises InvalidParameters for ``name``."""
    seconds = span_of(text)
    if seconds is None or seconds > longest_s:
        limit = f"at most {longest_s // 86_400} days" if longest_s > 86_400 else "at most a day"
        raise InvalidParameters({name: f"“{clean(text, 30)}” is not a time like 30 s, 5 min or 1 h, {limit}"})
    return float(seconds)


def span_of(text: str) -> int | None:
    """Return a length in whole seconds, None for what is none."""
    rest, total = text.strip().lower(), 0
    if not rest:
        return None
    while rest:
        part = _PART.match(rest)
        if part is None or part[2] not in _UNITS or (not part[2] and part.end() - part.start() < len(text.strip())):
            return None
        total += int(part[1]) * _UNITS[part[2]]
        rest = rest[part.end() :]
    return total


@functools.lru_cache(maxsize=256)
def check_zone(zone: str) -> str:
    """Return what is wrong with the name of a time zone, "" for nothing."""
    try:
        ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        close = difflib.get_close_matches(zone, zoneinfo.available_timezones(), n=1, cutoff=0.5)
        near = f"; did you mean {close[0]}?" if close else ", as UTC, America/New_York or Europe/Berlin"
        return f"“{clean(zone, 40)}” is not a time zone{near}"
    return ""


def _check_one(asked: list[str]) -> str:
    if not asked:
        return "say when: a cron expression, an interval, or one time"
    return "" if len(asked) == 1 else f"only one of {' and '.join(asked)}: a schedule has one timing"


def _read_every(text: str) -> float:
    seconds = span_of(text)
    if seconds is None:
        raise InvalidParameters({"every": f"“{clean(text, 30)}” is not an interval like 30 s, 5 min or 1 h"})
    if not 1 <= seconds <= LONGEST_S:
        raise InvalidParameters({"every": "an interval is 1 s to 24 h; for longer ones use a cron expression"})
    return float(seconds)


def _read_once(text: str, zone: str, now: datetime) -> datetime:
    found = _ONCE.fullmatch(text.lower())
    try:
        if found is None:
            raise ValueError(text)
        at = datetime.fromisoformat(f"{found[1]}T{found[2].zfill(len(found[2]) + (len(found[2]) in (4, 7)))}")
        if found[3]:
            at = datetime.fromisoformat(f"{at.isoformat()}{found[3].upper()}")
        instant = (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        why = f"“{clean(text, 40)}” is not a time like 2026-11-30 09:25"
        raise InvalidParameters({"once": why}) from error
    if not at.tzinfo and instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != at:
        raise InvalidParameters({"once": f"{text} does not exist in {zone}: the clocks jump over it"})
    if instant <= now:
        raise InvalidParameters({"once": f"{text} is past"})
    if instant > now + timedelta(days=3660):
        raise InvalidParameters({"once": f"{text} is more than ten years ahead"})
    return instant
