"""An attempt in the hands of an executor, seen by the engine like one of its own: asked to end, mirrored, ended.

The slot stays taken while another process works. Limits are kept where the work is done. When the engine is stopped
it only lets go: the run goes on, and the next engine's attempt joins it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Protocol

from msgspec import structs

from qsuite_console.engine import parameters, retry
from qsuite_console.engine.handing_ports import Executor, NotOut
from qsuite_console.engine.ports import Claim, Ending, Worker
from qsuite_console.engine.runner import Attempt, Surroundings, Wish, failed
from qsuite_console.model.errors import ConsoleError, HistoryUnavailable, ReadOnly
from qsuite_console.model.jobs import Job, LogLine, Outcome, Progress
from qsuite_console.model.text import clean

UNASKED: Final = "others may have it, and on a read-only target they are not asked"
LET_GO: Final = "the engine was stopped; the work goes on elsewhere"
log = logging.getLogger(__name__)


class Doing(Protocol):
    """A claim being worked on, here or elsewhere."""

    claim: Claim

    async def run(self) -> Ending:
        """Return how it ended; never raises for anything the work does."""
        ...

    def ask(self, wish: Wish, patience_s: float = 0.0) -> None:
        """Ask it to end."""
        ...

    def press(self) -> None:
        """Stop waiting for a safe point."""
        ...

    def profile(self) -> bool:
        """Measure from now on where its time goes; tells whether that can be done."""
        ...


class Hands:
    """Who does the jobs of each queue. ``slots``: how many jobs of a queue run here though others do the rest.

    ``rejoiner`` is for jobs that were handed out before the settings made their queue local: somebody may have them.
    """

    def __init__(
        self,
        executors: Mapping[str, Executor],
        rejoiner: Executor | None,
        slots: Mapping[str, int],
        around: Surroundings,
    ) -> None:
        self._executors = executors
        self._rejoiner = rejoiner
        self._around = around
        self._here = {name: asyncio.Semaphore(max(1, slots.get(name, 1))) for name in executors}

    def over(self, job: Job, *, is_followed: bool) -> None:
        """Take note of a job's end: where nobody follows it, a run of it that goes on elsewhere shall end too."""
        executor = self._executors.get(job.queue, self._rejoiner)
        if executor is not None and job.handed_out and not is_followed:
            executor.drop(job)

    def take(self, claim: Claim, worker: Worker | None) -> Doing:
        """Return what will do a claim."""
        executor = self._executors.get(claim.job.queue)
        if worker is not None and executor is None and self._rejoiner is not None and claim.job.handed_out:
            return Handoff(claim, worker, self._rejoiner, self._around, is_past=True)
        if executor is None or worker is None:
            return Attempt(claim, worker, self._around)
        if parameters.needs_host(worker.kind, claim.job.parameters):
            return _Here(Attempt(claim, worker, self._around), self._here[claim.job.queue], self._around)
        return Handoff(claim, worker, executor, self._around)


class _Here:
    """An attempt that must run on this machine, within the slots that its queue has here."""

    def __init__(self, attempt: Attempt, slots: asyncio.Semaphore, around: Surroundings) -> None:
        self.claim = attempt.claim
        self._attempt = attempt
        self._slots = slots
        self._around = around
        self._wished = asyncio.Event()

    async def run(self) -> Ending:
        kind = self.claim.job.kind
        _note(self._around, self.claim, f"{kind} needs this machine: it is not handed to others", "INFO")
        waiting = [asyncio.ensure_future(self._slots.acquire()), asyncio.ensure_future(self._wished.wait())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        waiting[1].cancel()
        try:
            return await self._attempt.run()  # a wish that came before ends it at once
        finally:
            if waiting[0].done():
                self._slots.release()
            else:
                waiting[0].cancel()

    def ask(self, wish: Wish, patience_s: float = 0.0) -> None:
        self._attempt.ask(wish, patience_s)
        self._wished.set()

    def press(self) -> None:
        self._attempt.press()

    def profile(self) -> bool:
        return self._attempt.profile()


class Handoff:
    """One claim that an executor has in hand; implements ``handing_ports.Following`` for it.

    ``is_past``: it was handed out once, and is done here as soon as nobody has it any more.
    """

    def __init__(
        self, claim: Claim, worker: Worker, executor: Executor, around: Surroundings, *, is_past: bool = False
    ) -> None:
        self.claim = claim
        self.kind = worker.kind
        self.wish: Wish | None = None
        self.wished = asyncio.Event()
        self._worker = worker
        self._executor = executor
        self._is_past = is_past
        self._around = around
        self._progress = claim.job.progress
        self._task: asyncio.Task[Ending | NotOut] | None = None
        self._attempt: Attempt | None = None
        self._is_over = False

    async def run(self) -> Ending:
        """Have it done and return how it ended; never raises for anything its executor does."""
        started = self._around.clock.monotonic()
        ending = await self._follow()
        self._is_over = True
        self._around.bus.settle_progress(self.claim.job.id)
        if ending.progress == Progress():
            ending = structs.replace(ending, progress=structs.replace(self._progress, rate=None, eta_s=None))
        if ending.retry_in_s is not None:
            at = self._around.clock.now() + timedelta(seconds=ending.retry_in_s)
            ending = structs.replace(ending, retry_at=at, reason=retry.reason(self.claim.job, at))
        return structs.replace(ending, run_s=ending.run_s or self._around.clock.monotonic() - started)

    async def _follow(self) -> Ending:
        try:
            self._around.gate.check_start(self.claim.job.kind, changes_data=self.kind.changes_data or self._is_past)
        except ReadOnly as error:
            return Ending(outcome=Outcome.PAUSED, reason=error.message if self.kind.changes_data else UNASKED)
        if self.wish is Wish.DRAIN:
            return Ending(outcome=Outcome.INTERRUPTED, reason="the engine was stopped before it began")
        self._task = asyncio.create_task(self._hand_out(), name=f"handoff-{self.claim.job.id}")
        await asyncio.wait({self._task})
        if self._task.cancelled():
            return Ending(outcome=Outcome.INTERRUPTED, reason=LET_GO)
        failure = self._task.exception()
        if failure is None:
            ended = self._task.result()
            return await self._do_here(ended) if isinstance(ended, NotOut) else ended
        if not isinstance(failure, ConsoleError):
            log.error("following job %d failed", self.claim.job.id, exc_info=failure)
        text = retry.describe(failure)
        ending = failed(self.claim.job, self._around, Outcome.FAILED, failure, text)
        self.say(f"attempt {self.claim.number}: {text}", "WARNING" if ending.retry_at is not None else "ERROR")
        return ending

    async def _hand_out(self) -> Ending | NotOut:
        """Note it before others can have it: an engine whose settings are others must look for it."""
        if not self._is_past:
            await self._patiently(lambda: self._around.store.hand_out(self.claim.job.id, self.claim.number))
        return await self._executor.run(self)

    async def _do_here(self, found: NotOut) -> Ending:
        job_id, number = self.claim.job.id, self.claim.number
        await self._patiently(lambda: self._around.store.hand_out(job_id, number, is_out=False))
        checkpoint = self.claim.checkpoint if found.checkpoint is None else found.checkpoint
        claim = structs.replace(self.claim, checkpoint=checkpoint)
        self._attempt = Attempt(claim, self._worker, self._around)
        if self.wish is not None:
            self._attempt.ask(self.wish)
        return await self._attempt.run()

    def ask(self, wish: Wish, patience_s: float = 0.0) -> None:
        """Pass a wish on; a stopping engine only lets go, at once."""
        if self._attempt is not None:
            self._attempt.ask(wish, patience_s)
            return
        if self._is_over or self.wish in (Wish.CANCEL, wish):
            return
        if wish is Wish.DRAIN:
            if self.wish is None and self._task is not None:
                self._task.cancel()
            self.wish = self.wish or wish
            return
        self.wish = wish
        self.wished.set()

    def profile(self) -> bool:
        """Say no where its time is spent in another process."""
        return self._attempt is not None and self._attempt.profile()

    def press(self) -> None:
        """Let go."""
        if self._attempt is not None:
            self._attempt.press()
        elif self._task is not None:
            self._task.cancel()

    @property
    def is_cancel_wished(self) -> bool:
        """Say whether it shall end now."""
        return self.wish is Wish.CANCEL

    @property
    def is_pause_wished(self) -> bool:
        """Say whether it shall end at its next safe point."""
        return self.wish is Wish.PAUSE

    def show(self, progress: Progress) -> None:
        """Make its progress known."""
        self._progress = progress
        if not self._is_over:
            self._around.store.note_progress(self.claim.job.id, progress)
            self._around.bus.progress(self.claim.job.id, lambda: self._progress)

    def say(self, message: str, level: str = "INFO") -> None:
        """Add a line of the engine's own to its log."""
        _note(self._around, self.claim, message, level)

    def log(self, lines: Sequence[LogLine]) -> None:
        """Add lines of its worker to its log."""
        job_id, number = self.claim.job.id, self.claim.number
        self._around.store.note_logs([structs.replace(line, job_id=job_id, number=0, attempt=number) for line in lines])

    async def save(self, checkpoint: Mapping[str, Any]) -> None:
        """Make its newest checkpoint durable in the history; while the disk is full this waits for room."""
        job_id, number = self.claim.job.id, self.claim.number
        await self._patiently(lambda: self._around.store.save_checkpoint(job_id, number, checkpoint))

    async def _patiently(self, write: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await write()
                return
            except HistoryUnavailable as error:
                self._around.trouble.report(error)
                await self._around.trouble.wait_well()


def _note(around: Surroundings, claim: Claim, message: str, level: str) -> None:
    line = LogLine(
        job_id=claim.job.id,
        number=0,
        at=around.clock.now(),
        level=level,
        message=clean(message, 2000),
        attempt=claim.number,
    )
    around.store.note_logs((line,))
