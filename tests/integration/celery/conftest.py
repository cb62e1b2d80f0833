"""A platform that the real Celery workers of these tests share: starting two takes seconds."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from fakes.celery_jobs import TABLES
from fakes.handing import open_book
from integration.celery.worker_process import WorkerProcess, environment_of, worker_processes
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings, CelerySettings, DatabaseSettings, EngineSettings, Settings
from qsuite_console.db.runs import RunBook
from qsuite_console.sandbox.servers import Server

SERVED = ("--queues", "general", "--concurrency", "2")


@dataclass(frozen=True)
class Platform:
    """Where the workers work, and what they are told of it."""

    dsn: str
    redis: str
    home: Path
    workers: list[WorkerProcess]

    @property
    def settings(self) -> Settings:
        return Settings(
            database=DatabaseSettings(dsn=Secret(self.dsn), pool_min=0, pool_max=5),
            cache=CacheSettings(url=Secret(self.redis)),
            celery=CelerySettings(resend_s=1.0),
            engine=EngineSettings(drain_s=3.0),
        )

    @property
    def serving(self) -> list[WorkerProcess]:
        """The workers that live."""
        return [worker for worker in self.workers if worker.process.poll() is None]

    async def gone(self, pid: int, limit_s: float = 60.0) -> None:
        """Return when a process of a pool has ended."""
        deadline = time.monotonic() + limit_s
        while any(pid == process.pid for worker in self.serving for process in worker.pool):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)

    def start(self) -> WorkerProcess:
        """Start one more, which the caller ends."""
        return WorkerProcess(self.environment, *SERVED)

    @property
    def environment(self) -> dict[str, str]:
        return environment_of(self.home, self.dsn, self.redis)


def apart(work: Any) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work)).result()


async def execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


@pytest.fixture(scope="module")
def platform(postgres: Server, valkey: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Two workers with two processes each for "general", until the module ends: others look at this broker."""
    name = f"celery_{os.getpid()}"
    dsn = urlunsplit(urlsplit(postgres.url)._replace(path=f"/{name}"))
    home = tmp_path_factory.mktemp("home")
    (home / "config").mkdir()
    (home / "config" / "config.toml").write_text(
        "[engine]\ndrain_s = 3.0\n[runs]\nlease_s = 12.0\n[celery]\ntasks_per_child = 10\n"
    )
    apart(execute(postgres.url, f"CREATE DATABASE {name} TEMPLATE qsuite_template"))
    try:
        apart(execute(dsn, TABLES))
        with worker_processes(environment_of(home, dsn, valkey.url), 2, *SERVED) as started:
            yield Platform(dsn, valkey.url, home, started)
    finally:
        apart(execute(postgres.url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def book(platform: Platform) -> AsyncIterator[RunBook]:
    async with open_book(platform.dsn, lease_s=12.0) as found:
        yield found


@pytest.fixture
async def connection(platform: Platform) -> AsyncIterator[asyncpg.Connection]:
    """A connection that sees what jobs of this test left behind."""
    found = await asyncpg.connect(platform.dsn)
    await found.execute("TRUNCATE began, effect, ended")
    yield found
    await found.close()
