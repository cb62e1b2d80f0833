"""The plan on the screen: looked through, done step by step or at once, its jobs followed where they stand."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from fakes.changing import PRODUCTION
from fakes.control import FakeControl, demo
from fakes.optimizing import plan
from qsuite_console.engine.state import TargetView
from qsuite_console.model import wire
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.jobs import JobState, Submission
from qsuite_console.model.operations import Proposal
from screens.seeing import console, seen, until, until_seen

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
SIZE = (120, 40)


def planned(target: TargetView | None = None) -> FakeControl:
    control = demo(target=target)
    control.answers["optimize"] = plan(control.clock.now)
    control.proposals["database.apply-setting"] = lambda parameters: Proposal(
        operation="database.apply-setting", title="Set it?", parameters={**parameters, "was": "off"}
    )
    return control


def submitted(control: FakeControl) -> list[Submission]:
    return [arguments[0] for name, arguments in control.calls if name == "submit"]


async def opened(pilot: Pilot[Any]) -> None:
    await until_seen(pilot, "34 / 100")
    await pilot.press("o")
    await until_seen(pilot, "vacuum and analyze public.execution")


@SIZES
def test_the_plan(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await opened(pilot)
        await pilot.press("j")
        await until_seen(pilot, "dead rows 412,800")

    assert snap_compare(console(planned()), terminal_size=size, run_before=steps)


@SIZES
def test_steps_that_are_done_running_and_failed(snap_compare: Any, size: tuple[int, int]) -> None:
    control = planned()

    async def steps(pilot: Pilot[Any]) -> None:
        await opened(pilot)
        await pilot.press("A")
        await until_seen(pilot, "Do 4 steps?")
        await pilot.press("y")
        await until(pilot, lambda: len(submitted(control)) == 3 and "Set it" not in seen(pilot.app))
        first, second, third = sorted(control.all_jobs)[-3:]
        control.change(first, state=JobState.SUCCEEDED, finished_at=control.clock.now())
        control.change(second, state=JobState.FAILED, error="out of space on device", finished_at=control.clock.now())
        control.change(third, state=JobState.RUNNING, started_at=control.clock.now())
        await until_seen(pilot, "✔ make 2 partitions")
        await until_seen(pilot, "✖ vacuum and analyze")
        await until_seen(pilot, "▶ warm market data")
        await until_seen(pilot, "✔ set log_lock_waits")
        await pilot.press("j")
        await until_seen(pilot, "out of space on device")

    assert snap_compare(console(control), terminal_size=size, run_before=steps)


async def test_one_step_asks_with_its_evidence_and_enter_leads_to_its_job() -> None:
    control = planned()
    async with console(control).run_test(size=SIZE) as pilot:
        await opened(pilot)
        await pilot.press("j", "d")
        await until_seen(pilot, "Then: reads and writes go on; I/O for the whole table.")
        await pilot.press("escape")
        await until(pilot, lambda: "Then: reads" not in seen(pilot.app))
        assert submitted(control) == []
        await pilot.press("enter")
        await until_seen(pilot, "Then: reads and writes go on")
        await pilot.press("y")
        await until(pilot, lambda: submitted(control))
        (submission,) = submitted(control)
        assert (submission.kind, submission.parameters["mode"]) == ("vacuum", "vacuum_analyze")
        await until_seen(pilot, "queued")
        await pilot.press("enter")
        await until_seen(pilot, "▸ Summary")
        await pilot.press("escape")
        await until_seen(pilot, "74")


async def test_what_is_left_to_a_person_is_done_only_by_itself_and_says_why() -> None:
    control = planned()
    async with console(control).run_test(size=SIZE) as pilot:
        await opened(pilot)
        await pilot.press("G", "d")
        await until_seen(pilot, "Not done by itself: the table is locked while they move.")
        await pilot.press("y")
        await until(pilot, lambda: submitted(control))
        assert submitted(control)[0].parameters["move_strays"] is True


async def test_production_wants_its_name_once_for_all_steps() -> None:
    control = planned(PRODUCTION)
    async with console(control).run_test(size=SIZE) as pilot:
        await opened(pilot)
        await pilot.press("A")
        await until_seen(pilot, "type eu1 to confirm")
        await pilot.press(*"eu1", "enter")
        await until(pilot, lambda: len(submitted(control)) == 3)
        assert {one.confirmation for one in submitted(control)} == {"eu1"}
        await until(pilot, lambda: [a for n, a in control.calls if n == "perform"])
        performed = [arguments for name, arguments in control.calls if name == "perform"]
        assert performed[0][1] == {"name": "log_lock_waits", "value": "on", "was": "off"}
        assert performed[0][2] == "eu1"


async def test_a_read_only_target_is_told_before_anything_is_asked() -> None:
    control = planned()
    control.set_state(is_read_only=True)
    async with console(control).run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("A")
        await until_seen(pilot, "is read-only here")
        assert submitted(control) == []


async def test_the_command_line_and_palette_lead_there_and_a_failure_says_what_to_do() -> None:
    control = planned()
    control.failures["ask"] = ConsoleError("optimize did not answer within 90 s", hint="the system may be busy")
    async with console(control).run_test(size=SIZE) as pilot:
        await until_seen(pilot, "34 / 100")
        await pilot.press("colon", *"optimize", "enter")
        await until_seen(pilot, "✖ optimize did not answer within 90 s: the system may be busy")
        await until_seen(pilot, "r looks again")
        del control.failures["ask"]
        await pilot.press("r")
        await until_seen(pilot, "4 safe steps")
        control.answers["optimize"] = plan(control.clock.now, ())
        await pilot.press("r")
        await until_seen(pilot, "Nothing is to be done")
        await until_seen(pilot, "pooler: it does not answer")


async def test_a_plan_crosses_the_socket_as_it_is() -> None:
    answer = await planned().ask("optimize", {})
    assert wire.unpack_answer(wire.pack_answer(answer)) == answer
