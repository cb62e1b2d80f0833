"""Pipelines by their keys: from the list to runs and tasks and back, filtered, by pages, with what is missing said."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from fakes.control import FakeControl, demo
from fakes.pipelining import pipeline_answers, unread
from qsuite_console.model.errors import ConsoleError
from qsuite_console.screens.pipelines import parted
from screens.seeing import console, seen, until, until_gone, until_seen
from screens.session_steps import focused

WIDE, SMALL = (120, 40), (80, 24)
SIZES = pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "120x40"])


def made() -> FakeControl:
    control = demo(history=5)
    control.answers.update(pipeline_answers(control.clock.now))
    return control


def asked(control: FakeControl, probe: str) -> list[dict[str, Any]]:
    return [arguments[1] for call, arguments in control.calls if call == "ask" and arguments[0] == probe]


async def open_screen(pilot: Pilot[Any]) -> None:
    await pilot.press("0")
    await until_seen(pilot, "bars-minute")
    await focused(pilot)


async def open_runs(pilot: Pilot[Any], text: str = "") -> None:
    await pilot.press("colon", *f"pipelines runs {text}".strip(), "enter")
    await until_seen(pilot, "WAITED" if pilot.app.size.width > 100 else "MADE")
    await focused(pilot)


def line(pilot: Pilot[Any], text: str) -> str:
    return next(found for found in seen(pilot.app).split("\n") if text in found)


@SIZES
def test_picture_of_the_list(snap_compare: Any, size: tuple[int, int]) -> None:
    assert snap_compare(console(made()), terminal_size=size, run_before=open_screen)


@SIZES
def test_picture_of_runs(snap_compare: Any, size: tuple[int, int]) -> None:
    assert snap_compare(console(made()), terminal_size=size, run_before=open_runs)


@SIZES
def test_picture_of_a_failed_run(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await open_runs(pilot, "status:failed")
        await pilot.press("enter")
        await until_seen(pilot, "KeyError: [adj_close]")

    assert snap_compare(console(made()), terminal_size=size, run_before=steps)


@SIZES
def test_picture_of_a_platform_without_pipelines(snap_compare: Any, size: tuple[int, int]) -> None:
    control = made()
    control.answers["pipelines.list"] = lambda _: unread(control.clock.now())

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("0")
        await until_seen(pilot, "tables.pipelines")

    assert snap_compare(console(control), terminal_size=size, run_before=steps)


async def test_what_failed_or_hangs_stands_first() -> None:
    async with console(made()).run_test(size=WIDE) as pilot:
        await open_screen(pilot)
        names = ("positions-close", "risk-var", "bars-daily", "bars-minute")
        places = [seen(pilot.app).index(f" {name}") for name in names]
        assert places == sorted(places)
        assert "✖" in line(pilot, "positions-close")
        assert "stuck?" in line(pilot, "risk-var")
        assert "never ran" in line(pilot, "signals-[beta]")
        assert "fundamentals (paused)" in seen(pilot.app)
        await until_seen(pilot, "▶ 2 running, oldest for 26:28")
        assert "✖ 14 failed" in seen(pilot.app)
        assert "272 success (95.1 %)" in seen(pilot.app)
        assert "column [adj_close] is gone" in seen(pilot.app)  # the error of the row under the cursor
        await pilot.press("j")
        await until_seen(pilot, "its worker may have died")


async def test_enter_leads_from_pipeline_to_runs_to_tasks_and_escape_back() -> None:
    control = made()
    async with console(control).run_test(size=WIDE) as pilot:
        await open_screen(pilot)
        await pilot.press("s")
        await until_seen(pilot, "1 pipeline, last run failed")
        await pilot.press("enter")
        await until_seen(pilot, "failed runs of positions-close")
        assert asked(control, "pipelines.runs")[-1] == {
            "text": "positions-close",
            "status": "failed",
            "window_s": 86_400.0,
            "limit": 100,
        }
        await focused(pilot)
        await pilot.press("enter")
        await until_seen(pilot, "KeyError: [adj_close]")
        shown = seen(pilot.app)
        assert shown.index("✖ load") < shown.index("✔ extract") < shown.index("⊘ notify")
        await pilot.press("escape")
        await until_seen(pilot, "failed runs of positions-close")
        await pilot.press("escape")
        await until_seen(pilot, "1 pipeline, last run failed")
        await pilot.press("escape")
        await until_seen(pilot, "7 pipelines")


async def test_pages_by_keys() -> None:
    control = made()
    async with console(control).run_test(size=WIDE) as pilot:
        await open_runs(pilot)
        await until_seen(pilot, "page 1, 100 runs of all pipelines")
        assert "Newer" not in seen(pilot.app).split("\n")[-1]
        await pilot.press("n")
        await until_seen(pilot, "page 2, 100 runs")
        await pilot.press("n")
        await until_seen(pilot, "page 3, 50 runs of all pipelines (the last)")
        assert "Older" not in seen(pilot.app).split("\n")[-1]
        await pilot.press("p")
        await until_seen(pilot, "page 2, 100 runs")
        assert asked(control, "pipelines.runs")[-1]["older"] == "100"
        await pilot.press("s")  # another filter begins at the newest page
        await until_seen(pilot, "failed runs of all pipelines")
        assert "older" not in asked(control, "pipelines.runs")[-1]


async def test_time_and_status_are_chosen_by_keys() -> None:
    control = made()
    async with console(control).run_test(size=WIDE) as pilot:
        await open_screen(pilot)
        for window_s, words in ((7 * 86_400.0, "7 days"), (30 * 86_400.0, "30 days"), (3600.0, "hour")):
            await pilot.press("t")
            await until_seen(pilot, f"all runs of the last {words}")
            assert asked(control, "pipelines.list")[-1]["window_s"] == window_s
        seen_status = []
        for _ in range(6):
            await pilot.press("s")
            before = len(seen_status)
            await until(pilot, lambda before=before: len(_statuses(control)) > before)  # type: ignore[misc]
            seen_status = _statuses(control)
        assert seen_status == ["failed", "running", "pending", "success", "cancelled", ""]


def _statuses(control: FakeControl) -> list[str]:
    """Each status that was asked for, in order, without repetitions; what was asked before the first is left out."""
    found: list[str] = []
    for each in asked(control, "pipelines.list"):
        if each["status"] != (found[-1] if found else ""):
            found.append(each["status"])
    return found


async def test_a_filter_is_typed_and_a_wrong_status_refused() -> None:
    control = made()
    async with console(control).run_test(size=WIDE) as pilot:
        await open_screen(pilot)
        await pilot.press("slash", *"bars status:succ", "enter")
        await until(pilot, lambda: asked(control, "pipelines.list")[-1]["status"] == "success")
        assert asked(control, "pipelines.list")[-1]["text"] == "bars"
        await until_seen(pilot, "bars-minute")
        await pilot.press("slash", *[*["backspace"] * 20, *"nothing-like-it"], "enter")
        await until_seen(pilot, "t looks further back")
        await pilot.press("escape")
        await until_seen(pilot, "7 pipelines")


async def test_a_server_that_stops_is_said_and_what_was_known_stays() -> None:
    control = made()
    async with console(control).run_test(size=WIDE) as pilot:
        await open_screen(pilot)

        def down(_: Any) -> Any:
            raise ConsoleError("PostgreSQL at db:5432 does not answer")

        control.answers["pipelines.list"] = down
        await pilot.press("r")
        await until_seen(pilot, "stale")
        assert "PostgreSQL at db:5432 does not answer" in seen(pilot.app)
        assert "bars-minute" in seen(pilot.app)
        control.answers.update(pipeline_answers(control.clock.now))
        await pilot.press("r")
        await until_gone(pilot, "does not answer")


def test_the_words_of_a_filter_are_parted_from_its_status() -> None:
    assert parted("") == ("", "")
    assert parted("bars daily") == ("bars daily", "")
    assert parted(" status:fail  bars ") == ("bars", "failed")
    assert parted("STATUS:Running") == ("", "running")
    assert parted("status:wrong x") == ("x", "wrong")
    assert parted("status:") == ("", "")
