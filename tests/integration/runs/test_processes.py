"""Headless engines as real processes over one table: killed, stopped and woken up while a console's jobs go on.

QSUITE_FULL=1 does it at full size: 1,000 jobs, five kills, forty seconds of standstill under leases of thirty.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from acceptance.product import Exchange
from fakes.backfill import fill_tickers
from fakes.jobs import until
from fakes.nodes import FAR, Processes
from qsuite_console.model.jobs import JobAction, JobQuery, JobState, Submission
from qsuite_console.sandbox.exchange.server import Exchange as SampleExchange

FULL = bool(os.environ.get("QSUITE_FULL"))
JOBS, KILLS, LEASE_S = (1000, 5, 30.0) if FULL else (90, 2, 5.0)
pytestmark = pytest.mark.timeout(1800 if FULL else 180)


@pytest.fixture
async def tables(database_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("CREATE TABLE begun (n int, attempt int, first int, pid int)")
    await connection.execute("CREATE TABLE effect (n int PRIMARY KEY, pid int, times int)")
    yield connection
    await connection.close()


@pytest.fixture
def processes(tmp_path: Path, database_dsn: str) -> Iterator[Processes]:
    found = Processes(tmp_path, database_dsn, LEASE_S)
    yield found
    found.stop()


async def begun_by(tables: asyncpg.Connection, n: int) -> Any:
    return await tables.fetchval("SELECT pid FROM begun WHERE n = $1 ORDER BY attempt DESC LIMIT 1", n)


async def test_each_of_many_jobs_is_done_though_nodes_are_killed(
    processes: Processes, tables: asyncpg.Connection
) -> None:
    dice = random.Random(7)
    processes.start("console", 0)
    nodes = {name: processes.start(name, 8) for name in ("one", "two")}
    async with processes.attached("console") as control:
        for first in range(0, JOBS, 50):
            await asyncio.gather(
                *(
                    control.submit(Submission(kind="test.effect", parameters={"n": n}))
                    for n in range(first, min(JOBS, first + 50))
                )
            )
        for kill in range(KILLS):
            wanted = JOBS * (kill + 1) // (KILLS + 2)

            async def reached(wanted: int = wanted) -> bool:
                return bool(await tables.fetchval("SELECT count(*) >= $1 FROM effect", wanted))

            await until(reached, FAR)
            name = dice.choice(sorted(nodes))
            nodes[name].kill()
            nodes[name].wait()
            nodes[name] = processes.start(name, 8)

        async def done() -> bool:
            counts = control.state.counts
            return counts.get("succeeded", 0) >= JOBS and not counts.get("running", 0)

        await until(done, FAR)
        page = await control.jobs(JobQuery(kinds=("test.effect",), limit=JOBS + 10))
    assert {job.state for job in page.jobs} == {JobState.SUCCEEDED}
    assert len(page.jobs) == JOBS
    rows = await tables.fetch("SELECT n, times FROM effect ORDER BY n")
    assert [row["n"] for row in rows] == list(range(JOBS))
    begun = await tables.fetchval("SELECT count(*) FROM begun")
    again = sum(row["times"] - 1 for row in rows)
    print(f"\n{JOBS} jobs, {KILLS} kills: all done; begun {begun} times, effects repeated {again}")
    assert begun <= JOBS + KILLS * 8  # only what a killed node had in hand
    assert again <= KILLS * 8
    assert await tables.fetchval("SELECT count(DISTINCT pid) FROM begun") >= 2 + KILLS - 1


async def test_a_node_that_stood_still_adds_nothing_when_it_wakes(
    processes: Processes, tables: asyncpg.Connection
) -> None:
    processes.start("console", 0)
    nodes = {process.pid: process for process in (processes.start("one", 2), processes.start("two", 2))}
    names = {process.pid: name for name, process in processes.running.items()}
    async with processes.attached("console") as control:
        steps = round(LEASE_S * 20)
        parameters = {"n": 1, "steps": steps, "wait_s": LEASE_S / steps}
        job_id = (await control.submit(Submission(kind="test.effect", parameters=parameters))).job_id
        first = await until(lambda: begun_by(tables, 1), FAR)
        nodes[first].send_signal(signal.SIGSTOP)
        stopped = time.monotonic()

        async def elsewhere() -> bool:
            return bool(await begun_by(tables, 1) != first)

        await until(elsewhere, FAR)
        taken_s = time.monotonic() - stopped
        if FULL:
            await asyncio.sleep(max(0.0, 40 - taken_s))
        nodes[first].send_signal(signal.SIGCONT)
        await until(lambda: "is stopped: " in processes.log(names[first]), FAR)

        async def over() -> bool:
            return (await control.job(job_id)).job.state is JobState.SUCCEEDED

        await until(over, FAR)
        detail = await control.job(job_id)
        assert [attempt.number for attempt in detail.attempts] == [1, 2]
        assert detail.result is not None
        assert detail.result["pid"] != first
        (row,) = await tables.fetch("SELECT pid, times FROM effect WHERE n = 1")
        assert (row["pid"], row["times"]) == (detail.result["pid"], 1)

        long = (
            await control.submit(Submission(kind="test.effect", parameters={"n": 2, "steps": 9999, "wait_s": 0.1}))
        ).job_id
        await until(lambda: begun_by(tables, 2), FAR)
        asked = time.monotonic()
        await control.act(JobAction.CANCEL, [long])

        async def cancelled() -> bool:
            return (await control.job(long)).job.state is JobState.CANCELLED

        await until(cancelled, FAR)
        took = time.monotonic() - asked
        print(f"\nstood still: another node took over after {taken_s:.1f} s (lease {LEASE_S:g}); cancel {took:.2f} s")
        assert took < 20


async def test_backfills_of_two_nodes_keep_one_limit_and_fill_one_table_in_turn(
    tmp_path: Path,
    database_dsn: str,
    valkey_url: str,
    tables: asyncpg.Connection,
    exchange: Callable[..., Awaitable[SampleExchange]],
) -> None:
    server = await exchange(symbols=12, rate_limit=6, rate_window_s=3.0)
    environment = dict(server.environment)
    await fill_tickers(tables, environment)
    processes = Processes(tmp_path, database_dsn, LEASE_S, REDIS_URL=valkey_url, BACKFILL_BATCH_SIZE="1", **environment)
    try:
        processes.start("console", 0)
        for name in ("one", "two"):
            processes.start(name, 1)
        async with processes.attached("console") as control:
            days = {"timeframe": "1Day", "start": "2025-01-02", "end": "2025-12-31"}
            week = {"timeframe": "1Min", "start": "2025-06-02", "end": "2025-06-06"}
            asked = (
                {"symbols": "all", **days},
                {"symbols": "AAPL,MSFT,NVDA", **week},
                {"symbols": "AAPL,MSFT", **week},  # the same table and bars as the one before
            )
            ids = [(await control.submit(Submission(kind="backfill", parameters=each))).job_id for each in asked]

            async def done() -> bool:
                return all([(await control.job(job_id)).job.state is JobState.SUCCEEDED for job_id in ids])

            await until(done, FAR)
            details = [await control.job(job_id) for job_id in ids]
    finally:
        processes.stop()
    results = [detail.result or {} for detail in details]
    owners = {line.message for detail in details for line in detail.logs if line.message.startswith("taken by node")}
    assert len(owners) == 2
    bars = server.requests.bars()
    print(
        f"\n{len(bars)} requests of two nodes at once, {sum(each.status == 429 for each in bars)} refused by the limit"
    )
    assert not any(each.status == 429 for each in bars)
    assert [result["http_429"] for result in results] == [0, 0, 0]
    assert all(result["verified"] for result in results)
    observer = Exchange(dict((await exchange(symbols=12)).environment))  # the same market without the limit
    truth = await asyncio.to_thread(
        observer.truth, ["AAPL", "MSFT", "NVDA"], "1Min", "2025-06-02T04:00:00Z", "2025-06-07T03:59:59Z"
    )
    rows = await tables.fetch(
        "SELECT symbol, \"timestamp\", open, high, low, close, volume FROM price_ticks WHERE timeframe = '1Min'"
    )
    stored = {(row["symbol"], row["timestamp"].strftime("%Y-%m-%dT%H:%M:%SZ")): tuple(row)[2:] for row in rows}
    assert len(rows) == len(stored)
    assert stored == truth
