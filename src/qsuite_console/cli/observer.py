"""Control without an engine: what the history says, read-only. For verbs while nothing runs, and for a screen whose
history is owned by a process that answers nobody.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, Self

import msgspec

from qsuite_console import __version__
from qsuite_console.config.settings import QUEUES, Settings
from qsuite_console.engine.control import Control
from qsuite_console.engine.state import RECENT_LIMIT, ConsoleState, TargetView
from qsuite_console.history.reader import HistoryReader, open_reader
from qsuite_console.model.errors import ConsoleError, HistoryUnavailable, NotFound, ReadOnly
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
from qsuite_console.paths import Paths

INTERVAL_S: Final = 1.0
_log: Final = logging.getLogger(__name__)


class Observer(Control):
    """Reads one instance's history. ``is_following`` looks anew every second; ``owner`` is who holds the history."""

    def __init__(self, paths: Paths, settings: Settings, *, owner: str = "", is_following: bool = False) -> None:
        self._paths = paths
        self._settings = settings
        self._owner = owner
        self._is_following = is_following
        self._stack = ExitStack()
        self._reader: HistoryReader | None = None
        self._leaving = threading.Event()
        self._state = ConsoleState()

    def __enter__(self) -> Self:
        """Open the history and look once; a history that doesn't exist yet is an empty one."""
        if self._paths.history.exists():
            self._reader = open_reader(self._paths.history)
            self._stack.callback(self._reader.close)
        self._state = asyncio.run(self._look())
        if self._is_following:
            thread = threading.Thread(target=self._follow, name="observer", daemon=True)
            thread.start()
            self._stack.callback(thread.join, 5.0)
            self._stack.callback(self._leaving.set)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def state(self) -> ConsoleState:
        """Return the newest look at the history."""
        return self._state

    def events(self, after: int) -> tuple[int, tuple[AnyEvent, ...]]:
        """Return no facts but a moved sequence: a gap, which means that the state is to be read anew."""
        return max(self._state.sequence, after), ()

    async def kinds(self) -> tuple[KindInfo, ...]:
        """Return every kind of job with its parameters."""
        from qsuite_console.cli.kinds import all_kinds

        return all_kinds()

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

    async def set_queue(self, name: str, *, is_paused: bool | None = None, concurrency: int | None = None) -> QueueView:
        """Refuse."""
        self._refuse()

    async def jobs(self, query: JobQuery) -> JobPage:
        """Return a page of jobs, newest first."""
        return await self._reader.jobs(query) if self._reader else JobPage(jobs=())

    async def job(self, job_id: int) -> JobDetail:
        """Return everything about one job; raises NotFound."""
        return await self._some(job_id).detail(job_id)

    async def logs(self, job_id: int, *, after: int = 0, limit: int = 500) -> tuple[LogLine, ...]:
        """Return the job's log lines numbered above ``after``."""
        return tuple(await self._some(job_id).logs(job_id, after=after, limit=limit))

    async def statistics(self, window_s: float) -> Statistics:
        """Return success, failure and duration figures over a window."""
        now = datetime.now(UTC)
        return await self._reader.statistics(window_s=window_s, now=now) if self._reader else _nothing(now, window_s)

    async def ask(self, probe: str, parameters: Mapping[str, Any]) -> msgspec.Struct:
        """Refuse: a question needs the connections of an engine."""
        raise ConsoleError(f"no engine answers, so {probe} can't be asked", hint="start one: qsuite-console")

    def _some(self, job_id: int) -> HistoryReader:
        if self._reader is None:
            raise NotFound(f"there is no job {job_id}: this history is empty", hint="qsuite-console jobs list")
        return self._reader

    def _refuse(self) -> NoReturn:
        who = self._owner or "another process"
        raise ReadOnly(
            f"only looking: {who} owns this history and doesn't answer",
            hint="make the change there, or end that process",
        )

    def _follow(self) -> None:
        while not self._leaving.wait(INTERVAL_S):
            try:
                self._state = asyncio.run(self._look())
            except HistoryUnavailable as error:
                self._state = msgspec.structs.replace(
                    self._state, trouble=error.message, sequence=self._state.sequence + 1
                )
            except Exception:  # a look that ends for ever would show old figures as new
                _log.exception("looking at the history failed")

    async def _look(self) -> ConsoleState:
        target = self._settings.target
        owner = f"{self._owner}, which doesn't answer" if self._owner else ""
        state = ConsoleState(
            target=TargetView(name=target.name, word=target.word, colour=target.colour, is_read_only=target.read_only),
            version=__version__,
            owner=owner,
            is_attached=bool(owner),
            is_read_only=bool(owner) or target.read_only,
            sequence=self._state.sequence + 1,
        )
        if self._reader is None:
            return msgspec.structs.replace(state, queues=self._queues({}, {}, {}))
        running = (await self._reader.jobs(JobQuery(states=(JobState.RUNNING,)))).jobs
        recent = (await self._reader.jobs(JobQuery(states=tuple(TERMINAL), limit=RECENT_LIMIT))).jobs
        busy = {name: sum(job.queue == name for job in running) for name in QUEUES}
        return msgspec.structs.replace(
            state,
            counts=dict(await self._reader.counts()),
            queues=self._queues(await self._reader.queue_depths(), await self._reader.queue_settings(), busy),
            running=tuple(reversed(running)),
            recent=recent,
        )

    def _queues(
        self,
        depths: Mapping[str, tuple[int, int]],
        changed: Mapping[str, tuple[int, bool]],
        busy: Mapping[str, int],
    ) -> tuple[QueueView, ...]:
        views = []
        for name, slots in self._settings.engine.queues.items():
            concurrency, is_paused = changed.get(name, (slots, False))
            queued, scheduled = depths.get(name, (0, 0))
            views.append(
                QueueView(
                    name=name,
                    concurrency=concurrency,
                    running=busy.get(name, 0),
                    queued=queued,
                    scheduled=scheduled,
                    is_paused=is_paused,
                )
            )
        return tuple(views)


def _nothing(now: datetime, window_s: float) -> Statistics:
    return Statistics(at=now, window_s=window_s)
