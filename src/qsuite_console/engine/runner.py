"""One attempt from claim to ending. The worker runs in a task of its own; whatever it does — return, raise, hang,
swallow its cancellation — this side decides in time how the attempt ended and gives the slot back.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from qsuite_console.engine import parameters, retry
from qsuite_console.engine.around import Around
from qsuite_console.engine.bus import Bus
from qsuite_console.engine.context import RunContext
from qsuite_console.engine.gate import Gate
from qsuite_console.engine.joblog import AttemptLog, JobLogHandler
from qsuite_console.engine.metering import Meter
from qsuite_console.engine.ports import DRAINED, Claim, Ending, Permanent, SoftTimeLimit, Store, Worker
from qsuite_console.engine.profiling import JobProfile
from qsuite_console.engine.trouble import Trouble
from qsuite_console.logs import REDACTOR, current_job
from qsuite_console.model import units
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import ConsoleError, ReadOnly
from qsuite_console.model.jobs import Job, Outcome
from qsuite_console.model.text import clean

PAUSE_PATIENCE_S: Final = 2.0  # for a job to reach a safe point by itself
RECANCEL_S: Final = 1.0
STOP_PATIENCE_S: Final = 10.0  # for clean-up after a cancellation
HARD_PATIENCE_S: Final = 1.0
log = logging.getLogger(__name__)


class Wish(StrEnum):
    """Why an attempt should end before its work does."""

    CANCEL = "cancel"
    PAUSE = "pause"
    DRAIN = DRAINED
    SOFT = "soft limit"
    HARD = "hard limit"


_OUTCOMES: Final[Mapping[Wish, Outcome]] = {
    Wish.CANCEL: Outcome.CANCELLED,
    Wish.PAUSE: Outcome.PAUSED,
    Wish.DRAIN: Outcome.INTERRUPTED,
    Wish.SOFT: Outcome.SOFT_TIMEOUT,
    Wish.HARD: Outcome.HARD_TIMEOUT,
}
_REASONS: Final[Mapping[Wish, str]] = {
    Wish.PAUSE: "paused by the operator",
    Wish.DRAIN: "the engine was stopped",
}


class _SoftCancel(SoftTimeLimit, asyncio.CancelledError):
    """Both at once: a worker may catch SoftTimeLimit, and task groups between see the cancellation they rely on."""


class WorkerExit(Exception):
    """A worker called for the end of the process (sys.exit): that ends its attempt only."""


class _Driven:
    """Drives a worker's coroutine and decides which exception its cancellation becomes at the await it waits in."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], attempt: Attempt) -> None:
        self._coroutine = coroutine
        self._attempt = attempt

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine = self._coroutine
        try:
            waited = self._step(coroutine.send, None)
            while True:
                try:
                    answer = yield waited
                except asyncio.CancelledError as error:
                    waited = self._step(coroutine.throw, self._attempt.translate(error))
                except BaseException as error:
                    waited = self._step(coroutine.throw, error)
                else:
                    waited = self._step(coroutine.send, answer)
        except StopIteration as end:
            return end.value
        except (SystemExit, KeyboardInterrupt) as error:
            raise WorkerExit(f"the worker tried to end the process ({type(error).__name__}: {error})") from error

    def _step(self, resume: Callable[[Any], Any], given: Any) -> Any:
        profile = self._attempt.measured
        return resume(given) if profile is None else profile.step(resume, given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every attempt of an engine shares."""

    store: Store
    bus: Bus
    clock: Clock
    trouble: Trouble
    gate: Gate
    meter: Meter
    logs: JobLogHandler
    dice: random.Random


class Attempt:
    """One claim being worked on."""

    def __init__(self, claim: Claim, worker: Worker | None, around: Around) -> None:
        self.claim = claim
        self.wish: Wish | None = None
        self.measured: JobProfile | None = None
        self._worker = worker
        self._around = around
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._task: asyncio.Task[Any] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._is_soft_due = False
        self._is_cancelling = False
        self._context = RunContext(
            claim, store=around.store, bus=around.bus, clock=around.clock, trouble=around.trouble
        )
        self._context.on_safe_point = self._cancel

    async def run(self) -> Ending:
        """Work and return how it ended; never raises for anything the worker does."""
        around, job = self._around, self.claim.job
        started, cpu, memory = around.clock.monotonic(), around.meter.cpu_s(), around.meter.resident()
        lines = AttemptLog(job.id, self.claim.number, around.store.note_logs, correlation_id=job.correlation_id)
        around.logs.open(job.id, lines)
        try:
            error, result = await self._work()
        finally:
            for timer in self._timers:
                timer.cancel()
            around.logs.shut(job.id, lines)
        ending = self._ending(error, result)
        if ending.error is not None:
            level = "WARNING" if ending.retry_at is not None else "ERROR"
            lines.add(level, f"attempt {self.claim.number}: {ending.error}", around.clock.now(), collapses=False)
        for line in self._found(around.clock.monotonic() - started):
            lines.add("INFO", line, around.clock.now(), collapses=False)
        lines.close(around.clock.now())
        progress = self._context.measured()
        self._context.close()
        return msgspec.structs.replace(
            ending,
            run_s=around.clock.monotonic() - started,
            cpu_s=around.meter.cpu_s() - cpu,
            memory_delta=around.meter.resident() - memory,
            progress=progress,
        )

    def ask(self, wish: Wish, patience_s: float = 0.0) -> None:
        """Ask the attempt to end: at its next safe point, at the latest after ``patience_s`` by cancellation."""
        if self._over.done() or self.wish in (Wish.CANCEL, wish):
            return
        if wish is Wish.DRAIN and self.wish is not None:
            return  # it is on its way out for a reason that a shutdown must not blur
        self.wish = wish
        self._context.is_stop_wished = wish in (Wish.PAUSE, Wish.DRAIN)
        if patience_s > 0:
            self._after(patience_s, self._cancel)
        else:
            self._cancel()

    def profile(self) -> bool:
        """Measure from now on where its time goes, for its log; tells whether that can be done."""
        if self.measured is None and not self._over.done():
            self.measured = JobProfile()
            self.measured.start(self._key)
        return self.measured is not None

    def _found(self, run_s: float) -> Iterable[str]:
        """Return what was measured, where somebody asked."""
        if self.measured is None:
            return ()
        self.measured.stop(self._key)
        return self.measured.lines(run_s)

    @property
    def _key(self) -> tuple[int, str]:
        return self.claim.job.id, self.claim.job.correlation_id

    def press(self) -> None:
        """Stop waiting for a safe point: cancel now."""
        if self.wish is not None:
            self._cancel()

    def translate(self, error: asyncio.CancelledError) -> BaseException:
        """Return what a cancellation becomes inside the worker: SoftTimeLimit where the soft limit sent it."""
        if not self._is_soft_due:
            return error
        self._is_soft_due = False
        if self._task is not None:
            self._task.uncancel()
        limit = self._worker.kind.soft_limit_s if self._worker else 0.0
        return _SoftCancel(f"the soft limit of {_words(limit)} has passed")

    async def _work(self) -> tuple[BaseException | None, Any]:
        job, worker = self.claim.job, self._worker
        if worker is None:
            return Permanent(
                f"no worker knows the kind {job.kind}", hint="is the package that brings it installed?"
            ), None
        try:
            self._around.gate.check_start(job.kind, changes_data=worker.kind.changes_data)
            decoded = parameters.decode(worker.kind.parameters, job.parameters)
        except ConsoleError as error:
            return error, None
        if self.wish is not None:
            return asyncio.CancelledError("stopped before it began"), None
        context = contextvars.copy_context()
        context.run(current_job.set, (job.id, job.correlation_id))
        self._task = self._loop.create_task(self._drive(worker, decoded), name=f"job-{job.id}", context=context)
        self._task.add_done_callback(self._done)
        self._arm(worker.kind.soft_limit_s, worker.kind.hard_limit_s)
        await self._over
        if not self._task.done():
            return asyncio.CancelledError("it did not stop and was left behind"), None
        if self._task.cancelled():
            return asyncio.CancelledError("cancelled"), None
        failure = self._task.exception()
        return (failure, None) if failure is not None else (None, self._task.result())

    async def _drive(self, worker: Worker, decoded: Any) -> Any:
        return await _Driven(worker.run(self._context, decoded), self)

    def _done(self, task: asyncio.Task[Any]) -> None:
        if not self._over.done():
            self._over.set_result(None)
        elif not task.cancelled() and (error := task.exception()) is not None:
            log.warning("job %d, left behind earlier, ended: %s", self.claim.job.id, clean(error, 300))

    def _arm(self, soft_s: float, hard_s: float) -> None:
        if 0 < soft_s < hard_s:
            self._after(soft_s, lambda: self._soft(hard_s - soft_s))
        elif hard_s > 0:
            self._after(hard_s, self._hard)

    def _after(self, delay_s: float, call: Any) -> None:
        self._timers.append(self._loop.call_later(delay_s, call))

    def _soft(self, grace_s: float) -> None:
        self._after(grace_s, self._hard)
        if self.wish is None and self._task is not None and not self._task.done():
            self.wish = Wish.SOFT
            self._is_soft_due = True
            self._task.cancel(self.wish)

    def _hard(self) -> None:
        if self.wish is not Wish.CANCEL:
            self.wish = Wish.HARD
        self._is_soft_due = False
        self._cancel()
        self._after(HARD_PATIENCE_S, self._abandon)

    def _cancel(self) -> None:
        """Cancel now, again every second for those who swallow it, and leave the task behind after ten."""
        if self._task is None or self._over.done():
            return
        self._task.cancel(self.wish)
        if not self._is_cancelling:
            self._is_cancelling = True
            self._after(RECANCEL_S, self._recancel)
            self._after(STOP_PATIENCE_S, self._abandon)

    def _recancel(self) -> None:
        if self._task is not None and not self._over.done():
            self._task.cancel(self.wish)
            self._after(RECANCEL_S, self._recancel)

    def _abandon(self) -> None:
        if not self._over.done():
            log.error("job %d (%s) ignores its cancellation: its slot is freed", self.claim.job.id, self.claim.job.kind)
            self._over.set_result(None)

    def _ending(self, error: BaseException | None, result: Any) -> Ending:
        if error is None:
            return self._success(result)
        if isinstance(error, ReadOnly):
            return Ending(outcome=Outcome.PAUSED, reason=error.message)
        stopped = isinstance(error, asyncio.CancelledError | SoftTimeLimit)
        wish = self.wish
        if wish is None and stopped:
            wish = Wish.SOFT if isinstance(error, SoftTimeLimit) else None
        if wish is None:
            return self._failure(Outcome.FAILED, error, retry.describe(error))
        outcome = _OUTCOMES[wish]
        if wish in (Wish.SOFT, Wish.HARD):
            return self._failure(outcome, error, self._limit_text(wish, None if stopped else error))
        text = None if stopped else clean(REDACTOR.mask(retry.describe(error)), 1000)
        return Ending(outcome=outcome, reason=_REASONS.get(wish), error=text)

    def _limit_text(self, wish: Wish, error: BaseException | None) -> str:
        kind = self._worker.kind if self._worker else None
        limit = 0.0 if kind is None else (kind.soft_limit_s if wish is Wish.SOFT else kind.hard_limit_s)
        text = f"ran longer than its {wish.value} of {_words(limit)}"
        if self._task is not None and not self._task.done():
            text += " and ignored its cancellation"
        return text if error is None else f"{text}; then {retry.describe(error)}"

    def _success(self, result: Any) -> Ending:
        try:
            kept = msgspec.json.decode(msgspec.json.encode(dict(result or {})), type=dict[str, Any])
        except (TypeError, ValueError, msgspec.MsgspecError) as error:
            failure = Permanent(f"its result can't be kept: {error}")
            return self._failure(Outcome.FAILED, failure, str(failure))
        return Ending(outcome=Outcome.SUCCEEDED, result=kept)

    def _failure(self, outcome: Outcome, error: BaseException, text: str) -> Ending:
        return failed(self.claim.job, self._around, outcome, error, text)


def failed(job: Job, around: Around, outcome: Outcome, error: BaseException, text: str) -> Ending:
    """Return the ending of an attempt that failed: with the time of the next one, where there is one."""
    text = clean(REDACTOR.mask(text), 1000)
    at = retry.retry_at(error, tries=job.tries, max_attempts=job.max_attempts, now=around.clock.now(), dice=around.dice)
    if at is None:
        return Ending(outcome=outcome, error=text)
    kept = Outcome.RETRY if outcome is Outcome.FAILED else outcome
    return Ending(outcome=kept, error=text, reason=retry.reason(job, at), retry_at=at)


def _words(limit_s: float) -> str:
    """Return a time limit as it was set, from a minute on in minutes and hours."""
    return units.span(limit_s) if limit_s >= 60 else f"{limit_s:g} s"
