"""Real workers on real servers: what they claim, what they drop, and what becomes of a run when they die."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from fakes.celery_jobs import EffectWorker, ShortWorker
from fakes.stopwatch import Stopwatch
from integration.celery.conftest import Platform
from integration.celery.worker_process import WorkerProcess
from qsuite_console.db.runs import RunBook
from qsuite_console.distributed.celery_outlet import CeleryOutlet
from qsuite_console.engine.ports import JobKind
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.handing import Run, RunNews, RunState
from qsuite_console.model.jobs import Job, JobState, Outcome
from qsuite_console.model.runs import Claim

pytestmark = pytest.mark.xdist_group("celery")
KINDS: dict[str, JobKind] = {each.kind.name: each.kind for each in (EffectWorker, ShortWorker)}
_ids = itertools.count(1)


class Sender:
    """Hands runs out as a console would."""

    def __init__(self, platform: Platform, book: RunBook) -> None:
        self.book = book
        self.outlet = CeleryOutlet(platform.settings, SystemClock())

    async def put(self, kind: str = "effect", *, priority: int = 5, queue: str = "general", **what: Any) -> Run:
        number, now = next(_ids), datetime.now(UTC)
        job = Job(
            id=number, kind=kind, title=kind, queue=queue, priority=priority, state=JobState.RUNNING,
            parameters={"n": number, **what}, created_at=now, run_at=now, attempt=1, tries=1,
            max_attempts=4, correlation_id=f"c{number}",
        )  # fmt: skip
        return (await self.book.put(Claim(job=job, number=1, checkpoint=None), home="h", execution="celery")).run

    async def send(self, kind: str = "effect", times: int = 1, **what: Any) -> Run:
        run = await self.put(kind, **what)
        for _ in range(times):
            await self.outlet.send(run, KINDS[kind])
        return run

    async def news(self, run: Run) -> RunNews:
        (news,) = await self.book.follow({run.token: (-1, -1)})
        return news

    async def until(self, run: Run, *states: RunState, limit_s: float = 40.0) -> RunNews:
        deadline = time.monotonic() + limit_s
        while (news := await self.news(run)).state not in states:
            assert time.monotonic() < deadline, (news.state, news.owner)
            await asyncio.sleep(0.02)
        return news

    async def ended(self, *runs: Run) -> list[RunNews]:
        return [await self.until(run, RunState.ENDED) for run in runs]


@pytest.fixture
async def sender(platform: Platform, book: RunBook) -> Any:
    found = Sender(platform, book)
    async with found.outlet.open():
        yield found


async def test_a_message_sent_five_times_has_one_effect(sender: Sender, connection: asyncpg.Connection) -> None:
    runs = [await sender.send(times=5) for _ in range(10)]
    ends = await sender.ended(*runs)
    assert {each.ending.outcome for each in ends if each.ending} == {Outcome.SUCCEEDED}
    assert await connection.fetchval("SELECT count(*) FROM began") == 10
    assert await connection.fetchval("SELECT sum(times) FROM effect") == 10


async def test_what_a_job_says_is_in_the_table(sender: Sender) -> None:
    run = await sender.send(steps=3)
    (news,) = await sender.ended(run)
    assert news.ending is not None
    assert news.ending.result is not None
    assert news.checkpoint == {"step": 3}
    assert news.ending.progress.fraction == 1.0
    assert [line.message for _, line in await sender.book.lines(news.run_id, 0)] == [
        f"step {n} of 3" for n in (1, 2, 3)
    ]


async def test_a_failure_says_when_to_try_again(sender: Sender) -> None:
    passing, final = await sender.ended(await sender.send(fails=1), await sender.send(n=-1))
    assert passing.ending is not None
    assert passing.ending.outcome is Outcome.RETRY
    assert "attempt 1 was told to fail" in (passing.ending.error or "")
    assert final.ending is not None
    assert final.ending.outcome is Outcome.FAILED


async def test_a_message_that_is_gone_is_sent_again(sender: Sender, connection: asyncpg.Connection) -> None:
    lost = await sender.put()
    while not (unclaimed := await sender.book.unclaimed("h", [lost.token], 0.1)):
        await asyncio.sleep(0.02)
    assert await sender.outlet.missing(unclaimed) == unclaimed
    await sender.outlet.send(lost, KINDS["effect"])
    news = await sender.until(lost, RunState.ENDED)
    assert news.ending is not None
    assert news.ending.outcome is Outcome.SUCCEEDED
    assert await connection.fetchval("SELECT count(*) FROM began") == 1


async def test_urgent_jobs_go_first(platform: Platform, sender: Sender, connection: asyncpg.Connection) -> None:
    """By one process: of several, one may be busy with what is not urgent while another has what is in its hand."""
    async with serving_alone(platform, "alone@y"):
        holding = await sender.send(queue="ai", steps=10_000, wait_s=0.05)
        while not await connection.fetchval("SELECT count(*) FROM began"):
            await asyncio.sleep(0.02)
        low = [await sender.send(queue="ai", priority=1) for _ in range(6)]
        high = [await sender.send(queue="ai", priority=9) for _ in range(3)]
        await sender.book.wish(holding.token, cancel=True)
        await sender.ended(holding, *high, *low)
    rows = await connection.fetch("SELECT n FROM began ORDER BY id OFFSET 1")
    order = [row["n"] for row in rows]
    ranks = [order.index(run.claim.job.id) for run in high]
    assert max(ranks) <= 3, order  # the worker may hold one message it took before


async def test_a_running_job_is_cancelled_within_two_seconds(sender: Sender, connection: asyncpg.Connection) -> None:
    run = await sender.send(steps=1000, wait_s=0.1)
    await sender.until(run, RunState.RUNNING)
    while not await connection.fetchval("SELECT count(*) FROM began"):
        await asyncio.sleep(0.02)
    with Stopwatch() as taken:
        await sender.book.wish(run.token, cancel=True)
        news = await sender.until(run, RunState.ENDED)
    assert news.ending is not None
    assert news.ending.outcome is Outcome.CANCELLED
    assert await connection.fetchval("SELECT count(*) FROM ended WHERE how = 'stopped'") == 1
    assert taken.seconds < 5.0  # 2 s on a machine of its own
    print(f"cancelled after {taken.seconds:.2f} s")


async def test_limits_are_the_jobs_own(platform: Platform, sender: Sender, connection: asyncpg.Connection) -> None:
    soft, hard = await sender.send("short", steps=100, wait_s=0.1), await sender.send("short", ignores=True)
    ends = [news.ending.outcome for news in await sender.ended(soft, hard) if news.ending]
    assert ends == [Outcome.SOFT_TIMEOUT, Outcome.HARD_TIMEOUT]
    left = await connection.fetchval("SELECT pid FROM began WHERE n = $1", hard.claim.job.id)
    await platform.gone(left)  # what ignores its end does not go on beside the next job


async def test_a_job_that_blocks_its_process_and_a_worker_that_ends(
    platform: Platform, sender: Sender, connection: asyncpg.Connection
) -> None:
    """Both take their time: they are looked at together."""
    await asyncio.gather(is_not_run_beside_itself(platform, sender, connection), lets_its_jobs_save(platform, sender))


@asynccontextmanager
async def serving_alone(platform: Platform, name: str) -> AsyncIterator[WorkerProcess]:
    """Start a worker of one process that serves the queue "ai"; this loop goes on meanwhile."""
    worker = WorkerProcess(platform.environment, "--queues", "ai", "--concurrency", "1", "--name", name)
    try:
        yield await asyncio.to_thread(worker.wait_ready)
    finally:
        await asyncio.to_thread(worker.close)


async def is_not_run_beside_itself(platform: Platform, sender: Sender, connection: asyncpg.Connection) -> None:
    run, deadline = await sender.send(block_s=60.0), time.monotonic() + 60
    began = "SELECT pid FROM began WHERE n = $1"
    while (pid := await connection.fetchval(began, run.claim.job.id)) is None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    await platform.gone(pid)
    assert (await sender.news(run)).state is RunState.RUNNING  # its process is gone, its lease is not over yet
    while not await sender.book.expire(run.token):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)


async def lets_its_jobs_save(platform: Platform, sender: Sender) -> None:
    async with serving_alone(platform, "x@y") as worker:
        run = await sender.send(queue="ai", steps=1000, wait_s=0.05)
        await sender.until(run, RunState.RUNNING)
        deadline = time.monotonic() + 30
        while ((await sender.news(run)).checkpoint or {}).get("step", 0) < 3:
            assert time.monotonic() < deadline, worker.lines
            await asyncio.sleep(0.05)
        assert await asyncio.to_thread(worker.end) == 0
    (news,) = await sender.ended(run)
    assert news.ending is not None
    assert news.ending.outcome is Outcome.INTERRUPTED
    assert (news.checkpoint or {})["step"] >= 3
