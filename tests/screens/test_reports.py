"""Reports by their keys: listed, filtered, read as text, copied, made; none, and gone meanwhile."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from fakes.control import FakeControl, demo
from fakes.made_reports import report_answers
from qsuite_console.model.reports import ReportList
from screens.seeing import console, seen, until_seen
from screens.session_steps import focused

WIDE, SMALL = (120, 40), (80, 24)
SIZES = pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "120x40"])


def made() -> FakeControl:
    control = demo(history=5)
    control.answers.update(report_answers(control.clock.now))
    return control


async def open_screen(pilot: Pilot[Any]) -> None:
    await pilot.press("g", "r")
    await until_seen(pilot, "Market report")
    await focused(pilot)


@SIZES
def test_picture_of_the_list(snap_compare: Any, size: tuple[int, int]) -> None:
    assert snap_compare(console(made()), terminal_size=size, run_before=open_screen)


@SIZES
def test_picture_of_a_preview(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await open_screen(pilot)
        await pilot.press("enter")
        await until_seen(pilot, "1  Prices")

    assert snap_compare(console(made()), terminal_size=size, run_before=steps)


@SIZES
def test_picture_of_no_report_at_all(snap_compare: Any, size: tuple[int, int]) -> None:
    control = made()
    control.answers["reports.list"] = lambda _: ReportList(at=control.clock.now(), limit=1 << 30)

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("g", "r")
        await until_seen(pilot, "n makes one")

    assert snap_compare(console(control), terminal_size=size, run_before=steps)


async def test_what_is_incomplete_or_expired_is_said_without_colour() -> None:
    async with console(made()).run_test(size=WIDE) as pilot:
        await open_screen(pilot)
        shown = seen(pilot.app)
        assert "▲ Performance report" in shown
        assert "expired" in shown
        assert "[b]symbol[/b]" in shown, "markup is shown, not obeyed"
        await pilot.press("down")
        await until_seen(pilot, "something could not be read")


async def test_a_filter_typed_or_given_narrows_the_list() -> None:
    async with console(made()).run_test(size=WIDE) as pilot:
        await pilot.press("colon", *"reports perf", "enter")
        await until_seen(pilot, "1 report, newest first")
        assert "Market report" not in seen(pilot.app)
        await pilot.press("escape")
        await until_seen(pilot, "4 reports, newest first")


async def test_y_copies_the_path_of_the_file() -> None:
    async with console(made()).run_test(size=WIDE, notifications=True) as pilot:
        await open_screen(pilot)
        await pilot.press("y")
        await until_seen(pilot, "Copied the path")
        assert pilot.app.clipboard == "/home/ops/data/reports/market-40-0a1b2c3d.pdf"


async def test_a_report_that_is_gone_is_said() -> None:
    control = made()
    listed = control.answers["reports.list"]

    def renamed(parameters: Any) -> msgspec.Struct:
        answer = listed(parameters)
        assert isinstance(answer, ReportList)
        return msgspec.structs.replace(
            answer, reports=tuple(msgspec.structs.replace(each, file=f"x{each.file}") for each in answer.reports)
        )

    control.answers["reports.list"] = renamed
    async with console(control).run_test(size=WIDE, notifications=True) as pilot:
        await open_screen(pilot)
        await pilot.press("enter")
        await until_seen(pilot, "it is gone")
