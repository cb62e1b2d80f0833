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
from qsuite_console.cache.layers import LayeredCache, LayerStatistics, Wanted
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
    async with LayeredCache(cache, Clock(), realm="test").listening() as made:
        await heard(made)
        yield made


async def heard(layers: LayeredCache) -> None:
    await ask(layers, Source(), "first", space="warming up")  # nothing is listened to before the first question
    await until(lambda: layers.hears)


def wanted(key: str = "k", *about: str, space: str = "test.1") -> Wanted:
    return Wanted(space=space, key=key, about=about or (key,), memory_s=60, shared_s=600)


async def ask(layers: LayeredCache, source: Source, key: str = "k", *about: str, space: str = "test.1") -> bytes:
    return await layers.get(wanted(key, *about, space=space), source)


def counted(layers: LayeredCache, space: str = "test.1") -> LayerStatistics:
    return layers.statistics.get(space, LayerStatistics())


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
    found = counted(layers)
    assert (found.loads, found.misses, found.joined, found.memory_hits) == (1, 100, 99, 0)
    assert await ask(layers, source) == b"1"
    assert counted(layers).memory_hits == 1


async def test_what_one_process_loaded_another_reads(layers: LayeredCache, cache: Cache) -> None:
    source = Source(b"dear")
    await ask(layers, source)
    async with LayeredCache(cache, Clock(), realm="test").listening() as other:
        assert await ask(other, Source(b"other")) == b"dear"
        assert (counted(other).shared_hits, counted(other).loads) == (1, 0)
        assert await ask(other, Source(b"newer"), space="test.2") == b"newer", "another format shares nothing"
    async with LayeredCache(cache, Clock(), realm="elsewhere").listening() as foreign:
        assert await ask(foreign, Source(b"foreign")) == b"foreign", "another database shares nothing"


async def test_memory_ages(layers: LayeredCache, valkey_url: str) -> None:
    source = Source()
    await ask(layers, source)
    redis = Redis.from_url(valkey_url)
    assert 590_000 < await redis.pttl("qsuite-console:value:test:test.1:k") <= 600_000
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
        for number in range(20):
            source = Source(b"%d" % number)
            assert await ask(layers, source) == b"%d" % number
            source.value = b"new"
            process.stdin.write(b"k\n")
            saying = asyncio.create_task(process.stdout.readline())
            stale_at = 0.0
            while await ask(layers, source) != b"new":  # reads on while the other forgets: no moment is missed
                stale_at = time.monotonic()
                await asyncio.sleep(0)
            windows.append(max(0.0, stale_at - float(await saying)))
            await layers.forget("k")
        windows.sort()
        print(
            f"\nstale after another process forgot: median {1000 * windows[10]:.1f} ms, worst {1000 * windows[-1]:.1f}"
        )
        assert windows[len(windows) // 2] < 0.1
    finally:
        process.stdin.close()
        await process.wait()


async def test_what_was_loaded_before_a_forgetting_is_never_read_after_it(layers: LayeredCache, cache: Cache) -> None:
    source = Source(b"old")
    source.gate.clear()
    loading = asyncio.create_task(ask(layers, source))
    await source.asked.wait()
    async with LayeredCache(cache, Clock(), realm="test").listening() as other:
        await other.forget("k")  # what the first one loads is of before
        await until(lambda: layers._loading["test.1:k"].is_forgotten)
        source.gate.set()
        assert await loading == b"old", "who asked before may be told what was true then"
        fresh = Source(b"new")
        assert await ask(layers, fresh) == b"new"
        assert await ask(other, fresh) == b"new"


async def test_who_asks_after_a_forgetting_does_not_join_a_load_of_before(layers: LayeredCache) -> None:
    old, new = Source(b"old"), Source(b"new")
    old.gate.clear()
    first = asyncio.create_task(ask(layers, old))
    await old.asked.wait()
    await layers.forget("k")
    assert await ask(layers, new) == b"new"
    old.gate.set()
    assert await first == b"old"
    assert await ask(layers, Source(b"third")) == b"new"


async def test_a_value_is_forgotten_with_anything_it_is_about(layers: LayeredCache, cache: Cache) -> None:
    async with LayeredCache(cache, Clock(), realm="test").listening() as other:
        await heard(other)
        for gone in ("bars", "bars:AAPL"):
            source = Source(b"1")
            assert await ask(layers, source, "k", "bars", "bars:AAPL") == b"1"
            assert await ask(other, source, "k", "bars", "bars:AAPL") == b"1"
            source.value = b"2"
            await other.forget("bars:MSFT")
            assert await ask(other, source, "k", "bars", "bars:AAPL") == b"1", "about something else"
            await other.forget(gone)
            assert await ask(other, source, "k", "bars", "bars:AAPL") == b"2"
            await other.forget("bars")


async def test_a_version_that_the_server_evicted_brings_no_old_value_back(
    layers: LayeredCache, cache: Cache, valkey_url: str
) -> None:
    source = Source(b"old")
    await ask(layers, source)
    await layers.forget("k")
    await layers.get(wanted(), Source(b"newer"))
    redis = Redis.from_url(valkey_url)
    sealed = await redis.get("qsuite-console:value:test:test.1:k")
    await layers.forget("k")
    await redis.set("qsuite-console:value:test:test.1:k", sealed)  # written late by somebody slow
    await redis.delete("qsuite-console:version:test:k")  # evicted
    async with LayeredCache(cache, Clock(), realm="test").listening() as other:
        assert await ask(other, Source(b"newest")) == b"newest"
    await redis.aclose()


async def test_room_is_bounded_by_number_and_bytes(cache: Cache) -> None:
    async with LayeredCache(cache, Clock(), realm="room", most_entries=10, most_bytes=1000).listening() as layers:
        await heard(layers)
        for number in range(25):
            await ask(layers, Source(b"x" * 10), f"k{number}")
        found = counted(layers)
        assert (found.entries, found.size, found.evictions) == (10, 100, 15)
        source = Source(b"x" * 10)
        await ask(layers, source, "k24")
        assert source.loads == 0, "the newest stay"
        await ask(layers, Source(b"y" * 950), "big")
        assert (counted(layers).entries, counted(layers).size) == (6, 1000)
        await ask(layers, Source(b"z" * 2000), "huge")
        assert counted(layers).size == 1000, "what is larger than all the room is not held"


async def test_a_failure_is_told_to_all_and_not_kept(layers: LayeredCache) -> None:
    async def fail() -> bytes:
        await asyncio.sleep(0)
        raise ValueError("no")

    asking = [layers.get(wanted(), fail) for _ in range(5)]
    assert [str(each) for each in await asyncio.gather(*asking, return_exceptions=True)] == ["no"] * 5
    assert await ask(layers, Source(b"yes")) == b"yes"


class Answer(msgspec.Struct, frozen=True):
    x: int


async def test_structs_survive_a_value_of_another_shape(layers: LayeredCache) -> None:
    await layers.get(wanted(), Source(b'{"y":1}'))

    async def load() -> Answer:
        return Answer(7)

    assert await layers.get_struct(wanted(), Answer, load) == Answer(7)
    assert await layers.get_struct(wanted(), Answer, load) == Answer(7)


async def test_a_server_that_dies_and_comes_back(server_directory: Path) -> None:
    server = servers.start_valkey(server_directory, password=servers.make_password())
    cache = Cache(CacheSettings(url=Secret(server.url), timeout_s=0.5))
    try:
        async with LayeredCache(cache, Clock(), realm="test").listening() as layers:
            await heard(layers)
            await ask(layers, Source(b"old"))
            server.stop()
            await until(lambda: not layers.hears)
            assert counted(layers).entries == 0, "who hears nothing trusts nothing"
            assert await ask(layers, Source(b"new")) == b"new"
            assert counted(layers).errors == 1
            await ask(layers, Source(b"newer"), "k2")
            assert counted(layers).errors == 1, "who has just failed is not asked by every answer anew"
    finally:
        server.stop()
        await cache.close()


async def test_a_user_who_may_not_subscribe_keeps_answers_in_memory(valkey_url: str) -> None:
    redis = Redis.from_url(valkey_url)
    await redis.execute_command("ACL", "SETUSER", "looker", "on", ">secret", "~*", "resetchannels", "+@all")
    address = valkey_url.split("@")[1]
    cache = Cache(CacheSettings(url=Secret(f"redis://looker:secret@{address}")))
    try:
        async with LayeredCache(cache, Clock(), realm="test").listening() as layers:
            await ask(layers, Source())
            await until(lambda: not layers.is_shared)
            source = Source()
            await ask(layers, source, "k2")
            await redis.flushall()
            await ask(layers, source, "k2")
            assert source.loads == 1
    finally:
        await cache.close()
        await redis.acl_deluser("looker")
        await redis.aclose()


async def test_without_redis_memory_serves_alone() -> None:
    async with LayeredCache(Cache(CacheSettings()), Clock(), realm="test").listening() as layers:
        source = Source()
        assert await ask(layers, source) == await ask(layers, source) == b"1"
        assert source.loads == 1
        await layers.forget("k")
        await ask(layers, source)
        assert source.loads == 2
