"""The working side: a claimed run is done as an engine does it, heard of while it runs, and stopped when it is lost."""

from __future__ import annotations

import asyncio
from typing import Any

from fakes.handing import Told, ToldWorker, claim_of, open_book
from qsuite_console.db.runs import RunBook
from qsuite_console.distributed.claimer import Claimer
from qsuite_console.engine.ports import Ending, JobKind
from qsuite_console.engine.state import TargetView
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.jobs import Outcome


async def do(book: RunBook, worker: ToldWorker, meanwhile: Any = None, **told: Any) -> Ending | None:
    claimer = Claimer(book, {"told": worker}, owner="n", target=TargetView(), clock=SystemClock())
    await book.put(claim_of(1, **told), home="h", execution="nodes")
    (run,) = await book.claim({"general": 1}, kinds=["told"], owner="n")
    async with asyncio.timeout(30), claimer.attending():
        task = asyncio.create_task(claimer.execute(run))
        if meanwhile is not None:
            while not worker.ran:
                await asyncio.sleep(0.01)
            await meanwhile(run.token)
        return await task


async def test_a_run_is_done_and_heard_of(database_dsn: str) -> None:
    async with open_book(database_dsn) as book:
        ending = await do(book, ToldWorker(), word="hello")
        (news,) = [n for n in await book.follow({t: (0, 0) for t in await tokens(book)})]
        assert ending is not None
        assert ending.result == {"steps": 3, "word": "hello"}
        assert news.ending == ending
        assert news.checkpoint == {"step": 3}
        assert [each.message for _, each in await book.lines(news.run_id, 0)] == ["step 1", "step 2", "step 3"]


async def tokens(book: RunBook) -> list[str]:
    async with book.database.session("test") as connection:
        return [row["token"] for row in await connection.fetch("SELECT token FROM qsuite.job_run")]


async def test_failures_end_as_the_engine_would_end_them(database_dsn: str) -> None:
    async with open_book(database_dsn) as book:
        passing = await do(book, ToldWorker(), fails="passing")
        assert passing is not None
        assert (passing.outcome, passing.error, passing.retry_at is None) == (Outcome.RETRY, "it may pass", False)
    async with open_book(database_dsn) as book:
        final = await do(book, ToldWorker(), fails="for good", attempt=2)
        assert final is not None
        assert (final.outcome, final.error) == (Outcome.FAILED, "never again (do something else)")


async def test_a_cancel_is_heard_within_a_second_or_two(database_dsn: str) -> None:
    async with open_book(database_dsn) as book:
        ending = await do(book, ToldWorker(), lambda token: book.wish(token, cancel=True), steps=1000, wait_s=0.05)
    assert ending is not None
    assert ending.outcome is Outcome.CANCELLED


async def test_a_run_that_was_given_to_another_is_stopped_and_does_not_count(database_dsn: str) -> None:
    async with open_book(database_dsn) as book:

        async def lose(token: str) -> None:
            async with book.database.session("test") as connection:
                await connection.execute("UPDATE qsuite.job_run SET state = 'lost' WHERE token = $1", token)

        assert await do(book, ToldWorker(), lose, steps=1000, wait_s=0.05) is None


class HereOnly(ToldWorker):
    kind = JobKind(name="told", title="Told", description="", parameters=Told, needs_host=True)


async def test_what_needs_its_console_s_machine_is_refused_whoever_wrote_the_row(database_dsn: str) -> None:
    worker = HereOnly()
    async with open_book(database_dsn) as book:
        ending = await do(book, worker)
    assert ending is not None
    assert (ending.outcome, worker.ran) == (Outcome.FAILED, [])
    assert ending.error == "told needs the machine of its console: it is not done here"
