"""Where a console's engine runs: in its own process, or apart from it. It moves while the screen stays.

The engine of one process drains and lets the history go, then the other takes it: at no time are there two. A move that
fails leads to whichever engine there is, else the screen says that there is none.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Final

from qsuite_console.attach import find_engine
from qsuite_console.cli import background
from qsuite_console.cli.opened import WHEN_ENDED, Opened
from qsuite_console.model.errors import Conflict, ConsoleError
from qsuite_console.model.jobs import JobState
from qsuite_console.screens.moving import Elsewhere, Moved

_MORE_S: Final = 15.0  # beyond the grace of its jobs, until an engine that was asked to end counts as stuck


class Host:
    """Implements ``EngineHost`` of the screen for what is opened; one move at a time."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._moving = threading.Lock()

    @property
    def obstacle(self) -> str:
        """Return why the engine can't be handed over, "" when it can."""
        if self._opened.runtime is None:
            return "the engine runs in another process: it goes on when this console is left"
        if self._opened.invocation.fixed:
            return "the sandbox ends with this console; one that stays: qsuite-console sandbox --headless"
        return ""

    async def elsewhere(self) -> Elsewhere:
        """Return who runs the engine that is not here, and whether it can be taken over."""
        return await asyncio.to_thread(self._elsewhere)

    async def hand_over(self) -> Moved:
        """Drain here, go on in the background and attach to it."""
        return await asyncio.to_thread(self._move, self._to_background)

    async def take_over(self) -> Moved:
        """End the background engine if it still runs, and go on here."""
        return await asyncio.to_thread(self._move, self._to_here)

    def leave_running(self) -> Moved:
        """Hand over without attaching: for a console that is being left. Blocks until the engine answers there."""
        return self._move(lambda: self._to_background(attaches=False))

    def _move(self, move: Callable[[], Moved]) -> Moved:
        if not self._moving.acquire(blocking=False):
            raise Conflict("the engine is just moving", hint="wait until it has arrived")
        try:
            return move()
        finally:
            self._moving.release()

    def _to_background(self, *, attaches: bool = True) -> Moved:
        if why := self.obstacle:
            raise Conflict(why)
        opened = self._opened
        number = opened.relay.state.counts.get(JobState.RUNNING, 0)
        opened.relay.stand("handing over to the background: jobs save their work and go on there")
        opened.close()
        try:
            info = background.start(opened.invocation)
            if attaches:
                opened.attach()
        except ConsoleError:
            self._settle()
            raise
        return Moved(owner=info.owner, jobs=number)

    def _elsewhere(self) -> Elsewhere:
        invocation, owner = self._opened.invocation, self._opened.relay.state.owner
        if invocation.engine is not None:
            return Elsewhere(owner=owner, why=f"this target's engine is the one on {invocation.engine.where}")
        if self._opened.is_looking:
            return Elsewhere(owner=owner, why=f"{owner} holds the history and answers nobody: end that process first")
        info = find_engine(invocation.paths)
        if info is None:
            return Elsewhere()
        if info.origin != background.ORIGIN:
            how = "quit that console" if info.origin == "console" else "stop that service"
            return Elsewhere(owner=info.owner, why=f"{info.owner} runs it: {how} first, then it can run here")
        return Elsewhere(owner=info.owner)

    def _to_here(self) -> Moved:
        opened = self._opened
        if opened.runtime is not None:
            raise Conflict("the engine runs in this console already")
        if why := self._elsewhere().why:
            raise Conflict(why)
        number = opened.relay.state.counts.get(JobState.RUNNING, 0)
        info = find_engine(opened.invocation.paths)
        opened.relay.stand("taking the engine over: jobs save their work and go on here")
        try:
            if info is not None:
                background.stop(info, wait_s=opened.invocation.loaded.settings.engine.drain_s + _MORE_S)
            opened.close()
            opened.run_here()
        except ConsoleError:
            self._settle()
            raise
        return Moved(owner=opened.relay.state.owner, jobs=number)

    def _settle(self) -> None:
        """Lead to an engine after a move that failed: the one that answers, else one of ours."""
        opened = self._opened
        opened.close()
        for way in (opened.attach, opened.run_here):
            try:
                way()
            except ConsoleError as error:
                opened.relay.stand(f"there is no engine, {WHEN_ENDED}: {error.message}")
            else:
                return
