"""The engine's background loops: due jobs, true counts, pruning, sampling, and the lag of the loop itself.

Each outlives its own failures: it says what went wrong, once per kind of failure in a row, and goes on.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from qsuite_console.engine.core import Core
from qsuite_console.model.errors import HistoryUnavailable
from qsuite_console.model.events import AlertChanged, Sampled
from qsuite_console.model.health import Alert, Snapshot

LAG_EVERY_S: Final = 0.2
LAG_KEPT: Final = 300  # one minute
LAG_WORTH_SAYING_S: Final = 1.0
LONGEST_SLEEP_S: Final = 30.0  # a wall clock that jumps is noticed within this
RECOUNT_S: Final = 5.0
PRUNE_FIRST_S: Final = 60.0
PRUNE_EVERY_S: Final = 3600.0
RESTART_S: Final = 5.0
log = logging.getLogger(__name__)


class Sampler(Protocol):
    """Measures what is watched, on the engine's loop."""

    async def run(self, publish: Callable[[Snapshot], None]) -> None:
        """Publish a snapshot every interval until cancelled; survives whatever a source does."""
        ...


class LagMeter:
    """How late the loop runs what is due: the time jobs and screens wait for one that does not let go."""

    def __init__(self, running: Callable[[], str]) -> None:
        self._lags: deque[float] = deque(maxlen=LAG_KEPT)
        self._running = running

    def p99_ms(self) -> float:
        """Return the 99th percentile of the last minute, in milliseconds."""
        lags = sorted(self._lags)
        return lags[math.ceil(len(lags) * 0.99) - 1] * 1000 if lags else 0.0

    async def run(self) -> None:
        """Measure until cancelled; a stall of a second is logged with what was running."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            lag = max(0.0, loop.time() - due)
            self._lags.append(lag)
            if lag >= LAG_WORTH_SAYING_S:
                log.warning("the engine's loop stood still for %.1f s; running: %s", lag, self._running())


async def keep(name: str, step: Callable[[], Awaitable[None]], core: Core) -> None:
    """Repeat ``step`` for ever; a failing one is logged when its message changes and tried again after a while."""
    said = ""
    while True:
        try:
            await step()
            said = ""
        except HistoryUnavailable as error:
            core.trouble.report(error)
            await core.trouble.wait_well()
        except Exception as error:
            if str(error) != said:
                log.exception("%s failed and starts again in %g s", name, RESTART_S)
            said = str(error)
            await asyncio.sleep(RESTART_S)


async def release_due(core: Core) -> None:
    """Queue scheduled jobs whose time has come, then sleep until the next one or a new one."""
    core.due_changed.clear()
    now = core.clock.now()
    jobs, next_at = await core.store.due(now=now)
    for job in jobs:
        core.changed(job, "scheduled")
    wait = LONGEST_SLEEP_S if next_at is None else (next_at - core.clock.now()).total_seconds()
    try:
        async with asyncio.timeout(min(LONGEST_SLEEP_S, max(0.0, wait))):
            await core.due_changed.wait()
    except TimeoutError:
        return


class Recounter:
    """Corrects the folded counts by the history's own: pruning, say, changes them without an event for each job."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._counted = -1

    async def step(self) -> None:
        """Wait, and recount if something happened since the last time."""
        await asyncio.sleep(RECOUNT_S)
        await self.count()

    async def count(self, *, is_forced: bool = False) -> None:
        """Recount now unless nothing has changed."""
        core = self._core
        if core.bus.newest == self._counted and not is_forced:
            return
        counts, depths = await core.store.recount()
        self._counted = core.bus.newest
        core.bus.recount(counts)
        shown = core.dispatcher.views()
        for name, queue in core.dispatcher.queues.items():
            queue.queued, queue.scheduled = depths.get(name, (0, 0))
        if core.dispatcher.views() != shown:
            core.show_queues()


class Pruner:
    """Forgets old jobs once an hour."""

    def __init__(self, core: Core, recounter: Recounter) -> None:
        self._core = core
        self._recounter = recounter
        self._wait_s = PRUNE_FIRST_S

    async def step(self) -> None:
        """Wait, then prune."""
        await asyncio.sleep(self._wait_s)
        self._wait_s = PRUNE_EVERY_S
        gone = await self._core.store.prune(now=self._core.clock.now())
        if gone:
            log.info("%d old jobs were pruned from the history", gone)
            await self._recounter.count(is_forced=True)


class Watch:
    """Runs the sampler and tells alerts apart from samples."""

    def __init__(self, core: Core, sampler: Sampler) -> None:
        self._core = core
        self._sampler = sampler
        self._alerts: dict[str, Alert] = {}

    async def step(self) -> None:
        """Sample until the sampler ends."""
        await self._sampler.run(self.publish)
        raise RuntimeError("the sampler ended by itself")

    def publish(self, snapshot: Snapshot) -> None:
        """Publish a snapshot, and each alert in it that is not as it was."""
        now = self._core.clock.now()
        changed = [alert for alert in snapshot.alerts if self._alerts.get(alert.id) != alert]
        self._alerts = {alert.id: alert for alert in snapshot.alerts}
        self._core.bus.publish(
            *(AlertChanged(at=now, alert=alert) for alert in changed), Sampled(at=now, snapshot=snapshot)
        )
