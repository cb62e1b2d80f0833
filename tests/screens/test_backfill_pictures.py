"""Pictures of the backfill screen; read them when they change, then accept with --snapshot-update."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from fakes.control import demo, empty
from qsuite_console.model.errors import ConsoleError
from screens.backfill_steps import open_backfill, type_symbols, without_live_jobs
from screens.seeing import console, seen, until, until_seen

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])


def is_plotted(pilot: Pilot[Any]) -> bool:
    return any("\u2801" <= character <= "\u28ff" for character in seen(pilot.app))


@SIZES
def test_form_with_plan(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await open_backfill(pilot)
        await type_symbols(pilot, "all")
        await until_seen(pilot, "39 symbols a request")
        await until_seen(pilot, "backfill all 1Day")

    assert snap_compare(console(demo()), terminal_size=size, run_before=steps)


@SIZES
def test_form_with_problem(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await open_backfill(pilot)
        await type_symbols(pilot, "AAPL")
        await pilot.press("j", "j", "j", "enter", *"2025-13")
        await until_seen(pilot, "is not a date")
        await until_seen(pilot, "Correct Start")

    assert snap_compare(console(demo()), terminal_size=size, run_before=steps)


@SIZES
def test_map(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await open_backfill(pilot)
        await pilot.press("m")
        await until_seen(pilot, "AAPL 2026-11")
        await pilot.press("j", "j", "h", "h")
        await until_seen(pilot, "2026-09:")

    assert snap_compare(console(demo()), terminal_size=size, run_before=steps)


@SIZES
def test_map_without_database(snap_compare: Any, size: tuple[int, int]) -> None:
    control = demo()
    control.failures["ask"] = ConsoleError(
        "the database at 127.0.0.1:5432/qsuite does not answer", hint="is it running? `qsuite-console doctor` tells"
    )

    async def steps(pilot: Pilot[Any]) -> None:
        await open_backfill(pilot, is_read=False)
        await pilot.press("m")
        await until_seen(pilot, "r tries again")

    assert snap_compare(console(control), terminal_size=size, run_before=steps)


@SIZES
def test_run(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await open_backfill(pilot)
        await pilot.press("w")
        await until(pilot, lambda: is_plotted(pilot))

    assert snap_compare(console(demo()), terminal_size=size, run_before=steps)


@SIZES
def test_last_run(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await open_backfill(pilot)
        await pilot.press("w")
        await until_seen(pilot, "✔ verified")

    assert snap_compare(console(without_live_jobs(is_verified=True)), terminal_size=size, run_before=steps)


def test_first_look(snap_compare: Any) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await open_backfill(pilot)
        await until_seen(pilot, "No backfill has run yet.")

    assert snap_compare(console(empty()), terminal_size=(120, 40), run_before=steps)


@pytest.mark.parametrize("theme", ["qsuite-light", "qsuite-mono"])
def test_other_themes(snap_compare: Any, theme: str) -> None:
    app = console(demo())

    async def steps(pilot: Pilot[Any]) -> None:
        app.theme = theme
        await open_backfill(pilot)
        await until(pilot, lambda: is_plotted(pilot))
        await until(pilot, lambda: app.screen.focused is not None)

    assert snap_compare(app, terminal_size=(120, 40), run_before=steps)
