"""Another process: forgets what it reads, line by line, and says when it had, by the clock of all processes."""

from __future__ import annotations

import asyncio
import sys
import time

from qsuite_console.cache.client import Cache
from qsuite_console.cache.layers import LayeredCache
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings
from qsuite_console.model.clock import SystemClock


async def main(url: str) -> None:
    cache = Cache(CacheSettings(url=Secret(url)))
    layers = LayeredCache(cache, SystemClock(), realm="test")
    loop = asyncio.get_running_loop()
    print("ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await layers.forget(line.strip())
        print(time.monotonic(), flush=True)
    await cache.close()


if __name__ == "__main__":
    asyncio.run(main(sys.stdin.readline().strip()))
