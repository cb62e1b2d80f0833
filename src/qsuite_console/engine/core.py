"""The engine's inside, all on its own loop: claims become attempts, endings become facts, facts become events.

Nothing is published before it is durable. A slot is given back when the ending has been handed to the history, not
when it is on disk: the next claim shares the ending's transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from qsuite_console.engine.bus import Bus
from qsuite_console.engine.handing import Doing, Hands
from qsuite_console.engine.ports import AuditEntry, Change, Claim, Claiming, Ending, Inserted, Store, Worker
from qsuite_console.engine.queue import Dispatcher
from qsuite_console.engine.runner import Surroundings, Wish
from qsuite_console.engine.trouble import Trouble
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import ConsoleError, HistoryUnavailable
from qsuite_console.model.events import JobChanged, QueuesChanged
from qsuite_console.model.jobs import TERMINAL, Job, JobState, QueueView, Receipt

QUEUES_INTERVAL_S: Final = 0.25
log = logging.getLogger(__name__)


class Core:
    """One per engine."""

    def __init__(
        self,
        around: Surroundings,
        *,
        workers: Mapping[str, Worker],
        owner: str,
        claiming: Claiming,
        hands: Hands,
    ) -> None:
        self.around = around
        self.workers = workers
        self.owner = owner
        self.claiming = claiming
        self.attempts: dict[int, Doing] = {}
        self._hands = hands
        self.watchers: list[Callable[[Job], None]] = []  # told of every job that is over
        self.due_changed = asyncio.Event()
        self.dispatcher = Dispatcher(
            around.store,
            owner=owner,
            clock=around.clock,
            claiming=claiming,
            trouble=around.trouble,
            begin=self._begin,
        )
        self.is_draining = False
        self._profiled: set[int] = set()  # jobs whose attempts shall tell where their time goes
        self._slots: set[asyncio.Task[None]] = set()
        self._submissions: set[asyncio.Task[Receipt]] = set()
        self._ended: dict[int, list[asyncio.Future[Job | None]]] = {}
        self._queues_timer: asyncio.TimerHandle | None = None

    @property
    def store(self) -> Store:
        """Return the durable history."""
        return self.around.store

    @property
    def bus(self) -> Bus:
        """Return where events go."""
        return self.around.bus

    @property
    def clock(self) -> Clock:
        """Return the owner of time."""
        return self.around.clock

    @property
    def trouble(self) -> Trouble:
        """Return the state of the history."""
        return self.around.trouble

    def changed(self, job: Job, previous: str | None) -> None:
        """Make a durable change of a job known, and wake whoever may act on it."""
        self._published(job, previous)
        if job.state in (JobState.QUEUED, JobState.INTERRUPTED) and job.queue in self.dispatcher.queues:
            if not self.is_draining:
                self.dispatcher.wake(job.queue)
        elif job.state is JobState.SCHEDULED:
            self.due_changed.set()
        elif job.state in TERMINAL:
            self.dispatcher.unwant(job.id)
            self._profiled.discard(job.id)
            for watcher in self.watchers:
                watcher(job)

    def apply(self, change: Change) -> Job:
        """Make a change that the history answered with known, and return the job as it is now."""
        self.changed(change.job, change.previous)
        return change.job

    def _published(self, job: Job, previous: str | None) -> None:
        self.bus.publish(JobChanged(at=self.clock.now(), job=job, previous=previous))
        self.dispatcher.moved(job.queue, previous, job.state)
        self.show_queues()

    def show_queues(self) -> None:
        """Publish the queues, at most four times a second."""
        if self._queues_timer is None:
            self._queues_timer = asyncio.get_running_loop().call_later(QUEUES_INTERVAL_S, self._publish_queues)

    def _publish_queues(self) -> None:
        self._queues_timer = None
        self.bus.publish(QueuesChanged(at=self.clock.now(), queues=self.dispatcher.views()))

    def profile(self, job_id: int) -> bool | None:
        """Have a live job's attempts measured from now on; None where none runs yet, False where one can't be."""
        attempt = self.attempts.get(job_id)
        is_measured = None if attempt is None else attempt.profile()
        if is_measured is not False:
            self._profiled.add(job_id)
        return is_measured

    async def submit(self, job: Job, dedupe_key: str, *, join: bool, profile: bool = False) -> Receipt:
        """Store a checked job, or join or refuse the live one that does the same; joining resumes a paused one.

        Whoever asked may go away meanwhile: what is stored is made known and run all the same.
        """
        task = asyncio.create_task(self._submit(job, dedupe_key, join, profile))
        self._submissions.add(task)
        task.add_done_callback(self._submitted)
        return await asyncio.shield(task)

    def _submitted(self, task: asyncio.Task[Receipt]) -> None:
        self._submissions.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked hears of it, or has gone away

    async def _submit(self, job: Job, dedupe_key: str, join: bool, profile: bool) -> Receipt:
        inserted: Inserted | None = None
        is_reserved = job.state is JobState.QUEUED and self.dispatcher.reserve(job.queue)
        try:
            inserted = await self.store.insert(
                job,
                dedupe_key=dedupe_key,
                now=self.clock.now(),
                joins=join,
                start=self.dispatcher.start if is_reserved else None,
                note=lambda stored, previous: self._submission_entry(job, stored, previous),
            )
        except HistoryUnavailable as error:
            self.trouble.report(error)
            raise
        finally:
            claim = None if inserted is None else inserted.claim
            if is_reserved and claim is None:
                self.dispatcher.give_back(job.queue)
        stored = inserted.job
        self.dispatcher.want(stored.id, stored.queue)
        if profile:
            self.profile(stored.id)
        if claim is not None and claim.job.id == stored.id:
            self._published(stored, None)
        elif stored.state is not inserted.previous:
            self.changed(stored, inserted.previous)
        elif stored.state in (JobState.QUEUED, JobState.INTERRUPTED):
            self.dispatcher.wake(stored.queue)
        if claim is not None:
            self.dispatcher.started(claim)
        return Receipt(
            job_id=stored.id,
            correlation_id=stored.correlation_id,
            joined=inserted.is_joined,
            resumed=inserted.previous is JobState.PAUSED,
        )

    def _submission_entry(self, job: Job, stored: Job, previous: JobState | None) -> AuditEntry:
        result = f"job {stored.id}" if previous is None else f"joined job {stored.id}"
        if previous is JobState.PAUSED:
            result += ", which was paused and goes on"
        return self.around.gate.entry(job.origin, "jobs.submit", f"{job.kind}: {job.title}", result)

    async def set_queue(self, name: str, *, is_paused: bool | None, concurrency: int | None, origin: str) -> QueueView:
        """Change a queue, durably, then live."""
        queue = self.dispatcher.queue(name)
        paused = queue.is_paused if is_paused is None else is_paused
        slots = queue.concurrency if concurrency is None else concurrency
        text = f"{slots} slots, {'paused' if paused else 'open'}"
        entry = self.around.gate.entry(origin, "queues.set", name, text)
        await self.store.save_queue(name, concurrency=slots, is_paused=paused, entry=entry)
        queue.is_paused, queue.concurrency = paused, slots
        self.dispatcher.wake(name)
        self._publish_queues_now()
        return queue.view()

    def _publish_queues_now(self) -> None:
        if self._queues_timer is not None:
            self._queues_timer.cancel()
        self._publish_queues()

    async def wait_ended(self, job_id: int, timeout_s: float) -> Job | None:
        """Return the job as its running attempt leaves it, None if that takes longer."""
        future: asyncio.Future[Job | None] = asyncio.get_running_loop().create_future()
        self._ended.setdefault(job_id, []).append(future)
        done, _ = await asyncio.wait({future}, timeout=timeout_s)
        return future.result() if done else None

    async def drain(self, patience_s: float, hurry: asyncio.Event) -> None:
        """Claim nothing more and let running jobs reach an end or a safe point; ``hurry`` cuts the patience short."""
        self.is_draining = True
        self.bus.drain()
        await self.dispatcher.stop()
        await asyncio.gather(*self._submissions, return_exceptions=True)
        for attempt in tuple(self.attempts.values()):
            attempt.ask(Wish.DRAIN, patience_s)
        hurried = asyncio.create_task(hurry.wait())
        while self._slots:
            waiting: set[asyncio.Task[object]] = {*self._slots}
            if not hurried.done():
                waiting.add(hurried)
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if hurried.done():
                for attempt in tuple(self.attempts.values()):
                    attempt.press()
                await self._last_call()
                break
        hurried.cancel()

    async def _last_call(self) -> None:
        """Give cancelled jobs a moment for their clean-up and the history one for their endings."""
        if self._slots:
            await asyncio.wait({*self._slots}, timeout=3.0)
        for slot in tuple(self._slots):
            slot.cancel()
        await asyncio.gather(*self._slots, return_exceptions=True)

    async def close(self) -> None:
        """Let submissions under way be answered and stop the timers."""
        await asyncio.gather(*self._submissions, return_exceptions=True)
        if self._queues_timer is not None:
            self._queues_timer.cancel()

    def _begin(self, claim: Claim) -> None:
        attempt = self._hands.take(claim, self.workers.get(claim.job.kind))
        self.attempts[claim.job.id] = attempt
        if claim.job.id in self._profiled:
            attempt.profile()
        self.changed(claim.job, claim.previous)
        if self.is_draining:
            attempt.ask(Wish.DRAIN)
        slot = asyncio.create_task(self._slot(attempt), name=f"slot-{claim.job.id}")
        self._slots.add(slot)
        slot.add_done_callback(self._slots.discard)

    async def _slot(self, attempt: Doing) -> None:
        claim = attempt.claim
        job: Job | None = None
        try:
            ending = await attempt.run()
            asyncio.get_running_loop().call_soon(self.dispatcher.freed, claim.job.queue)
            job = await self._record(claim, ending)
            if job is not None:
                self.changed(job, JobState.RUNNING)
        except Exception:
            log.exception("job %d: its ending could not be recorded", claim.job.id)
        finally:
            if self.attempts.get(claim.job.id) is attempt:
                del self.attempts[claim.job.id]
            for future in self._ended.pop(claim.job.id, ()):
                if not future.done():
                    future.set_result(job)

    async def _record(self, claim: Claim, ending: Ending) -> Job | None:
        """Make an ending durable; while the disk refuses it is kept here and told again when there is room."""
        while True:
            try:
                return await self.store.finish(
                    claim.job.id, claim.number, ending, owner=self.owner, now=self.clock.now()
                )
            except HistoryUnavailable as error:
                self.trouble.report(error)
                await self.trouble.wait_well()
            except ConsoleError as error:
                log.warning("job %d: %s", claim.job.id, error.message)
                return None
