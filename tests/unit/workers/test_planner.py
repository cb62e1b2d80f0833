"""Packing, gaps and request counts, checked against the arithmetic of full pages."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsuite_console.db.ledger import Covered
from qsuite_console.model import calendar
from qsuite_console.workers.backfill.planner import (
    PAGE_BARS,
    URL_SYMBOLS,
    Period,
    Timeline,
    make_batches,
    make_periods,
    pack_symbols,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def periods(timeframe: str = "1Day", start: date = date(2025, 1, 1), end: date = date(2025, 12, 31)) -> list[Period]:
    return make_periods(timeframe, start, end, calendar.sessions(start, end))


def names(count: int) -> list[str]:
    return [f"S{number:04d}" for number in range(count)]


def covered(days: list[Period], first: int, last: int, fetched_at: datetime | None = None) -> Covered:
    return Covered("A", days[first].low, days[last].high, 1, fetched_at)


@pytest.mark.parametrize(
    ("count", "timeframe", "start", "end", "minimum"),
    [
        (200, "1Day", date(2025, 1, 2), date(2025, 12, 31), 5),
        (1000, "1Day", date(2024, 6, 3), date(2025, 6, 3), 26),
        (1000, "1Day", date(2025, 6, 2), date(2025, 6, 2), 1),
        (1000, "1Min", date(2025, 7, 1), date(2025, 7, 31), 840),
        (500, "1Day", date(2015, 1, 2), date(2024, 12, 31), 126),
        (7, "1Min", date(2024, 1, 2), date(2024, 12, 31), 69),
    ],
)
def test_requests_stay_within_two_per_cent_of_the_minimum(
    count: int, timeframe: str, start: date, end: date, minimum: int
) -> None:
    days = periods(timeframe, start, end)
    batches = make_batches(days, {name: [(0, len(days) - 1)] for name in names(count)}, set(), None)
    bars = sum(batch.bars for batch in batches)
    assert ceil(bars / PAGE_BARS) == pytest.approx(minimum, abs=minimum * 0.01)
    assert sum(batch.pages for batch in batches) <= max(1.02 * ceil(bars / PAGE_BARS), ceil(bars / PAGE_BARS) + 1)
    assert sorted(symbol for batch in batches for symbol in batch.symbols) == names(count)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 30_000))
def test_packing_is_never_worse_than_one_request_a_symbol(count: int, each: int) -> None:
    packs = pack_symbols(names(count), each, None)
    assert [symbol for pack in packs for symbol in pack] == names(count)
    assert all(sum(len(symbol) + 1 for symbol in pack) <= URL_SYMBOLS for pack in packs)
    pages = sum(ceil(len(pack) * each / PAGE_BARS) for pack in packs)
    assert pages <= count * ceil(each / PAGE_BARS)
    assert pages <= ceil(count * each / PAGE_BARS) * 1.02 + 1


def test_a_profile_limits_the_symbols_of_a_request() -> None:
    days = periods()
    batches = make_batches(days, {name: [(0, 10)] for name in names(95)}, set(), 10)
    assert [len(batch.symbols) for batch in batches] == [10] * 9 + [5]


def test_periods_cover_the_whole_range_without_a_hole() -> None:
    days = periods(start=date(2025, 1, 1), end=date(2025, 1, 31))
    assert days[0].low == calendar.midnight(date(2025, 1, 1))
    assert days[-1].high == calendar.midnight(date(2025, 2, 1))
    assert all(a.high == b.low for a, b in pairwise(days))


def test_gaps_are_what_neither_ledger_nor_rows_cover() -> None:
    days = periods()
    assert Timeline(days).missing([], NOW) == [(0, 249)]
    assert Timeline(days).missing([covered(days, 0, 249)], NOW) == []
    assert Timeline(days).missing([covered(days, 10, 19), covered(days, 30, 39)], NOW) == [
        (0, 9), (20, 29), (40, 249),
    ]  # fmt: skip
    assert Timeline(days).missing([covered(days, 0, 6), covered(days, 5, 100), covered(days, 90, 249)], NOW) == []


def test_a_range_that_ended_earlier_covers_its_last_day() -> None:
    first = periods(start=date(2025, 1, 1), end=date(2025, 1, 17))
    days = periods(start=date(2025, 1, 1), end=date(2025, 1, 31))
    runs = Timeline(days).missing([covered(first, 0, len(first) - 1)], NOW)
    assert days[runs[0][0]].label == date(2025, 1, 21)  # the 20th is a holiday


def test_half_a_day_does_not_cover_it() -> None:
    days = periods("1Min", date(2025, 6, 2), date(2025, 6, 6))
    noon = calendar.midnight(date(2025, 6, 4)) + timedelta(hours=12)
    assert Timeline(days).missing([Covered("A", days[0].low, noon, 900)], NOW) == [(2, 4)]


def test_the_last_session_is_fetched_once_more_when_corrections_have_come() -> None:
    days = periods(end=date(2025, 6, 3))
    last = days[-1]
    early = [covered(days, 0, len(days) - 1, last.close_at + timedelta(minutes=30))]
    assert Timeline(days).missing(early, last.close_at + timedelta(hours=1)) == []
    assert Timeline(days).missing(early, last.close_at + timedelta(hours=9)) == [(len(days) - 1,) * 2]
    later = [covered(days, 0, len(days) - 1, last.close_at + timedelta(hours=8))]
    assert Timeline(days).missing(later, NOW) == []


def test_gaps_that_differ_a_little_share_a_request() -> None:
    days = periods()
    gaps = {name: [(240 - number % 9, 249)] for number, name in enumerate(names(90))}
    batches = make_batches(days, gaps, set(), None)
    assert len(batches) == 1
    assert not batches[0].is_straight  # the wide request brings rows that are there


def test_only_an_empty_range_is_copied_straight() -> None:
    days = periods()
    gaps = {name: [(0, 249)] for name in names(80)}
    batches = make_batches(days, gaps, {"S0079"}, None)
    assert [batch.is_straight for batch in batches] == [True, False]
