"""A value that flaps around its limit gives one alert and one clear, whatever the pattern."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsuite_console.metrics.thresholds import RULES, Rule, Watch, step
from qsuite_console.model.health import AlertState

START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
CALM = 60  # samples: longer than any rule waits before it clears
WATCHED = [rule for rule in RULES.values() if not rule.id.endswith(".answers")]


def turns(rule: Rule, values: Sequence[float | None]) -> list[AlertState]:
    """Return each firing and clearing, in order, of samples two seconds apart."""
    watch, seen = Watch(), list[AlertState]()
    for number, value in enumerate(values):
        before = watch.alert
        watch = step(rule, watch, value, at=START + timedelta(seconds=2 * number), now=2.0 * number)
        after = watch.alert
        if after is not None and (before is None or (after.since, after.state) != (before.since, before.state)):
            seen.append(after.state)
    return seen


def beyond(rule: Rule) -> float:
    assert rule.first is not None
    return rule.first * 0.999 if rule.is_low_bad else rule.first


def inside(rule: Rule) -> float:
    """Return a value on the good side of the limit that is not yet calm."""
    assert rule.first is not None
    assert rule.calm is not None
    return (rule.first + rule.calm) / 2


def well(rule: Rule) -> float:
    assert rule.calm is not None
    return rule.calm * 1.02 if rule.is_low_bad else rule.calm * 0.98


@pytest.mark.parametrize("rule", WATCHED, ids=lambda rule: rule.id)
@pytest.mark.parametrize("pattern", ["10", "01", "100", "110", "11110000", "10" * 5 + "1" * 10, "random"])
def test_sixty_samples_around_the_limit_are_one_alert_and_one_clear(rule: Rule, pattern: str) -> None:
    dice = random.Random(7)
    flags = "".join(dice.choice("01") for _ in range(60)) if pattern == "random" else (pattern * 60)[:60]
    if "1" not in flags[: 60 - int(rule.for_s / 2) - 1]:
        pytest.fail("the pattern must cross the limit early enough to last")
    values = [beyond(rule) if flag == "1" else inside(rule) for flag in flags]
    assert turns(rule, [*values, *[well(rule)] * CALM]) == [AlertState.FIRING, AlertState.CLEARED]


@pytest.mark.parametrize("rule", WATCHED, ids=lambda rule: rule.id)
def test_a_single_peak_that_calms_down_is_no_alert_where_it_has_to_last(rule: Rule) -> None:
    expected = [] if rule.for_s else [AlertState.FIRING, AlertState.CLEARED]
    assert turns(rule, [well(rule), beyond(rule), *[well(rule)] * CALM]) == expected


def test_a_burning_alert_outlives_short_calms() -> None:
    rule = RULES["host.disk"]
    values = [90.0, *[10.0, 10.0, 90.0] * 20]
    assert turns(rule, [*values, *[10.0] * CALM]) == [AlertState.FIRING, AlertState.CLEARED]


@given(st.lists(st.one_of(st.none(), st.floats(min_value=0, max_value=120)), max_size=120))
def test_firing_and_clearing_take_turns(values: list[float | None]) -> None:
    seen = turns(RULES["host.cpu"], values)
    assert seen == [AlertState.FIRING, AlertState.CLEARED] * (len(seen) // 2) + [AlertState.FIRING] * (len(seen) % 2)


@given(st.lists(st.floats(min_value=72.001, max_value=120), min_size=1, max_size=60))
def test_what_never_gets_well_inside_fires_at_most_once_and_clears_once(values: list[float]) -> None:
    rule = RULES["host.cpu"]  # clears at 72 %
    seen = turns(rule, [*values, *[10.0] * CALM])
    crossed = [number for number, value in enumerate(values) if value >= 80]
    lasts = bool(crossed) and any(number - crossed[0] >= rule.for_s / 2 for number in crossed)
    assert seen == ([AlertState.FIRING, AlertState.CLEARED] if lasts else [])
