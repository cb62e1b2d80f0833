"""How long something took of the time this process could run in: what a busy machine took from it counts as nothing.

A thread that looks at the clock every 10 ms sees whoever waits in vain, and sees nothing while the whole process is
kept from running; so a limit holds what it is told to hold the product to, and never the machine.
"""

from __future__ import annotations

import threading
import time
from typing import Final

STEP_S: Final = 0.01
LONGEST_S: Final = 0.05  # of a step: a thread that comes later was kept from it


class Stopwatch:
    """Runs within ``with``; ``seconds`` may be read during and after it."""

    def __init__(self) -> None:
        self._counted = 0.0
        self._looked_at = time.monotonic()
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stopwatch", daemon=True)

    def __enter__(self) -> Stopwatch:
        self._looked_at = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._look()

    @property
    def seconds(self) -> float:
        """Return the seconds until now, or until the end."""
        if not self._is_over.is_set():
            self._look()
        return self._counted

    def _run(self) -> None:
        while not self._is_over.wait(STEP_S):
            self._look()

    def _look(self) -> None:
        with self._lock:
            now = time.monotonic()
            self._counted += min(now - self._looked_at, LONGEST_S)
            self._looked_at = now
