"""The backfill screen: the live run and its result, every size, every view."""

from __future__ import annotations

import msgspec
import pytest

from fakes.control import demo, empty
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.events import JobProgressed
from qsuite_console.model.jobs import JobAction, JobDetail, JobState
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.screens.backfill_run import RunPane
from screens.backfill_steps import SMALL, TINY, WIDE, asked, open_backfill, type_symbols, without_live_jobs
from screens.seeing import console, seen, until, until_seen


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


@pytest.mark.parametrize(("is_verified", "line"), [(True, "✔ verified  5,000 of"), (False, "✖ not verified  4,998 of")])
async def test_the_last_run_says_whether_it_is_verified(is_verified: bool, line: str) -> None:
    async with console(without_live_jobs(is_verified=is_verified)).run_test(notifications=True, size=SMALL) as pilot:
        await open_backfill(pilot)
        await pilot.press("w")
        await until_seen(pilot, line)
        await until_seen(pilot, "Last run")
        missing = "✖ AAPL 2025-03-03 to 2025-03-28: 18 of 20 fetched rows are stored"
        assert (missing in seen(pilot.app)) is not is_verified
        restored = "↻ fetched again: 9 rows that were missing from AAPL"
        assert (restored in seen(pilot.app)) is not is_verified


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
