"""Readers of streams: one that keeps what it is told, and a crowd that notes how late it hears or never reads."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from fakes.control import FakeControl
from fakes.stopwatch import Stopwatch
from qsuite_console.model.events import EngineTrouble

NO_LIMIT = aiohttp.ClientTimeout(total=None)


@dataclass
class Told:
    """What one stream has told so far."""

    events: list[tuple[str, str, Any]] = field(default_factory=list)  # (id, name, data)
    is_over: bool = False

    def names(self) -> list[str]:
        return [name for _, name, _ in self.events]

    def last_id(self) -> str:
        return self.events[-1][0]


async def read(answer: aiohttp.ClientResponse, told: Told) -> None:
    """Read server-sent events as the standard says, until the stream ends."""
    fields: dict[str, str] = {}
    async for raw in answer.content:
        line = raw.decode().rstrip("\n")
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "event" in fields:
            told.events.append((fields["id"], fields["event"], json.loads(fields["data"])))
            fields = {}
    told.is_over = True


@asynccontextmanager
async def reading(http: aiohttp.ClientSession, path: str, **options: Any) -> AsyncIterator[Told]:
    """Follow a stream until the block ends."""
    told = Told()
    async with http.get(path, timeout=NO_LIMIT, **options) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/event-stream"
        reader = asyncio.create_task(read(answer, told))
        try:
            yield told
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)


def session(path: Path) -> aiohttp.ClientSession:
    return aiohttp.ClientSession("http://engine", connector=aiohttp.UnixConnector(str(path), limit=0))


EVERY_S = 0.02
_SENT = re.compile(rb'"message":"(\d+) ')
_PADDING = "x" * 4000  # so that a reader who does not read has soon more waiting than the kernel takes


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: engine\r\n\r\n".encode()


class Crowd:
    """Readers of one engine's ``/stream``, with the seconds each event took to reach each of them.

    ``clock`` is that of whoever speaks: it stands still while the machine lets nobody run.
    """

    def __init__(self, path: Path, clock: Stopwatch) -> None:
        self.late: list[float] = []
        self._path = path
        self._clock = clock

    @asynccontextmanager
    async def listening(self, count: int) -> AsyncIterator[None]:
        """Let ``count`` readers read until the block ends."""
        readers = [asyncio.create_task(self._read()) for _ in range(count)]
        try:
            yield
        finally:
            for reader in readers:
                reader.cancel()
            ends = await asyncio.gather(*readers, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends  # none was sent away

    @asynccontextmanager
    async def stuck(self, count: int) -> AsyncIterator[None]:
        """Let ``count`` readers ask and never read."""
        async with AsyncExitStack() as stack:
            for _ in range(count):
                line = stack.enter_context(socket.socket(socket.AF_UNIX))
                line.setblocking(False)
                await asyncio.get_running_loop().sock_connect(line, str(self._path))
                await asyncio.get_running_loop().sock_sendall(line, request("/stream"))
            yield

    def p99(self) -> float:
        """Return the 99th percentile of the lateness in seconds, and begin anew."""
        late, self.late = sorted(self.late), []
        return late[int(len(late) * 0.99)]

    async def _read(self) -> None:
        reader, writer = await asyncio.open_unix_connection(str(self._path))
        try:
            writer.write(request("/stream?events=trouble"))
            rest = b""
            while chunk := await reader.read(256 * 1024):
                now = self._clock.seconds
                rest, end = rest + chunk, 0
                for found in _SENT.finditer(rest):
                    self.late.append(now - int(found[1]) / 1e9)
                    end = found.end()
                rest = rest[end:][-64:]
        finally:
            writer.close()


async def speak(control: FakeControl, until: asyncio.Event, clock: Stopwatch) -> None:
    """Let something happen fifty times a second, with the instant it did."""
    while not until.is_set():
        now = int(clock.seconds * 1e9)
        control.emit(EngineTrouble(at=control.clock.now(), message=f"{now} {_PADDING}"))
        await asyncio.sleep(EVERY_S)
    control.emit(EngineTrouble(at=control.clock.now(), message=""))


def resident_mib() -> float:
    """Return this process's resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20
