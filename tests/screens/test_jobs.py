"""The list of jobs and the page of one: live, filtered, marked, acted upon; and never another row under the cursor."""

from __future__ import annotations

import time
from typing import Any

import pytest
from textual.pilot import Pilot

from fakes.control import FakeControl, demo, empty
from fakes.platform import NOW, job
from qsuite_console.engine.state import TargetView
from qsuite_console.model.errors import ConsoleError, ReadOnly
from qsuite_console.model.events import JobChanged, JobDeleted, JobProgressed
from qsuite_console.model.jobs import JobAction, JobState, LogLine, Progress
from qsuite_console.screens import jobs
from qsuite_console.widgets.live_table import LiveTable
from screens.seeing import console, seen, until, until_gone, until_seen


async def open_jobs(pilot: Pilot[Any]) -> LiveTable:
    await pilot.press("2")
    await until(pilot, lambda: pilot.app.screen.query("#jobs") and pilot.app.screen.query_one("#jobs", LiveTable).keys)
    return pilot.app.screen.query_one("#jobs", LiveTable)


def acts(control: FakeControl) -> list[tuple[Any, ...]]:
    return [arguments for name, arguments in control.calls if name == "act"]


# the list


async def test_pages_are_loaded_as_the_cursor_nears_the_end() -> None:
    control = demo()
    async with console(control).run_test(size=(80, 24)) as pilot:
        table = await open_jobs(pilot)
        assert len(table.keys) == 200
        await pilot.press("G")
        await until(pilot, lambda: len(table.keys) == 400)
        await pilot.press("G")
        await until(pilot, lambda: len(table.keys) == 426)
        await until_seen(pilot, "426 jobs · newest first")
        assert list(table.keys) == sorted(table.keys, reverse=True)


async def test_a_job_that_changes_is_shown_so_and_a_new_one_appears() -> None:
    control = demo()
    async with console(control).run_test(size=(120, 40)) as pilot:
        table = await open_jobs(pilot)
        control.change(426, state=JobState.RUNNING, started_at=NOW, attempt=1)
        control.emit(JobProgressed(at=NOW, job_id=426, progress=Progress(fraction=0.37)))
        await until_seen(pilot, "37%")
        control.emit(JobChanged(at=NOW, job=job(427, "backfill ORCL 1Day 2024", JobState.QUEUED)))
        await until_seen(pilot, "backfill ORCL 1Day 2024")
        assert table.current == 426  # the cursor stays on its job
        control.emit(JobDeleted(at=NOW, job_id=427))
        await until_gone(pilot, "ORCL")


async def test_rows_never_move_under_the_cursor_of_a_scrolled_list() -> None:
    control = demo()
    async with console(control).run_test(size=(80, 24)) as pilot:
        table = await open_jobs(pilot)
        await pilot.press(*["pagedown"] * 3)
        await pilot.pause()
        current, line = table.current, table.cursor - table.scroll_offset.y
        for number in range(427, 437):
            control.emit(JobChanged(at=NOW, job=job(number, f"backfill NEW{number}", JobState.QUEUED)))
        await until(pilot, lambda: len(table.keys) == 210)
        await pilot.pause()
        assert table.current == current
        assert table.cursor - table.scroll_offset.y == line
        await until_seen(pilot, f" {current} ")


@pytest.mark.parametrize(
    ("typed", "number"), [("state:failed", 13), ("!state:succeeded", 37), ("/tsla .* 2018/", 4), ("kind:nosuch", 0)]
)
async def test_a_filter_works_while_it_is_typed(typed: str, number: int) -> None:
    async with console(demo()).run_test(size=(120, 40)) as pilot:
        table = await open_jobs(pilot)
        await pilot.press("/", *typed)
        await until(pilot, lambda: len(table.keys) == number, f"{len(table.keys)} jobs")
        await until_seen(pilot, f"{number} of 426")
        await pilot.press("escape")  # back to what was before
        await until(pilot, lambda: len(table.keys) == 200)


async def test_a_filter_that_lets_nothing_through_says_so_and_how_to_leave_it() -> None:
    async with console(demo()).run_test(size=(80, 24)) as pilot:
        await open_jobs(pilot)
        await pilot.press("/", *"nosuchjob", "enter")
        await until_seen(pilot, "No job matches “nosuchjob”")
        await pilot.press("escape")
        await until_seen(pilot, "426  backfill")


async def test_a_filter_that_is_wrong_says_why_and_keeps_the_list() -> None:
    async with console(demo()).run_test(size=(120, 40)) as pilot:
        table = await open_jobs(pilot)
        await pilot.press("/", *"/(/")
        await until_seen(pilot, "not a regular expression")
        assert len(table.keys) > 0


async def test_an_empty_list_says_which_key_starts_a_job() -> None:
    async with console(empty()).run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await until_seen(pilot, "No job yet")
        await until_seen(pilot, "3 starts a backfill")


async def test_a_list_that_cannot_be_read_says_why_and_comes_back_by_itself() -> None:
    control = demo()
    control.failures["jobs"] = ConsoleError("the history is locked by a backup")
    async with console(control).run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await until_seen(pilot, "the history is locked by a backup")
        del control.failures["jobs"]
        await until_seen(pilot, "426  backfill")


async def test_ten_thousand_jobs_stay_fluid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PAGE", 5000)
    control = demo(history=0)
    control.all_jobs = {n: job(n, f"backfill S{n} 1Day", JobState.SUCCEEDED, attempt=1) for n in range(1, 10_001)}
    async with console(control).run_test(size=(120, 40)) as pilot:
        table = await open_jobs(pilot)
        while len(table.keys) < 10_000:
            number = len(table.keys)
            await pilot.press("G")
            await until(pilot, lambda n=number: len(table.keys) > n)
        began = time.process_time()
        for key in ("g", "g", *"jjjjjjjjjj", "G", "pageup", "pageup"):
            await pilot.press(key)
        assert time.process_time() - began < 3.0  # 15 keys; each pilot.press itself costs some 20 ms
        assert len(table._cache) < 500  # only what was on the screen was ever formatted


# actions


async def test_cancel_names_the_consequence_in_numbers_and_does_nothing_before_yes() -> None:
    control = demo()
    async with console(control).run_test(size=(120, 40), notifications=True) as pilot:
        await open_jobs(pilot)
        await pilot.press("/", *"state:running,queued", "enter")
        await until_seen(pilot, "15 of 426")
        await pilot.press(*["space"] * 15)
        await until_seen(pilot, "15 marked")
        await pilot.press("C")
        await until_seen(pilot, "Cancel 15 jobs?")
        await until_seen(pilot, "3 running jobs stop within a second.")
        await until_seen(pilot, "12 waiting jobs never start.")
        await pilot.press("escape")
        await until_gone(pilot, "Cancel 15 jobs?")
        assert acts(control) == []
        await pilot.press("C", "y")
        await until_seen(pilot, "15 jobs cancelled")
        assert acts(control)[0][0] is JobAction.CANCEL
        assert len(acts(control)[0][1]) == 15


async def test_pause_resume_and_retry_act_at_once_on_the_job_under_the_cursor() -> None:
    control = demo()
    async with console(control).run_test(size=(120, 40), notifications=True) as pilot:
        await open_jobs(pilot)
        await pilot.press("p")
        await until_seen(pilot, "Job 426 paused")
        await until_seen(pilot, "p Resume")
        await pilot.press("p")
        await until_seen(pilot, "Job 426 resumed")
        await pilot.press("/", *"state:failed", "enter")
        await until_seen(pilot, "13 of 426")
        await pilot.press("R")
        await until_seen(pilot, "Job 403 queued again")
        assert [a[:2] for a in acts(control)] == [
            (JobAction.PAUSE, (426,)),
            (JobAction.RESUME, (426,)),
            (JobAction.RETRY, (403,)),
        ]


async def test_delete_takes_finished_jobs_only_and_says_what_is_lost() -> None:
    control = demo()
    async with console(control).run_test(size=(120, 40), notifications=True) as pilot:
        table = await open_jobs(pilot)
        table.marks = frozenset({426, 409, 408})
        await pilot.press("D")
        await until_seen(pilot, "Delete 2 jobs?")
        await until_seen(pilot, "gone for good")
        await until_seen(pilot, "1 marked job can't be deleted now: left alone.")
        await pilot.press("y")
        await until_seen(pilot, "2 jobs deleted")
        await until(pilot, lambda: not {408, 409} & set(table.keys))
        assert 426 in table.keys


async def test_on_production_the_name_is_typed() -> None:
    control = demo(target=TargetView(name="eu1", word="PRODUCTION", colour="error"))
    async with console(control).run_test(size=(80, 24), notifications=True) as pilot:
        await open_jobs(pilot)
        await pilot.press("C")
        await until_seen(pilot, "type eu1 to confirm")
        await pilot.press("y", "enter")
        await until_seen(pilot, "that is not eu1")
        assert acts(control) == []
        await pilot.press(*"eu1", "enter")
        await until_seen(pilot, "Job 426 cancelled")


async def test_a_refusal_is_told_with_its_hint() -> None:
    control = demo()
    control.failures["act"] = ReadOnly("this console only looks", hint="attach without --read-only")
    async with console(control).run_test(size=(80, 24), notifications=True) as pilot:
        await open_jobs(pilot)
        await pilot.press("p")
        await until_seen(pilot, "this console only looks")
        await until_seen(pilot, "attach without --read-only")


# one job


async def open_job(pilot: Pilot[Any], job_id: int = 412) -> None:
    pilot.app.open_page("job", job_id)
    await until_seen(pilot, f"#{job_id}")
    await until_seen(pilot, "correlation")


async def test_a_job_shows_its_facts_figures_throughput_and_log() -> None:
    async with console(demo()).run_test(size=(120, 60)) as pilot:
        await open_job(pilot)
        for text in ("12:24", "1 of 4", "1,209 of 1,950", "31.2k", "c-000412", "rows/s · UTC", "14:25", "following"):
            await until_seen(pilot, text)


@pytest.mark.parametrize(
    ("tabs", "texts"),
    [
        (1, ("plan: 1,950", "following")),
        (2, ("OUTCOME", "WAITED")),
        (3, ("symbols", "AAPL,MSFT", "2024-12-31")),
        (4, ("No result yet",)),
    ],
)
async def test_its_pages_are_reached_in_turn(tabs: int, texts: tuple[str, ...]) -> None:
    async with console(demo()).run_test(size=(120, 80)) as pilot:
        await open_job(pilot)
        await pilot.press(*["tab"] * tabs)
        for text in texts:
            await until_seen(pilot, text)


async def test_a_result_is_shown_with_its_figures() -> None:
    async with console(demo()).run_test(size=(80, 24)) as pilot:
        await open_job(pilot, 409)
        await pilot.press("shift+tab")
        await until_seen(pilot, "196,560")
        await until_seen(pilot, "verified")


async def test_a_failed_job_says_why_and_its_tries_open_in_full() -> None:
    async with console(demo()).run_test(size=(80, 24)) as pilot:
        await open_job(pilot, 372)
        await until_seen(pilot, "database does not")
        await pilot.press("tab", "tab", "enter")
        await until_seen(pilot, "Try 4")
        await until_seen(pilot, "database does not answer: connection refused (db-1:5432/qsuite)")


async def test_the_log_is_followed_until_the_operator_scrolls_up() -> None:
    control = demo()
    control.log_lines[412] = [log_line(n) for n in range(1, 101)]
    async with console(control).run_test(size=(80, 24)) as pilot:
        await open_job(pilot)
        await pilot.press("tab")
        await until_seen(pilot, "line 100")
        control.log_lines[412].append(log_line(101))
        await until_seen(pilot, "line 101")
        await pilot.press("k", "k")
        await until_seen(pilot, "G follows")
        control.log_lines[412].extend(log_line(n) for n in range(102, 105))
        await until_seen(pilot, "▼ 3 new · G follows")
        assert "line 104" not in seen(pilot.app)
        await pilot.press("G")
        await until_seen(pilot, "line 104")


async def test_the_log_is_filtered() -> None:
    control = demo()
    control.log_lines[412] = [log_line(n) for n in range(1, 61)] + [log_line(61, "WARNING", "a bar was quarantined")]
    async with console(control).run_test(size=(80, 24)) as pilot:
        await open_job(pilot)
        await pilot.press("/", *"warning")
        await until_gone(pilot, "line 60")
        await until_seen(pilot, "a bar was quarantined")
        await pilot.press("enter", "escape")
        await until_seen(pilot, "line 60")


async def test_copy_takes_what_the_page_shows() -> None:
    app = console(demo())
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await open_job(pilot, 372)
        await pilot.press("y")
        assert "job 372: backfill" in app.clipboard
        assert "error: database does not answer" in app.clipboard
        await pilot.press("tab", "tab", "tab", "y")
        assert '"symbols": "AAPL,MSFT"' in app.clipboard


async def test_a_job_that_is_deleted_leaves_the_screen() -> None:
    control = demo()
    async with console(control).run_test(size=(80, 24), notifications=True) as pilot:
        await open_job(pilot, 409)
        await pilot.press("D")
        await until_seen(pilot, "Delete job 409?")
        await pilot.press("y")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1)


def log_line(number: int, level: str = "INFO", message: str = "") -> LogLine:
    return LogLine(job_id=412, number=number, at=NOW, level=level, message=message or f"line {number}")
