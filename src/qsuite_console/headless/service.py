"""The service loop: an engine without a screen, for systemd, cron and containers.

The first SIGTERM, SIGINT or SIGHUP drains: nothing new starts, running jobs get ``grace_s`` to reach their end or a
safe point, what is left is interrupted with its checkpoint and resumed by the next engine. That is a clean end and
exits 0, so that systemd counts it as one; a second signal ends at once and exits 128 + its number. An engine that
dies exits 1. One whose loop stands still gets no more signs of life to systemd's watchdog, which starts another.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

from qsuite_console.engine.control import Control
from qsuite_console.headless.systemd import Watchdog, notify, watchdog_s
from qsuite_console.model.events import AnyEvent, EngineTrouble, JobChanged, JobDeleted
from qsuite_console.model.health import Alert, AlertState
from qsuite_console.model.jobs import TERMINAL, Job, JobState
from qsuite_console.model.text import clean
from qsuite_console.runtime import Runtime

_LOOK_S: Final = 0.25
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_log: Final = logging.getLogger(__name__)


def serve(runtime: Runtime) -> int:
    """Run until asked to stop and return the exit code; call from the main thread, with the runtime open."""
    engine = runtime.engine
    with suppress(OSError, ValueError, RuntimeError):  # no stderr to write to
        faulthandler.enable()  # where every thread stood, should a watchdog or a fault end us
    journal = Journal(runtime.control)
    watchdog = Watchdog(engine.call, period_s=watchdog_s(os.environ))
    with _caught() as caught:
        _log.info("engine ready: pid %d, history %s, socket %s", os.getpid(), runtime.paths.history, _socket(runtime))
        notify("READY=1\nSTATUS=running jobs")
        while not caught.numbers and not engine.finished.wait(_LOOK_S):
            journal.write()
            watchdog.look()
        if not caught.numbers:
            journal.write()
            _log.error("the engine ended by itself: %s", runtime.control.state.trouble or "see the log above")
            return 1
        running = len(runtime.control.state.running)
        _log.info("%s: draining %d running jobs for at most %g s", caught.first.name, running, runtime.grace_s)
        notify(f"STOPPING=1\nSTATUS=draining {running} jobs")
        hurried = _drain(runtime, caught, journal, watchdog)
        journal.write()
        if hurried:
            _log.warning("%s: ended at once, what ran is interrupted", caught.last.name)
            return 128 + caught.last
        _log.info("engine stopped")
        return 0


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


class _Caught:
    """The signals so far. Handlers only append: nothing here may take a lock that the main thread could hold."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        self.numbers.append(number)

    @property
    def first(self) -> signal.Signals:
        return signal.Signals(self.numbers[0])

    @property
    def last(self) -> signal.Signals:
        return signal.Signals(self.numbers[-1])


@contextmanager
def _caught() -> Iterator[_Caught]:
    caught = _Caught()
    before = {}
    for number in _SIGNALS:
        if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            continue  # started by nohup: losing the terminal is none of our business
        before[number] = signal.signal(number, caught)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _drain(runtime: Runtime, caught: _Caught, journal: Journal, watchdog: Watchdog) -> bool:
    """Stop the engine, at once after a second signal; return whether that came."""
    signals = len(caught.numbers)
    threading.Thread(target=runtime.engine.stop, args=(runtime.grace_s,), name="drain", daemon=True).start()
    hurried = False
    while not runtime.engine.finished.wait(_LOOK_S):
        journal.write()
        watchdog.look()
        if len(caught.numbers) > signals and not hurried:
            hurried = True
            runtime.engine.request_stop()  # the second request cuts the patience short
    return hurried


def _socket(runtime: Runtime) -> str:
    return str(runtime.paths.socket) if runtime.paths.socket.is_socket() else "none"


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
