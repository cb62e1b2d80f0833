"""Which engine a verb talks to: the target's own elsewhere, the one that runs for this history, or the history itself.

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
from qsuite_console.history.lock import owned_for_s
from qsuite_console.model.errors import EngineGone, HistoryOwned

if TYPE_CHECKING:
    from qsuite_console.attach import RemoteControl
    from qsuite_console.cli.archive import Reads

T = TypeVar("T")
ORIGIN: Final = "cli"
_PATIENCE_S: Final = 3.0  # two verbs at once: the second waits for the first to let the history go
STARTING_S: Final = 15.0  # who has had the history for less may be on its way to answer: a busy machine starts slowly
FREE_S: Final = 5.0  # a process that is to stay waits so long for one that is about to go
_PAUSE_S: Final = 0.1
_HUNG: Final = "end that process, or let it go on: the lock goes with it, jobs resume at the next start"


def reading(invocation: Invocation, question: Callable[[Reads], Coroutine[Any, Any, T]]) -> T:
    """Answer a question from the running engine, else from the history; an engine that ends meanwhile is no failure."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with readable(invocation) as reads:
                return asyncio.run(question(reads))
        except EngineGone:
            if time.monotonic() > until:
                raise
            time.sleep(_PAUSE_S)


def changing(
    invocation: Invocation, change: Callable[[Control], Coroutine[Any, Any, T]], *, starts_work: bool = False
) -> T:
    """Make a change through the running engine, else in the history.

    ``starts_work``: on a read-only target it is refused here, for the engine may have been started without that.
    """
    refuse = starts_work and invocation.loaded.settings.target.read_only
    with ExitStack() as stack:
        control = any_engine(invocation, stack, claim=Claiming.NONE, origin=ORIGIN, refuse=refuse)
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


def running_engine(
    invocation: Invocation, stack: ExitStack, *, read_only: bool = False, target: str = "", when_ended: str = ""
) -> RemoteControl | None:
    """Return a Control of the engine that runs for this history, closed with the stack; None when none answers.

    The engine of a target that has it elsewhere must answer: raises EngineGone. ``target``: with ``read_only``, the
    target that is the reason for it. ``when_ended``: what can be done after its end.
    """
    if invocation.engine is not None:
        from qsuite_console.attach import RemoteControl

        return stack.enter_context(RemoteControl(invocation.engine, read_only=read_only, target=target))
    if not invocation.paths.socket.exists():  # nothing answers there; saves loading an HTTP client to find that out
        return None
    from qsuite_console.attach import RemoteControl, find_engine

    info = find_engine(invocation.paths)
    if info is None:
        return None
    control = RemoteControl(
        invocation.paths.socket, read_only=read_only, owner=info.owner, target=target, when_ended=when_ended
    )
    return stack.enter_context(control)


def is_of(invocation: Invocation, engine: RemoteControl) -> bool:
    """Return whether an engine works on the invocation's target; one that the target names does, whatever its name."""
    return invocation.engine is not None or invocation.target in (None, engine.state.target.name)


def once_free(invocation: Invocation, make: Callable[[], T]) -> T:
    """Return what ``make`` opens on the history. A process that has it for a moment, as a verb has, is waited for.

    Raises HistoryOwned where its owner answers as an engine, or does not let it go.
    """
    from qsuite_console.attach import find_engine

    until = time.monotonic() + FREE_S
    while True:
        try:
            return make()
        except HistoryOwned:
            if time.monotonic() > until or find_engine(invocation.paths) is not None:
                raise
        time.sleep(_PAUSE_S)


def any_engine(
    invocation: Invocation, stack: ExitStack, *, claim: Claiming, origin: str, refuse: bool = False
) -> Control:
    """Return the running engine, else one opened here that lives as long as the stack.

    An engine of ours that runs jobs serves the socket, so that other processes see and steer them. ``refuse``: the
    other engine must not be asked for changes. Raises HistoryOwned when the owner of the history answers nobody.
    """
    from qsuite_console.headless.http import socket_service
    from qsuite_console.runtime import open_runtime

    settings, paths = invocation.loaded.settings, invocation.paths
    services = [] if claim is Claiming.NONE else [socket_service(paths.socket, origin=origin)]
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            remote = running_engine(invocation, stack, read_only=refuse, target=settings.target.name if refuse else "")
            if remote is not None:
                return remote
            runtime = open_runtime(settings, paths, claim=claim, origin=origin, extra_services=services)
            return stack.enter_context(runtime).control
        except (HistoryOwned, EngineGone) as error:  # it is just starting, or just ending
            if time.monotonic() > until:
                if isinstance(error, HistoryOwned):
                    if owned_for_s(paths.history) < STARTING_S:
                        time.sleep(_PAUSE_S)
                        continue
                    raise HistoryOwned(
                        f"{error.owner} owns this history and doesn't answer", owner=error.owner, hint=_HUNG
                    ) from error
                raise
            time.sleep(_PAUSE_S)
