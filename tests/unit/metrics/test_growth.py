"""Counters looked at now and then: growth over an interval, never across a reset, a restart or the first look."""

from __future__ import annotations

import pytest

from qsuite_console.metrics.growth import Growth


def test_one_look_says_nothing() -> None:
    growth = Growth(900)
    assert growth.over(10) is None
    growth.add(5.0, {"n": 100})
    assert growth.over(10) is None


def test_short_and_long_intervals_come_from_the_same_looks() -> None:
    growth = Growth(60)
    for second in range(0, 101, 2):
        growth.add(float(second), {"n": second**2})
    short, long = growth.over(10), growth.over(60)
    assert (short.seconds, short.of("n"), short.rate("n")) == (10, 100**2 - 90**2, 190)
    assert (long.seconds, long.of("n")) == (60, 100**2 - 40**2)
    assert growth.over(1000).seconds <= 62, "older looks are forgotten"


def test_an_interval_that_is_not_yet_so_long_is_what_there_is() -> None:
    growth = Growth(900)
    growth.add(0.0, {"n": 1})
    growth.add(3.0, {"n": 7})
    assert (growth.over(10).seconds, growth.over(10).of("n")) == (3, 6)


@pytest.mark.parametrize(
    ("at", "counters", "epoch"),
    [(3.0, {"n": 2}, "new"), (3.0, {"n": 0}, "old"), (-1.0, {"n": 9}, "old")],
    ids=["another epoch", "a counter fell", "the clock went back"],
)
def test_nothing_is_counted_from_before_a_new_start(at: float, counters: dict[str, float], epoch: str) -> None:
    growth = Growth(900)
    growth.add(0.0, {"n": 1}, epoch="old")
    growth.add(1.0, {"n": 2}, epoch="old")
    growth.add(at, counters, epoch=epoch)
    assert growth.over(10) is None
    growth.add(at + 1, {"n": 10}, epoch=epoch)
    assert growth.over(10).of("n") == 10 - counters["n"]


def test_counters_a_server_does_not_have_are_missing_not_zero() -> None:
    growth = Growth(900)
    growth.add(0.0, {"n": 1, "m": None})
    growth.add(2.0, {"n": 3, "m": 8})
    assert (growth.over(10).of("m"), growth.over(10).rate("m"), growth.over(10).rate("n")) == (None, None, 1)
    growth.add(2.0, {"n": 3, "m": 8})
    assert growth.over(10).seconds == 2, "the same look twice is one look"
