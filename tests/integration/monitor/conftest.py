"""A broker of its own, two Celery workers that know nothing of the console, and the console's look at them."""

from __future__ import annotations

import asyncio
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from fakes.backfill import NOWHERE, make_settings, open_services
from qsuite_console import operations, workers
from qsuite_console.cache.celery_link import Broker
from qsuite_console.config.settings import TargetSettings
from qsuite_console.engine.parameters import decode
from qsuite_console.metrics.celery_watch import make_watch
from qsuite_console.model.operations import Outcome, Proposal
from qsuite_console.sandbox import servers

HERE = Path(__file__).parent
DEADLINE_S = 40.0


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Wait for workers' answers as long as a busy machine may keep them from giving them, or as long as is said."""

    def wait(seconds: float) -> None:
        monkeypatch.setattr(Broker.ask, "__kwdefaults__", {"destination": (), "patience_s": seconds})

    wait(5.0)
    return wait


@dataclass
class Shop:
    """The platform's Celery. ``app`` sends tasks and inspects, as its own developers would."""

    url: str
    app: Any
    directory: Path
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *arguments: str) -> None:
        """Start a worker of two processes, without waiting until it is there."""
        with (self.directory / f"{name}.log").open("ab") as log:
            self.workers[name] = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "shop", "worker", "-c", "2", "-n", f"{name}@shop", *arguments],
                cwd=HERE,
                env={**os.environ, "SHOP_BROKER": self.url},
                stdout=log,
                stderr=log,
            )

    def end(self, name: str) -> None:
        """Kill a worker as the kernel would; its processes notice and end."""
        process = self.workers.pop(name)
        process.kill()
        process.wait(20)

    def send(self, task: str, *arguments: Any, **options: Any) -> str:
        return str(self.app.send_task(task, args=arguments, **options).id)

    def inspect(self) -> Any:
        return self.app.control.inspect(timeout=5, limit=2)


@pytest.fixture(scope="session")
def shop() -> Iterator[Shop]:
    directory = Path(tempfile.mkdtemp(prefix="qsuite-shop-"))
    server = servers.start_valkey(directory, password=servers.make_password())
    os.environ["SHOP_BROKER"] = server.url
    sys.path.insert(0, str(HERE))
    made: Shop | None = None
    try:
        module = importlib.import_module("shop")
        made = Shop(server.url, module.app, directory)
        made.start("one", "-E")
        made.start("two", "-E")
        end = time.monotonic() + DEADLINE_S
        while len(made.app.control.ping(timeout=0.5) or ()) < 2:
            assert time.monotonic() < end, (directory / "one.log").read_text()
        yield made
    finally:
        sys.path.remove(str(HERE))
        sys.modules.pop("shop", None)
        del os.environ["SHOP_BROKER"]
        if made is not None:
            made.app.close()
            for process in made.workers.values():
                process.terminate()
            for process in made.workers.values():
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(15)
        server.stop()
        shutil.rmtree(directory)


class Look:
    """What the console knows of one broker; operations as the engine does them."""

    def __init__(self, services: workers.Services) -> None:
        self.services = services
        self._operations = operations.load(services)

    async def ask(self, probe: str, **parameters: Any) -> Any:
        return await self.services.probe(probe).ask(parameters)

    async def propose(self, name: str, /, **parameters: Any) -> Proposal:
        operation = self._operations[name]
        return await operation.propose(decode(operation.kind.parameters, parameters))

    async def perform(self, proposal: Proposal) -> Outcome:
        operation = self._operations[proposal.operation]
        return await operation.perform(decode(operation.kind.parameters, proposal.parameters))


@asynccontextmanager
async def looking(url: str, *, read_only: bool = False, prefix: str = "") -> AsyncIterator[Look]:
    settings = make_settings("postgresql://nobody@127.0.0.1:1/none", NOWHERE, redis=url)
    celery = replace(settings.celery, key_prefix=prefix)
    settings = replace(settings, target=TargetSettings(read_only=read_only), celery=celery)
    async with open_services(settings) as services:
        watch = make_watch(settings, services.cache, services.clock)
        try:
            yield Look(replace(services, celery=watch))
        finally:
            await watch.close()


@pytest.fixture
async def look(shop: Shop) -> AsyncIterator[Look]:
    async with looking(shop.url) as found:
        watch = found.services.celery
        assert watch is not None
        watch.listen()
        await until(lambda: watch.tally.since is not None, "events are heard")
        yield found


async def until(condition: Callable[[], Any | Awaitable[Any]], what: str = "") -> Any:
    """Wait for something, with a deadline; returns it."""
    end = time.monotonic() + DEADLINE_S
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        assert time.monotonic() < end, f"never came: {what}"
        await asyncio.sleep(0.05)
