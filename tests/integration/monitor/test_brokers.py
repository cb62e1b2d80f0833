"""Brokers as they are: users with few rights, a key prefix, a large cache beside it, a connection that is cut."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.cache.conftest import as_user
from integration.monitor.conftest import Look, looking, until
from qsuite_console.cache.client import Cache
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings
from qsuite_console.metrics.from_celery import CelerySource
from qsuite_console.metrics.from_redis import RedisSource
from qsuite_console.sandbox import servers

STEP = "\x06\x16"


def beat(worker: str, processed: int) -> str:
    body = json.dumps({"type": "worker-heartbeat", "hostname": worker, "freq": 2.0, "processed": processed})
    return json.dumps({
        "body": base64.b64encode(body.encode()).decode(),
        "content-type": "application/json",
        "properties": {"body_encoding": "base64"},
    })  # fmt: skip


@pytest.fixture
def own() -> Iterator[servers.Server]:
    directory = Path(tempfile.mkdtemp(prefix="qsuite-broker-"))
    server = servers.start_valkey(directory, password=servers.make_password())
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)


async def heard(look: Look, worker: str) -> bool:
    return any(one.name == worker for one in (await look.ask("celery.workers")).workers)


async def test_the_manual_s_user_hears_and_reads_and_asks_only_with_the_rights_for_it(own: servers.Server) -> None:
    manual = (Path(__file__).parents[3] / "docs" / "operating.md").read_text()
    rules = manual.partition("ACL SETUSER console on >secret")[2].partition("```")[0].split()
    more = [word for line in manual.split("```") if "reply.qsuite-console" in line for word in line.split()]
    hear, ask = more[: more.index("+publish")], more[more.index("+publish") :]
    assert {"+psubscribe", "allchannels"} == {word for word in hear if word[0] in "+a"}
    cache = Cache(CacheSettings(url=Secret(own.url)), application="test")
    driver: Any = cache.raw
    try:
        await driver.sadd("_kombu.binding.shop", STEP.join(("shop", "", "shop")))
        await driver.lpush("shop", "x")
        await driver.execute_command("ACL", "SETUSER", "looker", "reset", "on", ">pw", *rules)
        url = as_user(own.url, "looker", "pw")
        async with looking(url) as look:
            queues = await look.ask("celery.queues")
            assert [(queue.name, queue.waiting) for queue in queues.queues] == [("shop", 1)]
            hints = {one.what: one.hint for one in queues.unread}
            assert hints["what workers have and are"] == "ACL SETUSER looker +del", "the first of those it takes"
            await until(lambda: look.services.celery.unheard, "that nobody is heard is said")  # type: ignore[union-attr]

        await driver.execute_command("ACL", "SETUSER", "looker", "+psubscribe", "allchannels")
        async with looking(url) as look:
            assert look.services.celery is not None
            look.services.celery.listen()
            await until(lambda: look.services.celery.tally.since is not None, "it listens")  # type: ignore[union-attr]
            await driver.publish("/0.celeryev/worker.heartbeat", beat("far@away", 1))
            await until(lambda: heard(look, "far@away"), "a heartbeat is heard")

        await driver.execute_command("ACL", "SETUSER", "looker", *ask)
        async with looking(url) as look:
            found = await look.ask("celery.tasks")
            assert (found.listening, found.unread) == (0, ())
    finally:
        await cache.close()


async def test_a_prefix_is_part_of_every_key_and_channel(own: servers.Server) -> None:
    cache = Cache(CacheSettings(url=Secret(own.url)), application="test")
    driver: Any = cache.raw
    try:
        await driver.sadd("mine:_kombu.binding.shop", STEP.join(("shop", "", "shop")))
        await driver.lpush(f"mine:shop{STEP}6", "x", "y")
        await driver.sadd("_kombu.binding.foreign", STEP.join(("foreign", "", "foreign")))
        await driver.zadd("mine:unacked_index", {"tag": 1.0})
        await driver.hset("mine:unacked", "tag", "m")
        async with looking(own.url, prefix="mine:") as look:
            queues = await look.ask("celery.queues")
            assert [(queue.name, queue.waiting, queue.steps[0].priority) for queue in queues.queues] == [("shop", 2, 6)]
            assert queues.in_flight == 1
            assert queues.oldest_s is not None
            assert queues.oldest_s > 1e9
            watch = look.services.celery
            assert watch is not None
            sample = await CelerySource(watch, look.services.clock).read()
            assert sample.watched["celery.oldest"] is not None
            assert sample.watched["celery.oldest"] > 100
            await until(lambda: watch.tally.since is not None, "it listens")
            await driver.publish("mine:/0.celeryev/worker.heartbeat", beat("far@away", 1))
            await until(lambda: heard(look, "far@away"), "a heartbeat is heard")
    finally:
        await cache.close()


async def test_a_large_cache_beside_the_broker_costs_one_step_a_sample(own: servers.Server) -> None:
    cache = Cache(CacheSettings(url=Secret(own.url)), application="test")
    driver: Any = cache.raw
    try:
        for start in range(0, 60_000, 10_000):
            await driver.mset({f"price:{number}": "1" for number in range(start, start + 10_000)})
        await driver.sadd("_kombu.binding.shop", STEP.join(("shop", "", "shop")))
        async with looking(own.url) as look:
            watch = look.services.celery
            assert watch is not None
            before = (await cache.info("commandstats")).get("cmdstat_scan", {}).get("calls", 0)
            sample = await watch.broker.sample()
            first = (await cache.info("commandstats"))["cmdstat_scan"]["calls"] - before
            assert first > 1, "the first look goes on for a moment, to show the queues at once"
            samples = 1
            while not sample.is_whole:
                sample = await watch.broker.sample()
                samples += 1
            assert samples <= 61
            assert [queue.name for queue in sample.queues] == ["shop"]
            before = (await cache.info("commandstats"))["cmdstat_scan"]["calls"]
            for _ in range(5):
                sample = await watch.broker.sample()
            assert (await cache.info("commandstats"))["cmdstat_scan"]["calls"] - before == 5
            assert [queue.name for queue in sample.queues] == ["shop"], "known while the next walk is under way"
    finally:
        await cache.close()


async def test_a_broker_that_went_away_is_said_and_heard_again_when_it_is_back(own: servers.Server) -> None:
    async with looking(own.url) as look:
        watch = look.services.celery
        assert watch is not None
        watch.listen()
        await until(lambda: watch.tally.since is not None, "it listens")
        cache = Cache(CacheSettings(url=Secret(own.url)), application="test")
        driver: Any = cache.raw
        try:
            await driver.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await until(lambda: watch.unheard, "that nobody is heard is said")
            assert watch.tally.since is None
            await until(lambda: watch.tally.since is not None, "it listens again by itself")
            assert not watch.unheard
            await driver.publish("/0.celeryev/worker.heartbeat", beat("far@away", 1))
            await until(lambda: heard(look, "far@away"), "a heartbeat is heard")
        finally:
            await cache.close()


async def test_what_watching_asks_is_no_load_of_the_platform(own: servers.Server) -> None:
    async with looking(own.url) as look:
        watch, clock = look.services.celery, look.services.clock
        assert watch is not None
        source = RedisSource(look.services.cache, clock)
        await source.read()
        for _ in range(20):
            await watch.broker.sample()
        began = clock.monotonic()
        ops = (await source.read()).headline.value
        assert ops is not None
        for _ in range(20):
            await watch.broker.sample()
        ops = (await source.read()).headline.value
        assert ops is not None
        assert ops * (clock.monotonic() - began) < 20, "some 300 commands were ours"
