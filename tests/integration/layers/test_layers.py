"""The two levels of cache: one load for many, nothing stale after a forgetting, bounded, and well without Redis."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from qsuite_console.cache.client import Cache
from qsuite_console.cache.layers import LayeredCache
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings
from qsuite_console.model.clock import SystemClock
from qsuite_console.sandbox import servers


class Source:
    """What is dear: counts how often it is asked; ``gate`` holds it up."""

    def __init__(self, value: bytes = b"1") -> None:
        self.value = value
        self.loads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    async def __call__(self) -> bytes:
        self.loads += 1
        value = self.value
        self.asked.set()
        await self.gate.wait()
        return value


class Clock(SystemClock):
    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


async def until(holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not holds():
            await asyncio.sleep(0.005)


@pytest.fixture
async def cache(valkey_url: str) -> AsyncIterator[Cache]:
    made = Cache(CacheSettings(url=Secret(valkey_url)))
    yield made
    await made.close()


@pytest.fixture
async def layers(cache: Cache) -> AsyncIterator[LayeredCache]:
    async with LayeredCache(cache, Clock(), space="test.1").listening() as made:
        await until(lambda: made._hears)
        yield made


async def ask(layers: LayeredCache, source: Source, key: str = "k") -> bytes:
    return await layers.get(key, source, memory_s=60, shared_s=600)


async def test_a_hundred_at_once_cost_one_load(layers: LayeredCache) -> None:
    source = Source()
    source.gate.clear()
    asking = [asyncio.create_task(ask(layers, source)) for _ in range(100)]
    await source.asked.wait()
    asking[0].cancel()  # who began it may go away: the others are served all the same
    await asyncio.gather(asking[0], return_exceptions=True)
    source.gate.set()
    assert await asyncio.gather(*asking[1:]) == [b"1"] * 99
    assert source.loads == 1
    found = layers.statistics
    assert (found.loads, found.misses, found.joined, found.memory_hits) == (1, 100, 99, 0)
    assert await ask(layers, source) == b"1"
    assert layers.statistics.memory_hits == 1


async def test_what_one_process_loaded_another_reads(layers: LayeredCache, cache: Cache) -> None:
    source = Source(b"dear")
    await ask(layers, source)
    async with LayeredCache(cache, Clock(), space="test.1").listening() as other:
        assert await ask(other, Source(b"other")) == b"dear"
        assert (other.statistics.shared_hits, other.statistics.loads) == (1, 0)
    async with LayeredCache(cache, Clock(), space="test.2").listening() as newer:
        assert await ask(newer, Source(b"newer")) == b"newer", "another version of the format shares nothing"


async def test_memory_ages(layers: LayeredCache, valkey_url: str) -> None:
    source = Source()
    await ask(layers, source)
    redis = Redis.from_url(valkey_url)
    assert 590_000 < await redis.pttl("qsuite-console:value:test.1:k") <= 600_000
    await redis.flushall()
    source.value = b"2"
    assert await ask(layers, source) == b"1"
    clock: Clock = layers._clock  # type: ignore[assignment]
    clock.ahead = 61
    assert await ask(layers, source) == b"2"
    await redis.aclose()


async def test_forgetting_reaches_another_process_within_a_tenth_of_a_second(
    layers: LayeredCache, valkey_url: str
) -> None:
    program = Path(__file__).with_name("forgetter.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(f"{valkey_url}\n".encode())
        assert await process.stdout.readline() == b"ready\n"
        windows = []
        for number in range(10):
            source = Source(b"%d" % number)
            assert await ask(layers, source) == b"%d" % number
            source.value = b"new"
            process.stdin.write(b"k\n")
            assert await process.stdout.readline() == b"forgotten\n"
            began = time.perf_counter()
            while await ask(layers, source) != b"new":
                await asyncio.sleep(0)
            windows.append(time.perf_counter() - began)
            await layers.forget("k")
        assert sorted(windows)[len(windows) // 2] < 0.1
    finally:
        process.stdin.close()
        await process.wait()


async def test_what_was_loaded_before_a_forgetting_is_never_read_after_it(layers: LayeredCache, cache: Cache) -> None:
    source = Source(b"old")
    source.gate.clear()
    loading = asyncio.create_task(ask(layers, source))
    await source.asked.wait()
    async with LayeredCache(cache, Clock(), space="test.1").listening() as other:
        await other.forget("k")  # what the first one loads is of before
        await until(lambda: layers._epochs.get("k", 0) > 0)
        source.gate.set()
        assert await loading == b"old", "who asked before may be told what was true then"
        fresh = Source(b"new")
        assert await ask(layers, fresh) == b"new"
        assert await ask(other, fresh) == b"new"


async def test_room_is_bounded_by_number_and_bytes(cache: Cache) -> None:
    async with LayeredCache(cache, Clock(), space="room.1", most_entries=10, most_bytes=1000).listening() as layers:
        await until(lambda: layers._hears)
        for number in range(25):
            await ask(layers, Source(b"x" * 10), f"k{number}")
        found = layers.statistics
        assert (found.entries, found.size, found.evictions) == (10, 100, 15)
        source = Source(b"x" * 10)
        await ask(layers, source, "k24")
        assert source.loads == 0, "the newest stay"
        await ask(layers, Source(b"y" * 950), "big")
        assert (layers.statistics.entries, layers.statistics.size) == (6, 1000)
        await ask(layers, Source(b"z" * 2000), "huge")
        assert layers.statistics.size == 1000, "what is larger than all the room is not held"


async def test_a_failure_is_told_to_all_and_not_kept(layers: LayeredCache) -> None:
    async def fail() -> bytes:
        await asyncio.sleep(0)
        raise ValueError("no")

    asking = [layers.get("k", fail, memory_s=60, shared_s=60) for _ in range(5)]
    assert [str(each) for each in await asyncio.gather(*asking, return_exceptions=True)] == ["no"] * 5
    assert await ask(layers, Source(b"yes")) == b"yes"


class Answer(msgspec.Struct, frozen=True):
    x: int


async def test_structs_survive_a_value_of_another_shape(layers: LayeredCache) -> None:
    await layers.get("k", Source(b'{"y":1}'), memory_s=60, shared_s=60)

    async def load() -> Answer:
        return Answer(7)

    assert await layers.get_struct("k", Answer, load, memory_s=60, shared_s=60) == Answer(7)
    assert await layers.get_struct("k", Answer, load, memory_s=60, shared_s=60) == Answer(7)


async def test_a_server_that_dies_and_comes_back(server_directory: Path) -> None:
    server = servers.start_valkey(server_directory, password=servers.make_password())
    cache = Cache(CacheSettings(url=Secret(server.url), timeout_s=0.5))
    try:
        async with LayeredCache(cache, Clock(), space="test.1").listening() as layers:
            await until(lambda: layers._hears)
            await ask(layers, Source(b"old"))
            server.stop()
            await until(lambda: not layers._hears)
            assert layers.statistics.entries == 0, "who hears nothing trusts nothing"
            assert await ask(layers, Source(b"new")) == b"new"
            assert layers.statistics.errors == 1
    finally:
        server.stop()
        await cache.close()


async def test_without_redis_memory_serves_alone() -> None:
    async with LayeredCache(Cache(CacheSettings()), Clock(), space="test.1").listening() as layers:
        source = Source()
        assert await ask(layers, source) == await ask(layers, source) == b"1"
        assert source.loads == 1
        await layers.forget("k")
        await ask(layers, source)
        assert source.loads == 2
