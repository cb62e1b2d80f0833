"""The shared run table: each run in one hand at a time, and nothing taken from a hand that has lost it."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from fakes.handing import NOW, claim_of, open_book
from qsuite_console.db.errors import DatabaseSchemaMismatch
from qsuite_console.db.runs import RunBook
from qsuite_console.model.errors import Conflict
from qsuite_console.model.handing import RunState
from qsuite_console.model.jobs import LogLine, Outcome, Progress
from qsuite_console.model.runs import Ending

DONE = Ending(outcome=Outcome.SUCCEEDED, result={"n": 1})
CUT = 1e-6  # a lease that is over at once


def line(text: str) -> LogLine:
    return LogLine(job_id=1, number=0, at=NOW, level="INFO", message=text)


async def test_each_run_is_claimed_once_by_urgency(database_dsn: str) -> None:
    async with open_book(database_dsn) as book:
        for number in range(40):
            await book.put(claim_of(number, priority=number % 10), home="h", execution="nodes")
        found = await asyncio.gather(
            *(book.claim({"general": 5}, kinds=["told"], owner=f"n{i}") for i in range(10)),
        )
    runs = [run for each in found for run in each]
    assert sorted(run.claim.job.id for run in runs) == list(range(40))
    assert all([r.claim.job.priority for r in each] == sorted((r.claim.job.priority for r in each), reverse=True)
               for each in found)  # fmt: skip


async def test_others_kinds_queues_and_executions_are_left_alone(database_dsn: str) -> None:
    async with open_book(database_dsn) as book:
        await book.put(claim_of(1), home="h", execution="nodes")
        await book.put(claim_of(2), home="h", execution="celery")
        assert not await book.claim({"ai": 5}, kinds=["told"], owner="n")
        assert not await book.claim({"general": 5}, kinds=["other"], owner="n")
        assert [r.claim.job.id for r in await book.claim({"general": 5}, kinds=["told"], owner="n")] == [1]


async def test_a_message_is_good_for_one_claim(database_dsn: str) -> None:
    async with open_book(database_dsn) as book:
        run = (await book.put(claim_of(7), home="h", execution="celery")).run
        claims = await asyncio.gather(*(book.claim_sent(7, 1, run.token, owner=f"w{i}") for i in range(5)))
        assert sum(each is not None for each in claims) == 1
        assert await book.claim_sent(7, 1, "0" * 32, owner="w") is None


async def test_a_lost_run_changes_nothing_any_more(database_dsn: str) -> None:
    async with open_book(database_dsn, lease_s=CUT) as book:
        put = await book.put(claim_of(1, checkpoint={"step": 1}), home="h", execution="nodes")
        (run,) = await book.claim({"general": 1}, kinds=["told"], owner="old")
        assert run.claim.checkpoint == {"step": 1}
        await book.save(run.token, {"step": 2}, owner="old")
        assert await book.expire(put.run.token)
        assert not await book.expire(put.run.token)
        assert await book.beat({run.token: None}, owner="old") == {}
        assert await book.wishes([run.token], owner="old") == {}
        with pytest.raises(Conflict):
            await book.save(run.token, {"step": 3}, owner="old")
        assert not await book.say(run.token, [line("late")], owner="old")
        assert not await book.finish(run.token, DONE, owner="old")
        again = await book.put(claim_of(1, attempt=2), home="h", execution="nodes")
    assert not again.is_adopted
    assert (again.run.rescues, again.run.claim.checkpoint) == (1, {"step": 2})
    assert again.run.token != run.token


async def test_a_live_or_unheard_run_is_adopted(database_dsn: str) -> None:
    async with open_book(database_dsn) as book:
        first = await book.put(claim_of(1), home="h", execution="nodes")
        assert (await book.put(claim_of(1, attempt=2), home="h", execution="nodes")).run.token == first.run.token
        (run,) = await book.claim({"general": 1}, kinds=["told"], owner="n")
        assert (await book.put(claim_of(1, attempt=3), home="h", execution="nodes")).is_adopted
        other = await book.put(claim_of(1), home="another console", execution="nodes")
        assert not other.is_adopted
        assert await book.finish(run.token, DONE, owner="n")
        assert await book.finish(run.token, DONE, owner="n")  # unsure whether it was heard
        done = await book.put(claim_of(1, attempt=4), home="h", execution="nodes")
        assert done.is_adopted
        assert done.run.state is RunState.ENDED
        (news,) = await book.follow({run.token: (0, 0)})
    assert news.ending == DONE


async def test_what_is_new_is_told_once(database_dsn: str) -> None:
    async with open_book(database_dsn) as book:
        token = (await book.put(claim_of(1), home="h", execution="nodes")).run.token
        assert not await book.follow({token: (0, 0)})
        await book.claim({"general": 1}, kinds=["told"], owner="n")
        await book.beat({token: Progress(done=1, total=4, fraction=0.25)}, owner="n")
        await book.save(token, {"step": 1}, owner="n")
        await book.say(token, [line("one"), line("two")], owner="n")
        await book.say(token, [line("three")], owner="n")
        (news,) = await book.follow({token: (0, 0)})
        assert (news.owner, news.state, news.lines) == ("n", RunState.RUNNING, 3)
        assert (news.checkpoint, news.progress) == ({"step": 1}, Progress(done=1, total=4, fraction=0.25))
        assert [(n, each.message) for n, each in await book.lines(news.run_id, 1)] == [(2, "two"), (3, "three")]
        assert not await book.follow({token: (news.changes, news.saves)})
        await book.beat({token: None}, owner="n")
        assert not await book.follow({token: (news.changes, news.saves)})


async def test_wishes_reach_who_works_and_take_back_what_nobody_began(database_dsn: str) -> None:
    async with open_book(database_dsn) as book:
        token = (await book.put(claim_of(1), home="h", execution="nodes")).run.token
        assert not await book.wish(token, cancel=True)
        assert not await book.claim({"general": 1}, kinds=["told"], owner="n")
        token = (await book.put(claim_of(2), home="h", execution="nodes")).run.token
        await book.claim({"general": 1}, kinds=["told"], owner="n")
        assert await book.wish(token, pause=True)
        assert await book.wish(token, cancel=True)
        assert (await book.beat({token: None}, owner="n"))[token] == (True, True)


async def test_words_are_heard_by_the_others(database_dsn: str) -> None:
    async with open_book(database_dsn) as book, open_book(database_dsn) as other:
        heard: asyncio.Queue[str] = asyncio.Queue()
        listening = asyncio.create_task(other.listen(heard.put_nowait))
        async with asyncio.timeout(20):
            assert await heard.get() == "open"
            token = (await book.put(claim_of(1), home="h", execution="nodes")).run.token
            assert await heard.get() == "put nodes"
            await book.claim({"general": 1}, kinds=["told"], owner="n")
            await book.wish(token, cancel=True)
            assert await heard.get() == "wish"
            await book.finish(token, DONE, owner="n")
            assert await heard.get() == "end"
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_the_table_is_made_once_by_whoever_comes_first(database_dsn: str) -> None:
    async with open_book(database_dsn) as book:
        others = [RunBook(book.database, "elsewhere.runs") for _ in range(4)]
        await asyncio.gather(*(each.prepare() for each in others))
        await others[0].put(claim_of(1), home="h", execution="nodes")
        connection = await asyncpg.connect(database_dsn)
        await connection.execute("CREATE TABLE mine (a int)")
        await connection.close()
        with pytest.raises(DatabaseSchemaMismatch, match=r"mine is there.*not the console's"):
            await RunBook(book.database, "mine").prepare()


async def test_old_runs_are_forgotten_with_their_log(database_dsn: str) -> None:
    async with open_book(database_dsn) as book:
        token = (await book.put(claim_of(1), home="h", execution="nodes")).run.token
        await book.claim({"general": 1}, kinds=["told"], owner="n")
        await book.say(token, [line("one")], owner="n")
        assert await book.prune(0.0) == 0
        await book.finish(token, DONE, owner="n")
        assert await book.prune(1.0) == 0
        assert await book.prune(0.0) == 1
