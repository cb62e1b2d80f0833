"""The coverage map by its keys: states, two dimensions, pages, filter, filling a gap."""

from __future__ import annotations

import pytest

from fakes.control import demo
from qsuite_console.model.errors import Conflict, ConsoleError
from qsuite_console.model.jobs import JobState
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.model.market import CellState, CoverageMap
from qsuite_console.screens import backfill_form, backfill_map
from qsuite_console.screens.backfill_map import MapPane
from screens.backfill_steps import SMALL, WIDE, asked, open_backfill, submissions, type_symbols
from screens.seeing import console, seen, until, until_gone, until_seen


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
        await until_seen(pilot, "Coverage · market_data_marketdata · 1Min")
        await pilot.press("t")
        await until_seen(pilot, "market_data_marketdata holds 1Min bars only")
        await pilot.press("T")
        await until_seen(pilot, "Coverage · price_ticks · 1Day")
        await pilot.press("t")
        await until_seen(pilot, "Coverage · price_ticks · 1Week")


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
        await pilot.press("t")
        await until_seen(pilot, "✖ busy")
        await until_seen(pilot, "1Week")
        assert "AAPL" not in seen(pilot.app), "the coverage of another timeframe"


async def test_the_map_and_the_plan_come_back_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill_map, "RETRY_S", 0.0)
    monkeypatch.setattr(backfill_form, "PLAN_AGAIN_S", 0.0)
    control = demo()
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await open_backfill(pilot)
        await type_symbols(pilot, "AAPL")
        control.failures["ask"] = control.failures["plan"] = ConsoleError("the database does not answer")
        await pilot.press("m", "t")
        await pilot.press("f", "r")
        await until(pilot, lambda: seen(pilot.app).count("✖ the database does not answer") == 2)
        control.failures.clear()
        await until_gone(pilot, "✖ the database does not answer")
        await until_seen(pilot, "of 68 symbols")


async def test_a_platform_without_symbols_says_what_to_do() -> None:
    control = demo()
    control.answers["backfill.coverage"] = lambda parameters: CoverageMap(
        table="price_ticks", timeframe="1Day", months=("2026-11",), rows=()
    )
    async with console(control).run_test(notifications=True, size=WIDE) as pilot:
        await pilot.press("3")
        await until_seen(pilot, "no symbols are known yet")
