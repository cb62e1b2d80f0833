"""The only place where the engine's thread and the screen's loop meet: the screen looks, at most ten times a second.

Looking costs one attribute read while nothing changes, and an engine that produces thousands of events a second still
makes ten messages. Nothing is ever pushed into the screen's loop, so a stuck terminal can't hold the engine up.
"""

from __future__ import annotations

from collections.abc import Callable

from qsuite_console.engine.control import Control
from qsuite_console.engine.state import ConsoleState
from qsuite_console.messages import StateChanged

INTERVAL_S = 0.1


class Bridge:
    """Reads ``control`` when polled and hands each news to ``post``."""

    def __init__(self, control: Control, post: Callable[[StateChanged], object]) -> None:
        self._control = control
        self._post = post
        self._cursor = control.events(0)[0]
        self._state: ConsoleState = control.state

    def poll(self) -> None:
        """Post one message if the state has changed since the last look."""
        state = self._control.state
        if state is self._state:
            return
        newest, events = self._control.events(self._cursor)
        is_whole = newest < self._cursor or newest - self._cursor > len(events)
        self._state, self._cursor = state, newest
        self._post(StateChanged(state, events, is_whole=is_whole))
