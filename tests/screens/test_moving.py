"""The engine moves while the screen stays: asked before, told after, refused in words; and how a console is left."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from textual.pilot import Pilot

from fakes.control import FakeControl, demo, empty
from qsuite_console.app import ConsoleApp
from qsuite_console.config.settings import InterfaceSettings
from qsuite_console.messages import Leaving
from qsuite_console.model.errors import ConsoleError
from qsuite_console.screens.moving import Elsewhere, Moved
from screens.attached import ATTACHED
from screens.seeing import seen, until, until_gone, until_seen

SMALL, WIDE = (80, 24), (120, 40)
SIZES = pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "120x40"])


class FakeHost:
    """Moves nothing, and says so. ``failure`` makes a move fail; ``holding`` lets one wait."""

    def __init__(self) -> None:
        self.obstacle = ""
        self.found = Elsewhere()
        self.failure: ConsoleError | None = None
        self.holding: asyncio.Event | None = None
        self.moves: list[str] = []

    async def elsewhere(self) -> Elsewhere:
        return self.found

    async def hand_over(self) -> Moved:
        return await self._move("hand over")

    async def take_over(self) -> Moved:
        return await self._move("take over")

    async def _move(self, name: str) -> Moved:
        self.moves.append(name)
        if self.holding is not None:
            await self.holding.wait()
        if self.failure is not None:
            raise self.failure
        return Moved(owner="pid 5120", jobs=3)


def hosted(control: FakeControl) -> tuple[ConsoleApp, FakeHost]:
    host = FakeHost()
    reached = ATTACHED.reached(control)
    return ConsoleApp(reached, clock=control.clock, interface=InterfaceSettings(theme="dark"), host=host), host


def words(app: ConsoleApp) -> str:
    return " ".join(seen(app).replace("│", " ").replace("▌", " ").split())


async def type_line(pilot: Pilot[Any], line: str) -> None:
    await pilot.press("colon", *line, "enter")


async def test_the_engine_is_handed_over_after_a_question_that_says_what_becomes_of_the_jobs() -> None:
    app, host = hosted(demo())
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await pilot.press("ampersand")
        await until_seen(pilot, "Go on in the background?")
        assert "3 jobs save their work and go on there from the checkpoint." in words(app)
        await pilot.press("escape")
        await until_gone(pilot, "Go on in the background?")
        assert host.moves == []
        await type_line(pilot, "background")
        await until_seen(pilot, "Go on in the background?")
        await pilot.press("y")
        await until(pilot, lambda: "pid 5120 runs the engine now; 3 jobs go on" in words(app))
    assert host.moves == ["hand over"]


async def test_while_the_engine_moves_keys_are_answered_and_it_is_moved_once() -> None:
    app, host = hosted(demo())
    async with app.run_test(notifications=True, size=WIDE) as pilot:
        host.holding = asyncio.Event()
        await pilot.press("ampersand")
        await until_seen(pilot, "Go on in the background?")
        await pilot.press("y")
        await until(pilot, lambda: host.moves)
        await pilot.press("2")
        await until(pilot, lambda: app.current_mode == "jobs")
        await pilot.press("ampersand")
        await until_seen(pilot, "The engine is just moving")
        host.holding.set()
        await until_seen(pilot, "pid 5120 runs the engine now")
    assert host.moves == ["hand over"]


async def test_a_move_that_fails_says_why() -> None:
    app, host = hosted(demo())
    host.failure = ConsoleError("the engine did not start in the background: no space left", hint="make room")
    async with app.run_test(notifications=True, size=WIDE) as pilot:
        await pilot.press("ampersand")
        await until_seen(pilot, "Go on in the background?")
        await pilot.press("y")
        await until(pilot, lambda: "The engine was not moved" in words(app))
        assert "no space left" in words(app)


async def test_what_can_not_be_moved_is_told_instead_of_asked() -> None:
    app, host = hosted(demo())
    host.obstacle = "the sandbox ends with this console"
    async with app.run_test(notifications=True, size=WIDE) as pilot:
        await pilot.press("ampersand")
        await until_seen(pilot, "The sandbox ends with this console")
        host.found = Elsewhere(owner="pid 7", why="pid 7 runs it: stop that service first")
        await type_line(pilot, "foreground")
        await until_seen(pilot, "Pid 7 runs it: stop that service first")
    assert host.moves == []


async def test_the_engine_is_taken_over_after_a_question_that_names_who_ends() -> None:
    control = demo()
    control.set_state(is_attached=True)
    app, host = hosted(control)
    host.obstacle, host.found = "the engine runs in another process", Elsewhere(owner="pid 5120")
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await type_line(pilot, "foreground")
        await until_seen(pilot, "Run the engine in this console?")
        assert "pid 5120 ends" in words(app)
        await pilot.press("y")
        await until_seen(pilot, "This console runs the engine now")
    assert host.moves == ["take over"]


async def test_where_nobody_runs_the_engine_it_can_be_run_here() -> None:
    control = empty()
    control.set_state(is_attached=True, trouble="the engine ended 4s ago")
    app, host = hosted(control)
    host.obstacle = "the engine runs in another process"
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await type_line(pilot, "foreground")
        await until(pilot, lambda: "No engine answers. This console runs it" in words(app))
        await pilot.press("y")
        await until(pilot, lambda: host.moves == ["take over"])


async def test_a_console_that_runs_its_engine_needs_no_foreground() -> None:
    app, host = hosted(demo())
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await type_line(pilot, "foreground")
        await until_seen(pilot, "runs in this console already")
    assert host.moves == []


async def test_quitting_offers_the_background_only_where_there_is_one() -> None:
    app, host = hosted(demo())
    async with app.run_test(size=SMALL) as pilot:
        host.obstacle = "the sandbox ends with this console"
        await pilot.press("q")
        await until_seen(pilot, "3 jobs are running")
        assert "Background" not in seen(app)
        await pilot.press("b")
        await pilot.press("escape")
        await until_gone(pilot, "3 jobs are running")
        host.obstacle = ""
        await pilot.press("q")
        await until_seen(pilot, "they go on there, from their checkpoints")
        await pilot.press("b")
        await until(pilot, lambda: app.return_value is not None)
    assert app.return_value is Leaving.BACKGROUND


@SIZES
def test_how_leaving_looks(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await until_seen(pilot, "Running")
        await pilot.press("q")
        await until_seen(pilot, "they go on there")

    assert snap_compare(hosted(demo())[0], terminal_size=size, run_before=steps)


@SIZES
def test_how_handing_over_is_asked(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await until_seen(pilot, "Running")
        await pilot.press("ampersand")
        await until_seen(pilot, "Go on in the background?")

    assert snap_compare(hosted(demo())[0], terminal_size=size, run_before=steps)
