"""Figures over time: what is kept, for how long, in which steps, and what it costs."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from qsuite_console.history.samples import SPANS, Samples, Stored, Value, open_samples
from qsuite_console.metrics.recorder import Recorder, resolution, with_gaps
from qsuite_console.model.health import Figure, Level, Reading, Snapshot
from qsuite_console.model.series import Point

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
Opening = Callable[..., Samples]


@pytest.fixture
def opening(tmp_path: Path) -> Iterator[Opening]:
    opened: list[Samples] = []

    def open_one(target: str = "sandbox", busy_ms: int = 5000) -> Samples:
        opened.append(open_samples(tmp_path / "samples.sqlite", target, NOW, busy_ms=busy_ms))
        return opened[-1]

    yield open_one
    for samples in opened:
        if not samples.is_closed:
            samples.close()


def values(start: datetime, numbers: list[float], *, every_s: float = 2.0, name: str = "host.cpu") -> list[Value]:
    step = timedelta(seconds=every_s)
    return [Value(start + index * step, name, "Host CPU", "%", number) for index, number in enumerate(numbers)]


async def read(samples: Samples, span: int, step_s: float, name: str = "host.cpu") -> list[Stored]:
    return await samples.read(name, NOW - timedelta(days=400), NOW + timedelta(days=1), step_s, span)


async def test_a_value_is_kept_as_it_was_and_as_minute_and_quarter(opening: Opening) -> None:
    samples = opening()
    samples.note(values(NOW, [10.0, 30.0, 20.0]))
    assert [row.mean for row in await read(samples, 0, 0.001)] == [10, 30, 20]
    assert await read(samples, 60, 60) == [Stored(NOW, 20, 10, 30)]
    assert await read(samples, 900, 900) == [Stored(NOW, 20, 10, 30)]
    assert await samples.known() == {"host.cpu": ("Host CPU", "%")}


async def test_a_minute_that_a_restart_cuts_in_two_is_one_row(opening: Opening) -> None:
    first = opening()
    first.note(values(NOW, [10.0, 20.0, 30.0]))
    first.close()
    second = opening()
    second.note(values(NOW + timedelta(seconds=30), [100.0]))
    assert await read(second, 60, 60) == [Stored(NOW, 40, 10, 100)]


async def test_what_is_old_goes_by_age_so_the_file_stays_small(opening: Opening, tmp_path: Path) -> None:
    samples = opening()
    for days in (89, 91):
        samples.note(values(NOW - timedelta(days=days), [1.0]))
    samples.note(values(NOW - timedelta(days=6), [2.0]))
    samples.note(values(NOW - timedelta(minutes=50), [3.0]))
    assert samples.flush()
    samples.note(values(NOW, [4.0]))
    assert [row.mean for row in await read(samples, 0, 0.001)] == [3, 4]
    assert [row.mean for row in await read(samples, 60, 60)] == [2, 3, 4]
    assert [row.mean for row in await read(samples, 900, 900)] == [1, 2, 3, 4]


async def test_targets_have_their_own_figures(opening: Opening) -> None:
    first = opening("sandbox")
    first.note(values(NOW, [1.0]))
    first.close()
    other = opening("production")
    assert await other.known() == {}
    assert await read(other, 0, 0.001) == []


async def test_two_weeks_of_forty_figures_stay_within_a_bound(opening: Opening, tmp_path: Path) -> None:
    samples = opening()
    for number in range(40):
        # one value a minute and figure: as many rows of minutes and quarters as real samples make
        samples.note(values(NOW - timedelta(days=1), [float(number)] * 1440, every_s=60, name=f"f.{number}"))
    assert samples.flush(60)
    samples.close()
    size = (tmp_path / "samples.sqlite").stat().st_size
    rows = 40 * (1440 + 96)
    assert size / rows < 90  # bytes a row: 40 figures take 1800 + 10,080 + 8,640 rows each, some 60 MB at most


async def test_taking_a_snapshot_costs_the_loop_next_to_nothing(opening: Opening, tmp_path: Path) -> None:
    samples = opening()
    recorder = Recorder(samples)
    figures = tuple(Figure(name=f"f{n}", label=f"F {n}", text="1", value=float(n)) for n in range(40))
    started = time.thread_time()
    for number in range(300):
        at = NOW + timedelta(seconds=2 * number)
        reading = Reading(source="host", title="Host", level=Level.OK, headline=figures[0], figures=figures[1:],
                          sampled_at=at)  # fmt: skip
        recorder.take(Snapshot(at=at, readings=(reading,)))
        recorder.take(Snapshot(at=at, readings=(reading,)))  # the same sample again is not kept twice
    spent_s = time.thread_time() - started
    assert spent_s / 300 < 0.005  # of 2 s between samples: a quarter of a percent on the slowest machine
    rows = await read(samples, 0, 0.001, "host.f7")
    assert len(rows) == 300
    begun = time.process_time()
    samples.note(values(NOW, [1.0] * 200, every_s=0.1))
    assert samples.flush()
    assert time.process_time() - begun < 0.1  # a flush is once a minute


async def test_a_disk_that_refuses_loses_nothing_for_a_while(
    opening: Opening, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    samples = opening(busy_ms=1)
    samples.note(values(NOW, [1.0]))
    assert samples.flush()
    blocker = sqlite3.connect(tmp_path / "samples.sqlite", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    samples.note(values(NOW + timedelta(seconds=2), [2.0]))
    assert not samples.flush(5.0)
    assert "figures stay in memory" in caplog.text
    blocker.execute("ROLLBACK")
    blocker.close()
    assert samples.flush()
    assert [row.mean for row in await read(samples, 0, 0.001)] == [1, 2]


@pytest.mark.parametrize(
    ("window_s", "age_s", "most", "expected"),
    [
        (300, 300, 240, (2, 0)),
        (3600, 3600, 240, (16, 0)),
        (3600, 86_400, 240, (60, 60)),
        (7 * 86_400, 7 * 86_400, 240, (2520, 60)),
        (30 * 86_400, 30 * 86_400, 240, (10_800, 900)),
        (90 * 86_400, 200 * 86_400, 2000, (4500, 900)),
    ],
)
def test_the_steps_follow_the_window_and_its_age(
    window_s: float, age_s: float, most: int, expected: tuple[float, int]
) -> None:
    step_s, span = resolution(window_s, age_s, most)
    assert (step_s, span) == expected
    assert window_s / step_s <= most
    assert span in SPANS


def test_a_line_breaks_where_nothing_was_measured_and_not_for_one_late_sample() -> None:
    rows = [Stored(NOW + timedelta(seconds=at), at, at, at) for at in (0, 2, 6.9, 9, 30)]
    assert list(with_gaps(rows, 2.0)) == [
        Point(NOW, 0, 0, 0),
        Point(NOW + timedelta(seconds=2), 2, 2, 2),
        Point(NOW + timedelta(seconds=6.9), 6.9, 6.9, 6.9),
        Point(NOW + timedelta(seconds=9), 9, 9, 9),
        Point(NOW + timedelta(seconds=11)),
        Point(NOW + timedelta(seconds=30), 30, 30, 30),
    ]
