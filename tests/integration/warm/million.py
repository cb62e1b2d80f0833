"""One symbol is invalidated among very many keys, and nobody else who uses the server feels it.

The server's own percentiles decide: what a client measures on a busy machine is also how late it was woken. The suite
runs this with fewer keys than the benchmarks; every assertion is the same.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from fakes.backfill import NOWHERE, FakeContext, make_settings, open_services
from integration.warm.watching import monitoring
from qsuite_console import workers
from qsuite_console.cache.writer import write_keys
from qsuite_console.engine.parameters import decode
from qsuite_console.sandbox import servers

MOST_MS = 5.0


@contextmanager
def own_server() -> Iterator[servers.Server]:
    """Start a server whose statistics are about one test alone."""
    directory = Path(tempfile.mkdtemp(prefix="qsuite-million-"))
    made = servers.start_valkey(directory, password=servers.make_password())
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(directory)


class Prober:
    """The other client; ``lap`` returns (pings, p50, p99 in milliseconds) since the last one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def lap(self) -> tuple[int, float, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        number, p50, p99 = (await self._process.stdout.readline()).split()
        return int(number), float(p50), float(p99)


@asynccontextmanager
async def probing(url: str) -> AsyncIterator[Prober]:
    program = str(Path(__file__).with_name("prober.py"))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, program, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{url}\n".encode())
    assert await process.stdout.readline() == b"ready\n"
    try:
        yield Prober(process)
    finally:
        process.stdin.close()
        await process.wait()


async def fill(services: workers.Services, redis: Redis, keys: int, symbol: str) -> int:
    """Fill the server; returns how many keys speak of the symbol."""
    for first in range(0, keys, 50_000):
        entries = [
            (f"ohlcv:S{number % 5000:04d}:1Min:{number}", b"0123456789") for number in range(first, first + 50_000)
        ]
        await write_keys(services.cache, entries, life_s=3600)
    for family in ("price", "market_data", "order_book"):
        await redis.set(f"{family}:{symbol}", "x")
    assert await redis.dbsize() == keys + 3
    assert (await redis.info("stats"))["evicted_keys"] == 0
    return keys // 5000 + 3


async def sweep_one_symbol(server: servers.Server, keys: int) -> None:
    """Invalidate one symbol among ``keys`` keys and check what it removed, how, and what others felt."""
    nobody = "postgresql://nobody@127.0.0.1:1/none"
    redis = Redis.from_url(server.url)
    async with (
        open_services(make_settings(nobody, NOWHERE, redis=server.url)) as services,
        probing(server.url) as prober,
    ):
        wanted = await fill(services, redis, keys, "S0042")
        worker: Any = workers.load("cache.invalidate", services)
        parameters = decode(worker.kind.parameters, {"by": "symbol", "value": "S0042"})
        await prober.lap()
        await asyncio.sleep(1.0)  # the span over which an idle server is measured
        _, idle_p50, idle_p99 = await prober.lap()
        await redis.config_set("slowlog-log-slower-than", int(1000 * MOST_MS))
        await redis.config_resetstat()
        await redis.slowlog_reset()
        async with monitoring(server.url) as commands:
            result = await worker.run(FakeContext(), parameters)
            pings, p50, p99 = await prober.lap()
        percentiles = await redis.info("latencystats")
        calls = {name: said["calls"] for name, said in (await redis.info("commandstats")).items()}
        slow = [entry["command"][:60] for entry in await redis.slowlog_get(128)]
        served = {
            name.removeprefix("latency_percentiles_usec_"): said["p99"] / 1000 for name, said in percentiles.items()
        }
        said = ", ".join(f"{name} {served[name]:.2f}" for name in ("scan", "unlink"))
        print(
            f"\n{keys:,} keys, {result['removed']} of them removed in {result['duration_s']:.1f} s by "
            f"{calls['cmdstat_scan']} SCANs; the server's p99 in ms: {said}; {len(slow)} commands over {MOST_MS} ms; "
            f"another client: p50 {p50:.2f}, p99 {p99:.2f} ms over {pings} pings (idle {idle_p50:.2f}, {idle_p99:.2f})"
        )
        assert result["removed"] == wanted
        assert await redis.dbsize() == keys + 3 - wanted
        assert all(served[name] <= MOST_MS for name in served)
        assert len(slow) <= calls["cmdstat_scan"] / 100
        asked = {command.split()[0].upper() for command in commands}
        assert "SCAN" in asked
        assert not asked & {"KEYS", "FLUSHDB", "FLUSHALL", "DEL"}
        assert "cmdstat_keys" not in calls
        assert p50 <= max(MOST_MS, 5 * idle_p50)
    await redis.aclose()
