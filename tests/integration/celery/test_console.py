"""A console that hands its jobs to real Celery workers: none is lost and none counts twice, whatever dies."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis

from fakes.celery_jobs import KINDS
from fakes.stopwatch import Stopwatch
from integration.celery.conftest import Platform
from qsuite_console import workers
from qsuite_console.cache.celery_link import Broker
from qsuite_console.cli.checks import Verdict
from qsuite_console.cli.checks.handing import handing
from qsuite_console.config.queues import QueuePlan, RunSettings
from qsuite_console.engine.control import Control
from qsuite_console.engine.ports import Claiming
from qsuite_console.model.handing import Execution
from qsuite_console.model.jobs import JobAction, JobDetail, JobQuery, JobState, Submission
from qsuite_console.paths import Paths
from qsuite_console.runtime import Runtime, open_runtime

pytestmark = pytest.mark.xdist_group("celery")
FULL = bool(os.environ.get("QSUITE_FULL"))
JOBS, KILLS, WAIT_S = (1000, 5, 0.1) if FULL else (100, 1, 0.05)
LEASE_S = 12.0


@pytest.fixture
def runtime(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """An engine whose general jobs are done by Celery workers."""
    for name, path in KINDS.items():
        monkeypatch.setitem(workers.REGISTRY, name, path)
    settings = replace(
        platform.settings,
        queues={"general": QueuePlan(name="general", execution=Execution.CELERY, in_flight=64)},
        runs=RunSettings(lease_s=LEASE_S),
    )
    paths = Paths(tmp_path, tmp_path, tmp_path, tmp_path, tmp_path)
    with open_runtime(settings, paths, claim=Claiming.ALL, origin="test") as found:
        yield found


async def submit(control: Control, count: int = 1, *, priority: int | None = None, **what: Any) -> list[int]:
    receipts = [
        await control.submit(Submission(kind="effect", parameters={"n": n, **what}, priority=priority))
        for n in range(1, count + 1)
    ]
    return [receipt.job_id for receipt in receipts]


async def finished(control: Control, count: int, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while (done := control.state.counts.get(JobState.SUCCEEDED, 0)) < count:
        assert time.monotonic() < deadline, (done, control.state.counts, control.state.trouble)
        await asyncio.sleep(0.05)


async def is_so(control: Control, job_id: int, state: JobState, limit_s: float = 40.0) -> JobDetail:
    deadline = time.monotonic() + limit_s
    while (detail := await control.job(job_id)).job.state is not state:
        assert time.monotonic() < deadline, detail.job
        await asyncio.sleep(0.02)
    return detail


async def test_a_job_looks_as_if_it_were_done_here(runtime: Runtime) -> None:
    control = runtime.control
    (job_id,) = await submit(control, steps=3)
    detail = await is_so(control, job_id, JobState.SUCCEEDED)
    assert detail.result is not None
    assert detail.result["n"] == 1
    assert detail.job.progress.fraction == 1.0
    lines = [line.message for line in await control.logs(job_id)]
    assert [line for line in lines if line.startswith("step")] == [f"step {n} of 3" for n in (1, 2, 3)]
    assert any(line.startswith("taken by worker") for line in lines)


async def test_cancel_reaches_the_worker(runtime: Runtime, connection: asyncpg.Connection) -> None:
    control = runtime.control
    (job_id,) = await submit(control, steps=1000, wait_s=0.1)
    while not await connection.fetchval("SELECT count(*) FROM began"):
        await asyncio.sleep(0.02)
    with Stopwatch() as taken:
        await control.act(JobAction.CANCEL, (job_id,))
        await is_so(control, job_id, JobState.CANCELLED)
    print(f"cancelled after {taken.seconds:.2f} s")
    assert await connection.fetchval("SELECT count(*) FROM ended WHERE how = 'stopped'") == 1
    assert taken.seconds < 5.0


async def test_a_failed_attempt_is_tried_again(runtime: Runtime) -> None:
    (job_id,) = await submit(runtime.control, fails=1)
    detail = await is_so(runtime.control, job_id, JobState.SUCCEEDED)
    assert [each.number for each in detail.attempts] == [1, 2]


async def test_a_flushed_broker_loses_no_job(
    platform: Platform, runtime: Runtime, connection: asyncpg.Connection
) -> None:
    for worker in platform.serving:
        worker.pause()
    try:
        await submit(runtime.control, 40)
        with redis.from_url(platform.redis) as broker:
            deadline = time.monotonic() + 60
            while sum(broker.llen(key) for key in broker.scan_iter("qsuite.general*", _type="list")) < 36:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
            broker.flushdb()
    finally:
        for worker in platform.serving:
            worker.resume()
    await finished(runtime.control, 40, 60)
    assert await connection.fetchval("SELECT count(*) FROM began") == 40
    assert await connection.fetchval("SELECT sum(times) FROM effect") == 40


@pytest.mark.timeout(900 if FULL else 180)
async def test_killed_workers_lose_no_job_and_double_none(
    platform: Platform, runtime: Runtime, connection: asyncpg.Connection
) -> None:
    control, started = runtime.control, time.monotonic()
    submitting = asyncio.create_task(submit(control, JOBS, wait_s=WAIT_S))
    for kill in range(KILLS):
        await finished(control, (kill + 1) * JOBS // (KILLS + 2), 120)
        victim = platform.serving[0]
        platform.workers.append(fresh := platform.start())
        victim.kill()
        await asyncio.to_thread(fresh.wait_ready)
        platform.serving[-1].pool[0].kill()  # and one process of a pool, that its worker replaces
    await submitting
    await finished(control, JOBS, 180)
    took_s = time.monotonic() - started
    began = await connection.fetch("SELECT n, count(*) AS times FROM began GROUP BY n")
    again = sum(row["times"] - 1 for row in began)
    print(f"{JOBS} jobs, {KILLS} workers and {KILLS} pool processes killed: {took_s:.1f} s, {again} begun again")
    page = await control.jobs(JobQuery(limit=1))
    assert control.state.counts == {**control.state.counts, JobState.SUCCEEDED: JOBS}
    assert page.jobs
    assert len(began) == JOBS
    assert again <= KILLS * 3  # only what the killed processes had in hand
    assert await connection.fetchval("SELECT count(*) FROM effect") == JOBS
    assert await connection.fetchval("SELECT sum(times) - count(*) FROM effect") <= again


async def test_doctor_says_who_serves(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    # The workers are real: a busy machine keeps them longer from answering than an operator would wait.
    monkeypatch.setattr(Broker.ask, "__kwdefaults__", {"destination": (), "patience_s": 20.0})
    plan = QueuePlan(name="general", execution=Execution.CELERY)
    settings = replace(platform.settings, queues={"general": plan, "ai": replace(plan, name="ai")})
    found = {each.name: each for each in await handing(settings)}
    assert found["run table"].verdict is Verdict.OK
    assert found["celery"].what.startswith("5.")
    assert found["celery broker"].verdict is Verdict.WARN  # this one drops keys when it is full
    assert found["celery workers"].what == "none serves ai: its jobs wait"
    assert found["celery workers"].todo == "qsuite-console celery-worker --queues ai"
    assert await handing(platform.settings) == []
