"""The parts panes are made of, as functions: which tabs fit, which limits are drawn, how an answer stands."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from fakes.platform import NOW, readings
from qsuite_console.model.series import Line, Point, Series
from qsuite_console.screens.questions import Question
from qsuite_console.screens.standing import FRESH_S, Kind, cost_text, standing
from qsuite_console.widgets.plot import legend
from qsuite_console.widgets.series_plot import between_limits, drawable, limit_words, measured_window
from qsuite_console.widgets.tab_line import window


@pytest.mark.parametrize(
    ("current", "room", "expected"),
    [(0, 100, (0, 5)), (0, 32, (0, 3)), (4, 32, (2, 5)), (2, 24, (2, 4)), (2, 5, (2, 3))],
)
def test_the_current_tab_is_always_among_those_that_fit(current: int, room: int, expected: tuple[int, int]) -> None:
    assert window([10] * 5, current, room) == expected


def line(*values: float, warning: float | None = 80.0, unit: str = "") -> Line:
    points = tuple(Point(NOW + timedelta(seconds=n), value, value, value) for n, value in enumerate(values))
    return Line(name="host.load", title="load", unit=unit, points=points, warning=warning)


def test_a_limit_is_drawn_where_the_curve_comes_near_it_and_always_on_an_axis_of_percent() -> None:
    assert [series.name for series in drawable([line(1, 2, 3)])] == ["load"]
    assert [series.name for series in drawable([line(1, 40, 3)])] == ["load", "▲ warning 80"]
    assert [series.name for series in drawable([line(1, 2, unit="%")])] == ["load", "▲ warning 80 %"]
    assert [series.name for series in drawable([line()])] == ["load"]
    level = drawable([line(1, 40, 3)])[1]
    assert {value for _, value in level.points} == {80.0}


def test_limits_are_named_even_where_they_are_not_drawn() -> None:
    assert limit_words([line(1, 2, 3)]) == ["3 ▲ 80"]
    assert limit_words([msgspec.structs.replace(line(1.0), is_low_bad=True, unit="%")]) == ["1 % ▲ below 80 %"]


def test_the_curve_of_an_alert_is_named_like_every_other_and_has_all_its_limits() -> None:
    both = msgspec.structs.replace(line(1, 2, unit="%"), critical=95.0)
    start, end = NOW - timedelta(minutes=5), NOW
    *levels, value = between_limits(both, start, end, "memory")
    assert [one.name for one in levels] == ["▲ warning 80 %", "✖ critical 95 %"]
    assert all([at for at, _ in one.points] == [start, end] for one in levels)
    assert (value.name, [number for _, number in value.points]) == ("memory", [1, 2])


@pytest.mark.parametrize(
    ("seconds", "words"), [(20, "last minute"), (119, "last 2 min"), (1800, "last 30 min"), (9000, "last 2 h")]
)
def test_a_title_says_how_far_back_the_curve_reaches_not_what_was_asked_for(seconds: float, words: str) -> None:
    asked = Series(at=NOW, start=NOW - timedelta(hours=6), end=NOW, step_s=2.0)
    early = Point(NOW - timedelta(hours=5))  # nothing was measured there
    points = (early, Point(NOW - timedelta(seconds=seconds), 1.0, 1.0, 1.0), Point(NOW, 1.0, 1.0, 1.0))
    one = Line(name="host.cpu", title="CPU", points=points)
    assert measured_window([one], asked) == words
    assert measured_window([line()], asked) == ""


def answered(age_s: float, period_s: float = 2.0) -> Question[Line]:
    return Question("x", Line, period_s, {}, answer=line(1), answered_at=NOW - timedelta(seconds=age_s))


def test_an_answer_is_stale_when_the_next_is_overdue_or_failed() -> None:
    assert standing(answered(FRESH_S), None, NOW).kind is Kind.FRESH
    assert standing(answered(FRESH_S + 0.1), None, NOW).kind is Kind.STALE
    assert standing(answered(30, period_s=60), None, NOW).kind is Kind.FRESH
    failed = answered(0.5)
    failed.problem, failed.hint = "refused", "start it"
    found = standing(failed, None, NOW)
    assert (found.kind, found.why, found.hint) == (Kind.STALE, "refused", "start it")
    assert found.headline == "◌ stale 0 s: refused"


def test_a_seldom_asked_answer_follows_the_sampler_only_when_it_is_old_itself() -> None:
    silent = msgspec.structs.replace(readings()[0], sampled_at=NOW - timedelta(seconds=9), error="no answer")
    found = standing(answered(30, period_s=60), silent, NOW)
    assert (found.kind, found.why) == (Kind.STALE, "no answer")
    assert standing(answered(1, period_s=60), silent, NOW).kind is Kind.FRESH


@pytest.mark.parametrize(("cost_ms", "text"), [(0.42, "0.4 ms"), (14.2, "14 ms"), (1234.0, "1.2 s")])
def test_costs_are_short(cost_ms: float, text: str) -> None:
    assert cost_text(cost_ms) == text


@pytest.mark.parametrize(
    ("width", "words"),
    [(60, "memory  ━ ▲ warning 80 %  ━ ✖ critical 95 %"), (32, "memory  ━ ▲ 80 %  ━ ✖ 95 %")],
)
def test_a_legend_names_every_limit_however_narrow(width: int, words: str) -> None:
    both = msgspec.structs.replace(line(1, 2, unit="%"), critical=95.0)
    *levels, value = between_limits(both, NOW, NOW + timedelta(seconds=1), "memory")
    head = legend("%", {one: one.tone or "primary" for one in (*levels, value)}, width)
    assert head.plain == f"%  ━ {words}"
