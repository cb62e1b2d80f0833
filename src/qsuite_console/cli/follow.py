"""Following one job to its end through any Control, with progress and log lines on the way."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from qsuite_console.cli.progress import ProgressLine
from qsuite_console.cli.signals import Signals
from qsuite_console.engine.control import Control
from qsuite_console.model.jobs import TERMINAL, Job, JobAction, JobDetail

_SHORTEST_S: Final = 0.02
_LONGEST_S: Final = 0.25
_RUNNING_S: Final = 0.1
_LOGS_S: Final = 0.5
_LINES: Final = 500


class Follower:
    """Watches one job; the state in memory is looked at often, the history only while the job doesn't run."""

    def __init__(self, control: Control, job_id: int, *, signals: Signals, line: ProgressLine, origin: str) -> None:
        self._control = control
        self._job_id = job_id
        self._signals = signals
        self._line = line
        self._origin = origin
        self._seen = 0
        self._logs_at = float("-inf")
        self._is_cancelling = False

    async def to_the_end(self) -> JobDetail | None:
        """Return the finished job, or None when a signal asked this process to leave first."""
        wait_s = _SHORTEST_S
        while not self._signals.leaving:
            await self._heed_cancel()
            running = self._running()
            if running is None:
                detail = await self._control.job(self._job_id)
                if detail.job.state in TERMINAL:
                    await self._pass_logs(final=True)
                    return detail
                self._line.show(detail.job)
            else:
                self._line.show(running)
            await self._pass_logs()
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_S if running is None else _RUNNING_S)
        return None

    async def _heed_cancel(self) -> None:
        if not self._signals.cancel or self._is_cancelling:
            return
        self._is_cancelling = True
        self._line.say(f"cancelling job {self._job_id}; its checkpoint is kept (Ctrl-C again leaves at once)")
        await self._control.act(JobAction.CANCEL, [self._job_id], origin=self._origin)

    def _running(self) -> Job | None:
        return next((job for job in self._control.state.running if job.id == self._job_id), None)

    async def _pass_logs(self, *, final: bool = False) -> None:
        if not final and time.monotonic() - self._logs_at < _LOGS_S:
            return
        self._logs_at = time.monotonic()
        while True:
            lines = await self._control.logs(self._job_id, after=self._seen, limit=_LINES)
            for each in lines:
                self._line.log(each)
                self._seen = max(self._seen, each.number)
            if len(lines) < _LINES:
                return
