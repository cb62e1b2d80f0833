"""An interface served over TCP to a FakeControl, and a client that asks it as the holder of one of its tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from fakes.control import FakeControl
from qsuite_console.config.api import ApiSettings, ApiToken
from qsuite_console.config.secrets import Secret
from qsuite_console.headless.http import Interface
from qsuite_console.model.access import Scope

TOKENS = {name: f"{name}-{'x' * 40}" for name in ("reader", "operator", "admin", "robot")}
JOB = {"kind": "backfill", "parameters": {"symbols": "AAPL", "start": "2025-01-02"}}


def token(name: str, scope: Scope, *, own: bool = False) -> ApiToken:
    return ApiToken(name=name, reference=f"env:{name}", scope=scope, own_jobs_only=own, value=Secret(TOKENS[name]))


ALL = {
    "reader": token("reader", Scope.READ),
    "operator": token("operator", Scope.OPERATE),
    "admin": token("admin", Scope.ADMIN),
    "robot": token("robot", Scope.OPERATE, own=True),
}


class Client:
    """Asks as the holder of a token, or as nobody."""

    def __init__(self, session: aiohttp.ClientSession, address: tuple[str, int]) -> None:
        self.session = session
        self.base = f"http://127.0.0.1:{address[1]}"
        self.port = address[1]

    async def ask(
        self, method: str, path: str, who: str = "", *, headers: dict[str, str] | None = None, body: Any = None
    ) -> tuple[int, Any, Any]:
        sent = {"Authorization": f"Bearer {TOKENS[who]}"} if who else {}
        url = URL(self.base + path, encoded=True)
        async with self.session.request(method, url, headers=sent | (headers or {}), json=body) as answer:
            content = await answer.read()
            return answer.status, msgspec.json.decode(content) if content else None, answer.headers


@asynccontextmanager
async def served(
    control: FakeControl, path: Path, settings: ApiSettings | None = None, tokens: dict[str, ApiToken] | None = None
) -> AsyncIterator[tuple[Client, Interface]]:
    api = settings or ApiSettings(listen="127.0.0.1:0")
    interface = Interface(path, origin="test", api=api, tokens=ALL if tokens is None else tokens)
    async with interface.serve(control), aiohttp.ClientSession() as session:
        assert interface.address is not None
        yield Client(session, interface.address), interface
