"""What the history says, read beside whoever owns it: for verbs that only ask while no engine answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol, Self

import msgspec

from qsuite_console import __version__
from qsuite_console.config.settings import QUEUES, Settings
from qsuite_console.engine.state import RECENT_LIMIT, ConsoleState, TargetView
from qsuite_console.history.lock import silent_owner
from qsuite_console.history.reader import HistoryReader, open_reader
from qsuite_console.model.errors import HistoryMissing, NotFound
from qsuite_console.model.jobs import (
    TERMINAL,
    JobDetail,
    JobPage,
    JobQuery,
    JobState,
    LogLine,
    QueueView,
    Statistics,
)
from qsuite_console.paths import Paths


class Reads(Protocol):
    """The half of Control that asks about jobs; the history alone can answer it too."""

    @property
    def state(self) -> ConsoleState:
        """The whole state."""
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

    async def statistics(self, window_s: float) -> Statistics:
        """Return success, failure and duration figures over a window."""
        ...


class Archive:
    """One instance's history; one that doesn't exist yet is an empty one."""

    def __init__(self, paths: Paths, settings: Settings) -> None:
        self._paths = paths
        self._settings = settings
        self._reader: HistoryReader | None = None
        self._state = ConsoleState()

    def __enter__(self) -> Self:
        """Open the history and look once; raises HistoryUnavailable for one that can't be read."""
        with suppress(HistoryMissing):  # an empty archive
            self._reader = open_reader(self._paths.history)
        try:
            self._state = asyncio.run(self._look())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    @property
    def state(self) -> ConsoleState:
        """Return what the history said when it was opened."""
        return self._state

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
        if self._reader is None:
            return Statistics(at=now, window_s=window_s)
        return await self._reader.statistics(window_s=window_s, now=now)

    def _some(self, job_id: int) -> HistoryReader:
        if self._reader is None:
            raise NotFound(f"there is no job {job_id}: this history is empty", hint="qsuite-console jobs list")
        return self._reader

    async def _look(self) -> ConsoleState:
        target = self._settings.target
        state = ConsoleState(
            target=TargetView(
                name=target.name,
                word=target.word,
                colour=target.colour,
                is_read_only=target.read_only,
                production=target.production,
            ),
            version=__version__,
            is_read_only=target.read_only,
        )
        if owner := silent_owner(self._paths.history):
            state = msgspec.structs.replace(state, trouble=f"{owner} owns this history and doesn't answer")
        if self._reader is None:
            return msgspec.structs.replace(state, queues=self._queues({}, {}, {}))
        running = (await self._reader.jobs(JobQuery(states=(JobState.RUNNING,)))).jobs
        recent = (await self._reader.jobs(JobQuery(states=tuple(TERMINAL), routine=False, limit=RECENT_LIMIT))).jobs
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
        away = self._settings.away
        for name, slots in self._settings.at_once.items():
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
                    execution=str(away[name].execution) if name in away else "local",
                )
            )
        return tuple(views)
