"""Signals of a foreground command as plain flags, set by raw handlers: those run also while the event loop waits.

The first Ctrl-C asks to cancel, SIGTERM and a hang-up ask to drain; the second of either leaves at once, and the next
start recovers exactly as after a kill.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

_LEAVING: Final = (signal.SIGTERM, signal.SIGHUP)


class Signals:
    """``cancel`` after Ctrl-C; ``leaving`` is the number of the signal that asked to drain, 0 for none."""

    def __init__(self) -> None:
        self.cancel = False
        self.leaving = 0

    @property
    def exit_code(self) -> int:
        """Return what the process ends with when it was asked to drain."""
        return 128 + self.leaving

    @contextmanager
    def installed(self) -> Iterator[Signals]:
        """Catch the signals within the block; what was installed before comes back after it."""
        before: dict[signal.Signals, Any] = {}
        for number in (signal.SIGINT, *_LEAVING):
            if signal.getsignal(number) is signal.SIG_IGN and number is signal.SIGHUP:
                continue  # nohup: the parent wants this process to outlive its terminal
            before[number] = signal.signal(number, self._caught)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _caught(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and not self.cancel:
            self.cancel = True
            return
        if self.leaving or number == signal.SIGINT:
            os._exit(128 + number)
        self.leaving = number
        if number == signal.SIGHUP:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                if os.isatty(descriptor):
                    os.dup2(nowhere, descriptor)  # a terminal that is gone answers every write with an error
            os.close(nowhere)
