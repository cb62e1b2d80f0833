"""One quota for several processes, kept in a real Valkey."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from qsuite_console.cache.client import Cache
from qsuite_console.cache.errors import CacheError
from qsuite_console.cache.shared_limit import SharedLimit
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings
from qsuite_console.engine.ratelimit import RateLimiter
from qsuite_console.model.quota import Quota


class Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def known(remaining: int, *, epoch: float = 100.0, reset_s: float = 30.0) -> Quota:
    return Quota(limit=200, remaining=remaining, reset_epoch=epoch, reset_s=reset_s)


async def test_two_processes_never_take_more_than_there_is(valkey_url: str) -> None:
    caches = [Cache(CacheSettings(url=Secret(valkey_url))) for _ in range(2)]
    one, two = (SharedLimit(cache, "KEY") for cache in caches)
    ticket, wait_s = await one.take(200)
    assert wait_s == 0
    assert (await two.take(200))[1] > 0  # nothing is known yet: one request probes
    settled = asyncio.get_running_loop().time()
    await one.settle(ticket, known(11), 0.0)
    taken = [await limit.take(200) for _ in range(10) for limit in (one, two)]
    granted = [ticket for ticket, wait_s in taken if wait_s == 0]
    assert len(granted) == 11
    took_s = asyncio.get_running_loop().time() - settled
    assert all(30 - took_s - 0.1 < wait_s <= 31.1 for _, wait_s in taken if wait_s)
    other = SharedLimit(caches[0], "ANOTHER KEY")
    assert (await other.take(200))[1] == 0
    keys = await caches[0].raw.keys("*")
    assert not any(b"KEY" in key for key in keys)
    for cache in caches:
        await cache.close()


async def test_a_late_answer_never_raises_the_quota_and_a_new_window_does(valkey_url: str) -> None:
    cache = Cache(CacheSettings(url=Secret(valkey_url)))
    limit = SharedLimit(cache, "KEY")
    first, _ = await limit.take(200)
    await limit.settle(first, known(1), 0.0)
    second, wait_s = await limit.take(200)
    assert wait_s == 0
    await limit.settle(second, known(50), 0.0)
    assert (await limit.take(200))[1] > 0
    await limit.settle("gone", known(3, epoch=160.0), 0.0)
    assert [(await limit.take(200))[1] for _ in range(3)] == [0, 0, 0]
    await cache.close()


async def test_a_429_of_one_stops_all(valkey_url: str) -> None:
    cache = Cache(CacheSettings(url=Secret(valkey_url)))
    one, two = SharedLimit(cache, "KEY"), SharedLimit(cache, "KEY")
    ticket, _ = await one.take(200)
    settled = asyncio.get_running_loop().time()
    await one.settle(ticket, known(100), 5.0)
    wait_s = (await two.take(200))[1]
    assert 5 - (asyncio.get_running_loop().time() - settled) - 0.1 < wait_s <= 5
    await cache.close()


async def test_limiters_of_two_consoles_share_and_go_alone_without_redis(valkey_url: str) -> None:
    caches = [Cache(CacheSettings(url=Secret(valkey_url))) for _ in range(2)]
    limiters = [RateLimiter(200, Clock(), shared=SharedLimit(cache, "KEY")) for cache in caches]
    permit = await limiters[0].admit()
    await limiters[0].settle(permit, 200, known(2))
    for limiter in limiters:
        await limiter.admit()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(limiters[1].admit(), 0.1)
    for cache in caches:
        await cache.close()
    broken = Cache(CacheSettings(url=Secret("redis://127.0.0.1:1/0")))
    with pytest.raises(CacheError):
        await SharedLimit(broken, "KEY").take(200)
    notes: list[str] = []
    alone = RateLimiter(200, Clock(), shared=SharedLimit(broken, "KEY"), on_note=notes.append)
    permit = await alone.admit()
    await alone.settle(permit, 200, known(10))
    assert not alone.is_shared
    assert len(notes) == 1
    await broken.close()
