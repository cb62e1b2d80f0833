"""A cache that hangs, goes away or is huge: the panels' connection survives, and the server never waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from fakes.stopwatch import Stopwatch
from integration.service.watching import freeze, resume
from qsuite_console.cache.client import Cache
from qsuite_console.cache.errors import CacheDown
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings
from qsuite_console.metrics import cache_panels as panels
from qsuite_console.sandbox import servers

MILLION = 1_000_000
FILL = """
for i = ARGV[1], ARGV[2] do
  if i % 10 == 0 then redis.call('SET', 'session:' .. i, i, 'EX', 5000) else redis.call('SET', 'price:' .. i, i) end
end
"""


@pytest.fixture
async def watcher(own_valkey: servers.Server) -> AsyncIterator[Any]:
    cache = Cache(CacheSettings(url=Secret(own_valkey.url), timeout_s=20.0), application="test")
    await cache.raw.config_set("maxmemory", "0")
    yield cache.raw
    await cache.close()


async def panel_connections(watcher: Any) -> int:
    return sum(one["name"] == "qsuite-console/panels" for one in await watcher.client_list())


async def test_a_server_that_hangs_costs_two_seconds_and_no_connection(
    own_valkey: servers.Server, connect: Callable[[str], Any], watcher: Any
) -> None:
    services = await connect(own_valkey.url)
    probe = panels.ClientsProbe(services)
    await probe.ask({})
    freeze(own_valkey)
    try:
        for _ in range(3):
            with Stopwatch() as waited, pytest.raises(CacheDown):
                await probe.ask({})
            assert waited.seconds < 3.0
    finally:
        resume(own_valkey)
    with Stopwatch() as waited:
        assert (await probe.ask({})).clients
    assert waited.seconds < 2.0
    async with asyncio.timeout(20):
        while await panel_connections(watcher) != 1:
            await asyncio.sleep(0.05)


async def test_questions_in_parallel_take_turns_and_one_that_is_given_up_harms_no_other(
    own_valkey: servers.Server, connect: Callable[[str], Any], watcher: Any
) -> None:
    services = await connect(own_valkey.url)
    await watcher.set("k", "v")
    probe = panels.KeyProbe(services)
    for _ in range(5):
        asked = [asyncio.create_task(probe.ask({"key": "k"})) for _ in range(8)]
        await asyncio.sleep(0.001)
        asked[0].cancel()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert all(answer.name == "k" for answer in answers if not isinstance(answer, BaseException))
        assert sum(isinstance(answer, BaseException) for answer in answers) <= 1
    assert await panel_connections(watcher) == 1


async def test_a_connection_that_was_closed_while_idle_is_opened_anew(
    own_valkey: servers.Server, connect: Callable[[str], Any], watcher: Any
) -> None:
    services = await connect(own_valkey.url)
    probe = panels.ClientsProbe(services)
    await probe.ask({})
    number = next(one["id"] for one in await watcher.client_list() if one["name"] == "qsuite-console/panels")
    assert await watcher.client_kill_filter(_id=number) == 1
    assert number not in [str(one.id) for one in (await probe.ask({})).clients]


async def test_a_million_keys_are_looked_at_in_bounded_time_while_others_are_served(
    own_valkey: servers.Server, connect: Callable[[str], Any], watcher: Any
) -> None:
    await watcher.flushall()
    for start in range(0, MILLION, 50_000):
        await watcher.eval(FILL, 0, start + 1, start + 50_000)
    services = await connect(own_valkey.url)
    families, keys = panels.FamiliesProbe(services), panels.KeysProbe(services)
    quiet = await pings(watcher, asyncio.create_task(asyncio.sleep(1.0)))
    await watcher.config_resetstat()
    with Stopwatch() as taken:
        surveying = asyncio.create_task(survey(families, keys))
        busy = await pings(watcher, surveying)
    seconds = taken.seconds
    answer = surveying.result()
    print(f"ping p99 {percentile(quiet):.2f} ms quiet, {percentile(busy):.2f} ms while surveying, {seconds:.1f} s")
    assert (answer.total, answer.is_whole) == (MILLION, False)
    assert answer.seen >= 10_000
    found = {family.name: family for family in answer.families}
    assert found["price:*"].keys == pytest.approx(0.9 * MILLION, rel=0.05)
    assert found["session:*"].keys == pytest.approx(0.1 * MILLION, rel=0.2)
    assert found["price:*"].size == pytest.approx(0.9 * MILLION * await watcher.memory_usage("price:999"), rel=0.2)
    assert found["session:*"].ageless == 0.0
    assert seconds < 20
    told = await watcher.info("latencystats")
    medians = {name.removeprefix("latency_percentiles_usec_"): float(each["p50"]) for name, each in told.items()}
    ours = {name: usec for name, usec in medians.items() if name.startswith(("scan", "type", "memory"))}
    assert len(ours) >= 3, medians
    assert max(ours.values()) < 10_000, f"no command of ours takes 10 ms: {ours}"
    assert percentile(busy) < 3 * percentile(quiet) + 25


async def survey(families: panels.FamiliesProbe, keys: panels.KeysProbe) -> Any:
    await keys.ask({})
    await keys.ask({"order": "scan", "pattern": "*:99999?"})
    return await families.ask({})


async def pings(client: Any, until: asyncio.Task[Any]) -> list[float]:
    """Return the round trips in milliseconds from another thread: this loop is the surveyor's own."""
    url_client = client.connection_pool.connection_kwargs

    def measure() -> list[float]:
        import redis

        plain = redis.Redis(host=url_client["host"], port=url_client["port"], password=url_client["password"])
        found = []
        while not until.done():
            began = time.perf_counter()
            plain.ping()
            found.append((time.perf_counter() - began) * 1000)
            time.sleep(0.002)
        plain.close()
        return found

    found, _ = await asyncio.gather(asyncio.to_thread(measure), until)
    return found


def percentile(values: list[float], percent: float = 99) -> float:
    return sorted(values)[int(len(values) * percent / 100)]
