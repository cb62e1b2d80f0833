"""Messages that cross the whole app. Facts of the engine arrive as one message, however many there were."""

from __future__ import annotations

from enum import StrEnum

from textual.message import Message

from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.events import AnyEvent


class Leaving(StrEnum):
    """How the operator left: what the process should do with the engine it runs."""

    LEFT = "left"  # nothing was running, or the engine is another process
    DRAIN = "drain"  # let running jobs finish within the grace
    NOW = "now"  # interrupt them; they resume at the next start
    BACKGROUND = "background"  # let an engine without a screen go on with them
    SWITCH = "switch"  # to another target: let running jobs save their work, they resume when this one is opened again


class StateChanged(Message):
    """The engine's state is a new one; ``events`` are the facts since the last message.

    ``is_whole`` says that facts were missed: read everything anew.
    """

    def __init__(self, state: ConsoleState, events: tuple[AnyEvent, ...], *, is_whole: bool) -> None:
        super().__init__()
        self.state = state
        self.events = events
        self.is_whole = is_whole
