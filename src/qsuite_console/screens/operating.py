"""Operations from any screen: look, ask by consequence, do it, say what became of it.

The gate decides: on a read-only target it refuses before anything is asked, and what must be typed comes with the
proposal, so that no screen has a rule of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from qsuite_console.model.text import clean
from qsuite_console.screens.acting import ORIGIN
from qsuite_console.screens.dialogs.confirm import ConfirmDialog

if TYPE_CHECKING:
    from qsuite_console.screens.base import ConsoleScreen

T = TypeVar("T")
SOON_S: Final = 0.7  # an answer that takes longer is announced: a key that seems to do nothing is pressed again


async def operate(screen: ConsoleScreen, operation: str, parameters: Mapping[str, Any]) -> bool:
    """Propose an operation, ask, perform it and tell its outcome; returns whether it was done.

    Must run in a worker of the screen: it waits for the answer.
    """
    if not screen.may_change():
        return False
    control = screen.control
    looked = announced(screen, control.propose(operation, parameters, origin=ORIGIN), "Looking at what it would do …")
    proposal = await screen.attempt(looked)
    if proposal is None:
        return False
    if proposal.asks or proposal.typed:
        typed, why = proposal.typed or proposal.named, "production" if proposal.typed else "lost for good"
        question = ConfirmDialog(proposal.title, proposal.lines, do=proposal.do, typed=typed, why=why)
        if not await screen.agrees(question):
            return False
    performed = control.perform(operation, proposal.parameters, confirmation=proposal.typed, origin=ORIGIN)
    outcome = await screen.attempt(announced(screen, performed, f"{proposal.do.capitalize()}: waiting …"))
    if outcome is None:
        return False
    text = "\n".join(clean(line, 300) for line in (outcome.message, *outcome.lines))
    if outcome.is_done:
        screen.notify(text, markup=False, timeout=4)
    else:
        screen.notify(text, severity="warning", markup=False, timeout=8)
    return outcome.is_done


async def announced(screen: ConsoleScreen, asking: Awaitable[T], text: str) -> T:
    """Return the answer; say that it is waited for when it takes its time."""
    task = asyncio.ensure_future(asking)
    try:
        done, _ = await asyncio.wait({task}, timeout=SOON_S)
        if not done:
            screen.tell(text)
        return await task
    finally:
        task.cancel()
