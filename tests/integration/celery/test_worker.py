"""Real workers on real servers: what they claim, what they drop, and what becomes of a run when they die."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from fakes.celery_jobs import TABLES
from fakes.handing import open_book
from integration.celery.worker_process import environment_of, worker_processes
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings, Settings
from qsuite_console.db.runs import RunBook
from qsuite_console.distributed.celery_pipe import Order, Pipe
from qsuite_console.model.jobs import Job, JobState, Outcome
from qsuite_console.model.runs import Claim


def claim_of(n: int, *, kind: str = "effect", priority: int = 5, attempt: int = 1, **what: Any) -> Claim:
    now = datetime.now(UTC)
    job = Job(
        id=n, kind=kind, title=f"effect {n}", queue="general", priority=priority, state=JobState.RUNNING,
        parameters={"n": n, **what}, created_at=now, run_at=now, attempt=attempt, tries=attempt,
        max_attempts=4, correlation_id=f"c{n}",
    )  # fmt: skip
    return Claim(job=job, number=attempt, checkpoint=None)


async def send(book: RunBook, pipe: Pipe, claim: Claim, times: int = 1) -> str:
    run = (await book.put(claim, home="h", execution="celery")).run
    order = Order(
        job_id=claim.job.id, attempt=claim.number, token=run.token, queue=claim.job.queue,
        priority=claim.job.priority, limit_s=90,
    )  # fmt: skip
    for _ in range(times):
        await asyncio.to_thread(pipe.send, order)
    return run.token


async def ended(book: RunBook, tokens: list[str], limit_s: float = 30.0) -> dict[str, Any]:
    deadline = time.monotonic() + limit_s
    while True:
        news = {each.token: each for each in await book.follow({token: (-1, -1) for token in tokens})}
        if all(news[token].ending is not None for token in tokens):
            return news
        assert time.monotonic() < deadline, [(n.state, n.owner) for n in news.values() if n.ending is None]
        await asyncio.sleep(0.05)


@pytest.fixture
async def connection(database_dsn: str) -> Any:
    found = await asyncpg.connect(database_dsn)
    await found.execute(TABLES)
    yield found
    await found.close()


async def test_messages_are_claimed_and_duplicates_dropped(
    tmp_path: Path, database_dsn: str, valkey_url: str, connection: asyncpg.Connection
) -> None:
    pipe = Pipe(Settings(cache=CacheSettings(url=Secret(valkey_url))))
    with worker_processes(
        environment_of(tmp_path, database_dsn, valkey_url), 1, "--queues", "general", "--concurrency", "2"
    ) as (worker,):
        async with open_book(database_dsn) as book:
            started = time.monotonic()
            tokens = [await send(book, pipe, claim_of(n), times=5) for n in range(1, 21)]
            news = await ended(book, tokens)
            print(time.monotonic() - started)
            assert {each.ending.outcome for each in news.values()} == {Outcome.SUCCEEDED}
            assert await connection.fetchval("SELECT count(*) FROM began") == 20
            assert await connection.fetchval("SELECT sum(times) FROM effect") == 20
        code = worker.end()
        print("\n".join(worker.lines[-20:]))
        assert code == 0
    pipe.close()
