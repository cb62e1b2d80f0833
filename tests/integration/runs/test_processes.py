"""Headless engines as real processes over one table: killed, stopped and woken up while a console's jobs go on.

QSUITE_FULL=1 does it at full size: 1,000 jobs, five kills, forty seconds of standstill under leases of thirty.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.acceptance.product import PROGRAM
from tests.fakes.jobs import until

from qsuite_console.attach import RemoteControl
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.jobs import JobAction, JobQuery, JobState, Submission
from qsuite_console.paths import resolve

FULL = bool(os.environ.get("QSUITE_FULL"))
JOBS, KILLS, LEASE_S = (1000, 5, 30.0) if FULL else (150, 2, 5.0)
FAR = 300.0
PLUGIN = """
import asyncio, os
import msgspec
from qsuite_console.engine.ports import JobKind

class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    n: int = 0
    steps: int = 1
    wait_s: float = 0.05

class Effect:
    kind = JobKind(name="test.effect", title="Effect", description="Has one.", parameters=Parameters, queue="general")

    def __init__(self, services):
        self.database = services.database

    def title(self, parameters):
        return f"effect {parameters.n}"

    async def run(self, context, parameters):
        first = (context.checkpoint or {}).get("step", 0)
        await self.write("INSERT INTO begun VALUES ($1, $2, $3, $4)", parameters.n, context.attempt, first, os.getpid())
        for step in range(first, parameters.steps):
            await asyncio.sleep(parameters.wait_s)
            await context.save({"step": step + 1})
            context.progress(step + 1, parameters.steps, unit="steps")
            await context.breathe()
        await self.write(
            "INSERT INTO effect VALUES ($1, $2, 1) ON CONFLICT (n) DO UPDATE SET times = effect.times + 1",
            parameters.n, os.getpid(),
        )
        return {"n": parameters.n, "pid": os.getpid()}

    async def write(self, sql, *values):
        async with self.database.session("effect") as connection:
            await connection.execute(sql, *values)
"""


class Processes:
    """Headless engines, each with a home of its own."""

    def __init__(self, directory: Path, dsn: str) -> None:
        self.directory = directory
        self.dsn = dsn
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        plugins = directory / "plugins"
        info = plugins / "effect_plugin-1.0.dist-info"
        info.mkdir(parents=True)
        (plugins / "effect_plugin.py").write_text(PLUGIN)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: effect-plugin\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[qsuite_console.workers]\ntest.effect = effect_plugin:Effect\n")

    def start(self, name: str, slots: int) -> subprocess.Popen[bytes]:
        paths = resolve(str(self.directory / name)).ensure()
        paths.config_file.write_text(
            f'[queues.general]\nslots = {slots}\nexecution = "nodes"\nin_flight = 200\n[runs]\nlease_s = {LEASE_S}\n'
        )
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
        environment = {
            **kept,
            "QSUITE_CONSOLE_HOME": str(self.directory / name),
            "DATABASE_URL": self.dsn,
            "PYTHONPATH": str(self.directory / "plugins"),
        }
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen([str(PROGRAM), "--headless"], env=environment, stdout=log, stderr=log)
        self.running[name] = process
        return process

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def stop(self) -> None:
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()

    @contextlib.asynccontextmanager
    async def attached(self, name: str) -> AsyncIterator[RemoteControl]:
        path = resolve(str(self.directory / name)).socket

        def connect() -> RemoteControl | None:
            with contextlib.suppress(ConsoleError):
                return RemoteControl(path).__enter__()
            return None

        control = await until(connect, FAR)
        try:
            yield control
        finally:
            control.__exit__(None, None, None)


@pytest.fixture
async def tables(database_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("CREATE TABLE begun (n int, attempt int, first int, pid int)")
    await connection.execute("CREATE TABLE effect (n int PRIMARY KEY, pid int, times int)")
    yield connection
    await connection.close()


@pytest.fixture
def processes(tmp_path: Path, database_dsn: str) -> Iterator[Processes]:
    found = Processes(tmp_path, database_dsn)
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
