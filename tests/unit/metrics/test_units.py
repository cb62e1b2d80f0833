from __future__ import annotations

import pytest

from qsuite_console.metrics import units
from qsuite_console.model.units import age, quantity


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (999, "999 B"), (1023, "0.999 KiB"), (1536, "1.5 KiB"), (123 * 1024**2, "123 MiB"),
     (12.34 * 1024**3, "12.3 GiB"), (5000 * 1024**5, "5000 PiB")],
)  # fmt: skip
def test_sizes(value: float, text: str) -> None:
    assert units.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0034, "3 ms"), (4.2, "4.2 s"), (42, "42 s"), (59.9, "60 s"), (130, "2 m 10 s"), (11_100, "3 h 5 m"),
     (187_200, "2 d 4 h"), (300, "5 m"), (3600, "1 h"), (86_400, "1 d")],
)  # fmt: skip
def test_spans(value: float, text: str) -> None:
    assert units.span(value) == text


def test_rates_percents_and_counts() -> None:
    assert [units.rate(value) for value in (0, 0.44, 1234.4)] == ["0.0 /s", "0.4 /s", "1,234 /s"]
    assert [units.percent(value) for value in (0, 99.42, 99.96, 100)] == ["0 %", "99.4 %", "100 %", "100 %"]
    assert units.count(1234567) == "1,234,567"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(85, "%", "85 %"), (1024, "MiB", "1,024 MiB"), (0.5, "s", "0.5 s"), (59, "s", "59 s"), (300, "s", "5 m"),
     (310, "s", "5 m 10 s"), (1800, "s", "30 m"), (300, "", "300")],
)  # fmt: skip
def test_limits_of_a_minute_and_more_are_told_in_words(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


@pytest.mark.parametrize(("value", "text"), [(-1, "0s"), (12.9, "12s"), (60, "1m"), (7200, "2h"), (200_000, "2d")])
def test_ages_are_in_one_unit(value: float, text: str) -> None:
    assert age(value) == text
