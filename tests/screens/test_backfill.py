"""The backfill screen, by its keys: form and plan, coverage map, live run, in every size."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from fakes.control import FakeControl, demo, empty
from qsuite_console.engine.state import TargetView
from qsuite_console.model.errors import Conflict, ConsoleError, InvalidParameters, ReadOnly
from qsuite_console.model.events import JobProgressed
from qsuite_console.model.jobs import LIVE, JobAction, JobDetail, JobState, Receipt, Submission
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.model.market import CellState, CoverageMap
from qsuite_console.screens.backfill import BackfillScreen
from qsuite_console.screens.backfill_form import PRESETS, FormPane, preset_range
from qsuite_console.screens.backfill_map import MapPane
from qsuite_console.screens.backfill_run import RunPane
from screens.seeing import console, seen, until, until_gone, until_seen

WIDE, SMALL, TINY = (120, 40), (80, 24), (60, 15)


async def open_backfill(pilot: Pilot[Any], *, is_read: bool = True) -> None:
    """Go to the screen; wait for its form and, if it is shown and can be read, for its map."""
    await pilot.press("3")
    await until(pilot, lambda: isinstance(pilot.app.screen, BackfillScreen) and pilot.app.screen.focused is not None)
    pane = pilot.app.screen.query_one(MapPane)
    await until(pilot, lambda: pane.grid.rows or not pane.region.width or not is_read)


def asked(control: FakeControl, name: str) -> list[tuple[Any, ...]]:
    return [arguments for call, arguments in control.calls if call == name]


def submissions(control: FakeControl) -> list[Submission]:
    return [arguments[0] for arguments in asked(control, "submit")]


async def type_symbols(pilot: Pilot[Any], text: str) -> None:
    await pilot.press("enter", *text, "enter")


# form


async def test_the_form_is_made_from_the_kinds_own_parameters() -> None:
    control = demo()
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        for parameter in control.kind_infos[0].parameters:
            await until_seen(pilot, parameter.label)
        assert "Dates" in seen(pilot.app)
        assert "Fill in Symbols" in seen(pilot.app)


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


# map


async def test_the_map_shows_every_state_by_a_glyph_of_its_own_and_says_the_figures() -> None:
    async with console(demo()).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        screen = seen(pilot.app)
        for word in ("complete", "partial", "gap", "running", "failed"):
            assert word in screen
        grid = pilot.app.screen.query_one(MapPane).grid
        states = {cell.state for row in grid.rows for cell in row.cells}
        assert states == set(CellState)
        await pilot.press("m", "h", "j")
        assert grid.current is not None
        symbol, cell = grid.current
        await until_seen(pilot, f"{symbol} {cell.month}: {cell.present} of {cell.expected} sessions")


async def test_the_cursor_moves_in_two_dimensions_and_beyond_the_months_shown() -> None:
    control = demo()
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        grid = pilot.app.screen.query_one(MapPane).grid
        await pilot.press("m")
        months = grid.months
        await pilot.press("l")
        await pilot.pause()
        assert grid.months == months, "the future has no coverage"
        await pilot.press("j", "j", "left")
        assert grid.current is not None
        assert (grid.current[0], grid.current[1].month) == (grid.rows[2].symbol, months[-2])
        await pilot.press("comma")
        await until(pilot, lambda: grid.months[-1] < months[-1])
        await pilot.press("full_stop")
        await until(pilot, lambda: grid.months == months)
        await pilot.press(*["h"] * len(months))
        await until(pilot, lambda: grid.months[0] < months[0])
        assert grid.current is not None
        assert grid.current[0] == grid.rows[2].symbol


async def test_the_map_pages_down_by_key() -> None:
    control = demo()
    whole = control.answers["backfill.coverage"]
    control.answers["backfill.coverage"] = lambda parameters: whole({**parameters, "limit": 30})
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        grid = pilot.app.screen.query_one(MapPane).grid
        await pilot.press("m", "G", "G", "G")
        await until(pilot, lambda: len(grid.rows) == 68)
        symbols = [row.symbol for row in grid.rows]
        assert symbols == sorted(set(symbols))
        await until_seen(pilot, "68 of 68 symbols")
        await pilot.press("home")
        assert grid.current is not None
        assert grid.current[0] == symbols[0]


async def test_the_map_filters_as_it_is_typed_and_escape_clears() -> None:
    async with console(demo()).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        grid = pilot.app.screen.query_one(MapPane).grid
        await pilot.press("m", "slash", *"am")
        await until(pilot, lambda: grid.rows and all("AM" in row.symbol for row in grid.rows))
        await pilot.press("enter")
        await until_seen(pilot, "filter AM")
        await pilot.press("escape")
        await until(pilot, lambda: len(grid.rows) > 10)
        await pilot.press("slash", *"zzz", "enter")
        await until_seen(pilot, "no symbol begins with “ZZZ”")


async def test_the_map_follows_the_form_and_its_own_keys() -> None:
    async with console(demo()).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        await pilot.press("j", "j", "right")
        await until_seen(pilot, "Coverage · price_ticks · 1Week")
        await pilot.press("m", "T")
        await until_seen(pilot, "Coverage · market_data_marketdata · 1Week")
        await pilot.press("t")
        await until_seen(pilot, "Coverage · market_data_marketdata · 1Month")


async def test_enter_on_a_gap_fetches_exactly_that_month_and_the_cell_runs() -> None:
    control = demo()
    control.plans = lambda kind, parameters: Plan(kind=kind, title="x", figures={"requests": 1})
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        grid = pilot.app.screen.query_one(MapPane).grid
        await pilot.press("m", "enter")
        await until(pilot, lambda: submissions(control))
        (submission,) = submissions(control)
        assert submission.parameters == {
            "symbols": "AAPL", "timeframe": "1Day", "start": "2026-11-01", "end": "2026-11-19", "table": "price_ticks",
        }  # fmt: skip
        job_id = max(control.all_jobs)
        await until_seen(pilot, f"Job {job_id} will fetch AAPL 2026-11")
        assert grid.current is not None
        assert grid.current[1].state is CellState.RUNNING
        reads = len(asked(control, "ask"))
        control.change(job_id, state=JobState.SUCCEEDED, finished_at=control.clock.now())
        await until(pilot, lambda: len(asked(control, "ask")) > reads, "the map is read again when it is done")
        await until(pilot, lambda: grid.current is not None and grid.current[1].state is CellState.GAP)


async def test_a_large_cell_asks_first_with_its_plan() -> None:
    control = demo()
    control.plans = lambda kind, parameters: Plan(
        kind=kind, title="x", lines=(PlanLine(label="requests", value="210"),), figures={"requests": 210}
    )
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        await pilot.press("m", "enter")
        await until_seen(pilot, "Backfill AAPL 2026-11?")
        await until_seen(pilot, "requests: 210")
        await pilot.press("escape")
        await pilot.pause()
        assert not submissions(control)
        await pilot.press("enter")
        await until_seen(pilot, "Backfill AAPL 2026-11?")
        await pilot.press("y")
        await until(pilot, lambda: submissions(control))


async def test_a_cell_with_nothing_to_fetch_submits_nothing() -> None:
    control = demo()
    control.plans = lambda kind, parameters: Plan(kind=kind, title="x", is_noop=True)
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        await pilot.press("m", "enter")
        await until_seen(pilot, "the provider has nothing more to give")
        assert not submissions(control)


async def test_running_and_failed_jobs_lie_over_the_map() -> None:
    control = demo()
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        grid = pilot.app.screen.query_one(MapPane).grid
        control.plans = lambda kind, parameters: Plan(kind=kind, title="x", figures={"requests": 1})
        await pilot.press("m", "enter")
        await until(pilot, lambda: submissions(control))
        job_id = max(control.all_jobs)
        control.change(job_id, state=JobState.RUNNING, attempt=1, started_at=control.clock.now())
        await pilot.pause(0.2)
        assert grid.current is not None
        assert grid.current[1].state is CellState.RUNNING
        control.change(job_id, state=JobState.FAILED, finished_at=control.clock.now(), error="403")
        await until(pilot, lambda: grid.current is not None and grid.current[1].state is CellState.FAILED)


async def test_an_unreachable_database_is_said_in_the_map_and_r_tries_again() -> None:
    control = demo()
    control.failures["ask"] = ConsoleError("the database does not answer", hint="is it running?")
    async with console(control).run_test(notifications=True, size=SMALL) as pilot:
        await open_backfill(pilot)
        await pilot.press("m")
        await until_seen(pilot, "✖ the database does not answer")
        await until_seen(pilot, "r tries again")
        del control.failures["ask"]
        await pilot.press("r")
        await until_seen(pilot, "AAPL")
        control.failures["ask"] = Conflict("busy")
        await pilot.press("r")
        await until_seen(pilot, "old: busy")
        assert "AAPL" in seen(pilot.app), "what was read stays"


async def test_a_platform_without_symbols_says_what_to_do() -> None:
    control = demo()
    control.answers["backfill.coverage"] = lambda parameters: CoverageMap(
        table="price_ticks", timeframe="1Day", months=("2026-11",), rows=()
    )
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await pilot.press("3")
        await until_seen(pilot, "no symbols are known yet")


# run


async def test_the_run_shows_progress_figures_and_the_rate_limit() -> None:
    control = demo()
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        job = control.state.running[0]
        figures: dict[str, float | str] = {
            "requests": 1300.0, "requests_total": 1950.0, "rows": 4_000_000.0, "rows_per_s": 44_000.0, "http_429": 2.0,
            "rate_limit": 200.0, "rate_remaining": 12.0, "rate_reset_s": 31.0, "phase": "fetch",
        }  # fmt: skip
        progress = msgspec.structs.replace(
            job.progress, fraction=0.67, eta_s=125, figures=figures, updated_at=control.clock.now(), message="waits"
        )
        control.emit(JobProgressed(at=control.clock.now(), job_id=job.id, progress=progress))
        for text in (
            "67%",
            "02:05 left",
            "1,300/1,950",
            "4,000,000",
            "44.0k",
            "▲ 12 of 200 left, full in 31 s",
            "waits",
        ):
            await until_seen(pilot, text)


async def test_n_goes_through_several_runs_and_enter_opens_the_job() -> None:
    control = demo()
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        run = pilot.app.screen.query_one(RunPane)
        await until(pilot, lambda: run.current is not None)
        first = run.current
        await pilot.press("n")
        assert run.current != first
        chosen = run.current
        assert chosen is not None
        await pilot.press("w", "enter")
        await until(pilot, lambda: any(arguments == (chosen.id,) for arguments in asked(control, "job")))


async def test_pause_resume_and_cancel_act_on_the_run_shown() -> None:
    control = demo()
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        run = pilot.app.screen.query_one(RunPane)
        await until(pilot, lambda: run.current is not None)
        shown = run.current
        assert shown is not None
        run.choose(shown.id)
        await pilot.press("p")
        await until(pilot, lambda: run.current is not None and run.current.state is JobState.PAUSED)
        assert run.current is not None
        assert run.current.id == shown.id
        await pilot.press("p")
        await until(pilot, lambda: run.current is not None and run.current.state is JobState.QUEUED)
        assert [arguments[0] for arguments in asked(control, "act")] == [JobAction.PAUSE, JobAction.RESUME]
        await pilot.press("C")
        await until_seen(pilot, f"Cancel job {shown.id}?")
        await pilot.press("y")
        await until(pilot, lambda: control.all_jobs[shown.id].state is JobState.CANCELLED)


def without_live_jobs(*, is_verified: bool) -> FakeControl:
    control = demo()
    for job in list(control.all_jobs.values()):
        if job.kind == "backfill" and job.state in LIVE:
            del control.all_jobs[job.id]
    control.set_state(running=())
    newest = max((j for j in control.all_jobs.values() if j.kind == "backfill"), key=lambda j: (j.finished_at, j.id))
    done = msgspec.structs.replace(newest, state=JobState.SUCCEEDED, error=None)
    control.all_jobs[newest.id] = done
    result = {
        "symbols": 200, "requests": 1950, "rows_expected": 5000, "rows_present": 5000 if is_verified else 4998,
        "rows_written": 4000, "quarantined": 2, "http_429": 0, "rows_per_s": 41200.0, "symbols_per_s": 1.6,
        "verified": is_verified,
        "missing": [] if is_verified else [
            {"symbol": "AAPL", "from": "2025-03-03T05:00:00", "to": "2025-03-28T04:00:00", "fetched": 20, "present": 18}
        ],
    }  # fmt: skip
    control.details[newest.id] = JobDetail(job=done, result=result)
    return control


@pytest.mark.parametrize(("is_verified", "line"), [(True, "✔ verified  5,000 of"), (False, "✖ not verified  4,998 of")])
async def test_the_last_run_says_whether_it_is_verified(is_verified: bool, line: str) -> None:
    async with console(without_live_jobs(is_verified=is_verified)).run_test(notifications=True, size=SMALL) as pilot:
        await open_backfill(pilot)
        await pilot.press("w")
        await until_seen(pilot, line)
        await until_seen(pilot, "Last run")
        missing = "✖ AAPL 2025-03-03 to 2025-03-28: 18 of 20 fetched rows are stored"
        assert (missing in seen(pilot.app)) is not is_verified


async def test_a_failed_last_run_says_why_how_far_it_came_and_what_to_do() -> None:
    control = without_live_jobs(is_verified=True)
    newest = max(control.details)
    job = msgspec.structs.replace(
        control.all_jobs[newest], state=JobState.FAILED, error="the provider refused the key: HTTP 403",
        progress=msgspec.structs.replace(
            control.all_jobs[newest].progress, fraction=0.4, figures={"requests": 20.0, "requests_total": 50.0}
        ),
    )  # fmt: skip
    control.all_jobs[newest], control.details[newest] = job, JobDetail(job=job)
    async with console(control).run_test(notifications=True, size=SMALL) as pilot:
        await open_backfill(pilot)
        await pilot.press("w")
        for text in ("HTTP 403", "takes it up from its", "40%", "20/50"):
            await until_seen(pilot, text)


async def test_a_paused_run_says_so_and_shows_no_stale_rate_limit() -> None:
    control = demo()
    async with console(control).run_test(notifications=True, size=SMALL) as pilot:
        await open_backfill(pilot)
        await pilot.press("w")
        await until_seen(pilot, "rate limit")
        run = pilot.app.screen.query_one(RunPane)
        assert run.current is not None
        run.choose(run.current.id)
        await pilot.press("p")
        await until_seen(pilot, "goes on from its checkpoint when it is resumed")
        assert "rate limit" not in seen(pilot.app)


async def test_a_finished_run_makes_the_plan_anew() -> None:
    control = demo()
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        await type_symbols(pilot, "AAPL")
        await until_seen(pilot, "39 symbols a request")
        control.plans = lambda kind, parameters: Plan(kind=kind, title="x", is_noop=True)
        job = control.state.running[0]
        control.change(job.id, state=JobState.SUCCEEDED, finished_at=control.clock.now())
        await until_seen(pilot, "✔ nothing to fetch: all of it is stored")


async def test_before_the_first_backfill_the_run_says_how_to_begin() -> None:
    async with console(empty()).run_test(notifications=True, size=SMALL) as pilot:
        await open_backfill(pilot)
        await pilot.press("w")
        await until_seen(pilot, "No backfill has run yet.")


# sizes and keys


@pytest.mark.parametrize("size", [(30, 8), TINY, SMALL, WIDE, (200, 60)])
async def test_every_view_is_reachable_at_every_size(size: tuple[int, int]) -> None:
    async with console(demo()).run_test(notifications=True, size=size) as pilot:
        await open_backfill(pilot)
        for key, inside in (("m", "#map"), ("w", "#run"), ("f", "#form")):
            await pilot.press(key)
            await pilot.pause()
            focused = pilot.app.screen.focused
            assert focused is not None
            assert pilot.app.screen.query_one(inside) in focused.ancestors_with_self
            assert pilot.app.screen.query_one(inside).region.width > 0
        await pilot.press("enter", *"AAPL", "ctrl+t")
        await pilot.pause()
        assert pilot.app.screen.query_one("#map") in pilot.app.screen.focused.ancestors_with_self
        await pilot.press("escape")
        await pilot.pause()
        assert pilot.app.screen.query_one("#form") in pilot.app.screen.focused.ancestors_with_self


async def test_the_screens_of_the_console_stay_one_key_away_from_the_form() -> None:
    async with console(demo()).run_test(notifications=True, size=SMALL) as pilot:
        await open_backfill(pilot)
        await pilot.press("1")
        await until(pilot, lambda: pilot.app.current_mode == "overview")


async def test_hostile_text_is_shown_literally() -> None:
    control = demo()
    evil = "[/x] [@click=app.quit]z[/] \x1b]2;PWN\x07"
    control.plans = lambda kind, parameters: Plan(
        kind=kind, title=evil, lines=(PlanLine(label=evil, value=evil, note=evil),), warnings=(evil,), is_noop=False
    )
    control.failures["ask"] = ConsoleError(evil, hint=evil)
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot, is_read=False)
        await pilot.press("enter", *"[/x]", "enter")
        await until_seen(pilot, "▲ [/x] [@click=app.quit]z[/] ␛]2;PWN␇")
        await until_seen(pilot, "✖ [/x]")
        job = control.state.running[0]
        control.change(job.id, title=evil, reason=evil)
        await until_seen(pilot, "▶ [/x]")
        assert "\x1b" not in seen(pilot.app)
