"""Kills a server in the middle of a job of the real engine, brings it back on its port, and waits for the job's end.

    async def test_x(kills: Kills) -> None:
        await kills.execute("INSERT …")                                  # in a fresh database with the schema
        async with kills.holding("LOCK TABLE prices IN SHARE MODE"):     # the job stops where it comes to this
            job = await kills.submit("kind", parameter=1)
            await kills.until_held(job)                                  # or until(job, lambda job: job.progress.done)
            await kills.kill("postgres")                                 # -9, all of it; or "valkey"
        await kills.start("postgres")                                    # on the same port
        detail = await kills.end(job)                                    # succeeded, whatever that took
        assert len(detail.attempts) > 1                                  # and then compare with the truth

A job that is over too soon to be met is held at a row with ``gate``, or by a table's lock; Valkey with CLIENT PAUSE.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import asyncpg
import psutil

from qsuite_console.engine.control import Control
from qsuite_console.model.jobs import TERMINAL, Job, JobDetail, JobState, Submission
from qsuite_console.sandbox import servers

Victim = Literal["postgres", "valkey"]
DEADLINE_S = 90.0
GATE = 4711
_LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


@dataclass
class Pair:
    """A PostgreSQL and a Valkey that tests may kill; both come back on the port they had."""

    directory: Path
    password: str = field(default_factory=servers.make_password)
    running: dict[Victim, servers.Server] = field(default_factory=dict)

    def start(self, name: Victim) -> servers.Server:
        """Start a server, again on its port if it ran before."""
        port = self.running[name].port if name in self.running else 0
        if name == "postgres":
            server = servers.start_postgres(
                self.directory, password=self.password, port=port, settings=["max_connections=60", "autovacuum=off"]
            )
        else:
            server = servers.start_valkey(self.directory, password=self.password, port=port)
        assert port in (0, server.port), f"{name} came back on another port"
        self.running[name] = server
        return server

    def kill(self, name: Victim) -> None:
        """SIGKILL a server and all of its processes; returns when none is left."""
        server = self.running[name]
        parent = psutil.Process(server.process.pid)
        family = [parent, *parent.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                os.kill(process.pid, signal.SIGKILL)
        server.stop()  # reaps it
        _, left = psutil.wait_procs(family, timeout=30)
        assert not left

    def stop(self) -> None:
        """End what still runs; nothing of it is needed any more."""
        for name in self.running:
            if self.running[name].is_alive:
                self.kill(name)


@dataclass
class Kills:
    """One test: a fresh database, an engine on it, and the servers it may lose."""

    pair: Pair
    dsn: str
    redis_url: str
    control: Control

    async def execute(self, *statements: str) -> None:
        """Run statements on a connection of its own."""
        connection = await asyncpg.connect(self.dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def rows(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        """Return what a query finds."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return [dict(row) for row in await connection.fetch(query, *arguments)]
        finally:
            await connection.close()

    async def value(self, query: str, *arguments: Any) -> Any:
        """Return the first value that a query finds."""
        return next(iter((await self.rows(query, *arguments))[0].values()))

    @asynccontextmanager
    async def holding(self, *statements: str) -> AsyncIterator[None]:
        """Keep a transaction open that has run ``statements``, as long as its server lives."""
        connection = await asyncpg.connect(self.dsn)
        await connection.execute("BEGIN")
        for statement in statements:
            await connection.execute(statement)
        try:
            yield
        finally:
            with contextlib.suppress(*_LOST):
                await connection.execute("ROLLBACK")
            with contextlib.suppress(*_LOST):
                await connection.close(timeout=10)

    @asynccontextmanager
    async def gate(self, table: str, condition: str) -> AsyncIterator[None]:
        """Hold whoever writes a row of ``table`` for which ``condition`` (about NEW) is true."""
        await self.execute(
            "CREATE OR REPLACE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"PERFORM pg_advisory_xact_lock({GATE}); RETURN NEW; END $$",
            f"CREATE TRIGGER gate BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW WHEN ({condition}) "
            "EXECUTE FUNCTION gate()",
        )
        async with self.holding(f"SELECT pg_advisory_xact_lock({GATE})"):
            yield
        if self.pair.running["postgres"].is_alive:
            for left in reversed(range(20)):
                try:
                    await self.execute(f"DROP TRIGGER gate ON {table}")
                    break
                except asyncpg.DeadlockDetectedError:  # who was held goes on meanwhile, and has locks that this needs
                    if not left:
                        raise

    async def submit(self, kind: str, /, **parameters: Any) -> int:
        """Make a job and return its id."""
        return (await self.control.submit(Submission(kind=kind, parameters=parameters, origin="test"))).job_id

    async def job(self, job_id: int) -> Job:
        """Return the job as it is: running ones with the progress of this moment."""
        live = {job.id: job for job in self.control.state.running}
        return live.get(job_id) or (await self.control.job(job_id)).job

    async def until(self, job_id: int, condition: Callable[[Job], object]) -> Job:
        """Wait until the job is as wanted; fails when it ends before."""
        found: list[Job] = []

        async def holds() -> bool:
            found[:] = [await self.job(job_id)]
            assert found[0].state not in TERMINAL or condition(found[0]), f"ended as {found[0]}"
            return bool(condition(found[0]))

        await self.wait(holds, lambda: f"job {found}")
        return found[0]

    async def until_held(self, job_id: int, condition: Callable[[Job], object] = lambda _: True) -> Job:
        """Wait until a session of the job waits for a lock, and the job is as wanted."""
        await self.until(job_id, condition)

        async def is_held() -> bool:
            return bool(
                await self.value(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                    "AND datname = current_database() AND application_name LIKE 'qsuite-console/%'"
                )
            )

        await self.wait(is_held, lambda: "nobody waits for a lock")
        return await self.until(job_id, condition)

    async def until_failed_once(self, job_id: int) -> Job:
        """Wait until the first attempt is over and the next one is due."""
        return await self.until(job_id, lambda job: job.state is not JobState.RUNNING or job.attempt > 1)

    async def kill(self, victim: Victim) -> None:
        """SIGKILL a server, all of it."""
        self.pair.kill(victim)

    async def start(self, victim: Victim) -> None:
        """Start a killed server on the port it had."""
        self.pair.start(victim)  # in this thread: a server ends with the thread that started it

    async def end(self, job_id: int) -> JobDetail:
        """Wait for the job's end, which must be a good one."""

        async def is_over() -> bool:
            return (await self.job(job_id)).state in TERMINAL

        await self.wait(is_over, lambda: f"job {job_id} did not end")
        detail = await self.control.job(job_id)
        assert detail.job.state is JobState.SUCCEEDED, [detail.job.error, *(line.message for line in detail.logs)]
        return detail

    async def wait(self, condition: Callable[[], Awaitable[bool]], what: Callable[[], str]) -> None:
        """Wait for a condition; a server that is away is no answer yet."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DEADLINE_S
        while True:
            with contextlib.suppress(*_LOST):
                if await condition():
                    return
            assert loop.time() < deadline, what()
            await asyncio.sleep(0.01)

    async def valkey(self, *words: str | bytes) -> bytes:
        """Send one command whose answer is one line, and return that line."""
        address = urlsplit(self.redis_url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            for command in ([b"AUTH", (address.password or "").encode()], words):
                parts = [word.encode() if isinstance(word, str) else word for word in command]
                writer.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
                answer = await reader.readline()
            return answer.rstrip(b"\r\n")
        finally:
            writer.close()
            await writer.wait_closed()


def result_of(detail: JobDetail) -> Mapping[str, Any]:
    """Return the result of a job that has one."""
    assert detail.result is not None
    return detail.result
