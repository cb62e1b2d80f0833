"""Live scores: the newest figures count, what does not answer is 0 at once, what is unknown is left out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from qsuite_console.metrics import scores
from qsuite_console.metrics.score_keeper import is_blind, live_scores
from qsuite_console.model.advice import Analysis, Machine, Measure, Score
from qsuite_console.model.health import Figure, Level, Reading

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
GOOD = {metric.id: metric.limits[0] for metric in scores.METRICS.values() if metric.id != "cache.broker_evictions"}


def analysis(changes: dict[str, float | None] | None = None, *, database: str = "db", cache: str = "redis") -> Analysis:
    areas = {"system", *(["database"] if database else []), *(["cache"] if cache else [])}
    found: list[Measure] = [
        scores.measure(name, value, "hidden")
        for name, value in {**GOOD, **(changes or {})}.items()
        if name.partition(".")[0] in areas
    ]
    return Analysis(at=NOW, interval_s=2, target="t", database=database, cache=cache, machine=Machine(),
                    scores=(), measures=tuple(found), findings=())  # fmt: skip


def reading(source: str, error: str | None = None) -> Reading:
    headline = Figure(name="x", label="x", text="x")
    return Reading(source=source, title=source, level=Level.OK, headline=headline, sampled_at=NOW, error=error)


def by_area(found: tuple[Score, ...]) -> dict[str, float | None]:
    return {score.area: score.value for score in found}


WELL = {source: reading(source) for source in ("postgresql", "redis", "host")}


def test_overall_comes_first_and_all_is_well() -> None:
    found = live_scores(analysis(), {}, WELL)
    assert [score.area for score in found] == ["overall", "database", "cache", "system"]
    assert set(by_area(found).values()) == {100.0}


def test_the_newest_sample_beats_the_last_look() -> None:
    found = live_scores(analysis(), {"host.cpu": 100.0, "postgresql.connections": 90.0}, WELL)
    areas = by_area(found)
    assert areas["system"] == 25.0  # the worst figure, 0, and 25 above it
    assert areas["database"] == 65.0
    assert areas["cache"] == 100.0
    assert areas["overall"] == 50.0
    assert found[3].reasons[0] == "CPU busy: 100 % (good is 70, scores 0)"


def test_what_the_sample_could_not_measure_keeps_the_value_of_the_last_look() -> None:
    found = live_scores(analysis({"cache.hit_rate": 60.0}), {"redis.hit_rate": None}, WELL)
    assert by_area(found)["cache"] == 65.0


def test_a_server_that_does_not_answer_scores_nothing_at_once() -> None:
    found = live_scores(analysis(), {}, {**WELL, "redis": reading("redis", "connection refused")})
    assert by_area(found) == {"overall": 25.0, "database": 100.0, "cache": 0.0, "system": 100.0}
    assert found[2].reasons == ("connection refused",)


def test_a_server_that_is_not_configured_is_left_out() -> None:
    found = live_scores(analysis(cache=""), {}, {**WELL, "redis": reading("redis", "not configured: set REDIS_URL")})
    assert by_area(found) == {"overall": 100.0, "database": 100.0, "cache": None, "system": 100.0}
    assert found[2].reasons == ("no cache is configured",)


def test_only_what_was_measured_counts() -> None:
    hidden = {name: None for name in GOOD if name.startswith("database.") and name != "database.connections"}
    [overall, database, *_] = live_scores(analysis(hidden), {}, WELL)
    assert database.value is None
    assert database.reasons[0].startswith("only ")
    assert overall.value == 100.0
    assert "not scored: database" in overall.reasons


@pytest.mark.parametrize(
    ("without", "error", "expected"),
    [("", None, False), ("database", None, True), ("database", "down", False), ("cache", None, True)],
)
def test_a_server_that_is_back_is_worth_a_look_at_once(without: str, error: str | None, expected: bool) -> None:
    full = analysis()
    last = Analysis(
        **{
            **{name: getattr(full, name) for name in full.__struct_fields__},
            "measures": tuple(one for one in full.measures if one.area != without),
        }
    )
    readings = {**WELL, "postgresql": reading("postgresql", error)}
    assert is_blind(last, readings) is expected
