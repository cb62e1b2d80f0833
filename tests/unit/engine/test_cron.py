"""Cron expressions against an independent oracle: every minute of the real line, the wall clock read off it, compared.

The oracle shares nothing with the code: its own little parser, and for every UTC minute what the clock on the wall
shows. Property tests put it beside the walk over days on which the clocks of five zones change.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsuite_console.engine import cron
from qsuite_console.engine.cron_words import words
from qsuite_console.engine.occurrences import frequency, latest, next_change, occurrences
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.schedules import Timing

MINUTE = timedelta(minutes=1)
# zone -> around changes of its clocks: hour forward and back, half an hour, at midnight, backwards in summer
CHANGES = {
    "America/New_York": ("2026-03-08 07:00", "2026-11-01 06:00"),
    "Europe/Berlin": ("2026-03-29 01:00", "2026-10-25 01:00"),
    "Australia/Lord_Howe": ("2026-10-03 15:30", "2026-04-04 15:00"),
    "America/Santiago": ("2026-09-06 04:00", "2026-04-05 03:00"),
    "Africa/Casablanca": ("2026-03-22 02:00", "2026-02-15 02:00"),
}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def allowed(field: str, low: int, high: int) -> set[int]:
    """Read one field: lists of numbers, ranges and steps."""
    found: set[int] = set()
    for part in field.split(","):
        stretch, _, step = part.partition("/")
        first, _, last = stretch.partition("-")
        if stretch == "*":
            begin, end = low, high
        else:
            begin, end = int(first), int(last or (high if step else first))
        found |= set(range(begin, end + 1, int(step or 1)))
    return found


def oracle(expression: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    """Walk every minute of (start, end] in UTC and read the clock on the wall; begin days early to know what was."""
    minute, hour, day, month, weekday = expression.split()
    minutes, hours = allowed(minute, 0, 59), allowed(hour, 0, 23)
    days, months, weekdays = allowed(day, 1, 31), allowed(month, 1, 12), {n % 7 for n in allowed(weekday, 0, 7)}
    place, is_hourly = ZoneInfo(zone), len(hours) == 24

    def matches(wall: datetime) -> bool:
        by_day, by_weekday = wall.day in days, (wall.weekday() + 1) % 7 in weekdays
        of_day = by_day if weekday == "*" else by_weekday if day == "*" else by_day or by_weekday
        return of_day and wall.month in months and wall.hour in hours and wall.minute in minutes

    found: list[datetime] = []
    instant = start - timedelta(hours=26)
    shown_until = instant.astimezone(place).replace(tzinfo=None) - MINUTE
    while instant <= end:
        wall = instant.astimezone(place).replace(tzinfo=None)
        if is_hourly:
            is_due = matches(wall)
        else:  # every wall time up to this one that no earlier minute has shown
            is_due = False
            while shown_until < wall:
                shown_until += MINUTE
                is_due = is_due or matches(shown_until)
        if is_due and instant > start:
            found.append(instant)
        instant += MINUTE
    return found


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    a_range = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    stepped = st.tuples(a_range, st.integers(1, 9)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    every = st.sampled_from([2, 3, 5, 7, 15]).map(lambda step: f"*/{step}")
    some = st.lists(st.one_of(number.map(str), a_range, stepped), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), every, some)


EXPRESSIONS = st.tuples(
    numbers(0, 59),
    st.one_of(numbers(0, 23), numbers(0, 4)),
    st.one_of(st.just("*"), numbers(1, 31)),
    st.one_of(st.just("*"), st.just("2-4,9-11")),
    st.one_of(st.just("*"), st.integers(0, 7).map(str), st.just("1-5")),
).map(" ".join)


@settings(max_examples=100, deadline=None)
@given(
    EXPRESSIONS,
    st.sampled_from([(zone, at(change)) for zone, changes in CHANGES.items() for change in changes]),
    st.integers(-1600, 100),
)
def test_the_walk_is_what_an_oracle_reads_off_the_wall(
    expression: str, change: tuple[str, datetime], offset: int
) -> None:
    zone, moment = change
    start = moment + offset * MINUTE
    end = start + timedelta(days=2)
    found = occurrences(Timing(cron=expression, zone=zone), start, end=end, most=5000)
    expected = oracle(expression, zone, start, end)
    assert list(found.times) == expected
    assert latest(Timing(cron=expression, zone=zone), start, end) == (expected[-1] if expected else None)


@pytest.mark.parametrize("zone", sorted(CHANGES))
@pytest.mark.parametrize("which", [0, 1])
def test_a_time_of_the_day_comes_once_a_day_whatever_the_clocks_do(zone: str, which: int) -> None:
    moment = at(CHANGES[zone][which])
    start = moment - timedelta(days=3)
    assert moment.astimezone(ZoneInfo(zone)).utcoffset() != (moment - MINUTE).astimezone(ZoneInfo(zone)).utcoffset()
    for minute_of_day in range(0, 1440, 10):
        timing = Timing(cron=f"{minute_of_day % 60} {minute_of_day // 60} * * *", zone=zone)
        times = occurrences(timing, start, end=start + timedelta(days=7)).times
        days = [time.astimezone(ZoneInfo(zone)).date() for time in times]
        assert {later - earlier for earlier, later in pairwise(days)} == {timedelta(days=1)}
        assert len(days) in (6, 7, 8)


def test_the_rule_in_its_plainest_form() -> None:
    def at_most(expression: str, start: str, most: int) -> list[str]:
        found = occurrences(Timing(cron=expression, zone="America/New_York"), at(start), most=most)
        return [f"{time:%m-%d %H:%M}" for time in found.times]

    assert at_most("30 1 * * *", "2026-10-31 12:00", 3) == ["11-01 05:30", "11-02 06:30", "11-03 06:30"]
    assert at_most("30 2 * * *", "2026-03-07 12:00", 3) == ["03-08 07:00", "03-09 06:30", "03-10 06:30"]
    assert at_most("*/20 2 * * *", "2026-03-07 12:00", 2) == ["03-08 07:00", "03-09 06:00"]
    assert at_most("30 * * * *", "2026-11-01 04:50", 3) == ["11-01 05:30", "11-01 06:30", "11-01 07:30"]
    assert at_most("30 * * * *", "2026-03-08 06:50", 2) == ["03-08 07:30", "03-08 08:30"]


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "59 23 30 feb * 59"])
def test_what_never_comes_is_said_at_once(expression: str) -> None:
    cron.parse("* * * * * *")  # croniter is loaded
    started = time.process_time()
    found = occurrences(Timing(cron=expression), at("2026-11-22 20:00"))
    spent = time.process_time() - started
    assert (found.times, found.truncated) == ((), True)
    assert found.reason == "never: no such day comes within fifty years"
    assert spent < 0.05, f"{spent * 1000:.1f} ms"  # measured: 2 ms
    assert latest(Timing(cron=expression), at("1990-01-01 00:00"), at("2026-01-01 00:00")) is None


@settings(max_examples=60, deadline=None)
@given(
    EXPRESSIONS, st.sampled_from(["", " 0", " *", " */7", " 59"]), st.sampled_from(sorted(CHANGES)), st.integers(0, 400)
)
def test_a_hundred_plans_cost_little_whatever_the_expression(
    expression: str, seconds: str, zone: str, days: int
) -> None:
    timing = Timing(cron=f"{expression}{seconds}", zone=zone)
    start = at("2026-01-01 00:00") + timedelta(days=days, seconds=7)
    cron.parse(timing.cron)
    started = time.process_time()
    found = occurrences(timing, start)
    spent = time.process_time() - started
    assert len(found.times) == 100
    assert (found.truncated, found.reason) == (True, "the first 100 are given")
    assert spent < 0.5, f"{spent * 1000:.1f} ms"  # measured: at most 20 ms


@pytest.mark.parametrize("expression", ["* * * * * *", "0 0 29 2 *", "0 0 * 2 sun#5", "1 1 1 1 *", "0 0 l * fri"])
def test_dense_and_sparse_ones_stay_within_50_ms_of_processor_time(expression: str) -> None:
    timing = Timing(cron=expression, zone="America/New_York")
    cron.parse(expression)
    spent = []
    for seconds in range(5):  # the best of five: what it costs, not what the machine does beside it
        started = time.process_time()
        occurrences(timing, at("2026-11-01 05:50") + timedelta(minutes=seconds))
        spent.append(time.process_time() - started)
    assert min(spent) < 0.05, f"{min(spent) * 1000:.1f} ms"


def test_calculation_is_bounded_and_cached() -> None:
    timing = Timing(cron="0 0 * 2 sun#5")
    found = occurrences(timing, at("2026-01-01 00:00"), most=5000)
    assert found.truncated
    assert found.reason.startswith(("stopped after 20,000 steps", "nothing more"))
    assert occurrences(timing, at("2026-01-01 00:00"), most=5000) is found
    minutely = Timing(cron="* * * * *")
    first = occurrences(minutely, at("2026-01-01 00:00:01"))
    assert occurrences(minutely, at("2026-01-01 00:00:59")) is first
    assert occurrences(minutely, at("2026-01-01 00:01:00")) is not first
    bounded = occurrences(minutely, at("2026-01-01 00:00"), end=at("2026-01-01 00:05"))
    assert (len(bounded.times), bounded.truncated) == (5, False)


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("61 * * * *", "minute: “61” is not valid; 0 to 59"),
        ("* 24 * * *", "hour: “24” is not valid; 0 to 23"),
        ("0 0 32 * *", "day of month: “32” is not valid; 1 to 31"),
        ("0 0 * 13 *", "month: “13” is not valid; 1 to 12"),
        ("0 0 * * fri#6", "day of week: “fri#6” is not valid"),
        ("0 0 * * * 60", "second: “60” is not valid; 0 to 59"),
        ("* * * *", "has 4 fields, not 5"),
        ("", "has 0 fields, not 5"),
        ("@reboot", "“@reboot” is not an alias; one of @yearly"),
        ("h * * * *", "minute: “h” is chosen by chance or hash"),
        ("*/0 * * * *", "minute: “*/0” is not valid"),
        ("*/90 * * * *", "minute: “*/90” steps beyond the field; use an interval"),
        ("0 0 * * \x1b[2J", "day of week: “␛[2j” is not valid"),
        ("1," * 150 + "1 * * * *", "is longer than 200 characters"),
    ],
)
def test_a_refusal_names_the_field_and_what_it_takes(expression: str, problem: str) -> None:
    with pytest.raises(InvalidParameters) as refused:
        cron.parse(expression)
    assert problem in refused.value.problems["cron"]


@pytest.mark.parametrize("expression", ["5-5 3-03 4-4 jun-6 mon-1", "5-5/2 3 4 6 1-1"])
def test_a_range_of_one_value_is_that_value(expression: str) -> None:
    """croniter reads it as every value."""
    parsed = cron.parse(expression)
    assert (parsed.minutes, parsed.hours, parsed.days, parsed.months, parsed.weekdays) == ((5,), (3,), (4,), (6,), (1,))


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("25 9 * * 1-5", "every weekday at 09:25 New York time"),
        ("*/5 * * * *", "every 5 minutes"),
        ("*/5 9-16 * * mon-fri", "every 5 minutes from 09:00 to 16:55 on weekdays, New York time"),
        ("0 0 1 * *", "on day 1 of the month at 00:00 New York time"),
        ("0 0 l * *", "on the last day of the month at 00:00 New York time"),
        ("0 0 13 * 5", "on day 13 of the month and every Friday at 00:00 New York time"),
        ("0 0 * * fri#2", "on the second Friday of the month at 00:00 New York time"),
        ("0 */2 * * *", "every 2 hours (00:00, 02:00 …), New York time"),
        ("15 * * * *", "every hour at 15 past"),
        ("0 9 * * * 30", "every day at 09:00:30 New York time"),
        ("*/7 * * * *", "at minute 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour"),
        ("@daily", "every day at 00:00 New York time"),
    ],
)
def test_plain_words(expression: str, told: str) -> None:
    assert words(Timing(cron=expression, zone="America/New_York")) == told


@settings(max_examples=100, deadline=None)
@given(EXPRESSIONS, st.sampled_from(["", " 0", " */7", " 1,5"]))
def test_words_are_found_for_everything(expression: str, seconds: str) -> None:
    told = words(Timing(cron=expression + seconds, zone="Europe/Berlin"))
    assert told.startswith(("every ", "at ", "on "))
    assert "  " not in told


@settings(max_examples=40, deadline=None)
@given(EXPRESSIONS)
def test_the_frequency_is_what_a_count_over_years_gives(expression: str) -> None:
    timing = Timing(cron=expression)
    told = frequency(timing, at("2026-01-01 00:00"))
    parsed = cron.parse(expression)
    days = sum(len(parsed.days_of(y, m)) for y in range(2026, 2030) for m in range(1, 13) if m in parsed.months)
    per_day = len(parsed.hours) * len(parsed.minutes)
    assert told.per_day == pytest.approx(days * per_day / 1461)
    assert told.per_week == pytest.approx(7 * told.per_day)
    times = occurrences(timing, at("2026-01-01 00:00"), most=500).times
    assert told.shortest_s == min((b - a).total_seconds() for a, b in pairwise(times))


def test_the_next_change_of_the_clocks() -> None:
    assert next_change("America/New_York", at("2026-11-22 20:00")) == (at("2027-03-14 07:00"), timedelta(hours=1))
    assert next_change("Australia/Lord_Howe", at("2026-11-22 20:00")) == (
        at("2027-04-03 15:00"),
        -timedelta(minutes=30),
    )
    assert next_change("UTC", at("2026-11-22 20:00")) is None
