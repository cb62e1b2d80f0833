"""Reports by their keys: listed, filtered, read as text, copied, made; none, and gone meanwhile."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from fakes.control import FakeControl, demo
from fakes.made_reports import FILE, PROPOSALS, report_answers, somebody
from qsuite_console.model.deliveries import EndpointList
from qsuite_console.model.reports import ReportList
from qsuite_console.screens.dialogs.confirm import ConfirmDialog
from qsuite_console.screens.job import JobScreen
from screens.seeing import console, seen, until, until_seen
from screens.session_steps import focused

WIDE, SMALL = (120, 40), (80, 24)
SIZES = pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "120x40"])


def made() -> FakeControl:
    control = demo(history=5)
    control.answers.update(report_answers(control.clock.now) | somebody(control.clock.now))
    control.proposals.update(PROPOSALS)
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


async def test_the_first_report_is_seen_while_it_is_made() -> None:
    control = made()
    control.answers["reports.list"] = lambda _: ReportList(at=control.clock.now(), limit=1 << 30)
    first = msgspec.structs.replace(control.state.running[0], kind="report", title="report jobs as pdf")
    control.set_state(running=(first,))
    async with console(control).run_test(size=SMALL) as pilot:
        await pilot.press("g", "r")
        await until_seen(pilot, "being made: report jobs as pdf")


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


@SIZES
def test_picture_of_whom_to_send_it_to(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await open_screen(pilot)
        await pilot.press("s")
        await until_seen(pilot, "grace@example.com")

    assert snap_compare(console(made()), terminal_size=size, run_before=steps)


async def test_s_sends_to_whoever_is_chosen_after_asking() -> None:
    control = made()
    async with console(control).run_test(size=WIDE, notifications=True) as pilot:
        await open_screen(pilot)
        await pilot.press("s")
        await until_seen(pilot, "by webhook")
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog), "the question")
        await pilot.press("y")
        await until_seen(pilot, "done")
    sent = {"file": "market-40-0a1b2c3d.pdf", "endpoint": "board"}
    assert ("perform", ("reports.send", sent)) in [(name, args[:2]) for name, args in control.calls]


async def test_nobody_to_send_to_says_where_to_declare_one() -> None:
    control = made()
    control.answers["webhooks.list"] = lambda _: EndpointList(at=control.clock.now())
    async with console(control).run_test(size=WIDE, notifications=True) as pilot:
        await open_screen(pilot)
        await pilot.press("s")
        await until_seen(pilot, "[webhooks.NAME]")


async def test_e_writes_a_copy_that_came_over_control(tmp_path: Path) -> None:
    target = tmp_path / "copy.pdf"
    async with console(made()).run_test(size=WIDE, notifications=True) as pilot:
        await open_screen(pilot)
        await pilot.press("e")
        await until_seen(pilot, "Export the report")
        pilot.app.screen.query_one(Input).value = str(target)
        await pilot.press("enter")
        await until_seen(pilot, "Written to")
        assert target.read_bytes() == FILE
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        await pilot.press("e")
        await until_seen(pilot, "Export the report")
        pilot.app.screen.query_one(Input).value = str(target)
        await pilot.press("enter")
        await until_seen(pilot, "Enter again overwrites it")
        pilot.app.screen.query_one(Input).value = str(tmp_path)
        await pilot.press("enter")
        await until(
            pilot, lambda: "is a directory" in " ".join(seen(pilot.app).replace("│", " ").split()), "wrapped or not"
        )


async def test_o_opens_a_copy_where_there_is_a_desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = tmp_path / "opened"
    program = tmp_path / "xdg-open"
    program.write_text(f'#!/bin/sh\ncp "$1" {opened}.new && mv {opened}.new {opened}\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    async with console(made()).run_test(size=WIDE, notifications=True) as pilot:
        await open_screen(pilot)
        await pilot.press("o")
        await until_seen(pilot, "There is no desktop here")
        monkeypatch.setenv("DISPLAY", ":7")
        await pilot.press("o")
        await until(pilot, opened.exists, "the program's copy")
        assert opened.read_bytes() == FILE


async def test_shift_d_removes_after_asking() -> None:
    control = made()
    async with console(control).run_test(size=WIDE, notifications=True) as pilot:
        await open_screen(pilot)
        await pilot.press("down", "D")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog), "the question")
        await pilot.press("y")
        await until_seen(pilot, "done")
    removed = {"file": "performance-39-0a1b2c3d.pdf"}
    assert ("perform", ("reports.remove", removed)) in [(name, args[:2]) for name, args in control.calls]


async def test_t_tells_of_one_job_and_takes_it_back() -> None:
    control = made()
    async with console(control).run_test(size=WIDE, notifications=True) as pilot:
        await pilot.press("2")
        await until_seen(pilot, "426  backfill")
        await focused(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, JobScreen), "the job's page")
        for steps, operation in ((("enter",), "jobs.tell"), (("j", "enter"), "jobs.untell")):
            await pilot.press("t")
            await until_seen(pilot, "told already; Enter takes it back")
            await pilot.press(*steps)
            await until_seen(pilot, f"{operation} is done")
