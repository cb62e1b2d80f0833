"""What it costs to be watched while a backfill runs: scrapes of /metrics, and fifty streams of which ten never read."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.test_api_bench import BACKFILL, ask, engine
from fakes.readers import request

__all__ = ["engine"]  # the fixture
ROUNDS = 4  # the best counts: what else the machine does is not this program's
SCRAPES, SCRAPE_MS = 8, 50.0
READERS, STUCK, LISTEN_S, LATE_MS = 40, 10, 5.0, 250.0
_AT = re.compile(rb'"type":"JobProgressed","at":"([^"]+)"')


async def begin(http: aiohttp.ClientSession) -> int:
    """Start the backfill and return its job's id when it stores rows."""
    async with asyncio.timeout(60):
        while True:
            with suppress(aiohttp.ClientConnectionError):  # the socket is there before anybody listens
                await ask(http, "/health")
                break
            await asyncio.sleep(0.05)
    job = int((await ask(http, "/jobs", {"kind": "backfill", "parameters": BACKFILL}))["job_id"])
    async with asyncio.timeout(60):
        while not (status := await ask(http, f"/jobs/{job}/status"))["done"]:
            assert not status["is_over"], status
            await asyncio.sleep(0.1)
    return job


async def listen(path: str, late: list[float]) -> None:
    """Note how many ms after it happened each bit of progress arrives."""
    reader, writer = await asyncio.open_unix_connection(path, limit=2**24)
    writer.write(request("/stream?events=progress"))
    try:
        while line := await reader.readline():
            now = time.time()
            for found in _AT.finditer(line[:200]):
                at = datetime.fromisoformat(found[1].decode().replace("Z", "+00:00"))
                late.append(1000 * (now - at.timestamp()))
    finally:
        writer.close()


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


@pytest.mark.timeout(300)
async def test_scrapes_while_a_backfill_runs(engine: aiohttp.ClientSession) -> None:
    await begin(engine)
    rounds, text = [], ""
    for _ in range(ROUNDS):
        took = []
        for _ in range(SCRAPES):
            await asyncio.sleep(1.05)  # each is made anew
            begun = time.perf_counter()
            async with engine.get("/metrics") as answer:
                text = await answer.text()
            took.append(1000 * (time.perf_counter() - begun))
        rounds.append(sorted(took))
    series = sum(len(family.samples) for family in text_string_to_metric_families(text))
    best = min(rounds, key=lambda times: times[-1])
    print(
        f"\n/metrics while a backfill runs, best of {ROUNDS} rounds of {SCRAPES}: p50 {best[SCRAPES // 2]:.1f}, slowest"
        f" {best[-1]:.1f} ms; {series} series, {len(text) / 1024:.0f} KiB"
    )
    assert best[-1] < SCRAPE_MS
    assert series < 1000


@pytest.mark.timeout(300)
async def test_fifty_streams_while_a_backfill_runs(engine: aiohttp.ClientSession, tmp_path: Path) -> None:
    await begin(engine)
    pid = (await ask(engine, "/health"))["pid"]
    [path] = [str(found) for found in tmp_path.rglob("engine.sock")]
    late: list[float] = []
    with ExitStack() as stack:
        for _ in range(STUCK):
            line = stack.enter_context(socket.socket(socket.AF_UNIX))
            line.connect(path)
            line.sendall(request("/stream"))
        readers = [asyncio.create_task(listen(path, late)) for _ in range(READERS)]
        await asyncio.sleep(2.0)
        memory = resident_mib(pid)
        rounds = []
        for _ in range(ROUNDS):
            late.clear()
            await asyncio.sleep(LISTEN_S)
            rounds.append(sorted(late))
        grown = resident_mib(pid) - memory
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    best = min(rounds, key=lambda found: found[len(found) * 99 // 100])
    p99 = best[len(best) * 99 // 100]
    print(
        f"\n{READERS} streams beside {STUCK} that never read, while a backfill runs, best of {ROUNDS} rounds of"
        f" {LISTEN_S:g} s: {len(best):,} events, p50 {best[len(best) // 2]:.0f}, p99 {p99:.0f},"
        f" latest {best[-1]:.0f} ms late; memory {grown:+.1f} MiB"
    )
    assert p99 < LATE_MS
    assert grown < 60  # the backfill's own working memory is in it: as much without any stream
