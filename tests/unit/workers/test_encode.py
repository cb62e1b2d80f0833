"""Pages become rows with exact decimals, and each kind of bad bar is refused with its own reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsuite_console.model.timeframes import Grid
from qsuite_console.providers.errors import ProviderUnavailable
from qsuite_console.workers.backfill.encode import Encoded, Layout, encode_page

LOW, HIGH = datetime(2025, 1, 2, 5, tzinfo=UTC), datetime(2025, 2, 1, 5, tzinfo=UTC)


def bar(day: int, **changes: Any) -> dict[str, Any]:
    good = {
        "t": f"2025-01-{day:02d}T05:00:00Z", "o": 10.5, "h": 12, "l": 9.25, "c": 11.1, "v": 1000, "n": 12, "vw": 10.9,
    }  # fmt: skip
    return {**good, **changes}


def layout(*symbols: str, timeframe: str = "1Day") -> Layout:
    prefixes = {symbol: f"{symbol}\t{timeframe}\t" for symbol in symbols}
    return Layout(prefixes, Grid(timeframe, LOW, HIGH), has_trades=True, has_vwap=True)


def encode(bars: dict[str, Any], previous: dict[str, str] | None = None, *, timeframe: str = "1Day") -> Encoded:
    body = json.dumps({"bars": bars, "next_page_token": None}).encode()
    return encode_page(body, layout(*bars, timeframe=timeframe), previous or {})


def test_a_good_page_becomes_copy_text() -> None:
    made = encode({"AAPL": [bar(2), bar(3, n=None, vw=None)], "MSFT": [bar(2, o=11.123456)]})
    assert made.rows.decode().splitlines() == [
        "AAPL\t1Day\t2025-01-02T05:00:00Z\t10.5\t12.0\t9.25\t11.1\t1000\t12\t10.9",
        "AAPL\t1Day\t2025-01-03T05:00:00Z\t10.5\t12.0\t9.25\t11.1\t1000\t\\N\t\\N",
        "MSFT\t1Day\t2025-01-02T05:00:00Z\t11.123456\t12.0\t9.25\t11.1\t1000\t12\t10.9",
    ]
    assert made.count == 3
    assert made.bars == {"AAPL": 2, "MSFT": 1}
    assert made.last == {"AAPL": "2025-01-03T05:00:00Z", "MSFT": "2025-01-02T05:00:00Z"}
    assert not made.refused


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"c": None}, "c is null"),
        ({"c": float("nan")}, "close is not a number"),
        ({"h": float("inf")}, "high is not a number"),
        ({"h": 9, "l": 12}, "high < low"),
        ({"o": 13}, "open outside low to high"),
        ({"c": 9}, "close outside low to high"),
        ({"l": 0}, "a price is not positive"),
        ({"l": -1, "o": -0.5}, "a price is not positive"),
        ({"h": 1e15}, "a price is too large"),
        ({"v": -5}, "negative volume"),
        ({"v": 1e30}, "volume is not a number or too large"),
        ({"n": 2**40}, "bad trade count"),
        ({"vw": -1.0}, "bad vwap"),
        ({"t": "1999-01-04T05:00:00Z"}, "outside the requested range"),
        ({"t": "2025-01-03T06:00:00Z"}, "the timestamp is not New York's midnight"),
        ({"t": "2025-01-03T05:00:00"}, "the timestamp can't be read"),
        ({"t": "yesterday"}, "the timestamp can't be read"),
        ({"o": "ten"}, "a field has the wrong type"),
    ],
)
def test_one_bad_bar_is_refused_and_the_others_stay(changes: dict[str, Any], reason: str) -> None:
    made = encode({"AAPL": [bar(2), bar(3, **changes), bar(6)], "MSFT": [bar(2)]})
    assert [item.reason for item in made.refused] == [reason]
    assert made.refused[0].symbol == "AAPL"
    assert made.bars == {"AAPL": 2, "MSFT": 1}
    assert made.last["AAPL"] == "2025-01-06T05:00:00Z"


def test_a_missing_field_is_named() -> None:
    broken = bar(3)
    del broken["h"]
    made = encode({"AAPL": [bar(2), broken]})
    assert [(item.reason, item.at) for item in made.refused] == [("h is missing", datetime(2025, 1, 3, 5, tzinfo=UTC))]


def test_duplicates_and_disorder_lose_only_themselves() -> None:
    made = encode({"AAPL": [bar(2), bar(3), bar(3, c=10), bar(6), bar(30), bar(7), bar(8)]})
    assert [item.reason for item in made.refused] == ["duplicate", "out of order"]
    assert [line.split("\t")[2][8:10] for line in made.rows.decode().splitlines()] == ["02", "03", "06", "07", "08"]


def test_a_bar_already_on_the_page_before_is_a_duplicate() -> None:
    made = encode({"AAPL": [bar(2), bar(3)]}, {"AAPL": "2025-01-02T05:00:00Z"})
    assert [item.reason for item in made.refused] == ["duplicate"]
    assert made.count == 1


def test_symbols_nobody_asked_for_are_refused() -> None:
    body = json.dumps({"bars": {"AAPL": [bar(2)], "ODD": [bar(2)]}, "next_page_token": "x"}).encode()
    made = encode_page(body, layout("AAPL"), {})
    assert made.next_page_token == "x"
    assert [(item.symbol, item.reason) for item in made.refused] == [("ODD", "this symbol was not asked for")]


def test_minute_bars_must_be_on_the_minute() -> None:
    made = encode({"AAPL": [bar(2, t="2025-01-02T14:30:00Z"), bar(2, t="2025-01-02T14:30:30Z")]}, timeframe="1Min")
    assert [item.reason for item in made.refused] == ["the timestamp is off the grid"]


@pytest.mark.parametrize("body", [b"", b"<html>502</html>", b'{"bars":{"AAPL":[{"t":"2025', b"[]", b'{"message":"x"}'])
def test_what_is_not_a_page_is_fetched_again(body: bytes) -> None:
    with pytest.raises(ProviderUnavailable):
        encode_page(body, layout("AAPL"), {})


def test_null_bars_are_an_empty_page() -> None:
    assert encode_page(b'{"bars":null,"next_page_token":null}', layout("AAPL"), {}).count == 0


@given(st.decimals(min_value="0.000001", max_value="99999999", places=6))
def test_prices_keep_their_decimals(price: Decimal) -> None:
    text = format(price.normalize(), "f")
    body = (
        f'{{"bars":{{"A":[{{"t":"2025-01-02T05:00:00Z","o":{text},"h":{text},"l":{text},"c":{text},"v":1}}]}}}}'
    ).encode()
    made = encode_page(body, layout("A"), {})
    assert Decimal(made.rows.decode().split("\t")[3]) == price


@given(st.lists(st.integers(min_value=2, max_value=31), max_size=12))
def test_every_bar_is_either_stored_once_in_order_or_refused(days: list[int]) -> None:
    made = encode({"AAPL": [bar(day) for day in days]})
    stored = [line.split("\t")[2] for line in made.rows.decode().splitlines()]
    assert stored == sorted(set(stored))
    assert made.count + len(made.refused) == len(days)
