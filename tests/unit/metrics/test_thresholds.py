from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from qsuite_console.metrics.thresholds import RULES, Rule, Watch, level, limits, step, worst
from qsuite_console.model.health import AlertState, Level

START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
CPU = Rule(id="host.cpu", title="CPU", unit="%", warning=80, critical=95, for_s=6, clear_s=6)
HITS = Rule(id="redis.hit_rate", title="hit rate", unit="%", warning=80, is_low_bad=True, clear=82, for_s=0)


def play(rule: Rule, values: list[float | None], every_s: float = 2.0) -> list[Watch]:
    watch, seen = Watch(), []
    for number, value in enumerate(values):
        now = number * every_s
        watch = step(rule, watch, value, at=START + timedelta(seconds=now), now=now)
        seen.append(watch)
    return seen


def firings(watches: list[Watch]) -> list[bool]:
    return [watch.is_firing for watch in watches]


@pytest.mark.parametrize(
    ("rule_id", "value", "expected"),
    [
        ("postgresql.connections", 79.9, Level.OK),
        ("postgresql.connections", 80, Level.WARNING),
        ("postgresql.connections", 95, Level.CRITICAL),
        ("postgresql.cache_hit", 95, Level.OK),
        ("postgresql.cache_hit", 94.9, Level.WARNING),
        ("postgresql.cache_hit", None, Level.UNKNOWN),
        ("postgresql.long_queries", 5, Level.OK),
        ("postgresql.long_queries", 6, Level.WARNING),
        ("postgresql.lock_waits", 0, Level.OK),
        ("postgresql.lock_waits", 1, Level.WARNING),
        ("redis.hit_rate", 79, Level.WARNING),
        ("redis.hit_rate", 80, Level.OK),
        ("host.cpu", 81, Level.WARNING),
        ("host.memory", 75, Level.WARNING),
        ("host.memory", 90, Level.CRITICAL),
        ("host.disk", 84.9, Level.OK),
        ("host.disk", 85, Level.WARNING),
        ("host.disk", 95, Level.CRITICAL),
        ("jobs.queued", 99, Level.OK),
        ("jobs.queued", 100, Level.WARNING),
        ("jobs.queued", 500, Level.CRITICAL),
        ("jobs.failure_rate", 5, Level.WARNING),
        ("jobs.failure_rate", 4.9, Level.OK),
    ],
)
def test_the_limits_are_those_of_the_requirements(rule_id: str, value: float | None, expected: Level) -> None:
    assert level(RULES[rule_id], value) is expected


def test_limits_read_as_a_person_says_them() -> None:
    assert limits(RULES["postgresql.connections"]) == "warn 80 %, critical 95 %"
    assert limits(RULES["redis.hit_rate"]) == "warn below 80 %"
    assert limits(RULES["redis.evictions"]) == "warn 1 /s, critical 50 /s"


def test_a_value_fires_only_after_staying_beyond_its_limit() -> None:
    assert firings(play(CPU, [70, 85, 85, 85, 85])) == [False, False, False, False, True]
    assert not any(firings(play(CPU, [85, 85, 70, 85, 85, 70, 85, 85])))


def test_a_flapping_value_gives_one_alert() -> None:
    flapping = [85, 85, 85, 85, 79, 85, 79, 85, 73, 85, 71, 71, 85]  # 72 is the clear limit
    watches = play(CPU, flapping)
    burning = [watch.alert for watch in watches if watch.is_firing]
    assert len({alert.since for alert in burning if alert is not None}) == 1
    assert watches[-1].is_firing


def test_an_alert_clears_after_staying_calm_and_keeps_when_it_began() -> None:
    watches = play(CPU, [85, 85, 85, 85, 70, 70, 70, 70])
    assert firings(watches) == [False, False, False, True, True, True, True, False]
    alert = watches[-1].alert
    assert alert is not None
    assert alert.state is AlertState.CLEARED
    assert alert.since == START + timedelta(seconds=6)
    assert alert.cleared_at == START + timedelta(seconds=14)


def test_after_clearing_a_new_crossing_is_a_new_alert() -> None:
    watches = play(CPU, [85] * 4 + [10] * 4 + [90] * 4)
    last = watches[-1].alert
    assert last is not None
    assert last.state is AlertState.FIRING
    assert last.since == START + timedelta(seconds=22)


def test_a_warning_becomes_critical_without_becoming_a_second_alert() -> None:
    watches = play(CPU, [85] * 4 + [97] * 4)
    first, last = watches[3].alert, watches[-1].alert
    assert first is not None
    assert last is not None
    assert (first.level, last.level) == (Level.WARNING, Level.CRITICAL)
    assert first.since == last.since
    assert last.message == "CPU: 97 % (warn 80 %, critical 95 %)"


def test_a_value_that_jumps_to_critical_fires_as_critical() -> None:
    alert = play(CPU, [99, 99, 99, 99])[-1].alert
    assert alert is not None
    assert alert.level is Level.CRITICAL


def test_what_was_not_measured_neither_fires_nor_clears() -> None:
    assert not any(firings(play(CPU, [85, None, 85, None, 85, None, 85, None])))
    assert all(firings(play(CPU, [85] * 4 + [None] * 10))[3:])


def test_a_low_value_is_bad_where_the_rule_says_so() -> None:
    watches = play(HITS, [90, 79, 81, 81, 81, 81, 82, 82, 82, 82])
    assert firings(watches) == [False, True, True, True, True, True, True, True, True, False]


def test_two_failures_in_a_row_are_an_alert_and_one_is_not() -> None:
    rule = RULES["redis.answers"]
    assert firings(play(rule, [0, 1, 0, 1, 0])) == [False] * 5
    watches = play(rule, [0, 1, 2, 3, 0, 0, 0])
    assert firings(watches) == [False, False, True, True, True, True, False]


def test_the_worst_level_counts_only_what_was_measured() -> None:
    assert worst([Level.OK, Level.UNKNOWN, Level.WARNING]) is Level.WARNING
    assert worst([Level.OK, Level.CRITICAL, Level.WARNING]) is Level.CRITICAL
    assert worst([Level.UNKNOWN]) is Level.UNKNOWN
    assert worst([]) is Level.UNKNOWN


def test_every_rule_can_clear_again() -> None:
    for rule in RULES.values():
        first = rule.warning if rule.warning is not None else rule.critical
        assert first is not None
        good = 100.0 if rule.is_low_bad else 0.0
        bad = first - 1 if rule.is_low_bad else (rule.critical or first) * 2
        watch = Watch()
        for now in (0.0, 100.0):
            watch = step(rule, watch, bad, at=START, now=now)
        assert watch.is_firing, rule.id
        for now in (200.0, 300.0):
            watch = step(rule, watch, good, at=START, now=now)
        assert not watch.is_firing, rule.id
