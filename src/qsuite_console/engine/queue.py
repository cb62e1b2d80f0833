"""Which job runs next: slots per queue, claimed per queue, so that a flood in one never takes another's turn.

The dispatcher sleeps until something happened (a submission, a freed slot, a resized queue) and then claims for every
queue that may have work in one transaction; there is no polling and hence no polling latency.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from qsuite_console.engine.ports import Claim, Claiming, Start, Store
from qsuite_console.engine.trouble import Trouble
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import HistoryUnavailable, NotFound
from qsuite_console.model.jobs import JobState, QueueView

RESTART_S: Final = 1.0
log = logging.getLogger(__name__)
_WAITING = (JobState.QUEUED, JobState.INTERRUPTED)


@dataclass(slots=True)
class Queue:
    """One queue's slots and depths. ``may_have_work`` is cleared only by a claim that found less than it asked for."""

    name: str
    concurrency: int
    is_paused: bool = False
    busy: int = 0  # slots in use, and those reserved while a claim is under way
    running: int = 0
    queued: int = 0
    scheduled: int = 0
    may_have_work: bool = True
    execution: str = "local"

    @property
    def free(self) -> int:
        """Return the slots that may take a job now."""
        return 0 if self.is_paused else max(0, self.concurrency - self.busy)

    def view(self) -> QueueView:
        """Return the queue as the operator sees it."""
        return QueueView(
            name=self.name,
            concurrency=self.concurrency,
            running=self.running,
            queued=self.queued,
            scheduled=self.scheduled,
            is_paused=self.is_paused,
            execution=self.execution,
        )


class Dispatcher:
    """Hands claims to ``start``; used on the engine's loop."""

    def __init__(
        self,
        store: Store,
        *,
        owner: str,
        clock: Clock,
        claiming: Claiming,
        trouble: Trouble,
        begin: Callable[[Claim], None],
    ) -> None:
        self.queues: dict[str, Queue] = {}
        self._store = store
        self._owner = owner
        self._clock = clock
        self._claiming = claiming
        self._trouble = trouble
        self._begin = begin
        self.start = Start(owner=owner, only_it=claiming is Claiming.ONLY_SUBMITTED)
        self._wanted: dict[int, str] = {}  # with ONLY_SUBMITTED: job -> queue of what this engine may run
        self._woken = asyncio.Event()
        self._claiming_now = asyncio.Lock()
        self._is_stopped = False

    def add(self, name: str, concurrency: int, *, is_paused: bool = False) -> Queue:
        """Make a queue known."""
        queue = self.queues[name] = Queue(name, concurrency, is_paused)
        return queue

    def queue(self, name: str) -> Queue:
        """Return a queue; raises NotFound."""
        try:
            return self.queues[name]
        except KeyError:
            raise NotFound(f"there is no queue {name}", hint=f"known are {', '.join(self.queues)}") from None

    def views(self) -> tuple[QueueView, ...]:
        """Return all queues in their order."""
        return tuple(queue.view() for queue in self.queues.values())

    def wake(self, name: str | None = None) -> None:
        """Look for work in a queue, or in all."""
        for queue in self.queues.values() if name is None else [self.queues[name]]:
            queue.may_have_work = True
        self._woken.set()

    def want(self, job_id: int, queue: str) -> None:
        """Let a job submitted or joined here run, where nothing else may."""
        if self._claiming is Claiming.ONLY_SUBMITTED:
            self._wanted[job_id] = queue

    def unwant(self, job_id: int) -> None:
        """Forget a job that has reached its end."""
        self._wanted.pop(job_id, None)

    def freed(self, name: str) -> None:
        """Give a slot back."""
        queue = self.queues[name]
        queue.busy -= 1
        queue.running -= 1
        if queue.may_have_work or self._wanted:
            self._woken.set()

    def reserve(self, name: str) -> bool:
        """Take a slot for a job on its way into an empty queue, so that storing and claiming it share a commit."""
        queue = self.queue(name)
        if self._is_stopped or self._claiming is Claiming.NONE or not queue.free or not self._trouble.is_well:
            return False
        if queue.may_have_work and self._claiming is Claiming.ALL:
            return False
        queue.busy += 1
        return True

    def give_back(self, name: str) -> None:
        """Free a reserved slot that no job took."""
        self.queues[name].busy -= 1
        self._woken.set()

    def started(self, claim: Claim) -> None:
        """Begin what was claimed for a slot that is reserved."""
        self.queues[claim.job.queue].running += 1
        self._begin(claim)

    def moved(self, name: str, previous: str | None, state: str | None) -> None:
        """Follow the depths as a job of this queue passes from one state to another."""
        queue = self.queues.get(name)
        if queue is None:
            return
        for passed, change in ((previous, -1), (state, 1)):
            if passed in _WAITING:
                queue.queued = max(0, queue.queued + change)
            elif passed == JobState.SCHEDULED:
                queue.scheduled = max(0, queue.scheduled + change)

    async def stop(self) -> None:
        """Claim nothing more; a claim under way is handed out before this returns."""
        self._is_stopped = True
        async with self._claiming_now:
            return

    async def run(self) -> None:
        """Claim until cancelled."""
        while self._claiming is not Claiming.NONE:
            await self._woken.wait()
            self._woken.clear()
            await self._trouble.wait_well()
            async with self._claiming_now:
                if self._is_stopped:
                    return
                await self._hand_out()

    async def _hand_out(self) -> None:
        """Claim once; whatever goes wrong, the next round comes."""
        try:
            await (self._claim_wanted() if self._claiming is Claiming.ONLY_SUBMITTED else self._claim())
        except HistoryUnavailable as error:
            self.wake()
            self._trouble.report(error)
        except Exception:
            log.exception("claiming failed and starts again in %g s", RESTART_S)
            await asyncio.sleep(RESTART_S)
            self.wake()

    async def _claim(self) -> None:
        free = {queue.name: queue.free for queue in self.queues.values() if queue.may_have_work and queue.free}
        if not free:
            return
        for name, slots in free.items():
            self.queues[name].may_have_work = False
            self.queues[name].busy += slots  # reserved while the claim is under way
        claims: Sequence[Claim] = ()
        try:
            claims = await self._store.claim(free, owner=self._owner, now=self._clock.now())
        finally:
            granted = Counter(claim.job.queue for claim in claims)
            for name, slots in free.items():
                queue = self.queues[name]
                queue.busy -= slots - granted[name]
                if granted[name] == slots:
                    queue.may_have_work = True
                    self._woken.set()
        for claim in claims:
            self.started(claim)

    async def _claim_wanted(self) -> None:
        for job_id, name in tuple(self._wanted.items()):
            queue = self.queues[name]
            if not queue.free:
                continue
            queue.busy += 1
            claim = None
            try:
                claim = await self._store.claim_one(job_id, owner=self._owner, now=self._clock.now())
            finally:
                queue.busy -= int(claim is None)
            if claim is not None:
                self.started(claim)
