"""The whole contract between a front end and an engine, wherever that runs.

``Control`` is implemented in process (``engine.local``) and over the socket of another process (``attach``). Every
coroutine may be awaited on any event loop; ``state`` and ``events`` may be read from any thread at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from qsuite_console.engine.state import ConsoleState
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


class Control(Protocol):
    """Ask, and be told. Raises only ``model.errors``."""

    @property
    def state(self) -> ConsoleState:
        """The newest whole state; frozen, replaced as a whole."""
        ...

    def events(self, after: int) -> tuple[int, tuple[AnyEvent, ...]]:
        """Return (newest sequence, facts after ``after``) from a bounded ring; a gap means: read ``state`` anew."""
        ...

    async def kinds(self) -> tuple[KindInfo, ...]:
        """Return every kind of job with its parameters."""
        ...

    async def check(self, kind: str, parameters: Mapping[str, Any]) -> tuple[FieldProblem, ...]:
        """Validate parameters as they are typed; no I/O."""
        ...

    async def plan(self, kind: str, parameters: Mapping[str, Any]) -> Plan:
        """Return what the job would do."""
        ...

    async def submit(self, submission: Submission) -> Receipt:
        """Make a job; it is durable when this returns."""
        ...

    async def act(self, action: JobAction, job_ids: Sequence[int], *, origin: str = "") -> tuple[ActionResult, ...]:
        """Do one thing to some jobs; one answer for each."""
        ...

    async def jobs(self, query: JobQuery) -> JobPage:
        """Return a page of jobs, newest first."""
        ...

    async def job(self, job_id: int) -> JobDetail:
        """Return everything about one job; raises NotFound."""
        ...

    async def logs(self, job_id: int, *, after: int = 0, limit: int = 500) -> tuple[LogLine, ...]:
        """Return the job's log lines numbered above ``after``."""
        ...

    async def set_queue(
        self, name: str, *, is_paused: bool | None = None, concurrency: int | None = None, origin: str = ""
    ) -> QueueView:
        """Pause, resume or resize a queue, live."""
        ...

    async def statistics(self, window_s: float) -> Statistics:
        """Return success, failure and duration figures over a window."""
        ...

    async def ask(self, probe: str, parameters: Mapping[str, Any]) -> msgspec.Struct:
        """Put a named read-only question."""
        ...

    async def operations(self) -> tuple[OperationInfo, ...]:
        """Return what can be changed on the platform at once, with parameters, by name."""
        ...

    async def propose(self, operation: str, parameters: Mapping[str, Any], *, origin: str = "") -> Proposal:
        """Return what an operation would do now, changing nothing; raises ReadOnly where it may not be done."""
        ...

    async def perform(
        self, operation: str, parameters: Mapping[str, Any], *, confirmation: str = "", origin: str = ""
    ) -> Outcome:
        """Do it, with the proposal's parameters and what it wants typed.

        Raises ReadOnly, Unconfirmed, Conflict or NotFound (refused: nothing was changed), TimedOut (nobody knows), and
        any other ConsoleError for what failed.
        """
        ...
