"""The engine's thread: its own event loop, so that a terminal that stops reading never stops a job.

Start: rescue what a dead owner left, open the services, then claim. Stop: drain, close the services, end the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from qsuite_console.config.settings import QUEUES, EngineSettings
from qsuite_console.engine.bus import Bus
from qsuite_console.engine.core import Core
from qsuite_console.engine.gate import Gate
from qsuite_console.engine.handing import Hands
from qsuite_console.engine.handing_ports import Executor
from qsuite_console.engine.intake import Intake
from qsuite_console.engine.joblog import JobLogHandler
from qsuite_console.engine.local import LocalControl
from qsuite_console.engine.metering import Meter
from qsuite_console.engine.operating import Operating
from qsuite_console.engine.ports import Claiming, Operation, Probe, Store, Worker
from qsuite_console.engine.runner import Surroundings
from qsuite_console.engine.scheduler import Scheduler
from qsuite_console.engine.state import RECENT_LIMIT, ConsoleState, TargetView
from qsuite_console.engine.trouble import Trouble
from qsuite_console.engine.upkeep import LagMeter, Pruner, Recounter, Sampler, Watch, keep, release_due
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.events import EngineTrouble, QueuesChanged
from qsuite_console.model.jobs import TERMINAL, JobQuery

SWITCH_S: Final = 0.001  # how long a busy thread (a screen being drawn, say) may keep the others from running
LAST_WAIT_S: Final = 10.0  # for clean-up and a history that refuses, after patience has run out
T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Loop:
    """What exists while the engine runs."""

    loop: asyncio.AbstractEventLoop
    control: LocalControl
    lag: LagMeter


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an engine is put together from. ``services`` are entered on its loop at the start and left at the end.

    ``executors``: queue -> who has its jobs done elsewhere; ``rejoiner``: who finds jobs that were handed out while
    their queue had one. ``drains`` are called with the patience in seconds, and what cuts it short, while the engine
    drains; they are waited for.
    """

    store: Store
    workers: Mapping[str, Worker]
    probes: Mapping[str, Probe] = field(default_factory=dict)
    operations: Mapping[str, Operation] = field(default_factory=dict)
    sampler: Sampler | None = None
    scheduler: Scheduler | None = None
    executors: Mapping[str, Executor] = field(default_factory=dict)
    rejoiner: Executor | None = None
    drains: Sequence[Callable[[float, asyncio.Event], Awaitable[None]]] = ()
    services: Sequence[AbstractAsyncContextManager[Any]] = ()


class Engine:
    """Runs jobs on its own thread; the store outlives it and is closed by whoever opened it."""

    def __init__(
        self,
        parts: Parts,
        *,
        settings: EngineSettings,
        clock: Clock,
        target: TargetView,
        version: str,
        claim: Claiming = Claiming.ALL,
        dice: random.Random | None = None,
    ) -> None:
        self.finished = threading.Event()
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
        self._store = parts.store
        self._workers = dict(parts.workers)
        self._probes = dict(parts.probes)
        self._operations = dict(parts.operations)
        self._settings = settings
        self._clock = clock
        self._target = target
        self._version = version
        self._sampler = parts.sampler
        self._scheduler = parts.scheduler
        self._executors = dict(parts.executors)
        self._rejoiner = parts.rejoiner
        self._drains = tuple(parts.drains)
        self._services = list(parts.services)
        self._claiming = claim
        self._dice = dice or random.Random()
        self._running: _Loop | None = None
        self._event_loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._stops = 0
        self._drain_s = settings.drain_s
        self._stopping: asyncio.Event | None = None
        self._hurry: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    @property
    def control(self) -> LocalControl:
        """Return the way in; only between ``start`` and the end."""
        if self._running is None:
            raise ConsoleError("the engine is not running", hint="start it first")
        return self._running.control

    def add_service(self, service: AbstractAsyncContextManager[Any]) -> None:
        """Add a service that needs the engine itself, before ``start``."""
        if self._thread.is_alive():
            raise RuntimeError("services are added before the engine starts")
        self._services.append(service)

    def start(self) -> None:
        """Return when jobs run and services are open; raise what kept them from it."""
        sys.setswitchinterval(min(SWITCH_S, sys.getswitchinterval()))
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def request_stop(self) -> None:
        """Begin to drain; a second call cuts the patience short. For signal handlers and any thread."""
        self._stops += 1
        loop = self._event_loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended already, which is what was asked
                loop.call_soon_threadsafe(self._apply_stops)

    def stop(self, grace_s: float | None = None) -> None:
        """Drain for at most ``grace_s`` seconds (the settings' own by default) and block until all is closed."""
        if grace_s is not None:
            self._drain_s = grace_s
        if self._thread.ident is None:
            return
        if not self._stops or grace_s == 0:  # a second request means hurry, and a signal may have made the first
            self.request_stop()
        self.finished.wait(self._drain_s + 2 * LAST_WAIT_S)
        self._thread.join(LAST_WAIT_S)

    def call(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the engine's loop from any thread."""
        if self._event_loop is None or self.finished.is_set():
            coroutine.close()
            raise ConsoleError("the engine is not running", hint="start it again")
        return asyncio.run_coroutine_threadsafe(coroutine, self._event_loop)

    def lag_ms(self) -> float:
        """Return the 99th percentile of the loop's lag over the last minute, in milliseconds."""
        return 0.0 if self._running is None else self._running.lag.p99_ms()

    def _apply_stops(self) -> None:
        if self._stopping is not None and self._hurry is not None:
            self._stopping.set()
            if self._stops > 1:
                self._hurry.set()

    def _run(self) -> None:
        loop = self._event_loop = asyncio.new_event_loop()
        main = loop.create_task(self._main(), name="engine")
        try:
            while not main.done():
                try:
                    loop.run_until_complete(main)
                except (KeyboardInterrupt, SystemExit):  # from a task a worker made: it may end itself, not the engine
                    log.exception("a worker tried to end the process")
                except BaseException as error:
                    self._error = error
                    if self._ready.is_set():
                        log.critical("the engine ended: %s", error, exc_info=error)
            self._close(loop)
        finally:
            self.finished.set()
            self._ready.set()

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=1.0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    async def _main(self) -> None:
        self._stopping, self._hurry = asyncio.Event(), asyncio.Event()
        self._apply_stops() if self._stops else None
        logs = JobLogHandler()
        core = await self._prepare(logs)
        lag = LagMeter(lambda: ", ".join(str(job_id) for job_id in core.attempts) or "no job")
        intake = Intake(core)
        if self._scheduler is not None:
            await self._scheduler.bind(core, intake)
        operating = Operating(self._operations, core.around.gate, core.trouble)
        control = LocalControl(core, intake, self._probes, operating, asyncio.get_running_loop(), self.call)
        self._running = _Loop(asyncio.get_running_loop(), control, lag)
        logs.install()
        tasks: list[asyncio.Task[None]] = []
        try:
            async with contextlib.AsyncExitStack() as services:
                for service in self._services:
                    await services.enter_async_context(service)
                tasks.extend(self._start_tasks(core, lag))
                self._ready.set()
                await self._stopping.wait()
                asyncio.get_running_loop().call_later(self._drain_s + LAST_WAIT_S, self._hurry.set)
                drains = [asyncio.ensure_future(drain(self._drain_s, self._hurry)) for drain in self._drains]
                await core.drain(self._drain_s, self._hurry)
                await asyncio.gather(*drains, return_exceptions=True)
                await operating.finish()
                await self._end(tasks[1:])
        finally:
            await self._end(tasks)
            await core.close()
            await core.trouble.close()
            core.bus.close()
            logs.remove()

    async def _end(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _prepare(self, logs: JobLogHandler) -> Core:
        """Rescue, read what there is and build the inside."""
        store, clock = self._store, self._clock
        rescued = await store.rescue(owner=self.owner, now=clock.now(), max_rescues=self._settings.max_rescues)
        for job in rescued:
            log.warning("job %d (%s) was left running: it is %s now", job.id, job.kind, job.state.value)
        newest = await store.jobs(JobQuery(states=tuple(TERMINAL), routine=False, limit=RECENT_LIMIT))
        recent = sorted(newest.jobs, key=lambda job: job.finished_at or job.created_at, reverse=True)
        state = ConsoleState(
            target=self._target,
            version=self._version,
            started_at=clock.now(),
            owner=f"pid {os.getpid()}",
            is_read_only=self._target.is_read_only,
            counts=dict(await store.counts()),
            recent=tuple(recent),
        )
        bus = Bus(state, clock)
        trouble = Trouble(store, bus, clock)
        around = Surroundings(
            store=store,
            bus=bus,
            clock=clock,
            trouble=trouble,
            gate=Gate(store, self._target, clock),
            meter=Meter(),
            logs=logs,
            dice=self._dice,
        )
        hands = Hands(self._executors, self._rejoiner, self._settings.queues, around)
        core = Core(around, workers=self._workers, owner=self.owner, claiming=self._claiming, hands=hands)
        await self._add_queues(core)
        core.watchers.append(lambda job: hands.over(job, is_followed=job.id in core.attempts))
        for job in rescued:
            if job.state in TERMINAL:
                hands.over(job, is_followed=False)
        trouble.on_recovery = core.dispatcher.wake
        bus.publish(QueuesChanged(at=clock.now(), queues=core.dispatcher.views()))
        for warning in store.warnings:
            bus.publish(EngineTrouble(at=clock.now(), message=warning))
        bus.flush()
        return core

    async def _add_queues(self, core: Core) -> None:
        """Make every queue known that settings, workers or waiting jobs name, as the operator last set it."""
        changed, depths = await self._store.queue_settings(), await self._store.queue_depths()
        slots = dict(self._settings.queues) | {name: each.in_flight for name, each in self._executors.items()}
        for name in [*(worker.kind.queue for worker in self._workers.values()), *depths]:
            slots.setdefault(name, QUEUES.get(name, (1, 5))[0])
        for name, count in slots.items():
            concurrency, is_paused = changed.get(name, (count, False))
            queue = core.dispatcher.add(name, concurrency, is_paused=is_paused)
            queue.execution = self._executors[name].execution if name in self._executors else queue.execution
            queue.queued, queue.scheduled = depths.get(name, (0, 0))

    def _start_tasks(self, core: Core, lag: LagMeter) -> list[asyncio.Task[None]]:
        """Start dispatcher and upkeep; the dispatcher comes first in the list."""
        recounter = Recounter(core)
        loops = [core.dispatcher.run(), lag.run(), keep("recount", recounter.step, core)]
        if self._claiming is not Claiming.NONE:
            loops.append(keep("due jobs", lambda: release_due(core), core))
            loops.append(keep("pruning", Pruner(core, recounter).step, core))
        if self._claiming is Claiming.ALL and self._scheduler is not None:
            loops.append(keep("schedules", self._scheduler.step, core))
        if self._sampler is not None:
            loops.append(keep("sampling", Watch(core, self._sampler).step, core))
        core.dispatcher.wake()
        return [asyncio.create_task(loop) for loop in loops]
