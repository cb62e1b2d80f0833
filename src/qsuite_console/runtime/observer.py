"""A Control that only looks: for a history whose owner is alive but whose engine does not answer on its socket.

It reads the history's files beside their owner, never writes, and refuses every change by naming who may make it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import msgspec

from qsuite_console import __version__
from qsuite_console.config.settings import Settings
from qsuite_console.engine.state import RECENT_LIMIT, ConsoleState
from qsuite_console.history.audit import AuditProbe
from qsuite_console.history.lock import describe_owner
from qsuite_console.history.reader import HistoryReader, open_reader
from qsuite_console.metrics.schedules import PROBES, Answers
from qsuite_console.model.clock import Clock, SystemClock
from qsuite_console.model.errors import ConsoleError, ReadOnly
from qsuite_console.model.events import AnyEvent
from qsuite_console.model.jobs import (
    TERMINAL,
    ActionResult,
    JobAction,
    JobDetail,
    JobPage,
    JobQuery,
    JobState,
    LogLine,
    QueueView,
    Receipt,
    Statistics,
    Submission,
)
from qsuite_console.model.kinds import FieldProblem, KindInfo, Plan
from qsuite_console.model.operations import OperationInfo, Outcome, Proposal
from qsuite_console.paths import Paths
from qsuite_console.runtime.composition import view_target

REFRESH_S: Final = 1.0
_HINT: Final = "wait for it, stop that process, or set QSUITE_CONSOLE_HOME for an instance of your own"
_log: Final = logging.getLogger(__name__)


@contextmanager
def open_observer(
    settings: Settings, paths: Paths, *, owner: str = "", clock: Clock | None = None
) -> Iterator[ObserverControl]:
    """Look at the instance's history until the block ends; raises HistoryUnavailable where there is none."""
    reader = open_reader(paths.history)
    clock = clock or SystemClock()
    named = owner or describe_owner(paths.history) or "another process"
    base = ConsoleState(
        target=view_target(settings),
        version=__version__,
        owner=named,
        is_attached=True,
        is_read_only=True,
        forbids=f"read-only: {named} owns this history and its engine does not answer\n{_HINT}",
    )
    control = ObserverControl(reader, base, clock)
    try:
        control.start()
        yield control
    finally:
        control.stop()
        reader.close()


class _Refusal:
    """The half of Control that needs an engine: refused, naming who has it."""

    _state: ConsoleState

    async def check(self, kind: str, parameters: Mapping[str, Any]) -> tuple[FieldProblem, ...]:
        """Refuse."""
        self._refuse()

    async def plan(self, kind: str, parameters: Mapping[str, Any]) -> Plan:
        """Refuse."""
        self._refuse()

    async def submit(self, submission: Submission) -> Receipt:
        """Refuse."""
        self._refuse()

    async def act(self, action: JobAction, job_ids: Sequence[int], *, origin: str = "") -> tuple[ActionResult, ...]:
        """Refuse."""
        self._refuse()

    async def set_queue(
        self, name: str, *, is_paused: bool | None = None, concurrency: int | None = None, origin: str = ""
    ) -> QueueView:
        """Refuse."""
        self._refuse()

    async def operations(self) -> tuple[OperationInfo, ...]:
        """Return nothing: nothing can be changed from here."""
        return ()

    async def propose(self, operation: str, parameters: Mapping[str, Any], *, origin: str = "") -> Proposal:
        """Refuse."""
        self._refuse()

    async def perform(
        self, operation: str, parameters: Mapping[str, Any], *, confirmation: str = "", origin: str = ""
    ) -> Outcome:
        """Refuse."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ReadOnly(self._state.forbids.partition("\n")[0], hint=_HINT)


class ObserverControl(_Refusal):
    """Lists, details, logs and statistics; everything else is refused with ReadOnly."""

    def __init__(self, reader: HistoryReader, base: ConsoleState, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._quiet = f"{base.owner} owns this history but does not answer; looking only"
        self._state = msgspec.structs.replace(base, trouble=self._quiet)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self._follower: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Read the first state, raising HistoryUnavailable, and go on reading every second."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result()

    def stop(self) -> None:
        """Stop reading."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop)
            self._thread.join(5.0)

    @property
    def state(self) -> ConsoleState:
        """Return what the files said last."""
        return self._state

    def events(self, after: int) -> tuple[int, tuple[AnyEvent, ...]]:
        """Return no facts: files have states, not events; ``state`` is to be read anew."""
        return self._state.sequence, ()

    async def kinds(self) -> tuple[KindInfo, ...]:
        """Return nothing: no job can be made here."""
        return ()

    async def jobs(self, query: JobQuery) -> JobPage:
        """Return a page of jobs, newest first."""
        return await self._reader.jobs(query)

    async def job(self, job_id: int) -> JobDetail:
        """Return everything about one job; raises NotFound."""
        return await self._reader.detail(job_id)

    async def logs(self, job_id: int, *, after: int = 0, limit: int = 500) -> tuple[LogLine, ...]:
        """Return the job's log lines numbered above ``after``."""
        return tuple(await self._reader.logs(job_id, after=after, limit=limit))

    async def statistics(self, window_s: float) -> Statistics:
        """Return success, failure and duration figures over a window."""
        return await self._reader.statistics(window_s=window_s, now=self._clock.now())

    async def ask(self, probe: str, parameters: Mapping[str, Any]) -> msgspec.Struct:
        """Answer what the history itself knows; other questions need an engine."""
        if probe == AuditProbe.name:
            return await AuditProbe(self._reader, self._clock).ask(parameters)
        if probe in PROBES:
            return await Answers(self._reader.schedules, self._clock.now()).ask(probe, parameters)
        self._refuse()

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    async def _begin(self) -> None:
        await self._refresh()
        self._follower = asyncio.create_task(self._follow())

    async def _end(self) -> None:
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
        self._loop.stop()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self._refresh()
            except ConsoleError as error:
                self._publish(trouble=str(error))
            except Exception:  # an observer that stops looking would show old figures as new
                _log.exception("reading the history failed")

    async def _refresh(self) -> None:
        counts = await self._reader.counts()
        running = await self._reader.jobs(JobQuery(states=(JobState.RUNNING,), limit=RECENT_LIMIT))
        ended = await self._reader.jobs(JobQuery(states=tuple(sorted(TERMINAL)), routine=False, limit=RECENT_LIMIT))
        self._publish(
            counts=dict(counts), running=tuple(reversed(running.jobs)), recent=ended.jobs, trouble=self._quiet
        )

    def _publish(self, **changes: Any) -> None:
        before = self._state
        after = msgspec.structs.replace(before, **changes)
        if after != before:
            self._state = msgspec.structs.replace(after, sequence=before.sequence + 1)
