"""Jobs in the hands of other processes, as the settings want it: who follows them here, and what this engine does for
others. Where every queue is local no connection is opened for it, unless a job was handed out before that was so.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import socket
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from qsuite_console.config.settings import Settings
from qsuite_console.db.database import Database
from qsuite_console.db.runs import RunBook
from qsuite_console.distributed.claimer import Claimer
from qsuite_console.distributed.follower import Follower, Outlet
from qsuite_console.distributed.nodes import Node
from qsuite_console.engine.handing_ports import Executor
from qsuite_console.engine.ports import Worker
from qsuite_console.engine.state import TargetView
from qsuite_console.model.clock import Clock
from qsuite_console.model.handing import Execution
from qsuite_console.paths import Paths

CONNECTIONS: Final = 4  # of its own: what runs say must not wait for connections that their own work has taken


class Distribution:
    """One per runtime. ``executors`` and ``drain`` are parts of its engine, ``open`` is one of its services."""

    def __init__(self, settings: Settings, paths: Paths, clock: Clock, target: TargetView) -> None:
        self._settings = settings
        self._clock = clock
        self._target = target
        self._plans = settings.away
        connections = dataclasses.replace(settings.database, pool_min=0, pool_max=CONNECTIONS)
        self._database = Database(connections, application="qsuite-console/runs")
        self.book = RunBook(self._database, settings.runs.table, lease_s=settings.runs.lease_s)
        self._outlet: Outlet | None = None
        self._node: Node | None = None
        self._stack = AsyncExitStack()
        self._follower: Follower | None = None
        self.executors: Mapping[str, Executor] = {}
        self.rejoiner: Executor | None = None
        if self._plans or _home_file(paths.history).exists():
            self._follower = Follower(
                self.book,
                home_of(paths.history),
                max_rescues=settings.engine.max_rescues,
                keep_days=settings.runs.keep_days,
            )
            self.rejoiner = self._follower.rejoiner(is_read_only=settings.target.read_only)
            self.executors = {
                name: self._follower.executor(plan.execution, plan.in_flight, self._outlet_of(plan.execution))
                for name, plan in self._plans.items()
            }

    def serve(self, workers: Mapping[str, Worker]) -> None:
        """Let this engine do what others hand out, in the queues that nodes do."""
        slots = {
            name: self._settings.engine.queues[name]
            for name, plan in self._plans.items()
            if plan.execution is Execution.NODES
        }
        if slots:
            owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
            claimer = Claimer(self.book, workers, owner=owner, target=self._target, clock=self._clock)
            self._node = Node(claimer, slots)

    async def drain(self, patience_s: float, hurry: asyncio.Event) -> None:
        """Give back what this engine does for others."""
        if self._node is not None:
            await self._node.drain(patience_s, hurry)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Follow, and serve where that is wanted, until the block ends."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._database.close)
            if self._follower is not None:
                await stack.enter_async_context(self._follower.open())
            if self._outlet is not None:
                await stack.enter_async_context(self._outlet.open())
            if self._node is not None:
                await stack.enter_async_context(self._node.serving())
            yield

    def _outlet_of(self, execution: Execution) -> Outlet | None:
        if execution is not Execution.CELERY:
            return None
        if self._outlet is None:
            from qsuite_console.distributed.celery_outlet import CeleryOutlet

            self._outlet = CeleryOutlet(self._settings, self._clock)
        return self._outlet


def home_of(history: Path) -> str:
    """Return the name under which a history's jobs are known to others: made once, kept beside it."""
    path = _home_file(history)
    try:
        return path.read_text("ascii").strip()
    except FileNotFoundError:
        name = f"{socket.gethostname()[:40]}-{uuid.uuid4().hex[:16]}"
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.write_text(name + "\n", "ascii", errors="replace")
        fresh.replace(path)
        return name


def _home_file(history: Path) -> Path:
    """Return where that name is kept; without the file nothing has ever been handed out."""
    return history.with_name(history.name + ".home")
