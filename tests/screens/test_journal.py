"""The Log screen: followed, filtered, only what is wrong, a hole, another process, hostile lines."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from fakes.control import FakeControl, demo
from fakes.writing import PROCESS, log_line, log_tail
from qsuite_console.model.jobs import LogLine
from screens.seeing import console, seen, until_seen

WIDE, SMALL = (120, 40), (80, 24)
SIZES = pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "120x40"])


def logging() -> FakeControl:
    control = demo(history=5)
    tell(control, None)
    return control


def tell(control: FakeControl, lines: tuple[LogLine, ...] | None, process: str = PROCESS) -> None:
    begun = control.clock.now()
    control.answers["system.log"] = lambda _: msgspec.structs.replace(
        log_tail(begun, lines, process), at=control.clock.now()
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
        assert "job 12 workers.backfill" in seen(pilot.app)
        tell(control, (log_line(control.clock.now(), 900, "INFO", 0, "engine.engine: much later"),))
        control.clock.advance(2)
        await until_seen(pilot, "much later")
        assert "894 lines came too fast: they are in the file" in seen(pilot.app)
        tell(
            control,
            (log_line(control.clock.now(), 1, "INFO", 0, "engine.engine: a new life"),),
            process="pid 5 on ops-2",
        )
        control.clock.advance(2)
        await until_seen(pilot, "a new life")
        assert "pid 5 on ops-2" in seen(pilot.app)
        assert "much later" not in seen(pilot.app)


async def test_only_what_is_wrong_or_has_the_words() -> None:
    app = console(logging())
    async with app.run_test(size=WIDE) as pilot:
        await open_screen(pilot)
        await pilot.press("e")
        await until_seen(pilot, "Warnings and errors of")
        assert "answers again" not in seen(pilot.app)
        assert "TimeoutError" in seen(pilot.app)
        assert "429 from" in seen(pilot.app)
        await pilot.press("e")
        await until_seen(pilot, "answers again")
        await pilot.press("slash", *"alpaca", "enter")
        await until_seen(pilot, "/alpaca")
        assert "TimeoutError" not in seen(pilot.app)
        await pilot.press("escape")
        await until_seen(pilot, "TimeoutError")


async def test_typed_with_a_filter_it_opens_filtered() -> None:
    app = console(logging())
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("colon", *"log 429", "enter")
        await until_seen(pilot, "/429")
        assert "engine ready" not in seen(pilot.app)


async def test_hostile_lines_are_shown_as_text() -> None:
    control = logging()
    tell(
        control,
        (log_line(control.clock.now(), 1, "INFO", 0, "[bold]x[/] \x1b]52;c;aGk=\x07 \u202eevil answers again"),),
    )
    app = console(control)
    async with app.run_test(size=WIDE) as pilot:
        await open_screen(pilot)
        text = seen(pilot.app)
        assert "[bold]x[/]" in text
        assert "\x1b" not in text
        assert "\u202e" not in text
