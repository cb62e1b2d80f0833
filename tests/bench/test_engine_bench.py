"""What the engine costs, as ratios against raw SQLite in the same run: absolutes belong to the machine."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fakes.jobs import Doing, Number, nothing, running, until
from qsuite_console.config.settings import EngineSettings
from qsuite_console.engine.ports import JobContext
from qsuite_console.model.jobs import Submission

JOBS = 5_000


def raw_rows_per_s(path: Path, synchronous: str, rows: int = 2_000) -> float:
    """One row per commit, one statement per row: the plainest durable thing a program can do."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("CREATE TABLE raw (id INTEGER PRIMARY KEY, body TEXT)")
    began = time.perf_counter()
    for _ in range(rows):
        connection.execute("INSERT INTO raw (body) VALUES (?)", ("x" * 350,))
    rate = rows / (time.perf_counter() - began)
    connection.close()
    return rate


@pytest.mark.parametrize("durability", ["full", "normal"])
async def test_enqueue_and_run(tmp_path: Path, durability: str) -> None:
    raw = raw_rows_per_s(tmp_path / "raw.sqlite", durability.upper())
    settings = EngineSettings(durability=durability)
    with running(tmp_path, Doing(nothing), settings=settings) as engine:
        control = engine.control
        began = time.perf_counter()
        await asyncio.gather(*(control.submit(Submission(kind="task", parameters={"n": n})) for n in range(JOBS)))
        submitted = time.perf_counter()
        await until(lambda: control.state.counts["succeeded"] == JOBS, timeout_s=120)
        done = time.perf_counter()
        rate = JOBS / (done - began)
        print(
            f"\n{durability}: submit {JOBS / (submitted - began):,.0f}/s, enqueue+run {rate:,.0f} jobs/s; raw SQLite,"
            f" one row a commit, {raw:,.0f}/s: ratio {rate / raw:.2f}; lag p99 {engine.lag_ms():.0f} ms"
        )
        assert (await control._core.store.counts())["succeeded"] == JOBS


async def test_start_latency_idle_and_in_a_flood(tmp_path: Path) -> None:
    started: dict[int, float] = {}

    async def urgent(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        started[parameters.n] = time.perf_counter()
        return {}

    async def delay(n: int) -> float:
        asked = time.perf_counter()
        await engine.control.submit(Submission(kind="urgent", parameters={"n": n}))
        await until(lambda: n in started)
        return (started[n] - asked) * 1000

    with running(tmp_path, Doing(nothing), Doing(urgent, "urgent", queue="execution")) as engine:
        idle = []
        for n in range(200):
            idle.append(await delay(n))
            await asyncio.sleep(0.01)
        flood = [
            asyncio.create_task(engine.control.submit(Submission(kind="task", parameters={"n": n})))
            for n in range(10_000)
        ]
        await until(lambda: engine.control.state.counts["queued"] > 500)
        flooding = [await delay(n) for n in range(1000, 1020)]
        await engine.control.set_queue("general", is_paused=True)
        await asyncio.gather(*flood)
        await engine.control.set_queue("general", is_paused=False)
        flooded = []
        for n in range(2000, 2020):
            flooded.append(await delay(n))
            await asyncio.sleep(0.05)
        waiting = engine.control.state.counts["queued"]
    idle.sort()
    flooding.sort()
    flooded.sort()
    print(
        f"\nstart latency idle p50 {idle[100]:.1f} ms, p99 {idle[197]:.1f} ms;"
        f" execution job while 10,000 others run ({waiting:,} still queued): median {flooded[10]:.1f} ms,"
        f" worst of 20 {flooded[-1]:.1f} ms; while they are being submitted: median {flooding[10]:.1f} ms,"
        f" worst of 20 {flooding[-1]:.1f} ms"
    )


async def test_cost_does_not_grow_with_the_history(tmp_path: Path) -> None:
    rates = []
    with running(tmp_path, Doing(nothing)) as engine:
        control = engine.control
        for round_number in range(6):
            began = time.perf_counter()
            first = round_number * 2_000
            await asyncio.gather(
                *(control.submit(Submission(kind="task", parameters={"n": first + n})) for n in range(2_000))
            )
            await until(lambda first=first: control.state.counts["succeeded"] == first + 2_000, timeout_s=60)
            rates.append(2_000 / (time.perf_counter() - began))
    print("\njobs/s per 2,000 as the history grows to 12,000:", " ".join(f"{rate:,.0f}" for rate in rates))
