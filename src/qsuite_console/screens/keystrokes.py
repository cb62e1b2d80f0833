"""Keys one after the other, each where the one before has led: what is typed fast, or comes in one piece over a slow
line, is typed into the filter that "/" opens and into the line after ":", never pressed on what lies under it.

Textual hands a burst of keys to what has the focus when it arrives. Here a key waits until the one before was handled
on every level, which a message behind it tells, and until a line that it opened can be typed into.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from textual import events
from textual.driver import Driver
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input

from qsuite_console.messages import Leaving
from qsuite_console.screens.leaving import Dialog
from qsuite_console.terminal import TerminalGuard

PATIENCE_S: Final = 0.25  # what was pressed may remove the widget that would tell that it was handled
LOOK_S: Final = 0.005
MOST: Final = 1000  # keys that wait; more than that is no person


class Handled(Message):
    """The key before has passed every level. ``number`` is that key's."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Keystrokes(TerminalGuard[Leaving]):
    """What the console's app does with keys."""

    def __init__(self, *, driver_class: type[Driver] | None = None) -> None:
        super().__init__(driver_class=driver_class)
        self._ahead: deque[events.Key] = deque()
        self._pressed = 0  # keys handed on so far
        self._settled = 0  # the newest of them that has had its effect
        self._patience: Timer | None = None

    async def on_event(self, event: events.Event) -> None:
        """Hold a key back while the one before is under way."""
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
        elif self._pressed > self._settled or self._ahead:
            if len(self._ahead) < MOST:
                self._ahead.append(event)
        else:
            await self._press(event)

    async def _press(self, event: events.Key) -> None:
        self._pressed += 1
        target = self.focused or self.screen
        await super().on_event(event)
        target.post_message(Handled(self._pressed))
        self._patience = self.set_timer(PATIENCE_S, self._give_up)

    def on_handled(self, message: Handled) -> None:
        """Look whether the key has had its effect, behind what it set in motion."""
        message.stop()
        if message.number == self._pressed > self._settled:
            self.call_later(self._look, message.number)

    async def _look(self, number: int) -> None:
        if number != self._pressed or number == self._settled:
            return
        if self._is_opening:
            self.set_timer(LOOK_S, lambda: self.call_later(self._look, number))
        else:
            await self._next()

    @property
    def _is_opening(self) -> bool:
        """Return whether a line to type into is there, or about to be, without having the focus."""
        screen = self.screen
        if not isinstance(screen, Dialog) or screen.focused is not None:
            return False
        return not screen.is_mounted or bool(screen.query(Input))

    async def _give_up(self) -> None:
        if self._pressed > self._settled:
            await self._next()

    async def _next(self) -> None:
        self._settled = self._pressed
        if self._patience is not None:
            self._patience.stop()
        if self._ahead:
            await self._press(self._ahead.popleft())
