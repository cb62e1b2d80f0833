"""The form of a backfill by its keys: validation while typing, plan, start."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from fakes.control import demo
from qsuite_console.engine.state import TargetView
from qsuite_console.model.errors import ConsoleError, InvalidParameters, ReadOnly
from qsuite_console.model.jobs import Receipt, Submission
from qsuite_console.model.kinds import Plan
from qsuite_console.screens.backfill_form import PRESETS, FormPane, preset_range
from qsuite_console.screens.backfill_run import RunPane
from screens.backfill_steps import SMALL, WIDE, asked, open_backfill, submissions, type_symbols
from screens.seeing import console, seen, until, until_gone, until_seen


async def test_the_form_is_made_from_the_kinds_own_parameters() -> None:
    control = demo()
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        for parameter in control.kind_infos[0].parameters:
            await until_seen(pilot, parameter.label)
        await until_seen(pilot, "Dates")
        await until_seen(pilot, "Fill in Symbols")


async def test_while_a_slow_engine_describes_its_kinds_no_key_gets_into_a_field(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    control, is_told = demo(), asyncio.Event()
    kinds = control.kinds

    async def kinds_later() -> Any:
        await is_told.wait()
        return await kinds()

    monkeypatch.setattr(control, "kinds", kinds_later)
    async with console(control).run_test(notifications=True, size=SMALL) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: bool(pilot.app.screen.query(FormPane)))
        await pilot.pause()
        assert pilot.app.screen.has_class("-view-form")
        assert pilot.app.focused is None
        await pilot.press("1")
        await until_seen(pilot, "Running")
        await pilot.press("3")
        is_told.set()
        await until_seen(pilot, "Timeframe")
        assert pilot.app.screen.has_class("-view-form")
        await until(pilot, lambda: pilot.app.focused is not None)
        assert pilot.app.screen.query_one(FormPane) in (pilot.app.focused or pilot.app.screen).ancestors


async def test_an_engine_without_a_backfill_says_so() -> None:
    control = demo()
    control.kind_infos = ()
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await pilot.press("3")
        await until_seen(pilot, "this engine has no backfill")


async def test_typing_validates_at_once_and_plans_when_quiet() -> None:
    control = demo()
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        await pilot.press("enter", "A")
        await until(pilot, lambda: any(p.get("symbols") == "A" for _, p in asked(control, "check")))
        await pilot.press("A", "P", "L", "enter")
        await until_seen(pilot, "39 symbols a request")
        planned = [parameters for _, parameters in asked(control, "plan")]
        assert planned[-1]["symbols"] == "AAPL"
        assert len(planned) == 1, "typing four letters planned once"


async def test_a_problem_stands_beside_its_field_and_goes_when_it_is_mended() -> None:
    async with console(demo()).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        await type_symbols(pilot, "AAPL")
        await pilot.press("j", "j", "j", "enter", *"2025-13")
        await until_seen(pilot, "'2025-13' is not a date like")
        await until_seen(pilot, "Correct Start")
        await until_seen(pilot, "own dates")
        await pilot.press("escape")
        await until_gone(pilot, "is not a date")
        assert pilot.app.screen.query_one(FormPane).parameters()["start"] == "2026-01-01"


async def test_problems_of_untouched_fields_wait_until_start() -> None:
    control = demo()
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        assert "name symbols, all, active" not in seen(pilot.app)
        await pilot.press("m", "f", "ctrl+s")
        await until_seen(pilot, "name symbols, all, active")
        assert not submissions(control)


@pytest.mark.parametrize("preset", PRESETS[:-1])
def test_presets_end_with_the_last_finished_session(preset: str) -> None:
    now = demo().clock.now()
    span = preset_range(preset, now)
    assert span is not None
    first, last = span
    assert first < last <= now.date()
    days = {"5 sessions": 8, "1 month": 30, "this year": 366, "1 year": 365, "5 years": 1826}[preset]
    assert timedelta(0) < last - first <= timedelta(days=days)


async def test_the_dates_key_fills_start_and_end() -> None:
    control = demo()
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        form = pilot.app.screen.query_one(FormPane)
        before = form.parameters()
        await pilot.press("d")
        await until_seen(pilot, "1 year")
        after = form.parameters()
        assert before["start"] == "2026-01-01"
        assert after["end"] == before["end"]
        assert after["start"] < before["start"]


async def test_choices_change_with_left_and_right_and_go_back_to_default() -> None:
    async with console(demo()).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        form = pilot.app.screen.query_one(FormPane)
        await pilot.press("j", "j", "right")
        assert form.parameters()["timeframe"] == "1Week"
        await pilot.press("h", "h")
        assert form.parameters()["timeframe"] == "1Hour"
        await pilot.press("backspace")
        assert form.parameters()["timeframe"] == "1Day"


async def test_a_plan_that_takes_its_time_says_so_and_a_failed_one_says_why() -> None:
    control = demo()
    gate = asyncio.Event()
    real = control.plan

    async def slow(kind: str, parameters: Mapping[str, Any]) -> Plan:
        await gate.wait()
        return await real(kind, parameters)

    control.plan = slow  # type: ignore[method-assign]
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        await type_symbols(pilot, "AAPL")
        await until_seen(pilot, "planning…")
        await until_seen(pilot, "planning… 1 s")
        gate.set()
        await until_seen(pilot, "39 symbols a request")
        control.failures["plan"] = ConsoleError("the database does not answer", hint="is it running?")
        await pilot.press("d")
        await until_seen(pilot, "✖ the database does not answer")
        await until_seen(pilot, "is it running?")


async def test_what_only_the_plan_can_refuse_lands_at_the_field() -> None:
    control = demo()
    control.failures["plan"] = InvalidParameters({"table": "no such table"})
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        await type_symbols(pilot, "AAPL")
        await until_seen(pilot, "no such table")
        assert pilot.app.screen.query_one("#field-table").problem == "no such table"


@pytest.mark.parametrize("way", ["ctrl+s", "button"])
async def test_start_submits_what_the_form_says_and_shows_the_run(way: str) -> None:
    control = demo()
    async with console(control).run_test(notifications=True, size=SMALL) as pilot:
        await open_backfill(pilot)
        await type_symbols(pilot, "AAPL,MSFT")
        await pilot.press(*(["ctrl+s"] if way == "ctrl+s" else [*"jjjjjjjjjj", "enter"]))
        await until_seen(pilot, "is queued")
        (submission,) = submissions(control)
        assert submission.kind == "backfill"
        assert submission.origin == "console"
        expected = {"symbols": "AAPL,MSFT", "timeframe": "1Day", "start": "2026-01-01", "refresh": False}
        assert expected.items() <= submission.parameters.items()
        assert "dates-preset" not in submission.parameters
        await until(pilot, lambda: pilot.app.screen.query_one(RunPane).has_focus)


async def test_start_works_while_typing() -> None:
    control = demo()
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        await pilot.press("enter", *"TSLA", "ctrl+s")
        await until(pilot, lambda: submissions(control))
        assert submissions(control)[0].parameters["symbols"] == "TSLA"


async def test_joining_an_equal_job_is_said() -> None:
    control = demo()

    async def join(submission: Submission) -> Receipt:
        return Receipt(job_id=412, correlation_id="c", joined=True)

    control.submit = join  # type: ignore[method-assign]
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        await type_symbols(pilot, "AAPL")
        await pilot.press("ctrl+s")
        await until_seen(pilot, "Job 412 does this already: joined it")


async def test_a_refused_start_says_why() -> None:
    control = demo()
    control.failures["submit"] = ReadOnly("this console only looks", hint="open it without --read-only")
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        await type_symbols(pilot, "AAPL")
        await pilot.press("ctrl+s")
        await until_seen(pilot, "this console only looks")


async def test_on_production_the_target_is_typed_before_anything_starts() -> None:
    control = demo(target=TargetView(name="prod-eu1", word="PRODUCTION", colour="error"))
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        await type_symbols(pilot, "AAPL")
        await until_seen(pilot, "39 symbols a request")
        await pilot.press("ctrl+s")
        await until_seen(pilot, "Start this backfill on production?")
        assert not submissions(control)
        await pilot.press(*"prod-eu1", "enter")
        await until(pilot, lambda: submissions(control))
