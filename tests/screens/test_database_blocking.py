"""Who waits for whom, and how far long commands are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from fakes.activity import demo_sessions
from fakes.platform import NOW
from qsuite_console.model.activity import Blocking, Edge, Prepared, Tasks
from screens.seeing import console, until, until_seen
from screens.session_steps import SMALL, WIDE, control, focused, line_of, open_blocking


async def test_the_tree_marks_the_root_with_a_word_and_everybody_can_be_signalled() -> None:
    made = control()
    async with console(made).run_test(notifications=True, size=WIDE) as pilot:
        await open_blocking(pilot)
        await until_seen(pilot, "3 sessions wait for a lock · 1 root: pid 4711 · longest wait 01:38")
        drawn = [line_of(pilot, text) for text in ("4711 order-replay", "4712 ", "4713 ", "4714 ")]
        assert [("ROOT" in line, "waits" in line) for line in drawn] == [(True, False), *[(False, True)] * 3]
        for line, branch in zip(drawn[1:], ("├─ 4712", "│  └─ 4713", "└─ 4714"), strict=True):
            assert branch in line
        assert "transaction 7150 (Share)" in drawn[2]
        await until_seen(pilot, "root: 3 sessions wait behind it; idle in its transaction for 02:38")
        await pilot.press("j", "j", "K")
        await until_seen(pilot, "Terminate the session of pid 4713?")
        await pilot.press("escape")
        await until_seen(pilot, "wants ShareLock on transaction 7150")


async def test_nobody_waits_and_since_when() -> None:
    made = control()
    answer = Blocking(at=NOW, looks=90, clear_since=NOW - timedelta(minutes=3))
    made.answers["database.blocking"] = lambda _: answer
    async with console(made).run_test(notifications=True, size=SMALL) as pilot:
        await open_blocking_empty(pilot)
        await until_seen(pilot, "and nobody has in the last 03:0")
        await until_seen(pilot, "90 looks, one every 2 s")
        answer = msgspec.structs.replace(answer, looks=1, clear_since=NOW)
        made.clock.advance(3)
        await until_seen(pilot, "This is the first look")


async def open_blocking_empty(pilot: Pilot[Any]) -> None:
    await pilot.press(":", *"database blocking", "enter")
    await until_seen(pilot, "Nobody waits for a lock")


async def test_a_prepared_transaction_has_no_session_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    made = control()
    waiter = demo_sessions(NOW)[0]
    made.answers["database.blocking"] = lambda _: Blocking(
        at=NOW,
        edges=(Edge(waiter=4712, holder=0, gid="it's 66"),),
        sessions=(waiter,),
        prepared=(Prepared(gid="it's 66", owner="trading", age_s=7200.0),),
        waiters=1,
    )
    app, copied = console(made), list[str]()
    monkeypatch.setattr(app, "copy_text", copied.append)
    async with app.run_test(notifications=True, size=WIDE) as pilot:
        await open_blocking(pilot)
        await until_seen(pilot, "1 root: prepared transaction it's 66")
        assert "2:00:00" in line_of(pilot, "ROOT")
        await pilot.press("K")
        await until_seen(pilot, "66 has no session")
        await pilot.press("y")
        await until(pilot, lambda: copied)
        assert copied == ["ROLLBACK PREPARED 'it''s 66';"]


async def test_a_deep_chain_keeps_its_names_in_sight() -> None:
    made = control()
    pids = range(5000, 5030)
    sessions = tuple(msgspec.structs.replace(demo_sessions(NOW)[0], pid=pid) for pid in pids)
    edges = tuple(Edge(waiter=pid + 1, holder=pid) for pid in pids[:-1])
    made.answers["database.blocking"] = lambda _: Blocking(at=NOW, edges=edges, sessions=sessions, waiters=29)
    async with console(made).run_test(notifications=True, size=WIDE) as pilot:
        await open_blocking(pilot)
        await until_seen(pilot, "⋯29 └─ 5029")


async def test_long_commands_show_how_far_they_are_or_that_nobody_knows() -> None:
    made = control()
    async with console(made).run_test(notifications=True, size=WIDE) as pilot:
        await pilot.press(":", *"database progress", "enter")
        await until_seen(pilot, "3 long commands · 1 by autovacuum")
        assert "66%" in line_of(pilot, "CREATE INDEX")
        assert "no total known" in line_of(pilot, "COPY FROM")
        assert "412 MiB" in line_of(pilot, "COPY FROM")
        await until_seen(pilot, "412,000 of 618,000 blocks")
        await focused(pilot)
        await pilot.press("j", "j")
        await until_seen(pilot, "2 of 5 indexes")
        made.answers["database.progress"] = lambda _: Tasks(at=NOW, tasks=())
        made.clock.advance(3)
        await until_seen(pilot, "No long command is running")
