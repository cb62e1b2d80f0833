"""Which engine a verb talks to: the one that runs for this history, else the history itself.

Reading never takes the history's lock; changing takes it for a moment with an engine that runs no job.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from qsuite_console.cli.invocation import Invocation
from qsuite_console.engine.control import Control
from qsuite_console.engine.ports import Claiming
from qsuite_console.model.errors import HistoryOwned

if TYPE_CHECKING:
    from qsuite_console.attach import RemoteControl
    from qsuite_console.cli.archive import Reads

T = TypeVar("T")
ORIGIN: Final = "cli"
_PATIENCE_S: Final = 3.0  # two verbs at once: the second waits for the first to let the history go
_PAUSE_S: Final = 0.1


def reading(invocation: Invocation, question: Callable[[Reads], Coroutine[Any, Any, T]]) -> T:
    """Answer a question from the running engine, else from the history."""
    with readable(invocation) as control:
        return asyncio.run(question(control))


def changing(
    invocation: Invocation, change: Callable[[Control], Coroutine[Any, Any, T]], *, starts_work: bool = False
) -> T:
    """Make a change through the running engine, else in the history.

    ``starts_work``: on a read-only target it is refused here, for the engine may have been started without that.
    """
    with changeable(invocation, starts_work=starts_work) as control:
        return asyncio.run(change(control))


@contextmanager
def readable(invocation: Invocation) -> Iterator[Reads]:
    """Yield the running engine or the history, for questions."""
    with ExitStack() as stack:
        engine = running_engine(invocation, stack)
        if engine is not None:
            yield engine
            return
        from qsuite_console.cli.archive import Archive

        yield stack.enter_context(Archive(invocation.paths, invocation.loaded.settings))


@contextmanager
def changeable(invocation: Invocation, *, starts_work: bool = False) -> Iterator[Control]:
    """Yield a Control that takes changes; raises HistoryOwned when the owner of the history answers nobody."""
    with ExitStack() as stack:
        yield _changeable(invocation, stack, starts_work=starts_work)


def running_engine(invocation: Invocation, stack: ExitStack, *, read_only: bool = False) -> RemoteControl | None:
    """Return a Control of the engine that runs for this history, closed with the stack; None when none answers."""
    from qsuite_console.attach import RemoteControl, find_engine

    info = find_engine(invocation.paths)
    if info is None:
        return None
    control = RemoteControl(invocation.paths.socket, read_only=read_only, owner=info.owner)
    return stack.enter_context(control)


def _changeable(invocation: Invocation, stack: ExitStack, *, starts_work: bool) -> Control:
    from qsuite_console.runtime import open_runtime

    until = time.monotonic() + _PATIENCE_S
    while True:
        is_read_only = starts_work and invocation.loaded.settings.target.read_only
        control = running_engine(invocation, stack, read_only=is_read_only)
        if control is not None:
            return control
        try:
            runtime = open_runtime(invocation.loaded.settings, invocation.paths, claim=Claiming.NONE, origin=ORIGIN)
            return stack.enter_context(runtime).control
        except HistoryOwned:
            if time.monotonic() > until:
                raise
            time.sleep(_PAUSE_S)
