"""What happens while the history refuses writes: it is said once, claiming stops, and a probe looks for its return."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from qsuite_console.engine.bus import Bus
from qsuite_console.engine.ports import Store
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import ConsoleError, HistoryUnavailable
from qsuite_console.model.events import EngineTrouble

FIRST_PROBE_S: Final = 0.5
LAST_PROBE_S: Final = 5.0
log = logging.getLogger(__name__)


class Trouble:
    """One per engine, used on its loop."""

    def __init__(self, store: Store, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._well = asyncio.Event()
        self._well.set()
        self._task: asyncio.Task[None] | None = None
        self.on_recovery: Callable[[], None] = lambda: None

    @property
    def is_well(self) -> bool:
        """Say whether the history takes writes, as far as is known."""
        return self._well.is_set()

    def report(self, error: HistoryUnavailable) -> None:
        """Note a refused write; the first one starts the search for recovery."""
        if not self._well.is_set():
            return
        self._well.clear()
        text = f"{error.message}; {error.hint}" if error.hint else error.message
        log.error("%s", text)
        self._bus.publish(EngineTrouble(at=self._clock.now(), message=text))
        self._task = asyncio.create_task(self._probe(), name="history-probe")

    async def wait_well(self) -> None:
        """Return once the history takes writes."""
        await self._well.wait()

    async def close(self) -> None:
        """Stop probing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _probe(self) -> None:
        delay = FIRST_PROBE_S
        while True:
            await asyncio.sleep(delay)
            try:
                await self._store.probe()
            except ConsoleError as error:
                log.debug("the history still refuses: %s", error.message)
                delay = min(LAST_PROBE_S, delay * 2)
                continue
            log.warning("the history takes writes again")
            self._well.set()
            self._bus.publish(EngineTrouble(at=self._clock.now(), message=""))
            self.on_recovery()
            return
