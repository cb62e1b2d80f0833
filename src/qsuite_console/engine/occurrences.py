"""From a timing to instants, each plan exactly once whatever the clocks do, and never more work than is bounded here.

The rule where clocks change: an expression whose hour field is every hour keeps pace with real time. Any other names
times of the day, and each comes once a day: one that exists twice the first time, one that does not exist at the
moment the clocks jump over it (several such are one plan).
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from qsuite_console.engine import cron
from qsuite_console.model.schedules import Collision, Frequency, Occurrences, Schedule, Timing

MOST: Final = 100
STEPS: Final = 20_000  # wall times and empty months looked at by one calculation
COMPARED: Final = 500  # plans of each schedule looked at for collisions and the shortest interval
ASIDE: Final = timedelta(days=7)
_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def occurrences(timing: Timing, start: datetime, *, end: datetime | None = None, most: int = MOST) -> Occurrences:
    """Return at most ``most`` plans after ``start`` and not after ``end``; bounded, and cached while a minute lasts."""
    floor = start.astimezone(UTC).replace(microsecond=0)
    if timing.cron and not cron.parse(timing.cron).has_seconds:
        floor = floor.replace(second=0)
    return _cached(timing.cron, timing.every_s, timing.once_at, timing.zone, floor, end, most)


def following(timing: Timing, start: datetime) -> datetime | None:
    """Return the first plan after ``start``, None where none comes."""
    return next(iter(occurrences(timing, start, most=1).times), None)


def latest(timing: Timing, after: datetime, until: datetime) -> datetime | None:
    """Return the last plan after ``after`` and not after ``until``; looked for backwards, so that it costs little."""
    if timing.every_s:
        last = _multiple(timing.every_s, math.floor(_seconds(until) / timing.every_s))
        return last if last > after else None
    if timing.once_at is not None:
        return timing.once_at if after < timing.once_at <= until else None
    stretch = timedelta(minutes=1)
    while True:
        begin = max(after, until - stretch)
        found = occurrences(timing, begin, end=until, most=COMPARED)
        while found.truncated and found.times:
            more = occurrences(timing, found.times[-1], end=until, most=COMPARED)
            if not more.times:
                break
            found = more
        if found.times or begin == after:
            return found.times[-1] if found.times else None
        stretch *= 4


def count(timing: Timing, after: datetime, until: datetime, most: int) -> tuple[int, bool]:
    """Return how many plans are after ``after`` and not after ``until``, and whether there are more than counted."""
    if timing.every_s:
        return math.floor(_seconds(until) / timing.every_s) - math.floor(_seconds(after) / timing.every_s), False
    found = occurrences(timing, after, end=until, most=most)
    return len(found.times), found.truncated


def jittered(schedule: Schedule, planned: datetime) -> datetime:
    """Return when a plan starts: up to ``jitter_s`` later, the same for the same plan, also after a restart."""
    if not schedule.jitter_s:
        return planned
    digest = hashlib.blake2b(f"{schedule.name} {planned.isoformat()}".encode(), digest_size=8).digest()
    share = int.from_bytes(digest, "big") / 2**64
    return planned + timedelta(seconds=round(share * schedule.jitter_s, 3))


def frequency(timing: Timing, start: datetime) -> Frequency:
    """Return how often it comes over a year; clock changes do not count."""
    if timing.every_s:
        per_day = 86_400 / timing.every_s
        return Frequency(per_day=per_day, per_week=per_day * 7, shortest_s=timing.every_s, mean_s=timing.every_s)
    if timing.once_at is not None:
        return Frequency()
    parsed = cron.parse(timing.cron)
    year, month, days = start.year, start.month, 0
    for ahead in range(48):
        at = month - 1 + ahead
        if at % 12 + 1 in parsed.months:
            days += len(parsed.days_of(year + at // 12, at % 12 + 1))
    per_day = days / (4 * 365.25) * len(parsed.hours) * len(parsed.minutes) * len(parsed.seconds)
    gaps = [(late - early).total_seconds() for early, late in pairwise(occurrences(timing, start, most=COMPARED).times)]
    return Frequency(
        per_day=per_day,
        per_week=per_day * 7,
        shortest_s=min(gaps, default=None),
        mean_s=86_400 / per_day if per_day and gaps else None,
    )


def collisions(timing: Timing, others: Sequence[tuple[str, Timing]], start: datetime) -> tuple[Collision, ...]:
    """Return which other schedules plan at the same instants within a week, or within the plans that are looked at.

    What each plans is kept while a minute lasts: this is asked again and again, for any number of schedules.
    """
    minute = start.astimezone(UTC).replace(second=0, microsecond=0)
    begun_s = _seconds(start)
    ended_s = begun_s + ASIDE.total_seconds()
    mine, mine_until = _ahead(timing, minute)
    found: list[Collision] = []
    for name, other in others:
        theirs, theirs_until = _ahead(other, minute)
        both = [at for at in mine & theirs if begun_s < at <= ended_s]
        if both:
            found.append(
                Collision(
                    name=name,
                    count=len(both),
                    first_at=_EPOCH + timedelta(seconds=min(both)),
                    within_s=min(mine_until, theirs_until, ended_s) - begun_s,
                )
            )
    return tuple(found)


@functools.lru_cache(maxsize=2048)
def _ahead(timing: Timing, minute: datetime) -> tuple[frozenset[int], float]:
    """Return the plans of a week from a minute on, as seconds since 1970, and up to when they are all of them."""
    end = minute + ASIDE + timedelta(minutes=1)
    found = occurrences(timing, minute, end=end, most=COMPARED)
    until = found.times[-1] if found.truncated and found.times else end
    return frozenset(round(_seconds(at)) for at in found.times), _seconds(until)


def next_change(zone: str, start: datetime) -> tuple[datetime, timedelta] | None:
    """Return when the clocks of a zone change within a year, and by how much (forward is positive)."""
    place = ZoneInfo(zone)
    for day in range(366):
        early = start + day * _DAY
        late = early + _DAY
        change = _offset(late, place) - _offset(early, place)
        if change:
            return _transition(early, late, place), change
    return None


@functools.lru_cache(maxsize=512)
def _cached(
    expression: str,
    every_s: float,
    once_at: datetime | None,
    zone: str,
    start: datetime,
    end: datetime | None,
    most: int,
) -> Occurrences:
    if every_s:
        return _intervals(every_s, start, end, most)
    if once_at is not None:
        return Occurrences(times=(once_at,) if start < once_at and (end is None or once_at <= end) else ())
    parsed = cron.parse(expression)
    times: list[datetime] = []
    for steps, instant in enumerate(_instants(parsed, ZoneInfo(zone), start), start=1):
        if instant is not None and instant > start:
            if end is not None and instant > end:
                return Occurrences(times=tuple(times))
            if len(times) == most:
                return Occurrences(times=tuple(times), truncated=True, reason=f"the first {most} are given")
            times.append(instant)
        if steps == STEPS:
            return Occurrences(times=tuple(times), truncated=True, reason=f"stopped after {STEPS:,} steps")
    reason = "nothing more comes within fifty years" if times else "never: no such day comes within fifty years"
    return Occurrences(times=tuple(times), truncated=True, reason=reason)


def _instants(parsed: cron.Cron, place: ZoneInfo, start: datetime) -> Iterator[datetime | None]:
    """Yield the plans from about ``start`` on, ascending and each once; None for a step that found nothing."""
    local = start.astimezone(place).replace(tzinfo=None)
    back = abs(_offset(start + 2 * _DAY, place) - _offset(start - 2 * _DAY, place))  # walls of a fold come again
    again: deque[datetime] = deque()  # the second time of walls that exist twice
    last = datetime.min.replace(tzinfo=UTC)
    for wall in parsed.walls(local - back):
        if wall is None:
            yield None
            continue
        times = _times_of(wall, place, is_hourly=parsed.is_hourly)
        while times and again and again[0] <= times[0]:
            last = again.popleft()
            yield last
        if times and times[0] > last:
            last = times[0]
            yield last
        else:
            yield None
        again.extend(times[1:])
    yield from again


def _times_of(wall: datetime, place: ZoneInfo, *, is_hourly: bool) -> list[datetime]:
    """Return when a wall clock in ``place`` shows ``wall``, by the rule above."""
    before = wall.replace(tzinfo=place, fold=0).utcoffset() or timedelta()
    after = wall.replace(tzinfo=place, fold=1).utcoffset() or timedelta()
    naive = wall.replace(tzinfo=UTC)
    if before == after:
        return [naive - before]
    if before > after:
        return [naive - before, naive - after] if is_hourly else [naive - before]
    return [] if is_hourly else [_transition(naive - after, naive - before, place)]


def _transition(early: datetime, late: datetime, place: ZoneInfo) -> datetime:
    """Return the first second of the offset that holds at ``late`` and not at ``early``."""
    new = _offset(late, place)
    low, high = math.floor(_seconds(early)), math.ceil(_seconds(late))
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(_EPOCH + timedelta(seconds=middle), place) == new:
            high = middle
        else:
            low = middle
    return _EPOCH + timedelta(seconds=high)


def _intervals(every_s: float, start: datetime, end: datetime | None, most: int) -> Occurrences:
    first = math.floor(_seconds(start) / every_s) + 1
    times = tuple(_multiple(every_s, first + step) for step in range(most))
    if end is not None and times and times[-1] >= end:
        return Occurrences(times=tuple(time for time in times if time <= end))
    return Occurrences(times=times, truncated=True, reason=f"the first {most} are given")


def _multiple(every_s: float, number: int) -> datetime:
    return _EPOCH + timedelta(seconds=every_s * number)


def _seconds(at: datetime) -> float:
    return (at - _EPOCH).total_seconds()


def _offset(at: datetime, place: ZoneInfo) -> timedelta:
    return at.astimezone(place).utcoffset() or timedelta()
