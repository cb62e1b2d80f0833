from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from qsuite_console.widgets import braille, plot
from qsuite_console.widgets.tile import limits, scale, span

NOW = datetime(2026, 11, 20, 14, 32, 7, tzinfo=UTC)
BAD = (None, math.nan, math.inf, -math.inf)


@pytest.mark.parametrize(
    "values", [(), BAD, (1.0,), (1.0, 1.0), (1.0, None, 3.0), tuple(range(5000)), (*BAD, 2.0, 3.0)]
)
@pytest.mark.parametrize("size", [(0, 0), (1, 1), (40, 1), (7, 5)])
def test_a_trend_is_exactly_as_large_as_asked(values: tuple[float | None, ...], size: tuple[int, int]) -> None:
    drawn = braille.rows(values, *size)
    assert len(drawn) == size[1]
    assert all(len(row) == size[0] for row in drawn)


def test_a_spike_among_thousands_of_values_is_seen() -> None:
    values = [0.0] * 5000
    values[2500] = 100.0
    assert any(ord(c) & 0b1001 for c in braille.rows(values, 40, 2)[0] if c != " ")


def test_a_gap_in_what_was_measured_is_a_gap_in_the_line() -> None:
    row = braille.rows([1.0] * 50 + [None] * 50 + [1.0] * 50, 30, 1)[0]
    assert row[0] != " "
    assert row[15] == " "
    assert row[-1] != " "


def test_the_axis_is_round_and_holds_still_while_values_move() -> None:
    assert scale([28.0, 41.0], "") == scale([29.5, 40.2], "")
    assert scale([96.0, 99.9], "%") == (90.0, 100.0)
    assert scale([98.2, 98.3], "%")[1] <= 100.0
    low, high = scale([412.0, 412.5], "")
    assert high - low >= 40  # calm noise is not blown up
    assert scale([0.0, 0.0], "")[0] >= 0


@pytest.mark.parametrize("values", [[0.0, 0.0], [1e-9, 2e-9], [5e12, 6e12], [-3.0, 4.0], [7.0, 7.0]])
def test_the_axis_holds_all_values(values: list[float]) -> None:
    low, high = scale(values, "")
    assert low <= min(values)
    assert high >= max(values)
    assert high > low


def test_limits_are_told_by_the_glyphs_of_their_levels() -> None:
    assert limits("warn 80 %, critical 95 %") == "▲ 80 %  ✖ 95 %"
    assert limits("") == ""


def test_a_span_is_told_in_words() -> None:
    assert [span(s) for s in (90, 480, 10_800)] == ["90 s", "8 min", "3 h"]


def test_points_that_would_abort_the_process_never_reach_the_plot_library() -> None:
    points = [(NOW + timedelta(seconds=i), v) for i, v in enumerate((*BAD, 1.0, 2.0, math.nan))]
    assert [v for _, v in plot.finite(points, 100)] == [1.0, 2.0]


def test_thinned_points_keep_the_extremes_in_order() -> None:
    points = [(NOW + timedelta(seconds=i), 5.0) for i in range(10_000)]
    points[4321] = (points[4321][0], 99.0)
    points[7777] = (points[7777][0], -9.0)
    thinned = plot.finite(points, 200)
    assert len(thinned) <= 200
    assert {99.0, -9.0} <= {v for _, v in thinned}
    assert thinned == sorted(thinned)


@pytest.mark.parametrize("seconds", [1, 12, 90, 744, 5_000, 40_000, 300_000, 9_000_000])
@pytest.mark.parametrize("width", [24, 60, 180])
def test_times_on_the_axis_are_round_and_few(seconds: float, width: int) -> None:
    start = NOW.timestamp()
    positions, labels = plot.time_ticks(start, start + seconds, width, UTC)
    assert len(positions) == len(labels) <= width // 14 + 1
    assert all(start <= p <= start + seconds for p in positions)


@pytest.mark.parametrize("height", range(5, 60))
def test_values_on_the_axis_are_round_reach_the_top_and_lie_on_lines_equally_far_apart(height: int) -> None:
    for high in (0.0, 0.3, 7.0, 38_800.0, 67_000.0, 1e9):
        used, ticks = plot.value_axis(high, height)
        assert height - 3 <= used <= height
        assert high <= ticks[-1] <= max(2.5 * high, 2.0)
        assert ticks[0] == 0
        assert 2 <= len(ticks) <= 7
        assert (used - 4) % (len(ticks) - 1) == 0
        assert ticks == pytest.approx([i * ticks[1] for i in range(len(ticks))])
