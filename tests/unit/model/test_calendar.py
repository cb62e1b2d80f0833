"""The computed calendar against the exchange's published holidays and a time-zone database."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from qsuite_console.model import calendar

PUBLISHED = {  # year -> (closures on weekdays, early closes), from the exchange's own announcements
    1998: (["01-01", "01-19", "02-16", "04-10", "05-25", "07-03", "09-07", "11-26", "12-25"], ["11-27", "12-24"]),
    2001: (
        [
            "01-01",
            "01-15",
            "02-19",
            "04-13",
            "05-28",
            "07-04",
            "09-03",
            "09-11",
            "09-12",
            "09-13",
            "09-14",
            "11-22",
            "12-25",
        ],
        ["07-03", "11-23", "12-24"],
    ),
    2002: (
        ["01-01", "01-21", "02-18", "03-29", "05-27", "07-04", "09-02", "11-28", "12-25"],
        ["07-05", "11-29", "12-24"],
    ),
    2012: (
        ["01-02", "01-16", "02-20", "04-06", "05-28", "07-04", "09-03", "10-29", "10-30", "11-22", "12-25"],
        ["07-03", "11-23", "12-24"],
    ),
    2013: (
        ["01-01", "01-21", "02-18", "03-29", "05-27", "07-04", "09-02", "11-28", "12-25"],
        ["07-03", "11-29", "12-24"],
    ),
    2021: (["01-01", "01-18", "02-15", "04-02", "05-31", "07-05", "09-06", "11-25", "12-24"], ["11-26"]),
    2022: (["01-17", "02-21", "04-15", "05-30", "06-20", "07-04", "09-05", "11-24", "12-26"], ["11-25"]),
    2025: (
        ["01-01", "01-09", "01-20", "02-17", "04-18", "05-26", "06-19", "07-04", "09-01", "11-27", "12-25"],
        ["07-03", "11-28", "12-24"],
    ),
    2026: (
        ["01-01", "01-19", "02-16", "04-03", "05-25", "06-19", "07-03", "09-07", "11-26", "12-25"],
        ["11-27", "12-24"],
    ),
    2027: (
        ["01-01", "01-18", "02-15", "03-26", "05-31", "06-18", "07-05", "09-06", "11-25", "12-24"],
        ["11-26"],
    ),
}


@pytest.mark.parametrize("year", PUBLISHED)
def test_a_year_matches_the_published_holidays(year):
    closures, early = PUBLISHED[year]
    found = calendar.sessions(date(year, 1, 1), date(year, 12, 31))
    days = {s.day for s in found}
    every = [date(year, 1, 1) + timedelta(days=n) for n in range(366)]
    weekdays = [d for d in every if d.year == year and d.weekday() < 5]
    assert [d.strftime("%m-%d") for d in weekdays if d not in days] == closures
    assert [s.day.strftime("%m-%d") for s in found if s.is_early_close] == early


def test_hours_agree_with_the_time_zone_database():
    zone = ZoneInfo("America/New_York")
    for found in calendar.sessions(date(1990, 1, 1), date(2035, 12, 31)):
        assert found.open_at.astimezone(zone).strftime("%H:%M") == "09:30"
        closes = ("13:00", "14:00") if found.is_early_close else ("16:00",)
        assert found.close_at.astimezone(zone).strftime("%H:%M") in closes


def test_midnight_and_trading_day_follow_new_york():
    zone = ZoneInfo("America/New_York")
    for n in range(0, 366 * 3):
        day = date(2024, 1, 1) + timedelta(days=n)
        assert calendar.midnight(day).astimezone(zone) == datetime(day.year, day.month, day.day, tzinfo=zone)
        for hour in (0, 3, 4, 5, 12, 23):
            at = datetime(day.year, day.month, day.day, hour, 30, tzinfo=UTC)
            assert calendar.trading_day(at) == at.astimezone(zone).date()


def test_a_range_includes_both_ends_and_knows_its_limits():
    found = calendar.sessions(date(2025, 1, 2), date(2025, 12, 31))
    assert (found[0].day, found[-1].day, len(found)) == (date(2025, 1, 2), date(2025, 12, 31), 250)
    assert calendar.sessions(date(2025, 1, 4), date(2025, 1, 5)) == []
    assert calendar.sessions(date(2050, 1, 1), date(2050, 12, 31)) == []
    assert calendar.session(date(2025, 12, 25)) is None


def test_the_last_completed_session_waits_for_the_close():
    assert calendar.last_completed(datetime(2026, 11, 20, 20, 59, tzinfo=UTC)).day == date(2026, 11, 19)
    assert calendar.last_completed(datetime(2026, 11, 20, 21, 0, tzinfo=UTC)).day == date(2026, 11, 20)
    assert calendar.last_completed(datetime(2026, 11, 27, 18, 0, tzinfo=UTC)).day == date(2026, 11, 27)
    with pytest.raises(ValueError, match="1990"):
        calendar.last_completed(datetime(1980, 1, 1, tzinfo=UTC))
