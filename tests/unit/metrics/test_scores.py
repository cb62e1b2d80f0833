"""Scores: points of one figure, the cap by the worst, what is unknown, and ten situations with known outcomes."""

from __future__ import annotations

import pytest

from qsuite_console.metrics import scores
from qsuite_console.metrics.scores import METRICS, area_score, guide_components, measure, overall, points
from qsuite_console.model.advice import Measure, Score

GOOD = {metric.id: metric.limits[0] for metric in METRICS.values() if metric.id != "cache.broker_evictions"}


def measures(changed: dict[str, float | None]) -> list[Measure]:
    return [measure(name, changed.get(name, value), "was not there") for name, value in GOOD.items()]


def whole(changed: dict[str, float | None], *, failure: str = "") -> Score:
    found = measures(changed)
    areas = [
        area_score(area, found, failure=failure if area == scores.CACHE else "", absent="") for area in scores.AREAS
    ]
    return overall(areas)


@pytest.mark.parametrize(
    ("limits", "value", "expected"),
    [
        ((60, 80, 90, 100), 0, 100),
        ((60, 80, 90, 100), 60, 100),
        ((60, 80, 90, 100), 70, 87.5),
        ((60, 80, 90, 100), 80, 75),
        ((60, 80, 90, 100), 85, 57.5),
        ((60, 80, 90, 100), 90, 40),
        ((60, 80, 90, 100), 95, 20),
        ((60, 80, 90, 100), 100, 0),
        ((60, 80, 90, 100), 900, 0),
        ((99, 95, 90, 70), 100, 100),
        ((99, 95, 90, 70), 97, 87.5),
        ((99, 95, 90, 70), 80, 20),
        ((99, 95, 90, 70), 1, 0),
        ((1, 1, 0, -1), 1, 100),
        ((1, 1, 0, -1), 0, 40),
        ((0, 0, 0, 0), 0, 100),
        ((0, 0, 0, 0), 0.01, 0),
    ],
)
def test_points_are_linear_between_limits(
    limits: tuple[float, float, float, float], value: float, expected: float
) -> None:
    assert points(limits, value) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("situation", "changed", "failure", "expected"),
    [
        ("healthy", {}, "", 100),
        ("Redis does not answer", {}, "it is down", 25),
        ("statistics just reset", {"database.hit_rate": None}, "", 100),
        ("the cache is idle", {"cache.hit_rate": None}, "", 100),
        ("199 of 200 connections", {"database.connections": 99.5}, "", 52),
        ("disk 99 % full", {"database.disk": 99}, "", 50),
        ("an index is built for 20 minutes", {"database.transaction": 1200}, "", 93),
        ("a standby is 20 GB behind", {"database.replication": 20 * 1024}, "", 50),
        ("CPU 100 %", {"system.cpu": 100}, "", 50),
        ("hit rate 80 % in the last minute", {"database.hit_rate": 80}, "", 70),
    ],
)
def test_ten_situations(situation: str, changed: dict[str, float | None], failure: str, expected: float) -> None:
    found = whole(changed, failure=failure)
    assert found.value == pytest.approx(expected, abs=0.5), (situation, found)
    if expected < 100:
        assert found.reasons


def test_the_worst_figure_caps_its_area_and_comes_first() -> None:
    found = area_score("database", measures({"database.disk": 95, "database.rollbacks": 3}))
    dead = points(METRICS["database.disk"].limits, 95)
    assert found.value == pytest.approx(dead + 25, abs=0.1)
    assert found.reasons[0].startswith("disk of the data in use: 95 %")
    assert found.reasons[1].startswith("transactions rolled back: 3 %")


def test_a_slightly_bad_figure_only_weighs() -> None:
    found = area_score("system", measures({"system.load": 1.5}))
    assert found.value == pytest.approx((100 * 8 + 75) / 9, abs=0.1)


def test_unknown_is_neither_0_nor_100() -> None:
    some = area_score("system", measures({"system.cpu": 85, "system.swap_in": None}))
    without = area_score("system", [one for one in measures({"system.cpu": 85}) if one.id != "system.swap_in"])
    assert some.value == without.value
    assert "not measured: swapped in (was not there)" in some.reasons
    assert some.known == pytest.approx(7 / 9, abs=0.001)


def test_an_area_of_which_less_than_half_is_known_has_no_score() -> None:
    found = area_score("system", measures({"system.memory": None, "system.cpu": None}))
    assert found.value is None
    assert found.reasons[0] == "only 44 % of what counts was measured"
    assert area_score("system", []).value is None


def test_what_does_not_exist_is_not_missed() -> None:
    found = measures({})
    areas = [area_score("database", found), area_score("cache", found, absent="no cache is configured")]
    assert areas[1].value is None
    assert overall([*areas, area_score("system", found)], absent=("cache",)).known == 1.0
    unknown = overall([area_score("database", []), area_score("cache", []), area_score("system", found)])
    assert unknown.value is None
    assert unknown.reasons == ("not scored: database", "not scored: cache")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"hit": 99, "long_queries": 0, "cache_hit": 96, "cpu": 50, "memory": 50}, (100, 96, 100, 98.7)),
        ({"hit": 90, "long_queries": 2, "cache_hit": 80, "cpu": 80, "memory": 90}, (80, 80, 50, 70)),
        ({"hit": 0, "long_queries": 0, "cache_hit": None, "cpu": 100, "memory": 100}, (0, None, 0, 0)),
        ({"hit": None, "long_queries": 3, "cache_hit": None, "cpu": None, "memory": 3}, (None, None, None, None)),
    ],
)
def test_the_guides_formulas(given: dict[str, float | None], expected: tuple[float | None, ...]) -> None:
    found = guide_components(**given)
    assert tuple(found[area].value for area in ("database", "cache", "system", "overall")) == expected
