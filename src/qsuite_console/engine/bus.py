"""Events out of the engine, and the one state folded from them.

Facts arrive here only after they are durable. They are numbered without gaps into a bounded ring; the state is folded
in batches and replaced at most 20 times a second, so that ten thousand jobs in a burst cost the screen nothing.
Everything is called on the engine's loop; ``state`` and ``events`` are read from any thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

import msgspec

from qsuite_console.engine.state import ConsoleState, reduce_all
from qsuite_console.model.clock import Clock
from qsuite_console.model.events import AnyEvent, JobProgressed
from qsuite_console.model.jobs import Progress

RING: Final = 8192
STATE_INTERVAL_S: Final = 0.05
PROGRESS_INTERVAL_S: Final = 0.1
SUBSCRIPTION: Final = 4096


class Subscription:
    """Events for one reader on the engine's loop; one that lags behind by a whole ring is cut off, not waited for."""

    def __init__(self, forget: Callable[[Subscription], None]) -> None:
        self._events: deque[AnyEvent] = deque()
        self._arrived = asyncio.Event()
        self._forget = forget
        self.is_cut = False

    def offer(self, events: Sequence[AnyEvent]) -> None:
        """Add events, or cut the reader off when it lags too far behind."""
        if len(self._events) + len(events) > SUBSCRIPTION:
            self.is_cut = True
            self._forget(self)
        else:
            self._events.extend(events)
        self._arrived.set()

    async def __aiter__(self) -> AsyncIterator[AnyEvent]:
        """Yield events until closed or cut off."""
        while True:
            while self._events:
                yield self._events.popleft()
            if self.is_cut:
                return
            self._arrived.clear()
            await self._arrived.wait()

    def close(self) -> None:
        """Stop receiving."""
        self.is_cut = True
        self._events.clear()
        self._forget(self)
        self._arrived.set()


class Bus:
    """One per engine."""

    def __init__(self, state: ConsoleState, clock: Clock) -> None:
        self.state = state
        self._clock = clock
        self._lock = threading.Lock()
        self._ring: deque[AnyEvent] = deque(maxlen=RING)
        self._newest = 0
        self._pending: list[AnyEvent] = []
        self._progress: dict[int, Callable[[], Progress]] = {}
        self._subscriptions: set[Subscription] = set()
        self._state_timer: asyncio.TimerHandle | None = None
        self._progress_timer: asyncio.TimerHandle | None = None
        self._folded_at = float("-inf")

    @property
    def newest(self) -> int:
        """Return the number of the newest event."""
        return self._newest

    def publish(self, *events: AnyEvent) -> None:
        """Make events known, in order."""
        with self._lock:
            self._ring.extend(events)
            self._newest += len(events)
        self._pending.extend(events)
        for subscription in tuple(self._subscriptions):
            subscription.offer(events)
        if self._state_timer is None:
            loop = asyncio.get_running_loop()
            wait = max(0.0, self._folded_at + STATE_INTERVAL_S - loop.time())
            self._state_timer = loop.call_later(wait, self._fold)

    def progress(self, job_id: int, measure: Callable[[], Progress]) -> None:
        """Ask ``measure`` for a job's newest progress within a tenth of a second and make it known."""
        self._progress[job_id] = measure
        if self._progress_timer is None:
            self._progress_timer = asyncio.get_running_loop().call_later(PROGRESS_INTERVAL_S, self._flush_progress)

    def settle_progress(self, job_id: int) -> None:
        """Drop progress that waits for a job which has ended: its ending carries the last one."""
        self._progress.pop(job_id, None)

    def events(self, after: int) -> tuple[int, tuple[AnyEvent, ...]]:
        """Return (newest sequence, events numbered above ``after``); fewer than the difference means a gap."""
        with self._lock:
            missing = min(max(0, self._newest - after), len(self._ring))
            if missing == 0:
                return self._newest, ()
            ring = list(self._ring)
            return self._newest, tuple(ring[-missing:])

    def subscribe(self) -> Subscription:
        """Return a subscription that starts with the next event."""
        subscription = Subscription(self._subscriptions.discard)
        self._subscriptions.add(subscription)
        return subscription

    def recount(self, counts: Mapping[str, int]) -> None:
        """Set the counts of the state to the history's own."""
        self.flush()
        self.state = msgspec.structs.replace(self.state, counts=dict(counts))

    def drain(self) -> None:
        """Say in the state that nothing new starts any more."""
        self.flush()
        self.state = msgspec.structs.replace(self.state, is_draining=True)

    def flush(self) -> None:
        """Fold what waits into the state now."""
        if self._state_timer is not None:
            self._state_timer.cancel()
        self._fold()

    def close(self) -> None:
        """End every subscription and fold the last events."""
        if self._progress_timer is not None:
            self._progress_timer.cancel()
        self.flush()
        for subscription in tuple(self._subscriptions):
            subscription.close()

    def _fold(self) -> None:
        self._state_timer = None
        self._folded_at = asyncio.get_running_loop().time()
        pending, self._pending = self._pending, []
        if pending:
            state = reduce_all(self.state, pending)
            self.state = msgspec.structs.replace(state, sequence=self._newest)

    def _flush_progress(self) -> None:
        self._progress_timer = None
        progress, self._progress = self._progress, {}
        now = self._clock.now()
        self.publish(
            *(JobProgressed(at=now, job_id=job_id, progress=measure()) for job_id, measure in progress.items())
        )
