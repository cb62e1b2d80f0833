"""Freeze servers, and run a sampler while waiting for what it says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psutil

from qsuite_console.cache.client import Cache
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings, DatabaseSettings, Settings
from qsuite_console.db.database import Database
from qsuite_console.db.panels import PanelReader
from qsuite_console.db.pooler import PoolerConsole
from qsuite_console.metrics.sampler import PlatformSampler
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.health import Figure, Reading, Snapshot
from qsuite_console.providers.alpaca import AlpacaClient
from qsuite_console.sandbox import servers
from qsuite_console.workers import Services


def tell(server: servers.Server, number: signal.Signals) -> None:
    """Send a signal to every process of a server; the others are listed once the first makes no more of them."""
    process = psutil.Process(server.process.pid)
    known = process.children(recursive=True)  # who dies leaves them to others
    os.kill(process.pid, number)
    for one in {*known, *process.children(recursive=True)} if process.is_running() else known:
        with contextlib.suppress(ProcessLookupError):  # one that has ended by itself meanwhile
            os.kill(one.pid, number)


def freeze(server: servers.Server) -> None:
    """Stop every process of a server: it accepts connections and answers nothing."""
    tell(server, signal.SIGSTOP)


def resume(server: servers.Server) -> None:
    if server.is_alive:
        tell(server, signal.SIGCONT)


class Watcher:
    """Runs a sampler and waits for what it publishes."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []
        self._news = asyncio.Event()

    def publish(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)
        self._news.set()

    def reading(self, source: str) -> Reading:
        return next(reading for reading in self.snapshots[-1].readings if reading.source == source)

    def figure(self, source: str, name: str) -> Figure | None:
        return next((figure for figure in self.reading(source).figures if figure.name == name), None)

    async def until(self, condition: Callable[[], bool], limit_s: float = 30.0) -> float:
        """Wait until the newest snapshot fulfils the condition; return the seconds it took."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(limit_s):
                while not (self.snapshots and condition()):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"not within {limit_s:g} s; last seen: {self.snapshots[-1:]}") from None
        return loop.time() - started


@asynccontextmanager
async def watching(
    database: str = "", cache: str = "", *, interval_s: float = 2.0, pgbouncer: bool = False
) -> AsyncIterator[Watcher]:
    """Sample the named servers until the block ends."""
    settings = Settings(
        database=DatabaseSettings(dsn=Secret(database), pgbouncer=pgbouncer), cache=CacheSettings(url=Secret(cache))
    )
    client = Cache(settings.cache)
    clock = SystemClock()
    services = Services(
        settings=settings,
        clock=clock,
        database=Database(settings.database),
        cache=client,
        provider=lambda: AlpacaClient(settings.provider),
        panels=PanelReader(settings.database, clock),
        pooler=PoolerConsole(settings),
    )
    watcher = Watcher()
    sampler = PlatformSampler(services, job_counts=lambda: {"running": 2}, interval_s=interval_s)
    task = asyncio.create_task(sampler.run(watcher.publish))
    try:
        yield watcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()
