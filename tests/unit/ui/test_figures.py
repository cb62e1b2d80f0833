from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from qsuite_console.widgets import figures, job_rows
from qsuite_console.widgets.cells import gap_after
from qsuite_console.widgets.live_table import LiveTable

NOW = datetime(2026, 11, 20, 14, 32, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.0421, "42 ms"), (0.4, "0.4 s"), (9.94, "9.9 s"), (9.96, "10 s"), (12, "12 s"), (59.6, "01:00"),
     (161, "02:41"), (3599.7, "1:00:00"), (9761, "2:42:41"), (183_000, "2d 02:50"), (None, "—"), (math.nan, "—"),
     (math.inf, "—"), (-3, "0 ms")],
)  # fmt: skip
def test_a_duration_has_the_unit_that_fits(seconds: float | None, text: str) -> None:
    assert figures.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (3.44, "3.4"), (99.96, "100"), (640, "640"), (9_999, "9,999"), (10_000, "10.0k"), (31_240, "31.2k"),
     (999_960, "1.0M"), (12_090_000, "12.1M"), (4.2e9, "4.2G"), (None, "—"), (math.nan, "—"), (0.0042, "0.0042")],
)  # fmt: skip
def test_a_short_number_stays_short(value: float | None, text: str) -> None:
    assert figures.short(value) == text
    assert len(text) <= 6


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (48_211_004, "46.0 MiB"), (-2048, "-2.0 KiB"),
                        (3 << 40, "3.0 TiB"), (None, "—")]
)  # fmt: skip
def test_bytes_are_binary(value: float | None, text: str) -> None:
    assert figures.size(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (59.9, "59s"), (61, "1m"), (7199, "1h"), (172_800, "2d")])
def test_an_age_is_one_number(seconds: float, text: str) -> None:
    assert figures.age(seconds) == text


def test_a_bar_is_exactly_as_wide_as_asked() -> None:
    for fraction in (None, math.nan, -1, 0, 0.01, 0.333, 0.5, 0.999, 1, 7):
        for width in (0, 1, 7, 14):
            assert len("".join(figures.bar(fraction, width))) == width


def test_one_hundred_per_cent_means_done() -> None:
    assert figures.percent(0.99999) == "99%"
    assert figures.percent(1.0) == "100%"
    assert figures.percent(None) == "—"


def test_a_moment_of_another_day_is_not_mistaken_for_today() -> None:
    assert figures.moment(NOW, UTC, NOW) == "14:32:07"
    assert figures.moment(NOW - timedelta(days=3), UTC, NOW) == "17 Nov"
    assert figures.moment(NOW - timedelta(days=400), UTC, NOW) == "2025-10"
    assert figures.moment(None, UTC, NOW) == "—"


def test_a_countdown_does_not_change_its_width_within_an_hour() -> None:
    assert {len(figures.countdown(s)) for s in (0, 9, 61, 3599)} == {5}
    assert figures.countdown(3661) == "1:01:01"


def test_plural() -> None:
    assert figures.plural(1, "job") == "1 job"
    assert figures.plural(1200, "job") == "1,200 jobs"


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [("4 / 97", 20, "4 / 97"), ("1.65 GiB / 23.5 GiB", 16, "1.65 / 23.5 GiB"), ("12.5 GiB / 16 GiB", 11, "12.5 GiB"),
     ("26.2 %, 74.8 GiB free", 18, "26.2 %"), ("too few jobs", 10, "too few"), ("unbreakable", 6, "unbre…"),
     ("x", 0, "")],
)  # fmt: skip
def test_a_figure_is_shortened_by_what_is_least_needed(text: str, width: int, expected: str) -> None:
    assert figures.within(text, width) == expected


def test_what_a_list_shows_of_a_job_fits_its_width() -> None:
    table = LiveTable(job_rows.JOB_COLUMNS, dict, empty="")
    for width, shown in (
        (58, {"title", "status"}),
        (78, {"title", "status", "left"}),
        (118, {"title", "state", "rate"}),
        (198, {"title", "state", "note", "origin", "started", "queue"}),
    ):
        columns = table.columns_for(width)
        assert shown <= {column.key for column, _ in columns}
        assert sum(cells + gap_after(cells) for _, cells in columns) - 2 <= width - 2
        title = next(cells for column, cells in columns if column.key == "title")
        assert title >= {58: 24, 78: 36, 118: 46, 198: 46}[width]
