"""Control in the engine's own process. Requests are checked on the caller's loop, so that a flood of them costs the
engine's loop only what must happen there; reads go straight to the history.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

import msgspec

from qsuite_console.engine import actions, parameters
from qsuite_console.engine.core import Core
from qsuite_console.engine.intake import Intake, priority_of
from qsuite_console.engine.operating import Operating
from qsuite_console.engine.ports import Planner, Probe, Worker
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.errors import ConsoleError, InvalidParameters, NotFound, UsageProblem
from qsuite_console.model.events import AnyEvent
from qsuite_console.model.jobs import (
    ActionResult,
    JobAction,
    JobDetail,
    JobPage,
    JobQuery,
    LogLine,
    QueueView,
    Receipt,
    Statistics,
    Submission,
)
from qsuite_console.model.kinds import FieldProblem, KindInfo, Plan
from qsuite_console.model.operations import OperationInfo, Outcome, Proposal

T = TypeVar("T")
Call = Callable[[Coroutine[Any, Any, T]], "concurrent.futures.Future[T]"]
MOST_SLOTS: Final = 1000
AT_ONCE: Final = 16  # submissions of one caller and queue under way: enough to share commits, too few to crowd the loop


class LocalControl:
    """Implements ``Control``; made by the engine."""

    def __init__(
        self,
        core: Core,
        intake: Intake,
        probes: Mapping[str, Probe],
        operating: Operating,
        loop: asyncio.AbstractEventLoop,
        call: Call[Any],
    ) -> None:
        self._core = core
        self._probes = probes
        self._operating = operating
        self._loop = loop
        self._call = call
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Semaphore]] = WeakKeyDictionary()
        self._intake = intake

    @property
    def state(self) -> ConsoleState:
        """Return the newest whole state."""
        return self._core.bus.state

    def events(self, after: int) -> tuple[int, tuple[AnyEvent, ...]]:
        """Return (newest sequence, events after ``after``); fewer than the difference means a gap."""
        return self._core.bus.events(after)

    async def kinds(self) -> tuple[KindInfo, ...]:
        """Return every kind of job with its parameters."""
        return tuple(_info(worker) for _, worker in sorted(self._core.workers.items()))

    async def check(self, kind: str, parameters: Mapping[str, Any]) -> tuple[FieldProblem, ...]:
        """Validate parameters as they are typed; no I/O."""
        try:
            self._intake.decode(self._intake.worker(kind), parameters)
        except InvalidParameters as error:
            return tuple(FieldProblem(field=name, message=why) for name, why in error.problems.items())
        return ()

    async def plan(self, kind: str, parameters: Mapping[str, Any]) -> Plan:
        """Return what the job would do; on the engine's loop, where the connections live."""
        worker = self._intake.worker(kind)
        decoded = self._intake.decode(worker, parameters)
        if not isinstance(worker, Planner):
            raise UsageProblem(f"{kind} can't say beforehand what it would do", hint="run it without a plan")
        return await self._there(worker.plan(decoded))

    async def submit(self, submission: Submission) -> Receipt:
        """Make a job; it is durable when this returns."""
        core = self._core
        try:
            job, key = self._intake.job(submission)
            async with self._turn(job.queue):
                asked = core.submit(job, key, join=submission.join, profile=submission.profile)
                receipt: Receipt = await self._there(asked)
                return msgspec.structs.replace(receipt, estimated_s=self._intake.estimate_s(job))
        except ConsoleError as error:
            result = f"refused: {error.message}"
            await core.around.gate.record(submission.origin, "jobs.submit", submission.kind, result)
            raise

    async def act(self, action: JobAction, job_ids: Sequence[int], *, origin: str = "") -> tuple[ActionResult, ...]:
        """Do one thing to some jobs; one answer for each."""
        return await self._there(actions.act(self._core, action, job_ids, origin))

    async def jobs(self, query: JobQuery) -> JobPage:
        """Return a page of jobs, newest first."""
        return await self._core.store.jobs(query)

    async def job(self, job_id: int) -> JobDetail:
        """Return everything about one job; raises NotFound."""
        return await self._core.store.detail(job_id)

    async def logs(self, job_id: int, *, after: int = 0, limit: int = 500) -> tuple[LogLine, ...]:
        """Return the job's log lines numbered above ``after``."""
        return tuple(await self._core.store.logs(job_id, after=after, limit=limit))

    async def set_queue(
        self, name: str, *, is_paused: bool | None = None, concurrency: int | None = None, origin: str = ""
    ) -> QueueView:
        """Pause, resume or resize a queue, live."""
        if concurrency is not None and not 0 <= concurrency <= MOST_SLOTS:
            raise UsageProblem(f"{concurrency} is no number of slots", hint=f"0 to {MOST_SLOTS}")
        return await self._there(
            self._core.set_queue(name, is_paused=is_paused, concurrency=concurrency, origin=origin)
        )

    async def statistics(self, window_s: float) -> Statistics:
        """Return success, failure and duration figures over a window."""
        if not window_s > 0:
            raise UsageProblem("a window of statistics is longer than 0 seconds")
        return await self._core.store.statistics(window_s=window_s, now=self._core.clock.now())

    async def ask(self, probe: str, parameters: Mapping[str, Any]) -> msgspec.Struct:
        """Put a named read-only question, within its time limit; on the engine's loop, where the connections live."""
        found = self._probes.get(probe)
        if found is None:
            raise NotFound(
                f"there is no question {probe}", hint=f"known are {', '.join(sorted(self._probes)) or 'none'}"
            )
        return await self._there(_within(found, parameters))

    async def operations(self) -> tuple[OperationInfo, ...]:
        """Return what can be changed on the platform at once, with parameters, by name."""
        return self._operating.infos

    async def propose(self, operation: str, parameters: Mapping[str, Any], *, origin: str = "") -> Proposal:
        """Return what an operation would do now, changing nothing."""
        return await self._there(self._operating.propose(operation, parameters, origin))

    async def perform(
        self, operation: str, parameters: Mapping[str, Any], *, confirmation: str = "", origin: str = ""
    ) -> Outcome:
        """Do it, with the proposal's parameters and what it wants typed; it comes to its end also without us."""
        return await self._there(self._operating.perform(operation, parameters, confirmation, origin))

    def _turn(self, queue: str) -> asyncio.Semaphore:
        """Bound what one caller's flood of one queue has under way, so that the engine's loop never chokes on it."""
        turns = self._turns.setdefault(asyncio.get_running_loop(), {})
        return turns.setdefault(queue, asyncio.Semaphore(AT_ONCE))

    async def _there(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run on the engine's loop and wait here."""
        if asyncio.get_running_loop() is self._loop:
            return await coroutine
        result: T = await asyncio.wrap_future(self._call(coroutine))
        return result


async def _within(probe: Probe, parameters: Mapping[str, Any]) -> msgspec.Struct:
    try:
        async with asyncio.timeout(probe.timeout_s):
            return await probe.ask(parameters)
    except TimeoutError as error:
        raise ConsoleError(
            f"{probe.name} did not answer within {probe.timeout_s:g} s", hint="the system it asks may be down or busy"
        ) from error


def _info(worker: Worker) -> KindInfo:
    kind = worker.kind
    return KindInfo(
        name=kind.name,
        title=kind.title,
        description=kind.description,
        queue=kind.queue,
        priority=priority_of(None, kind, kind.queue),
        soft_limit_s=kind.soft_limit_s,
        hard_limit_s=kind.hard_limit_s,
        max_attempts=kind.max_attempts,
        parameters=parameters.describe(kind.parameters),
        can_plan=isinstance(worker, Planner),
        changes_data=kind.changes_data,
    )
