"""Servers on loopback that count who comes: whoever is let in has got past the guard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp.web as web


class Canary:
    """The same port on 127.0.0.1 and ::1."""

    def __init__(self) -> None:
        self.port = 0
        self.accepted = 0
        self.seen: list[web.Request] = []

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        writer.close()


@asynccontextmanager
async def open_canary() -> AsyncIterator[Canary]:
    canary = Canary()
    servers = [await asyncio.start_server(canary._accept, "127.0.0.1", 0)]
    canary.port = servers[0].sockets[0].getsockname()[1]
    try:
        servers.append(await asyncio.start_server(canary._accept, "::1", canary.port))
        yield canary
    finally:
        for server in servers:
            server.close()
            await server.wait_closed()


class Receiver:
    """An HTTP server whose answers a test chooses; ``seen`` are (path, headers, body) in order."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[web.Response] = []  # taken one by one; then 200
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.path_qs, dict(request.headers), await request.read()))
        return self.answers.pop(0) if self.answers else web.json_response({"ok": True})


@asynccontextmanager
async def serving(receiver: Receiver, port: int = 0) -> AsyncIterator[Receiver]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        receiver.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        yield receiver
    finally:
        await runner.cleanup()
