"""Thresholds as settings: every field, refusals with their place, targets with their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsuite_console.config.loading import ConfigurationProblem, load
from qsuite_console.config.rules import RULES, BadRule, changed
from qsuite_console.config.settings import Settings
from qsuite_console.paths import Paths, resolve


def written(tmp_path: Path, text: str) -> Paths:
    paths = resolve(str(tmp_path)).ensure()
    paths.config_file.write_text(text, encoding="utf-8")
    return paths


def problems(tmp_path: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationProblem) as caught:
        load(written(tmp_path, text), {}, {})
    return caught.value.problems


def test_without_a_file_the_defaults_are_in_force() -> None:
    assert Settings().thresholds == RULES


def test_every_field_can_be_stated_and_the_others_stay(tmp_path: Path) -> None:
    text = """
[thresholds."postgresql.connections"]
warning = 70
critical = 90.5
clear = 60
for_s = 0
clear_s = 120
[thresholds."redis.hit_rate"]
enabled = false
[thresholds.host.cpu]
critical = false
"""
    loaded = load(written(tmp_path, text), {}, {})
    rules = loaded.settings.thresholds
    rule = rules["postgresql.connections"]
    assert (rule.warning, rule.critical, rule.clear, rule.for_s, rule.clear_s) == (70, 90.5, 60, 0, 120)
    assert rule.title == RULES["postgresql.connections"].title
    assert not rules["redis.hit_rate"].enabled
    assert (rules["host.cpu"].warning, rules["host.cpu"].critical) == (80, None)
    assert rules["host.memory"] == RULES["host.memory"]
    assert loaded.origins["thresholds.redis.hit_rate"].endswith("config.toml:8")
    assert loaded.origins["thresholds.host.memory"] == "default"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[thresholds."postgresql.conections"]\nwarning = 1',
         ":1: thresholds.postgresql.conections: unknown threshold; did you mean postgresql.connections?"),
        ('[thresholds."host.cpu"]\nwarnin = 1', ":2: thresholds.host.cpu.warnin: unknown key; did you mean warning?"),
        ('[thresholds."host.cpu"]\nwarning = 97',
         ":1: thresholds.host.cpu: warning 97 lies above critical 95; it must be reached first"),
        ('[thresholds."redis.hit_rate"]\ncritical = 90',
         ":1: thresholds.redis.hit_rate: warning 80 lies below critical 90; it must be reached first"),
        ('[thresholds."host.cpu"]\nclear = 81', ":1: thresholds.host.cpu: clear 81 lies above warning 80; it must lie"),
        ('[thresholds."redis.hit_rate"]\nclear = 79', ":1: thresholds.redis.hit_rate: clear 79 lies below warning 80"),
        ('[thresholds."host.cpu"]\nwarning = "80"', ":1: thresholds.host.cpu: warning: expected a number, got '80'"),
        ('[thresholds."host.cpu"]\nwarning = 101', ":1: thresholds.host.cpu: warning: 101 is out of range, 0 to 100 %"),
        ('[thresholds."host.cpu"]\nfor_s = -1', ":1: thresholds.host.cpu: for_s: -1 is out of range, 0 to 86400"),
        ('[thresholds."host.cpu"]\nwarning = nan', ":1: thresholds.host.cpu: warning: expected a number, got nan"),
        ('[thresholds."host.cpu"]\nenabled = 1', ":1: thresholds.host.cpu: enabled: expected true or false, got 1"),
        ('[thresholds."host.cpu"]\nwarning = false\ncritical = false', ":1: thresholds.host.cpu: has neither"),
        ("thresholds = 3", ':1: thresholds: write each as a table [thresholds."host.cpu"]'),
        ('[targets.prod.thresholds."host.cpu"]\nwarning = 99', ":1: thresholds.host.cpu: warning 99 lies above"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    [problem] = problems(tmp_path, text)
    assert told in problem


def test_a_target_has_its_own_on_top_of_everybodys(tmp_path: Path) -> None:
    text = """
[targets.prod.thresholds."host.cpu"]
warning = 96
[thresholds."host.cpu"]
critical = 99
for_s = 1
"""
    paths = written(tmp_path, text)
    everybody = load(paths, {}, {}).settings.thresholds["host.cpu"]
    prod = load(paths, {}, {"target": "prod"}).settings.thresholds["host.cpu"]
    assert (everybody.warning, everybody.critical, everybody.for_s) == (80, 99, 1)
    assert (prod.warning, prod.critical, prod.for_s) == (96, 99, 1)


def test_a_default_clear_limit_gives_way_to_a_stricter_warning() -> None:
    rule = changed(RULES["host.disk"], {"warning": 50})
    assert (rule.clear, rule.calm) == (None, 45)
    with pytest.raises(BadRule, match="clear 84 lies above warning 50"):
        changed(RULES["host.disk"], {"warning": 50, "clear": 84})


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_the_defaults_keep_the_order_and_say_what_they_measure(rule: object) -> None:
    good = RULES[getattr(rule, "id", "")]
    assert changed(good, {"enabled": good.enabled}) == good
    assert good.about.endswith(".")
    assert good.title


@pytest.mark.parametrize(
    ("rule_id", "warning", "critical"),
    [
        ("postgresql.cache_hit", 95, None),
        ("postgresql.long_queries", 6, None),  # more than five
        ("postgresql.connections", 80, 95),
        ("host.cpu", 80, 95),
        ("host.memory", 75, 90),
        ("host.disk", 85, 95),
        ("redis.hit_rate", 80, None),
        ("jobs.queued", 100, 500),
        ("jobs.failure_rate", 5, None),
        ("application.response_time", 2, 5),
        ("jobs.backfill_success", 95, None),
        ("jobs.backfill_limited", 5, None),
    ],
)
def test_the_defaults_are_those_of_the_requirements(rule_id: str, warning: float, critical: float | None) -> None:
    assert (RULES[rule_id].warning, RULES[rule_id].critical) == (warning, critical)
