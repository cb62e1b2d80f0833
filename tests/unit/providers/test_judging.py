"""What is judged quickly is judged as closely as ever: the usual way and the careful way agree on every record."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from qsuite_console.providers.judging import FilePage, Judge
from qsuite_console.providers.records import Record

COLUMNS = ("symbol", "timeframe", "timestamp", "open", "high", "low", "close", "volume", "trade_count", "vwap")
SCALES = {"open": 6, "high": 6, "low": 6, "close": 6, "volume": 0, "vwap": 6}
GOOD = {
    "symbol": "AAPL", "timestamp": "2025-03-03T15:00:00Z", "open": "100", "high": "101", "low": "99", "close": "100.5",
    "volume": "10",
}  # fmt: skip
CHANGES: tuple[dict[str, Any], ...] = (
    {}, {"symbol": " aapl "}, {"symbol": "A B"}, {"symbol": "GHOST"}, {"symbol": 1}, {"symbol": ["AAPL"]},
    {"timestamp": "2025-03-03T15:00:30Z"}, {"timestamp": "2025-03-03T10:00:00-05:00"}, {"timestamp": "yesterday"},
    {"timestamp": "2035-03-03T15:00:00Z"}, {"timestamp": ""}, {"timestamp": None}, {"timestamp": 7},
    {"open": 100}, {"open": True}, {"open": "NaN"}, {"open": "-1"}, {"open": "0"}, {"open": "100.1234567"},
    {"open": " 100.10 "}, {"open": "1e2"}, {"open": "102"}, {"open": Decimal("100.5")}, {"open": 100.5}, {"open": ""},
    {"high": "98"}, {"low": "100.4", "close": "100.3"}, {"close": "1e13", "high": "1e13"}, {"close": "٣"},
    {"volume": "-5"}, {"volume": "2.5"}, {"volume": "٣"}, {"volume": "²"}, {"volume": "9" * 30}, {"volume": 7},
    {"timestamp": "9999-12-31T23:59:59-12:00"}, {"timestamp": "0001-01-01T00:00:00+14:00"},
    {"volume": "007"}, {"trade_count": "3", "vwap": "100.1"}, {"trade_count": "x", "vwap": ""}, {"extra": "1"},
)  # fmt: skip


def judge() -> Judge:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    return Judge(
        "1Min", (date(1900, 1, 1), None), COLUMNS, SCALES, owners={"AAPL": 7}, symbols=None, now=now,
        rejects_unknown=True,
    )  # fmt: skip


def outcome(page: FilePage) -> object:
    fields = [line.split("\t") for line in page.rows.decode().splitlines()]
    rows = [[*line[:3], *(value if value == "\\N" else Decimal(value) for value in line[3:])] for line in fields]
    return rows, [(bad.number, bad.reason) for bad in page.rejected], page.unknown


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_the_usual_way_and_the_careful_way_agree(change: dict[str, Any]) -> None:
    record = Record(2, {**GOOD, **change}, "")
    fresh = judge().judge([record])  # no symbol is known yet: looked at closely
    trained = judge()
    trained.judge([Record(2, GOOD, "")])
    again = [trained.judge([record]) for _ in range(2)][-1]
    assert outcome(again) == outcome(fresh)
    assert again.count + len(again.rejected) == 1


def test_of_records_of_one_time_the_last_counts_and_rows_know_their_records() -> None:
    records = [Record(2, GOOD, ""), Record(3, {**GOOD, "timestamp": "2025-03-03T15:01:00Z"}, ""), Record(4, GOOD, "")]
    page = judge().judge(records)
    assert (page.count, page.numbers) == (2, [3, 4])
    assert [(bad.number, bad.reason) for bad in page.rejected] == [
        (2, "duplicate: line 4 has the same symbol and time")
    ]
