"""What systemd is told of a service (sd_notify(3)): ready, stopping, and that the engine's loop still turns.

The watchdog is fed from the main thread, but only with an answer of the engine's own loop: a process whose loop stands
still is as good as dead, whatever its other threads do.
"""

from __future__ import annotations

import concurrent.futures
import logging
import os
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.text import clean

Call = Callable[[Coroutine[Any, Any, bool]], "concurrent.futures.Future[bool]"]
_SHARE: Final = 3.0  # signs of life in one period of the watchdog
_log: Final = logging.getLogger(__name__)


def notify(message: str) -> None:
    """Tell systemd about the service's state; does nothing outside of systemd."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(1.0)
            sender.sendto(message.encode(), name)
    except OSError as error:
        _log.warning("can't notify systemd on %s: %s", clean(address, 100), error.strerror or error)


def watchdog_s(environ: Mapping[str, str]) -> float:
    """Return the period within which systemd wants a sign of life of this process, 0.0 for none."""
    period, owner = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not (period.isascii() and period.isdigit()) or owner not in ("", str(os.getpid())):
        return 0.0
    return int(period) / 1e6


class Watchdog:
    """Feeds systemd's watchdog for as long as the engine's loop answers; ``look`` is called often, and never waits."""

    def __init__(self, call: Call, *, period_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._call = call
        self._every_s = period_s / _SHARE
        self._clock = clock
        self._next = clock()
        self._asked: concurrent.futures.Future[bool] | None = None

    def look(self) -> None:
        """Pass on the loop's answer, and ask it again when it is time."""
        if self._every_s <= 0:
            return
        if self._asked is not None and self._asked.done():
            self._asked = None
            notify("WATCHDOG=1")
        if self._asked is None and self._clock() >= self._next:
            self._next = self._clock() + self._every_s
            try:
                self._asked = self._call(_turns())
            except ConsoleError:  # it has ended: whoever looks after it knows
                self._every_s = 0.0


async def _turns() -> bool:
    return True
