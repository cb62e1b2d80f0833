"""Prices are a pure function: the same alone or in a crowd, sane, and minutes add up to days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsuite_console.model import calendar
from qsuite_console.sandbox import timeframes
from qsuite_console.sandbox.market import FIRST_DAY, LABEL, Market, all_sessions
from qsuite_console.sandbox.universe import LIMIT, instruments

NOW = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
MARKET = Market(symbols=60, seed=42)


def _bars(market, symbol, timeframe, first, last, until=NOW):
    pieces = market.bars(symbol, timeframes.parse(timeframe), first, last, until=until)
    return [bar for piece in pieces for bar in piece]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 59), st.integers(0, 2700))
def test_any_session_is_sane_and_adds_up(number, index):
    instrument = MARKET.instruments[number]
    day = MARKET.daily(instrument, index, index + 1)[0]
    minutes = MARKET.minutes(instrument, index)
    session = all_sessions()[0][index]
    expected = (session.close_at - session.open_at).seconds // 60
    assert 0.9 * expected < len(minutes) <= expected
    assert instrument.is_illiquid == (len(minutes) < expected)
    assert (minutes[0].o, minutes[-1].c) == (day.o, day.c)
    assert (max(b.h for b in minutes), min(b.low for b in minutes)) == (day.h, day.low)
    assert (sum(b.v for b in minutes), sum(b.n for b in minutes)) == (day.v, day.n)
    for bar in [day, *minutes]:
        assert 0 < bar.low <= min(bar.o, bar.c, bar.vw)
        assert max(bar.o, bar.c, bar.vw) <= bar.h
        assert bar.v >= 0
        assert bar.n >= 1
        assert all(round(x, 4) == x for x in (bar.o, bar.h, bar.low, bar.c, bar.vw))
    labels = [b.t for b in minutes]
    assert labels == sorted(set(labels))
    assert labels[0] >= session.open_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert labels[-1] < session.close_at.strftime("%Y-%m-%dT%H:%M:%SZ")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 59), st.integers(0, 2700), st.sampled_from(["5Min", "7Min", "30Min", "1Hour", "4Hour"]))
def test_longer_bars_are_the_minutes_put_together(number, index, name):
    instrument, session = MARKET.instruments[number], all_sessions()[0][index]
    timeframe, groups = timeframes.parse(name), {}
    for bar in MARKET.minutes(instrument, index):
        at = calendar.midnight(session.day)
        passed = int((datetime.fromisoformat(bar.t) - at).total_seconds()) // 60 // timeframe.minutes
        groups.setdefault((at + timedelta(minutes=passed * timeframe.minutes)).strftime(LABEL), []).append(bar)
    expected = [
        (label, bars[0].o, max(b.h for b in bars), min(b.low for b in bars), bars[-1].c, sum(b.v for b in bars),
         sum(b.n for b in bars))
        for label, bars in groups.items()
    ]  # fmt: skip
    listed = MARKET.index_range(instrument, "", "9", NOW)
    found = _bars(MARKET, instrument.symbol, name, session.open_at.strftime(LABEL)[:10], f"{session.day}T23:59:59Z")
    if not listed[0] <= index < listed[1]:
        assert found == []
        return
    assert [(b.t, b.o, b.h, b.low, b.c, b.v, b.n) for b in found] == expected
    for bar, minutes in zip(found, groups.values(), strict=True):
        assert bar.vw == pytest.approx(sum(b.vw * b.v for b in minutes) / bar.v, abs=1e-4)


def test_a_share_is_the_same_in_any_universe_and_order():
    small, large = Market(symbols=5, seed=42), Market(symbols=300, seed=42)
    _bars(large, "TSLA", "1Day", "2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z")
    query = ("AAPL", "1Min", "2026-11-19T00:00:00Z", "2026-11-20T23:00:00Z")
    assert _bars(small, *query) == _bars(large, *query)
    assert _bars(Market(symbols=5, seed=43), *query) != _bars(small, *query)


def test_nothing_is_there_before_its_time():
    opened = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
    whole = ("AAPL", "1Min", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z")
    assert _bars(MARKET, *whole, until=opened) == []
    assert len(_bars(MARKET, *whole, until=opened.replace(minute=31))) == 1
    day = ("AAPL", "1Day", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z")
    assert _bars(MARKET, *day, until=NOW.replace(hour=20, minute=59)) == []
    assert len(_bars(MARKET, *day)) == 1
    assert _bars(MARKET, "AAPL", "1Day", "1999-01-01T00:00:00Z", "2016-01-05T06:00:00Z")[0].t.startswith(str(FIRST_DAY))


def test_prices_stay_near_their_level_over_twenty_years():
    count = len(all_sessions()[0])
    for instrument in MARKET.instruments:
        closes = [bar.c for bar in MARKET.daily(instrument, 0, count)]
        assert instrument.price / 8 < min(closes)
        assert max(closes) < instrument.price * 8


def test_names_are_unique_and_sizes_are_bounded():
    names = [i.symbol for i in instruments(LIMIT, 42)]
    assert len(set(names)) == LIMIT
    assert names[:5] == ["AAPL", "MSFT", "GOOGL", "AMZN", "TSLA"]
    assert all(name.isalpha() and 3 <= len(name) <= 5 for name in names)
    assert [i.delisted is not None for i in instruments(20, 42)][-3:] == [False, True, True]
    assert len({i.listed for i in instruments(100, 42)} - {None}) == 2
    for count in (0, LIMIT + 1):
        with pytest.raises(ValueError, match="symbols must be"):
            instruments(count, 42)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1Min", "1Min"), ("59T", "59Min"), ("23H", "23Hour"), ("1D", "1Day"), ("1W", "1Week"), ("12M", "12Month")],
)
def test_timeframes_have_two_spellings(text, expected):
    assert str(timeframes.parse(text)) == expected


def test_other_timeframes_are_told_apart():
    assert timeframes.parse("1min") is None
    assert timeframes.parse("") is None
    for text in ("60Min", "24Hour", "2Day", "5Month", "0Min"):
        with pytest.raises(ValueError, match=text):
            timeframes.parse(text)
