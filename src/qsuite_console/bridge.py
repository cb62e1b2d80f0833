"""The only place where the engine's thread and the screen's loop meet: the screen looks, at most ten times a second.

Looking costs one attribute read while nothing changes, and an engine that produces thousands of events a second still
makes ten messages. Nothing is ever pushed into the screen's loop, so a stuck terminal can't hold the engine up.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from qsuite_console.engine.control import Control
from qsuite_console.engine.state import ConsoleState
from qsuite_console.messages import StateChanged

INTERVAL_S = 0.1
LAG_OVER_S = 60.0


class ScreenLag:
    """How long the screen's loop was held up: looks that came later than they should, over the last minute."""

    def __init__(self) -> None:
        self._looked_at: float | None = None
        self._late: deque[tuple[float, float]] = deque()  # (when, seconds); none is followed by a longer one

    def look(self) -> None:
        """Note that a look was taken."""
        now = time.monotonic()
        if self._looked_at is not None:
            late = max(0.0, now - self._looked_at - INTERVAL_S)
            while self._late and self._late[-1][1] <= late:
                self._late.pop()
            self._late.append((now, late))
        self._looked_at = now

    @property
    def worst_s(self) -> float:
        """Return the longest delay of the last minute in seconds."""
        now = time.monotonic()
        while self._late and now - self._late[0][0] > LAG_OVER_S:
            self._late.popleft()
        return self._late[0][1] if self._late else 0.0


class Bridge:
    """Reads ``control`` when polled and hands each news to ``post``."""

    def __init__(self, control: Control, post: Callable[[StateChanged], object]) -> None:
        self._control = control
        self._post = post
        self._cursor = control.events(0)[0]
        self._state: ConsoleState = control.state
        self.lag = ScreenLag()

    def poll(self) -> None:
        """Post one message if the state has changed since the last look."""
        self.lag.look()
        state = self._control.state
        if state is self._state:
            return
        newest, events = self._control.events(self._cursor)
        is_whole = newest < self._cursor or newest - self._cursor > len(events)
        self._state, self._cursor = state, newest
        self._post(StateChanged(state, events, is_whole=is_whole))
