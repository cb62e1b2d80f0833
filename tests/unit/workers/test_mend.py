"""Which parts of a fetched period still hold what was fetched."""

from __future__ import annotations

from datetime import UTC, date, datetime

from qsuite_console.db.ledger import Covered, Deficit
from qsuite_console.model import calendar
from qsuite_console.model.markets import STOCKS
from qsuite_console.workers.backfill.mend import sound_parts
from qsuite_console.workers.backfill.planner import Timeline, make_periods

FIRST, LAST = date(2025, 6, 2), date(2025, 6, 13)  # two weeks: ten sessions
LOW, HIGH = STOCKS.day_bounds(FIRST, LAST)
DAYS = make_periods("1Day", FIRST, LAST, calendar.sessions(FIRST, LAST))
MINUTES = make_periods("1Min", FIRST, LAST, calendar.sessions(FIRST, LAST))
ALL = set(range(len(DAYS)))


def deficit(fetched: int, present: int) -> Deficit:
    return Deficit("AAPL", LOW, HIGH, fetched, present, datetime(2025, 7, 1, tzinfo=UTC))


def test_only_the_days_without_a_row_are_left_out() -> None:
    gone = {0, 4, 5}
    parts = sound_parts(deficit(10, 7), DAYS, dict.fromkeys(ALL - gone, 1))
    assert parts == [(DAYS[1].at, DAYS[3].own_high), (DAYS[6].at, HIGH)]


def test_what_is_left_out_is_exactly_what_a_plan_then_finds_missing() -> None:
    gone = {2, 9}
    parts = sound_parts(deficit(10, 8), DAYS, dict.fromkeys(ALL - gone, 1))
    covered = [Covered("AAPL", low, high, 0, datetime(2025, 7, 1, tzinfo=UTC)) for low, high in parts]
    assert Timeline(DAYS).missing(covered, datetime(2025, 8, 1, tzinfo=UTC)) == [(2, 2), (9, 9)]


def test_a_session_with_too_few_minutes_is_left_out_as_a_whole() -> None:
    rows = dict.fromkeys(ALL, 390) | {3: 345}
    assert sound_parts(deficit(3900, 3855), MINUTES, rows) == [
        (LOW, MINUTES[2].own_high),
        (MINUTES[4].at, HIGH),
    ]


def test_nothing_is_sound_where_the_sessions_do_not_explain_what_is_missing() -> None:
    rows = dict.fromkeys(ALL, 390)  # whole regular hours: what is missing lay outside them
    assert sound_parts(deficit(4400, 4300), MINUTES, rows) == []


def test_nothing_is_left_where_every_row_is_gone() -> None:
    assert sound_parts(deficit(10, 0), DAYS, {}) == []
