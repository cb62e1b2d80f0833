"""What happens in an engine as lines of its process's log, whichever front end it has."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from qsuite_console.engine.control import Control
from qsuite_console.model.events import AnyEvent, EngineTrouble, JobChanged, JobDeleted
from qsuite_console.model.health import Alert, AlertState
from qsuite_console.model.jobs import TERMINAL, Job, JobState
from qsuite_console.model.text import clean

_LOOK_S: Final = 0.25
_log: Final = logging.getLogger(__name__)


class Journal:
    """Writes what happened since the last look to the log, one line a fact."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._after = 0
        self._burning: dict[str, Alert] = {}

    def write(self) -> None:
        """Log every new fact, and every alert that fired or cleared."""
        newest, events = self._control.events(self._after)
        missed = newest - self._after - len(events)
        self._after = newest
        if missed > 0:
            _log.log(logging.INFO, "%d more changes; the history has them all", missed)
        for event in events:
            line = describe(event)
            if line is not None:
                _log.log(line[0], "%s", line[1])
        self._write_alerts()

    def _write_alerts(self) -> None:
        for alert in self._control.state.snapshot.alerts:
            known = self._burning.get(alert.id)
            if alert.state is AlertState.FIRING and (known is None or known.since != alert.since):
                self._burning[alert.id] = alert
                _log.log(logging.WARNING, "alert %s: %s: %s", alert.level, alert.source, clean(alert.message, 300))
            elif alert.state is AlertState.CLEARED and known is not None:
                del self._burning[alert.id]
                _log.log(logging.INFO, "alert cleared: %s: %s", alert.source, clean(alert.message, 300))


def describe(event: AnyEvent) -> tuple[int, str] | None:
    """Return (log level, line) for a fact worth a line."""
    match event:
        case JobChanged(job=job):
            return _level(job), _line(job)
        case JobDeleted(job_id=job_id):
            return logging.INFO, f"job {job_id} deleted"
        case EngineTrouble(message=message):
            if message:
                return logging.ERROR, f"engine in trouble: {clean(message, 300)}"
            return logging.INFO, "engine well again"
        case _:
            return None


@asynccontextmanager
async def journaled(control: Control) -> AsyncIterator[None]:
    """Write down what happens until the block ends; a service of ``runtime.open_runtime``."""
    journal = Journal(control)
    _log.info("engine ready: pid %d, target %s", os.getpid(), clean(control.state.target.name, 60))

    async def follow() -> None:
        while True:
            try:
                journal.write()
            except Exception:  # it is the log of everything else: it must live
                _log.exception("writing down what happened failed")
            await asyncio.sleep(_LOOK_S)

    task = asyncio.create_task(follow(), name="journal")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        journal.write()
        _log.info("engine stopped")


def _level(job: Job) -> int:
    if job.state is JobState.FAILED:
        return logging.ERROR
    return logging.WARNING if job.state is JobState.INTERRUPTED else logging.INFO


def _line(job: Job) -> str:
    words = [f"job {job.id} {job.state}: {clean(job.title or job.kind, 200)}"]
    if job.state is JobState.RUNNING and job.tries > 1:
        words.append(f"try {job.tries} of {job.max_attempts}")
    if job.state in TERMINAL and job.started_at is not None and job.finished_at is not None:
        words.append(f"after {(job.finished_at - job.started_at).total_seconds():.1f} s")
    if job.reason:
        words.append(clean(job.reason, 200))
    if job.error and job.state is not JobState.SUCCEEDED:
        words.append(clean(job.error, 300))
    return ", ".join(words)
