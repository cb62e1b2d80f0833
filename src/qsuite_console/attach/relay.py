"""Control of whichever engine is the present one: screens keep theirs while the engine moves to another process.

While it moves the last state stays readable, with what happens as its trouble, and questions are refused.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from qsuite_console.engine.control import Control
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.errors import EngineGone
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


class Relay:
    """Leads to ``control`` until ``lead_to`` names another one; ``stand`` in between."""

    def __init__(self, control: Control) -> None:
        self._lock = threading.Lock()  # guards what follows: the screen looks while another thread moves the engine
        self._control = control
        self._why = ""  # nothing may be asked, "" when it may
        self._heard = (control.state, "")  # as the engine told it, and as it was told on
        self._told = control.state
        self._base = 0  # of our numbers: another engine's begin anew, ours go on, with a gap between
        self._newest = 0

    def stand(self, why: str) -> None:
        """Ask the engine nothing more, only look at it; ``why`` is shown, and what every question is refused with."""
        with self._lock:
            self._why = why

    def lead_to(self, control: Control) -> None:
        """Lead to an engine: whoever follows facts sees a gap, and reads everything anew."""
        with self._lock:
            self._control = control
            self._why = ""
            self._base = self._newest + 1

    @property
    def state(self) -> ConsoleState:
        """Return the newest state; the very same object until there is another."""
        with self._lock:
            heard = self._control.state
            if heard is not self._heard[0] or self._why != self._heard[1]:
                self._heard = heard, self._why
                trouble, sequence = self._why or heard.trouble, self._told.sequence + 1
                self._told = msgspec.structs.replace(heard, trouble=trouble, sequence=sequence)
            return self._told

    def events(self, after: int) -> tuple[int, tuple[AnyEvent, ...]]:
        """Return (newest number, facts after ``after``); fewer than their difference means a gap."""
        with self._lock:
            newest, facts = self._control.events(max(0, after - self._base))
            self._newest = self._base + newest
            return self._newest, facts

    async def kinds(self) -> tuple[KindInfo, ...]:
        """Return every kind of job with its parameters."""
        return await self._through(lambda to: to.kinds())

    async def check(self, kind: str, parameters: Mapping[str, Any]) -> tuple[FieldProblem, ...]:
        """Validate parameters as they are typed."""
        return await self._through(lambda to: to.check(kind, parameters))

    async def plan(self, kind: str, parameters: Mapping[str, Any]) -> Plan:
        """Return what the job would do."""
        return await self._through(lambda to: to.plan(kind, parameters))

    async def submit(self, submission: Submission) -> Receipt:
        """Make a job; it is durable when this returns."""
        return await self._through(lambda to: to.submit(submission))

    async def act(self, action: JobAction, job_ids: Sequence[int], *, origin: str = "") -> tuple[ActionResult, ...]:
        """Do one thing to some jobs; one answer for each."""
        return await self._through(lambda to: to.act(action, job_ids, origin=origin))

    async def jobs(self, query: JobQuery) -> JobPage:
        """Return a page of jobs, newest first."""
        return await self._through(lambda to: to.jobs(query))

    async def job(self, job_id: int) -> JobDetail:
        """Return everything about one job; raises NotFound."""
        return await self._through(lambda to: to.job(job_id))

    async def logs(self, job_id: int, *, after: int = 0, limit: int = 500) -> tuple[LogLine, ...]:
        """Return the job's log lines numbered above ``after``."""
        return await self._through(lambda to: to.logs(job_id, after=after, limit=limit))

    async def set_queue(
        self, name: str, *, is_paused: bool | None = None, concurrency: int | None = None, origin: str = ""
    ) -> QueueView:
        """Pause, resume or resize a queue, live."""
        return await self._through(
            lambda to: to.set_queue(name, is_paused=is_paused, concurrency=concurrency, origin=origin)
        )

    async def statistics(self, window_s: float) -> Statistics:
        """Return success, failure and duration figures over a window."""
        return await self._through(lambda to: to.statistics(window_s))

    async def ask(self, probe: str, parameters: Mapping[str, Any]) -> msgspec.Struct:
        """Put a named read-only question."""
        return await self._through(lambda to: to.ask(probe, parameters))

    async def operations(self) -> tuple[OperationInfo, ...]:
        """Return what can be changed on the platform at once, with parameters, by name."""
        return await self._through(lambda to: to.operations())

    async def propose(self, operation: str, parameters: Mapping[str, Any], *, origin: str = "") -> Proposal:
        """Return what an operation would do now, changing nothing."""
        return await self._through(lambda to: to.propose(operation, parameters, origin=origin))

    async def perform(
        self, operation: str, parameters: Mapping[str, Any], *, confirmation: str = "", origin: str = ""
    ) -> Outcome:
        """Do it, with the proposal's parameters and what it wants typed."""
        return await self._through(
            lambda to: to.perform(operation, parameters, confirmation=confirmation, origin=origin)
        )

    async def _through(self, asking: Callable[[Control], Awaitable[T]]) -> T:
        control = self._control
        if self._why:
            raise EngineGone(self._why, hint="ask again in a moment")
        try:
            return await asking(control)
        except asyncio.CancelledError:  # by the end of the engine's loop, unless it is the caller who gave up
            task = asyncio.current_task()
            if (self._control is control and not self._why) or (task is not None and task.cancelling()):
                raise
            raise EngineGone("the engine went to another process meanwhile", hint="ask again") from None
