"""Parameters described from a struct's own annotations, and decoded with every problem named."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
import pytest

from qsuite_console.engine.parameters import decode, describe
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.kinds import PATH


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class Example(msgspec.Struct, frozen=True, kw_only=True):
    symbols: Annotated[str, msgspec.Meta(title="Symbols", description="comma separated", examples=["AAPL,MSFT"])]
    start: date
    timeframe: Literal["1Min", "1Day"] = "1Day"
    side: Side = Side.BUY
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    code: Annotated[str, msgspec.Meta(pattern="^[A-Z]*$")] = ""
    share: float | None = None
    refresh: bool = False
    tags: list[str] = []
    source: Annotated[str, msgspec.Meta(title="Source", extra_json_schema=PATH)] = ""


def test_everything_a_form_needs_comes_from_the_annotations() -> None:
    specs = {spec.name: spec for spec in describe(Example)}
    assert [spec.type for spec in specs.values()] == [
        "text", "date", "choice", "choice", "integer", "text", "number", "boolean", "list", "path",
    ]  # fmt: skip
    symbols, limit = specs["symbols"], specs["limit"]
    assert (symbols.label, symbols.help, symbols.placeholder, symbols.is_required) == (
        "Symbols", "comma separated", "AAPL,MSFT", True,
    )  # fmt: skip
    assert (limit.minimum, limit.maximum, limit.default, limit.label) == (1, 100, 10, "Limit")
    assert specs["timeframe"].choices == ("1Min", "1Day")
    assert specs["side"].choices == ("buy", "sell")
    assert specs["side"].default == "buy"
    assert specs["tags"].default == []


def test_text_from_forms_and_flags_is_read_leniently() -> None:
    given = {
        "symbols": "AAPL", "start": " 2025-01-02 ", "limit": "7", "share": "0.5", "refresh": "yes", "tags": "a, b,",
        "side": "sell",
    }  # fmt: skip
    assert decode(Example, given) == Example(
        symbols="AAPL", start=date(2025, 1, 2), limit=7, share=0.5, refresh=True, tags=["a", "b"], side=Side.SELL
    )
    blank = {"symbols": "AAPL", "start": "2025-01-02", "limit": "", "share": None, "code": ""}
    assert decode(Example, blank) == Example(symbols="AAPL", start=date(2025, 1, 2))


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({"start": "2025-01-02"}, "symbols", "is required, for example AAPL,MSFT"),
        ({"symbols": "", "start": "2025-01-02"}, "symbols", "is required, for example AAPL,MSFT"),
        ({"symbls": "A"}, "symbls", "is not a parameter; did you mean symbols?"),
        ({"start": "soon"}, "start", "“soon” is not a date like 2025-01-31"),
        ({"limit": "many"}, "limit", "“many” is not a whole number"),
        ({"limit": "0"}, "limit", "“0” must be at least 1"),
        ({"limit": 101}, "limit", "“101” must be at most 100"),
        ({"timeframe": "1min"}, "timeframe", "“1min” is not a choice; did you mean 1Min?"),
        ({"side": "x"}, "side", "“x” is not a choice; one of buy, sell"),
        ({"refresh": "perhaps"}, "refresh", "“perhaps” is not yes or no"),
        ({"code": "a"}, "code", "“a” must be of the form '^[A-Z]*$'"),
        ({"share": "half\x1b[31m"}, "share", "“half␛[31m” is not a number"),
    ],
)
def test_each_refusal_names_the_field_and_the_reason(given: dict[str, object], field: str, says: str) -> None:
    with pytest.raises(InvalidParameters) as refused:
        decode(Example, given)
    assert refused.value.problems[field] == says


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(InvalidParameters) as refused:
        decode(Example, {"limit": "x", "refresh": "y?", "zzz": 1})
    assert set(refused.value.problems) == {"symbols", "start", "limit", "refresh", "zzz"}


class Since(msgspec.Struct, frozen=True):
    """An instant."""

    start: datetime


def test_what_is_no_instant_is_told_how_one_is_written() -> None:
    with pytest.raises(InvalidParameters) as caught:
        decode(Since, {"start": "yesterday"})
    assert caught.value.problems == {"start": "“yesterday” is not a time like 2025-01-31T09:30:00Z"}


class Ordered(msgspec.Struct, frozen=True):
    low: int = 0
    high: int = 1

    def __post_init__(self) -> None:
        if self.high < self.low:
            raise ValueError("high is below low")


def test_a_rule_of_the_whole_is_told_without_a_field() -> None:
    with pytest.raises(InvalidParameters) as refused:
        decode(Ordered, {"low": 5})
    assert refused.value.problems == {"": "high is below low"}
