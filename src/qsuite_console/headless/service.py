"""The service loop: an engine without a screen, for systemd, cron and containers.

The first SIGTERM, SIGINT or SIGHUP drains: nothing new starts, running jobs get ``grace_s`` to reach their end or a
safe point, what is left is interrupted with its checkpoint and resumed by the next engine. That is a clean end and
exits 0, so that systemd counts it as one; a second signal ends at once and exits 128 + its number. An engine that
dies exits 1. One whose loop stands still gets no more signs of life to systemd's watchdog, which starts another.
"""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

from qsuite_console.headless.journal import Journal
from qsuite_console.headless.systemd import Watchdog, notify, watchdog_s
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
        gc.freeze()  # what it starts with stays: to look through it again and again would hold jobs up
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
