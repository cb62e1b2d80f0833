"""What is refused, in which words, and how ranges are clipped."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from qsuite_console.config.settings import BackfillSettings, TableSettings
from qsuite_console.engine.parameters import decode, describe
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.workers.backfill.parameters import (
    PROFILES,
    BackfillParameters,
    check,
    profile_of,
    resolve_range,
    split_symbols,
)
from qsuite_console.workers.backfill.universe import read_symbols_file

TABLES = TableSettings()


class Clock:
    def __init__(self, now: datetime = datetime(2026, 11, 22, 14, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return 0.0


def problems(**changes: object) -> dict[str, str]:
    given = {"symbols": "AAPL", "start": date(2025, 1, 2), **changes}
    return check(BackfillParameters(**given), TABLES, Clock())  # type: ignore[arg-type]


def test_every_problem_is_named_at_once() -> None:
    assert problems(symbols="AAPL,NOSUCH,BAD SYMBOL", start=date(2030, 1, 1), table="nope") == {
        "symbols": '"BAD SYMBOL" is not a symbol (letters and digits, parts joined by . - /)',
        "start": "2030-01-01 is in the future; the last session is 2026-11-20",
        "table": '"nope" is neither price_ticks nor market_data_marketdata',
    }


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"symbols": ""}, "symbols", "name symbols"),
        ({"symbols": " , "}, "symbols", "name symbols"),
        ({"start": date(2026, 11, 21)}, "start", "no session is complete since 2026-11-21; the last one is 2026-11-20"),
        ({"start": date(1980, 1, 1)}, "start", "before 1990"),
        ({"end": date(2024, 1, 1)}, "end", "before the start"),
        ({"table": "market_data_marketdata"}, "table", "1Min bars only"),
        ({"timeframe": "1Month", "start": date(2026, 11, 3)}, "end", "no whole month"),
    ],
)
def test_problem(changes: dict[str, object], field: str, words: str) -> None:
    assert words in problems(**changes)[field]


def test_good_parameters_have_none() -> None:
    assert problems() == {}
    assert problems(symbols="all") == {}
    assert problems(symbols="", symbols_file="list.txt") == {}
    assert problems(table="market_data_marketdata", timeframe="1Min") == {}


def test_symbols_are_cleaned_and_judged() -> None:
    assert split_symbols("aapl, BRK.B ;MSFT,AAPL,,BTC/USD") == (["AAPL", "BRK.B", "MSFT", "BTC/USD"], [])
    assert split_symbols("A B,$X,TAOP:NASDAQ,\x1b[2J") == ([], ["A B", "$X", "TAOP:NASDAQ", "\x1b[2J"])


def test_the_end_is_the_last_session_whose_bars_are_free() -> None:
    parameters = BackfillParameters(symbols="AAPL", start=date(2026, 11, 2))
    closing = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
    assert resolve_range(parameters, Clock(closing.replace(minute=10)))[1] == date(2026, 11, 19)
    assert resolve_range(parameters, Clock(closing.replace(minute=21)))[1] == date(2026, 11, 20)


def test_weeks_and_months_are_whole() -> None:
    weekly = BackfillParameters(symbols="A", timeframe="1Week", start=date(2026, 11, 4), end=date(2026, 11, 19))
    assert resolve_range(weekly, Clock()) == (date(2026, 11, 2), date(2026, 11, 15))
    monthly = BackfillParameters(symbols="A", timeframe="1Month", start=date(2026, 8, 4), end=date(2026, 11, 19))
    assert resolve_range(monthly, Clock()) == (date(2026, 8, 1), date(2026, 10, 31))


def test_settings_override_a_profile() -> None:
    assert profile_of("baseline", BackfillSettings()) == PROFILES["baseline"]
    changed = profile_of("baseline", BackfillSettings(batch_size=7, concurrent_requests=2, delay_s=0.0))
    assert (changed.batch_size, changed.concurrent, changed.delay_s) == (7, 2, 0.0)


def test_the_form_is_made_from_the_type() -> None:
    specs = {spec.name: spec for spec in describe(BackfillParameters)}
    assert specs["start"].is_required
    assert specs["start"].type == "date"
    assert not specs["end"].is_required
    assert specs["end"].type == "date"
    assert {"1Min", "1Day", "1Month"} <= set(specs["timeframe"].choices)
    assert specs["profile"].default == "adaptive"
    assert specs["refresh"].type == "boolean"
    made = decode(BackfillParameters, {"symbols": "AAPL", "start": "2025-01-02", "refresh": "true"})
    assert made == BackfillParameters(symbols="AAPL", start=date(2025, 1, 2), refresh=True)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"path": "bars.csv"}, "path", "for source file only"),
        ({"source": "crypto"}, "symbols", "pairs like BTC/USD"),
        ({"source": "crypto", "symbols": "all", "feed": "sip"}, "feed", "for stocks only"),
        ({"source": "crypto", "symbols": "all", "table": "market_data_marketdata"}, "table", "1Min bars only"),
        ({"source": "file", "symbols": ""}, "path", "name a CSV, JSONL or Parquet file"),
        ({"source": "file", "path": "a.csv", "symbols": "active"}, "symbols", "leave it empty"),
        ({"source": "file", "path": "a.csv", "adjustment": "split"}, "adjustment", "taken as they are"),
        ({"source": "file", "path": "a.csv", "end": date(2024, 1, 1)}, "end", "before the start"),
        ({"source": "file", "path": "a.csv", "timeframe": "1Day", "table": "market_data"}, "table", "1Min bars only"),
    ],
)
def test_problem_of_a_source(changes: dict[str, object], field: str, words: str) -> None:
    assert words in problems(**changes)[field]


def test_each_source_has_its_own_needs() -> None:
    assert not problems(source="crypto", symbols="BTC/USD,ETH/USD", start=date(2026, 11, 21))
    assert not problems(source="file", symbols="", path="bars")
    specs = {spec.name: spec for spec in describe(BackfillParameters)}
    assert specs["source"].choices == ("stocks", "crypto", "file")
    assert (specs["source"].default, specs["path"].default) == ("stocks", "")


def test_a_symbols_file_that_may_never_end_is_refused_unread(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (str(pipe), "/dev/zero"):
        with pytest.raises(InvalidParameters, match="is not a file"):
            read_symbols_file(path)
    (tmp_path / "list.txt").write_text("AAPL\nmsft # a comment\n\nNO WAY\n")
    assert read_symbols_file(str(tmp_path / "list.txt")) == (["AAPL", "MSFT"], ["NO WAY"])
    with pytest.raises(InvalidParameters, match="Is a directory"):
        read_symbols_file(str(tmp_path))


def test_the_paths_among_the_parameters_are_marked_as_such() -> None:
    assert {spec.name for spec in describe(BackfillParameters) if spec.type == "path"} == {"symbols_file", "path"}
