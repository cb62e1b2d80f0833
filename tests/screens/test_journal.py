"""The Log screen: followed, filtered, only what is wrong, a hole, another process, hostile lines."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from textual.pilot import Pilot

from fakes.control import FakeControl, demo
from qsuite_console.model.jobs import LogLine
from qsuite_console.model.logtail import LogTail
from screens.seeing import console, seen, until_seen

WIDE, SMALL = (120, 40), (80, 24)
SIZES = pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "120x40"])
LINES = (
    ("INFO", 0, "engine.engine: engine ready, 7 queues, 18 slots"),
    ("INFO", 12, "workers.backfill: backfill AAPL, MSFT 1Min 2024: 62 %, 31,200 rows/s"),
    ("WARNING", 12, "providers.alpaca: 429 from data.alpaca.markets: waits 3.2 s"),
    ("ERROR", 0, "metrics.sampler: PostgreSQL does not answer\nTraceback (most recent call last):\n  TimeoutError"),
    ("INFO", 0, "metrics.sampler: PostgreSQL answers again after 14 s"),
)


def line(at: datetime, number: int, level: str, job: int, text: str) -> LogLine:
    return LogLine(job_id=job, number=number, at=at + timedelta(seconds=number), level=level, message=text)


def logging() -> FakeControl:
    control = demo(history=5)
    lines = tuple(line(control.clock.now(), i, *told) for i, told in enumerate(LINES, 1))
    tell(control, lines)
    return control


def tell(control: FakeControl, lines: tuple[LogLine, ...], process: str = "pid 4711 on ops-1, since 09:12:00") -> None:
    control.answers["system.log"] = lambda _: LogTail(
        at=control.clock.now(), process=process, file="/var/log/qsuite-console.log", lines=lines
    )


async def open_screen(pilot: Pilot[Any]) -> None:
    await pilot.press("g", "l")
    await until_seen(pilot, "answers again")


@SIZES
def test_picture_of_the_log(snap_compare: Any, size: tuple[int, int]) -> None:
    assert snap_compare(console(logging()), terminal_size=size, run_before=open_screen)


async def test_it_is_followed_and_a_hole_and_another_process_are_told() -> None:
    control = logging()
    app = console(control)
    async with app.run_test(size=WIDE) as pilot:
        await open_screen(pilot)
        assert "job 12 workers.backfill" in seen(app)
        tell(control, (line(control.clock.now(), 900, "INFO", 0, "engine.engine: much later"),))
        control.clock.advance(2)
        await until_seen(pilot, "much later")
        assert "894 lines came too fast: they are in the file" in seen(app)
        tell(control, (line(control.clock.now(), 1, "INFO", 0, "engine.engine: a new life"),), process="pid 5 on ops-2")
        control.clock.advance(2)
        await until_seen(pilot, "a new life")
        assert "pid 5 on ops-2" in seen(app)
        assert "much later" not in seen(app)


async def test_only_what_is_wrong_or_has_the_words() -> None:
    app = console(logging())
    async with app.run_test(size=WIDE) as pilot:
        await open_screen(pilot)
        await pilot.press("e")
        await until_seen(pilot, "Warnings and errors of")
        assert "answers again" not in seen(app)
        assert "TimeoutError" in seen(app)
        assert "429 from" in seen(app)
        await pilot.press("e")
        await until_seen(pilot, "answers again")
        await pilot.press("slash", *"alpaca", "enter")
        await until_seen(pilot, "/alpaca")
        assert "TimeoutError" not in seen(app)
        await pilot.press("escape")
        await until_seen(pilot, "TimeoutError")


async def test_typed_with_a_filter_it_opens_filtered() -> None:
    app = console(logging())
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("colon", *"log 429", "enter")
        await until_seen(pilot, "/429")
        assert "engine ready" not in seen(app)


async def test_hostile_lines_are_shown_as_text() -> None:
    control = logging()
    tell(control, (line(control.clock.now(), 1, "INFO", 0, "[bold]x[/] \x1b]52;c;aGk=\x07 \u202eevil answers again"),))
    app = console(control)
    async with app.run_test(size=WIDE) as pilot:
        await open_screen(pilot)
        text = seen(app)
        assert "[bold]x[/]" in text
        assert "\x1b" not in text
        assert "\u202e" not in text
