"""A whole console with its HTTP interface on real servers, and a client that any local program could be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from qsuite_console.config.settings import Settings
from qsuite_console.engine.control import Control
from qsuite_console.engine.ports import Claiming
from qsuite_console.headless.http import Interface
from qsuite_console.history.reader import open_reader
from qsuite_console.model.audit import AuditQuery
from qsuite_console.model.traffic import RouteCost
from qsuite_console.paths import Paths, resolve
from qsuite_console.runtime import open_runtime

SYMBOLS = ("AAPL", "MSFT", "S000")


@dataclass
class Served:
    """One engine. ``ask`` returns status and body, read as JSON."""

    control: Control
    paths: Paths
    http: aiohttp.ClientSession
    interface: Interface

    async def ask(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
        data = None if body is None else msgspec.json.encode(body)
        async with self.http.request(method, path, data=data, params=query) as answer:
            return answer.status, msgspec.json.decode(await answer.read())

    def cost(self, route: str) -> RouteCost:
        """Return what a route ("GET /jobs") has cost so far."""
        return next(row for row in self.interface.costs.view().routes if row.route == route)


@asynccontextmanager
async def serving(settings: Settings, home: Path) -> AsyncIterator[Served]:
    paths = resolve(str(home)).ensure()
    interface = Interface(paths.socket, origin="test")
    with open_runtime(settings, paths, claim=Claiming.ALL, origin="test", extra_services=(interface.serve,)) as runtime:
        runtime.grace_s = 0.0
        connector = aiohttp.UnixConnector(str(paths.socket))
        async with aiohttp.ClientSession("http://engine", connector=connector) as http:
            yield Served(runtime.control, paths, http, interface)


def bar(symbol: str, minute: int, close: Any = 100.5, **more: Any) -> dict[str, Any]:
    """Return a record of a minute of one day."""
    at = f"2025-03-03T{15 + minute // 60:02d}:{minute % 60:02d}:00Z"
    return {"symbol": symbol, "timestamp": at, "open": 100, "high": 101, "low": 99, "close": close, "volume": 10} | more


async def audited(served: Served) -> list[tuple[str, str, str]]:
    """Return action, origin and result of each entry of the audit."""

    def read() -> list[tuple[str, str, str]]:
        reader = open_reader(served.paths.history)
        try:
            lines, _ = asyncio.run(reader.audited(AuditQuery(limit=1000)))
            return [(line.action, line.origin, line.result) for line in lines]
        finally:
            reader.close()

    return await asyncio.to_thread(read)
