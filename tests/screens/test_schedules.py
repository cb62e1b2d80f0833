"""The Schedules screen: what is told of each, what is asked before a change, a form that explains itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from fakes.control import FakeControl, demo
from fakes.timetable import SCHEDULES, Timetable, scheduled
from qsuite_console.model.errors import HistoryUnavailable, InvalidParameters, ReadOnly
from qsuite_console.model.jobs import JobState
from qsuite_console.model.operations import Proposal
from qsuite_console.screens.dialogs.schedule import ScheduleDialog
from qsuite_console.widgets.fields import FieldList
from qsuite_console.widgets.text_view import TextView
from screens.seeing import console, seen, until, until_gone, until_seen

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])


def performed(control: FakeControl) -> list[tuple[str, dict[str, Any]]]:
    return [(arguments[0], arguments[1]) for name, arguments in control.calls if name == "perform"]


async def shown(pilot: Pilot[Any], name: str = "close-backfill") -> None:
    """Open the screen with the cursor on a schedule, told in full."""
    await pilot.press("9")
    await until_seen(pilot, "warm-prices")
    for _ in range(10):
        if pilot.app.screen.selected.schedule.name == name:  # type: ignore[attr-defined]
            break
        await pilot.press("j")
    await until(pilot, lambda: f"  {name} " in seen(pilot.app) or f"  {name}\n" in seen(pilot.app), name)


@SIZES
@pytest.mark.parametrize("name", ["close-backfill", "warm-market-data"])
def test_schedules(snap_compare: Any, size: tuple[int, int], name: str) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await shown(pilot, name)
        await until_seen(
            pilot, "cron      15 16 * * mon-fri" if name == "close-backfill" else "job       warm.market-data"
        )

    assert snap_compare(console(scheduled()), terminal_size=size, run_before=steps)


@SIZES
def test_typing_a_schedule(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await shown(pilot)
        await pilot.press("e")
        await until_seen(pilot, "means")
        await pilot.press("enter", "home", "shift+end", *"30 2 30 2 *")
        await until_seen(pilot, "never comes")
        await until_gone(pilot, "means")
        await pilot.press("enter")
        await until_seen(pilot, "▸ Time zone")

    assert snap_compare(console(scheduled()), terminal_size=size, run_before=steps)


@SIZES
def test_without_any_schedule(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("9")
        await until_seen(pilot, "There are no schedules")

    assert snap_compare(console(scheduled(Timetable([]))), terminal_size=size, run_before=steps)


async def test_each_stands_in_words_with_its_next_and_its_last_run() -> None:
    async with console(scheduled()).run_test(size=(120, 40)) as pilot:
        await shown(pilot)
        lines = seen(pilot.app).split("\n")
        for name, *told in (
            ("close-backfill", "every weekday at 16:15 New York time", "✔ succeeded 15h"),
            ("month-end", "‖", "paused", "never yet"),
            ("warm-market-data", "▶", "↷ skipped 1m"),
            ("warm-positions", "✖ failed 6m"),
            ("warm-prices", "every 30 s", "✔ succeeded 12s"),
            ("migration", "over", "once, on"),
        ):
            line = next(line for line in lines if f" {name} " in line)
            assert all(word in line for word in told), line
        assert "6 schedules, 1 paused" in seen(pilot.app)


async def test_one_in_full_tells_both_clocks_policies_and_its_last_runs() -> None:
    async with console(scheduled()).run_test(size=(120, 40)) as pilot:
        await shown(pilot)
        for told in (
            "16:15 New York", "21:15 here", "one run makes up for", "backfill symbols=active timeframe=1Day",
            "the day's bars, once the exchange has closed", "job 371 · made up", "◌ missed ×2",
        ):  # fmt: skip
            await until_seen(pilot, told)
        await shown(pilot, "warm-prices")
        await until_seen(pilot, "together  with warm-market-data")


async def test_plans_to_come_hang_where_the_line_is_short() -> None:
    async with console(scheduled()).run_test(size=(48, 40)) as pilot:
        await shown(pilot)
        await until_seen(pilot, "16:15 New York")
        lines = [line.strip("│▌▐█ ") for line in seen(pilot.app).split("\n")]
        first = next(number for number, line in enumerate(lines) if line.startswith("next "))
        plans = [line for line in seen(pilot.app).split("\n")[first : first + 4]]
        assert all("New York" in line for line in plans[::2])
        for line in plans[1::2]:
            inside = line.strip("│")
            assert inside.startswith(" " * 13), line  # below the plan, not below its label
            assert "here" in inside
            assert " in " in inside


@pytest.mark.parametrize(
    ("key", "name", "operation"),
    [
        ("R", "warm-prices", "schedules.run"),
        ("p", "warm-prices", "schedules.pause"),
        ("p", "month-end", "schedules.enable"),
    ],
)
async def test_what_is_harmless_is_done_at_once(key: str, name: str, operation: str) -> None:
    control = scheduled()
    async with console(control).run_test(size=(80, 24)) as pilot:
        await shown(pilot, name)
        await pilot.press(key)
        await until(pilot, lambda: performed(control), operation)
    assert performed(control) == [(operation, {"name": name})]


async def test_deleting_asks_and_a_no_leaves_it() -> None:
    control = scheduled()
    async with console(control).run_test(size=(80, 24)) as pilot:
        await shown(pilot, "warm-prices")
        await pilot.press("D")
        await until_seen(pilot, "Delete the schedule warm-prices?")
        assert "jobs it has made stay" in seen(pilot.app)
        await pilot.press("escape")
        await until_gone(pilot, "Delete the schedule")
        assert performed(control) == []
        await pilot.press("D")
        await until_seen(pilot, "Delete the schedule warm-prices?")
        await pilot.press("y")
        await until(pilot, lambda: performed(control), "the deletion")
    assert performed(control) == [("schedules.delete", {"name": "warm-prices"})]


async def test_a_new_one_is_explained_while_it_is_typed_and_saved_after_a_look() -> None:
    control = scheduled()
    async with console(control).run_test(size=(80, 24)) as pilot:
        await shown(pilot)
        await pilot.press("n")
        await until_seen(pilot, "New schedule")
        await pilot.press("ctrl+s")
        await until_seen(pilot, "is required")
        await pilot.press("enter", *"Bad", "enter")
        await until_seen(pilot, "small letters, digits")
        await pilot.press("k", "enter", "home", "shift+end", *"morning", "enter")
        await pilot.press("enter", *"warm.prics", "enter")
        await until_seen(pilot, "did you mean")
        await pilot.press("k", "enter", "home", "shift+end", *"warm.prices", "enter", "down")
        await pilot.press("enter", *"25 9 * * mon-fri", "enter", "enter", "home", "shift+end")
        await pilot.press(*"America/New_York", "enter")
        await until_seen(pilot, "every weekday at 09:25 New York time")
        await until_seen(pilot, "09:25 New York  14:25 here")
        await pilot.press("right")
        await until_seen(pilot, "‹ once ›")
        await pilot.press("ctrl+s")
        await until_seen(pilot, "Make the schedule morning?")
        await pilot.press("escape")  # back to what was typed
        await until_seen(pilot, "New schedule")
        assert "morning" in seen(pilot.app)
        await pilot.press("ctrl+s")
        await until_seen(pilot, "Make the schedule morning?")
        await pilot.press("y")
        await until(pilot, lambda: performed(control), "saving")
    [(operation, given)] = performed(control)
    assert operation == "schedules.save"
    assert {name: given[name] for name in ("name", "kind", "cron", "zone", "missed", "every", "enabled")} == {
        "name": "morning", "kind": "warm.prices", "cron": "25 9 * * mon-fri", "zone": "America/New_York",
        "missed": "once", "every": "", "enabled": True,
    }  # fmt: skip


async def test_production_wants_the_name_and_a_read_only_target_is_told_before_anything_is_typed() -> None:
    production = msgspec.structs.replace(demo().state.target, name="prod", word="PRODUCTION")
    control = scheduled(control=demo(target=production))
    async with console(control).run_test(size=(80, 24)) as pilot:
        await shown(pilot, "month-end")
        await pilot.press("p")
        await until_seen(pilot, "Enable the schedule month-end?")
        assert "prod" in seen(pilot.app)
        await pilot.press("escape")
    control = scheduled()
    control.set_state(is_read_only=True)
    async with console(control).run_test(size=(80, 24)) as pilot:
        await shown(pilot)
        await pilot.press("n")
        await until_seen(pilot, "read-only")
        assert not isinstance(pilot.app.screen, ScheduleDialog)


async def test_saving_is_not_cut_off_by_the_look_that_typing_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    control = scheduled()
    asked: list[str] = []
    real, is_saving = FakeControl.propose, False

    async def slow(self: FakeControl, operation: str, given: Mapping[str, Any], **more: Any) -> Proposal:
        if is_saving:
            asked.append(operation)
        while len(asked) == 1:  # the gate takes its time until the look that was due has come, too
            await asyncio.sleep(0.01)
        return await real(self, operation, given, **more)

    monkeypatch.setattr(FakeControl, "propose", slow)
    async with console(control).run_test(size=(80, 24)) as pilot:
        await shown(pilot)
        await pilot.press("e")
        await until_seen(pilot, "means")
        dialog = pilot.app.screen
        assert isinstance(dialog, ScheduleDialog)
        is_saving = True
        await pilot.press("ctrl+s")
        await until(pilot, lambda: asked, "the question of saving")
        dialog.on_field_list_edited(FieldList.Edited("note"))
        await until_seen(pilot, "Change the schedule close-backfill?")


async def test_on_a_read_only_target_a_schedule_of_jobs_that_only_read_can_be_typed() -> None:
    control = scheduled()
    control.set_state(is_read_only=True)

    def look(given: Mapping[str, Any]) -> Proposal:
        if given["kind"] != "report":
            raise ReadOnly(f"the target desk is read-only: {given['kind']} jobs would change it", hint="choose another")
        if not given.get("name"):
            raise InvalidParameters({"name": "is required"})
        return Proposal(operation="schedules.save", title="Make it?", lines=(), do="make it", parameters=dict(given))

    control.proposals["schedules.save"] = look
    control.operation_infos = tuple(
        msgspec.structs.replace(info, changes_target=False) if info.name == "schedules.save" else info
        for info in control.operation_infos
    )
    async with console(control).run_test(size=(80, 24)) as pilot:
        await shown(pilot)
        await pilot.press("e")  # of prices to be warmed: nothing to be typed here
        await until_seen(pilot, "read-only")
        assert not isinstance(pilot.app.screen, ScheduleDialog)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(pilot.app.screen, ScheduleDialog), "the form")
        await pilot.press("enter", *"weekly", "enter", "enter", *"vacuum", "enter")
        await until_seen(pilot, "the target desk is read-only: vacuum jobs")


async def test_what_can_not_run_says_why_and_a_refused_question_too() -> None:
    timetable = Timetable()
    timetable.problems["warm-prices"] = "the target desk is read-only"
    control = scheduled(timetable)
    async with console(control).run_test(size=(120, 40)) as pilot:
        await pilot.press("9")
        await until_seen(pilot, "✖ warm-prices        the target desk is read-only")
        control.failures["ask"] = HistoryUnavailable("the disk is full")
        await pilot.press("r")
        await until_seen(pilot, "the disk is full")


async def test_the_filter_and_the_way_to_the_job() -> None:
    control = scheduled()
    async with console(control).run_test(size=(120, 40)) as pilot:
        await shown(pilot)
        await pilot.press("slash", *"new york", "enter")
        await until_gone(pilot, "warm-positions")
        assert "close-backfill" in seen(pilot.app)
        await pilot.press("enter")
        await until_seen(pilot, "371")


async def test_jobs_of_schedules_that_succeeded_stay_out_of_the_list_until_asked_for() -> None:
    control = demo(history=30)
    done = max((job for job in control.all_jobs.values() if job.state is JobState.SUCCEEDED), key=lambda job: job.id)
    routine = msgspec.structs.replace(done, title="warm the routine", origin="schedule warm-prices")
    failed = msgspec.structs.replace(
        routine, id=max(control.all_jobs) + 1, title="warm and fail", state=JobState.FAILED
    )
    control.all_jobs |= {routine.id: routine, failed.id: failed}
    async with console(control).run_test(size=(120, 40)) as pilot:
        await pilot.press("2")
        await until_seen(pilot, "warm and fail")
        assert "warm the routine" not in seen(pilot.app)
        await pilot.press("s")
        await until_seen(pilot, "warm the routine")
        await pilot.press("s")
        await until_gone(pilot, "warm the routine")
        await pilot.press("slash", *"routine", "enter")
        await until_seen(pilot, "warm the routine")


def test_the_demo_has_each_standing() -> None:
    assert len({schedule.name for schedule in SCHEDULES}) == len(SCHEDULES)


async def test_the_facts_are_wrapped_anew_when_the_room_for_them_changes() -> None:
    async with console(scheduled()).run_test(size=(120, 40)) as pilot:
        await shown(pilot)
        facts = pilot.app.screen.query_one("#schedule-facts", TextView)

        def fits() -> bool:
            is_whole = "every weekday at 16:15 New York time" in facts.plain
            return is_whole == (facts.scrollable_content_region.width >= 46)

        for width in (48, 80, 62, 120):
            await pilot.resize_terminal(width, 40)
            await until(pilot, lambda width=width: facts.size.width <= width and fits(), f"{width} cells")  # type: ignore[misc]
