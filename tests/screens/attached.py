"""The same console over HTTP: each fake engine served at a socket of its own, and attached to as another process would.

``QSUITE_SCREENS_ATTACHED=1`` runs every test of a screen this way.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import msgspec

from fakes.control import FakeControl
from qsuite_console.attach import RemoteControl
from qsuite_console.engine.control import Control
from qsuite_console.engine.state import ConsoleState
from qsuite_console.headless.http import serve_socket

VARIABLE = "QSUITE_SCREENS_ATTACHED"


class Twin(RemoteControl):
    """Passes for the engine of the console's own process, so that tests and pictures of that one hold."""

    def __init__(self, path: Path, control: FakeControl) -> None:
        super().__init__(path)
        self._fake = control
        self._unanswered = 0
        self._carry, self._link.call = self._link.call, self._counted  # type: ignore[method-assign]
        self._given = self._shown = ConsoleState()

    @property
    def state(self) -> ConsoleState:
        state = super().state
        if state is not self._given:
            self._given = state
            self._shown = msgspec.structs.replace(state, is_attached=self._fake.state.is_attached)
        return self._shown

    @property
    def is_calm(self) -> bool:
        """Whether every question was answered and the newest state has come."""
        heard = self._link._heard
        return not self._unanswered and heard is not None and heard.sequence == self._fake.state.sequence

    async def _counted(self, *asked: Any) -> Any:
        self._unanswered += 1
        try:
            return await self._carry(*asked)
        finally:
            self._unanswered -= 1


class Attached:
    """Serves fake engines on a loop of its own until it is closed."""

    def __init__(self) -> None:
        self.is_wanted = os.environ.get(VARIABLE, "") == "1"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._served = AsyncExitStack()
        self._opened = ExitStack()
        self._number = 0

    def reached(self, control: FakeControl) -> Control:
        """Return the control itself, or where this is wanted its twin over HTTP."""
        return self.twin(control) if self.is_wanted else control

    def twin(self, control: FakeControl) -> RemoteControl:
        """Return the control over HTTP."""
        if self._loop is None:
            self._start()
        assert self._loop is not None
        self._number += 1
        path = self._directory / f"{self._number}.sock"
        entering = self._served.enter_async_context(serve_socket(control, path, origin="test"))
        asyncio.run_coroutine_threadsafe(entering, self._loop).result(10)
        return self._opened.enter_context(Twin(path, control))

    def close(self) -> None:
        """Hang up and end the servers."""
        if self._loop is None:
            return
        loop, self._loop = self._loop, None
        self._opened.close()
        asyncio.run_coroutine_threadsafe(self._end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join(10)
        loop.close()

    async def _end(self) -> None:
        await self._served.aclose()
        questions = asyncio.all_tasks() - {asyncio.current_task()}  # which a test has left without an answer
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)

    def _start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake engines", daemon=True)
        self._thread.start()
        self._directory = Path(self._opened.enter_context(tempfile.TemporaryDirectory(prefix="qc-")))


ATTACHED = Attached()
