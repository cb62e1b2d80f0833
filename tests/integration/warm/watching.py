"""What a server is asked, as its MONITOR tells it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from redis.asyncio import Redis


@contextlib.asynccontextmanager
async def monitoring(url: str) -> AsyncIterator[list[str]]:
    """Yield the commands the server is given, as MONITOR tells them."""
    client, seen = Redis.from_url(url), []
    async with client.monitor() as monitor:

        async def listen() -> None:
            while True:
                seen.append(str((await monitor.next_command())["command"]))

        listening = asyncio.create_task(listen())
        yield seen
        async with asyncio.timeout(10):
            await client.echo("that was all")
            while not any("that was all" in line for line in seen):
                await asyncio.sleep(0.01)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    await client.aclose()
