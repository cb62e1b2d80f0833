"""The question ``system.log``: the newest lines of the log of the process that runs the engine."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from qsuite_console.engine.parameters import decode
from qsuite_console.logs import TAIL, TAIL_LINES
from qsuite_console.model.logtail import LogTail

if TYPE_CHECKING:
    from qsuite_console.workers import Services


class LogParameters(msgspec.Struct, frozen=True, kw_only=True):
    """How many lines at most."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=TAIL_LINES)] = 500


class LogProbe:
    """Answers ``system.log`` from memory."""

    name = "system.log"
    timeout_s = 5.0

    def __init__(self, services: Services) -> None:
        self._clock = services.clock
        self._process = f"pid {os.getpid()} on {socket.gethostname()}, since {services.clock.now():%Y-%m-%d %H:%M:%S}"

    async def ask(self, parameters: Mapping[str, Any]) -> LogTail:
        """Return the newest lines; raises InvalidParameters."""
        wanted = decode(LogParameters, parameters)
        began = self._clock.monotonic()
        lines = TAIL.lines(wanted.limit)
        cost_ms = 1000.0 * (self._clock.monotonic() - began)
        return LogTail(at=self._clock.now(), process=self._process, file=TAIL.file, lines=lines, cost_ms=cost_ms)
