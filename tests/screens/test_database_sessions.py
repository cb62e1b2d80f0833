"""Activity by its keys: what is seen, what is asked, what is signalled to whom; pictures of the panes of sessions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from fakes.activity import demo_activity, demo_blocking, demo_sessions
from fakes.platform import NOW
from qsuite_console.model.activity import Activity, Session, SessionDetail
from qsuite_console.model.advice import Unread
from qsuite_console.model.errors import Conflict
from qsuite_console.model.operations import Outcome
from screens.seeing import console, seen, until, until_gone, until_seen
from screens.session_steps import SMALL, WIDE, calls, control, focused, line_of, open_activity

SIZES = pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "120x40"])


async def test_who_waits_stands_first_then_who_works_then_who_is_idle() -> None:
    async with console(control()).run_test(notifications=True, size=WIDE) as pilot:
        await open_activity(pilot)
        await until_seen(pilot, "14 sessions · 3 wait for a lock · 2 active · 1 idle in tx · 13/97 connections")
        pids = [line.split()[2] for line in seen(pilot.app).split("\n") if line.startswith("│ ") and " 4" in line[:12]]
        assert pids[:3] == ["4712", "4713", "4714"]
        assert pids.index("4715") < pids.index("4711") < pids.index("4800")
        assert "▲" in line_of(pilot, " 4711 ")
        assert "02:41" in line_of(pilot, " 4711 ")
        assert "idle tx" in line_of(pilot, " 4711 ")
        assert "autovacuum" in line_of(pilot, " 4716 ")
        assert "qsuite-console/pa" in line_of(pilot, " 4730 ")
        assert "Lock: transactionid" in line_of(pilot, " 4712 ")


async def test_who_has_most_of_nearly_all_connections_is_named() -> None:
    made = control()
    crowd = tuple(msgspec.structs.replace(demo_sessions(NOW)[0], pid=n, application="leaky") for n in range(80))
    made.answers["database.activity"] = lambda _: Activity(at=NOW, sessions=crowd, total=80, usable=97)
    async with console(made).run_test(notifications=True, size=SMALL) as pilot:
        await pilot.press("5")
        await until_seen(pilot, "▲ 80 are leaky · 80 sessions · 80 wait for a lock · 80/97 connections · the p…")


async def test_the_order_changes_with_s_and_says_so() -> None:
    async with console(control()).run_test(notifications=True, size=WIDE) as pilot:
        await open_activity(pilot)
        await pilot.press("s")
        await until_seen(pilot, "by age of the transaction")
        lines = seen(pilot.app).split("\n")
        head = next(n for n, line in enumerate(lines) if "PID" in line)
        assert " 4711 " in lines[head + 1]
        for _ in range(4):
            await pilot.press("s")
        await until_seen(pilot, "by pid")


@pytest.mark.parametrize(
    ("text", "count", "first"),
    [
        ("app:web", 7, "4800"),
        ("wait:lock !4712", 2, "4713"),
        ("/filled.*88121/", 1, "4712"),
        ("user:analyst", 1, "4715"),
        ("pid:4711", 1, "4711"),
    ],
)
async def test_the_filter_speaks_the_language_of_the_job_list(text: str, count: int, first: str) -> None:
    async with console(control()).run_test(notifications=True, size=WIDE) as pilot:
        await open_activity(pilot)
        await pilot.press("/", *text, "enter")
        await until_seen(pilot, f"{count} of 14 sessions")
        await until_seen(pilot, f" {first} ")
        await pilot.press("escape")
        await until_seen(pilot, "14 sessions · 3 wait")


async def test_a_filter_that_cannot_be_understood_says_why_and_keeps_the_list() -> None:
    async with console(control()).run_test(notifications=True, size=WIDE) as pilot:
        await open_activity(pilot)
        await pilot.press("/", *"/(/")
        await until_seen(pilot, "✖ /(/ is not a regular expression")
        await until_seen(pilot, " 4711 ")


async def test_enter_opens_the_session_and_escape_leads_back() -> None:
    made = control()
    async with console(made).run_test(notifications=True, size=WIDE) as pilot:
        await open_activity(pilot)
        await pilot.press("enter")
        for text in (
            "pid 4712",
            "execution-engine from 10.0.3.7:44712",
            "active for 01:38",
            "waits          Lock: transactionid",
            "waits for      pid 4711",
            "blocks         pid 4713",
            "▲ wants ShareLock on transaction 7141 for 01:38",
            "RowExclusiveLock           public.execution_engine_order",
        ):
            await until_seen(pilot, text)
        await pilot.press("x")
        await until_seen(pilot, "Index Scan using execution_engine_order_pkey")
        assert ("database.explain", {"pid": 4712}) in calls(made, "ask")
        await pilot.press("escape")
        await until_gone(pilot, "Index Scan")
        await pilot.press("escape")
        await until_seen(pilot, "14 sessions")


async def test_a_session_that_ended_while_it_is_shown_says_so() -> None:
    made = control()
    made.answers["database.session"] = lambda _: SessionDetail(at=NOW, session=None)
    async with console(made).run_test(notifications=True, size=SMALL) as pilot:
        await open_activity(pilot)
        await pilot.press("enter")
        await until_seen(pilot, "This session has ended.")
        later = msgspec.structs.replace(demo_sessions(NOW)[0], backend_start=NOW)
        made.answers["database.session"] = lambda _: SessionDetail(at=NOW, session=later)
        made.clock.advance(3)
        await until_seen(pilot, "belongs to another session now")


@pytest.mark.parametrize(
    ("key", "operation", "title"),
    [
        ("C", "database.cancel", "Cancel the statement of pid 4712?"),
        ("K", "database.terminate", "Terminate the session of pid 4712?"),
    ],
)
@pytest.mark.parametrize("is_opened", [False, True], ids=["list", "page"])
async def test_a_signal_names_pid_and_start_and_is_asked_for(
    key: str, operation: str, title: str, is_opened: bool
) -> None:
    made = control()
    made.outcomes[operation] = lambda _: Outcome(operation=operation, is_done=True, message="pid 4712: ended")
    async with console(made).run_test(notifications=True, size=SMALL) as pilot:
        await open_activity(pilot)
        if is_opened:
            await pilot.press("enter")
            await until_seen(pilot, "blocks ")
        await pilot.press(key)
        await until_seen(pilot, title)
        await until_seen(pilot, "It frees the 3 sessions")
        assert not calls(made, "perform")
        await pilot.press("y")
        await until_seen(pilot, "pid 4712: ended")
        name, parameters, *_ = calls(made, "perform")[0]
        start = (NOW - timedelta(seconds=3600 + 4712)).isoformat()
        assert (name, parameters) == (operation, {"pid": 4712, "backend_start": start})


async def test_a_session_of_another_life_is_refused_in_words() -> None:
    made = control()

    def refuse(_: Mapping[str, Any]) -> Outcome:
        raise Conflict("nothing was done: pid 4712 is another session now", hint="look again")

    made.outcomes["database.terminate"] = refuse
    async with console(made).run_test(notifications=True, size=SMALL) as pilot:
        await open_activity(pilot)
        await pilot.press("K")
        await until_seen(pilot, "Terminate the session of pid 4712?")
        await pilot.press("y")
        await until_seen(pilot, "nothing was done: pid 4712 is")


@pytest.mark.parametrize("key", ["C", "K"])
async def test_a_read_only_target_refuses_before_anything_is_asked(key: str) -> None:
    made = control()
    made.set_state(target=msgspec.structs.replace(made.state.target, is_read_only=True))
    async with console(made).run_test(notifications=True, size=SMALL) as pilot:
        await open_activity(pilot)
        await pilot.press(key)
        await until_seen(pilot, "read-only")
        assert not calls(made, "perform")


async def test_y_copies_the_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    app, copied = console(control()), list[str]()
    monkeypatch.setattr(app, "copy_text", copied.append)
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await open_activity(pilot)
        await pilot.press("y")
        await until(pilot, lambda: copied)
        assert copied[0].startswith("-- pid 4712\nUPDATE execution_engine_order SET status = 'FILLED'")


async def test_what_the_role_may_not_see_is_named_and_not_signalled() -> None:
    made = control()
    hidden = tuple(
        Session(pid=one.pid, user=one.user, database=one.database, application=one.application, is_hidden=True)
        for one in demo_sessions(NOW)[:3]
    )
    unread = Unread(
        what="state and query of 3 sessions of other roles",
        why="the role may not see them",
        hint="GRANT pg_monitor TO console",
    )
    answer = Activity(at=NOW, sessions=hidden, total=3, usable=97, unread=(unread,))
    made.answers["database.activity"] = lambda _: answer
    async with console(made).run_test(notifications=True, size=WIDE) as pilot:
        await pilot.press("5")
        await focused(pilot)
        await until_seen(pilot, "can't read state and query of 3 sessions of other roles")
        await until_seen(pilot, "GRANT pg_monitor TO console")
        assert "hidden" in line_of(pilot, " 4712 ")
        assert "not shown to the" in line_of(pilot, " 4712 ")
        await pilot.press("K")
        await until_seen(pilot, "may not see when pid")
        assert not calls(made, "propose")


async def test_five_hundred_sessions_stay_fluid() -> None:
    made = control()
    template = demo_sessions(NOW)
    asked = 0

    def many(_: Mapping[str, Any]) -> Activity:
        nonlocal asked
        asked += 1
        sessions = tuple(
            msgspec.structs.replace(
                template[n % len(template)],
                pid=10_000 + n,
                transaction_s=float((n * 7919 + asked * 31) % 500),
                query_s=float((n * 31 + asked) % 500),
            )
            for n in range(500)
        )
        return Activity(at=made.clock.now(), sessions=sessions, total=500, usable=597)

    made.answers["database.activity"] = many
    async with console(made).run_test(notifications=True, size=WIDE) as pilot:
        await pilot.press("5")
        await until_seen(pilot, "500 sessions")
        await focused(pilot)
        before, started = asked, time.process_time()
        for _ in range(10):  # all ages differ, so does the order
            made.clock.advance(2.5)
            await until(pilot, lambda before=before: asked > before)
            before = asked
            await pilot.press("down")
        spent = (time.process_time() - started) / 10
        assert spent < 0.25, f"{1000 * spent:.0f} ms of processor for an answer of 500 sessions and a key"


@SIZES
@pytest.mark.parametrize("pane", ["activity", "blocking", "progress"])
def test_pictures(snap_compare: Any, pane: str, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press(":", *f"database {pane}", "enter")
        await until_seen(pilot, {"activity": "14 sessions", "blocking": "ROOT", "progress": "COPY FROM"}[pane])
        await focused(pilot)

    assert snap_compare(console(control()), terminal_size=size, run_before=steps)


@SIZES
def test_picture_of_a_session(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await open_activity(pilot)
        await pilot.press("enter")
        await until_seen(pilot, "blocks         pid 4713")
        await until_seen(pilot, "execution-engine from 10.0.3.7:44712")

    assert snap_compare(console(control()), terminal_size=size, run_before=steps)


def test_the_fakes_are_of_one_platform() -> None:
    known = {one.pid for one in demo_activity(NOW).sessions}
    assert {one.pid for one in demo_blocking(NOW).sessions} <= known
