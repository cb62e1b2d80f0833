"""The question ``system.console``: what the console's own process uses, and what its own questions cost."""

from __future__ import annotations

import asyncio
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qsuite_console.db.database import describe_address
from qsuite_console.engine.parameters import decode
from qsuite_console.metrics.from_host import counters
from qsuite_console.metrics.host_panels import Counted, NothingParameters, rate
from qsuite_console.model.advice import Unread
from qsuite_console.model.system import FileSize, ProcessView
from qsuite_console.model.traffic import RequestsView

if TYPE_CHECKING:
    from qsuite_console.workers import Services

_FILES_MOST: Final = 200
_PORT: Final = re.compile(r":(\d+)(?:/|$)")


class ConsoleProbe:
    """Answers ``system.console``."""

    name = "system.console"
    timeout_s = 5.0

    def __init__(self, services: Services) -> None:
        self._clock = services.clock
        self._costs = services.costs
        self._paths = services.paths
        known = ((describe_address(services.settings.database), "PostgreSQL"), (services.cache.where, "Redis"))
        self._peers = {found[1]: word for where, word in known if (found := _PORT.search(where)) is not None}
        self._counted = Counted(counters.own, services.clock.monotonic)

    async def ask(self, parameters: Mapping[str, Any]) -> ProcessView:
        """Return what this process uses; raises InvalidParameters."""
        decode(NothingParameters, parameters)
        before, now, seconds = await self._counted.take()
        directory = None if self._paths is None else self._paths.history.parent
        history = () if directory is None else await asyncio.to_thread(sizes, directory)
        grown = rate(before.cpu_s, now.cpu_s, seconds)
        unread = [] if now.files is not None else [Unread(what="open files", why="this system does not tell them")]
        return ProcessView(
            at=self._clock.now(),
            interval_s=seconds,
            pid=os.getpid(),
            started_at=now.started_at,
            python=platform.python_version(),
            cpu=None if grown is None else 100.0 * grown,
            memory=now.memory,
            threads=now.threads,
            files=now.files,
            files_limit=now.files_limit,
            connections=self._named(now.connections),
            questions=self._costs.costs,
            history=history,
            cost_ms=self._counted.cost_ms,
            unread=tuple(unread),
        )

    def _named(self, connections: Mapping[str, int]) -> dict[str, int]:
        named: dict[str, int] = {}
        for peer, number in connections.items():
            word = self._peers.get(peer.rpartition(":")[2])
            name = f"{word} {peer}" if word else peer
            named[name] = named.get(name, 0) + number
        return named


class RequestsProbe:
    """Answers ``system.requests``."""

    name = "system.requests"
    timeout_s = 5.0

    def __init__(self, services: Services) -> None:
        self._services = services

    async def ask(self, parameters: Mapping[str, Any]) -> RequestsView:
        """Return what the HTTP interface of this process has been asked; raises InvalidParameters."""
        decode(NothingParameters, parameters)
        if self._services.requests is None:
            here = Unread(what="requests", why="this process has no HTTP interface")
            return RequestsView(at=self._services.clock.now(), unread=(here,))
        return self._services.requests()


def sizes(directory: Path) -> tuple[FileSize, ...]:
    """Return the files of a directory and those below it, biggest first; one that vanishes meanwhile is left out."""
    found = []
    for path in directory.rglob("*"):
        try:
            if path.is_file():
                found.append(FileSize(name=str(path.relative_to(directory)), size=path.stat().st_size))
        except OSError:
            continue
    return tuple(sorted(found, key=lambda file: -file.size)[:_FILES_MOST])
