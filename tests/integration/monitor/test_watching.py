"""What is seen of workers that know nothing of the console is what ``celery inspect`` says of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from integration.monitor.conftest import Look, Shop, looking, until
from qsuite_console.cache.client import Cache
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings
from qsuite_console.model.celery import Presence
from qsuite_console.model.errors import Conflict

pytestmark = pytest.mark.xdist_group("celery of others")  # one broker, two workers for all of them


async def commands_of(url: str) -> dict[str, int]:
    """How often each command was called so far, by the server's own count."""
    cache = Cache(CacheSettings(url=Secret(url)), application="test")
    try:
        info = await cache.info("commandstats")
    finally:
        await cache.close()
    return {name.removeprefix("cmdstat_"): int(said["calls"]) for name, said in info.items()}


METHODS = ("active", "reserved", "scheduled", "registered", "stats", "active_queues")
Said = dict[str, dict[str, Any]]


def inspected(shop: Shop) -> Said:
    inspect = shop.inspect()
    return {method: getattr(inspect, method)() for method in METHODS}


def ids(said: Said, state: str) -> set[str]:
    return {one.get("request", one)["id"] for each in said[state].values() for one in each}


async def both(shop: Shop, look: Look, known: set[str]) -> tuple[Said, Any, Any]:
    """What inspect says and what is seen while nothing moves: all that was sent is with workers, before and after."""

    async def compared() -> tuple[Said, Any, Any] | None:
        before = await asyncio.to_thread(inspected, shop)
        tasks, found = await asyncio.gather(look.ask("celery.tasks"), look.ask("celery.workers"))
        after = await asyncio.to_thread(inspected, shop)
        states = [[ids(said, state) for state in METHODS[:3]] for said in (before, after)]
        is_still = states[0] == states[1] and set.union(*states[0]) == known and len(states[0][0]) >= 2
        return (before, tasks, found) if is_still else None

    found: tuple[Said, Any, Any] = await until(compared, "everything that was sent is with a worker")
    return found


async def test_workers_and_their_tasks_are_what_inspect_says(shop: Shop, look: Look) -> None:
    naps = {shop.send("shop.nap", 4.0, priority=priority) for priority in (0, 3, 6, 9, 0, 0)}
    later = shop.send("shop.add", 1, 2, countdown=600)
    said, tasks, found = await both(shop, look, naps | {later})

    for state in METHODS[:3]:
        assert {task.id for task in tasks.tasks if task.state == state} == ids(said, state)
    assert ids(said, "scheduled") == {later}
    (scheduled,) = [task for task in tasks.tasks if task.state == "scheduled"]
    assert scheduled.eta is not None
    for task in tasks.tasks:
        if task.state == "active":
            (one,) = [each for each in said["active"][task.worker] if each["id"] == task.id]
            assert (task.name, task.pid, task.queue) == (one["name"], one["worker_pid"], "shop")
            assert abs(task.started_at.timestamp() - one["time_start"]) < 0.001

    assert [worker.name for worker in found.workers] == sorted(said["stats"]) == ["one@shop", "two@shop"]
    for worker in found.workers:
        stats = said["stats"][worker.name]
        assert (worker.pid, worker.prefetch) == (stats["pid"], stats["prefetch_count"])
        assert (worker.pool, worker.concurrency) == ("prefork", stats["pool"]["max-concurrency"])
        assert worker.registered == tuple(sorted(said["registered"][worker.name]))
        assert worker.queues == tuple(one["name"] for one in said["active_queues"][worker.name])
        assert worker.totals == {name: int(number) for name, number in stats["total"].items()}
        assert worker.active == len(said["active"][worker.name])
        assert worker.reserved == len(said["reserved"][worker.name])
    assert found.listening == 2
    assert not found.unread

    revoked = await look.perform(await look.propose("celery.revoke", task_id=later))
    assert revoked.is_done
    assert set(revoked.figures["workers"]) == {"one@shop", "two@shop"}
    assert later in (await asyncio.to_thread(shop.inspect().revoked))["one@shop"]
    shop.app.control.revoke(list(naps), terminate=True)
    await until(lambda: _idle(look), "all is done")


async def _idle(look: Look) -> bool:
    tasks = await look.ask("celery.tasks")
    return bool(tasks.active == 0 and tasks.reserved == 0)


async def test_depths_by_priority_consumers_and_what_nobody_takes(shop: Shop, look: Look) -> None:
    for priority in (0, 0, 3, 5, 9):
        shop.send("shop.add", 1, 2, queue="orphans", priority=priority)
    queues = await look.ask("celery.queues")
    found = {queue.name: queue for queue in queues.queues}
    assert [(step.priority, step.waiting) for step in found["orphans"].steps] == [(0, 2), (3, 2), (9, 1)]
    assert found["orphans"].workers == ()
    assert found["shop"].workers == ("one@shop", "two@shop")
    assert found["shop"].waiting == 0
    assert queues.visibility_s == 1234
    assert queues.is_whole
    assert not queues.unread

    proposal = await look.propose("celery.purge", queue="orphans")
    assert proposal.named == "orphans"
    for _ in range(30):
        shop.send("shop.add", 1, 2, queue="orphans")
    with pytest.raises(Conflict, match="holds 35 messages by now, not 5"):
        await look.perform(proposal)
    done = await look.perform(await look.propose("celery.purge", queue="orphans"))
    assert done.figures["messages"] == 35
    again = await until(lambda: _emptied(look), "orphans is empty")
    assert again.waiting == 0


async def _emptied(look: Look) -> Any:
    queues = await look.ask("celery.queues")
    return next((queue for queue in queues.queues if queue.name == "orphans" and not queue.waiting), None)


async def test_events_become_rates_times_and_failures(shop: Shop, look: Look) -> None:
    for _ in range(20):
        shop.send("shop.nap", 0.02)
    for _ in range(5):
        shop.send("shop.fail")
    shop.send("shop.retry")

    async def counted() -> Any:
        kinds = {kind.name: kind for kind in (await look.ask("celery.kinds")).kinds}
        ended = {name: kind.ended for name, kind in kinds.items()}
        return kinds if ended == {"shop.nap": 20, "shop.fail": 5, "shop.retry": 1} else None

    kinds = await until(counted, "every task has ended")
    nap, fail, again = kinds["shop.nap"], kinds["shop.fail"], kinds["shop.retry"]
    assert (nap.succeeded, nap.failed, fail.failed, again.retried, again.failed) == (20, 0, 5, 1, 1)
    assert 0.02 <= nap.p50_s <= nap.p95_s <= nap.p99_s <= nap.longest_s
    assert "no such" in fail.last_error
    assert "\x1b" not in fail.last_error
    history = await look.ask("celery.history", text="failed shop.fail")
    assert len(history.ends) == 5
    assert {end.worker for end in history.ends} <= {"one@shop", "two@shop"}
    assert history.known >= 26
    assert not history.quiet_workers


async def test_looking_reads_no_argument_writes_nothing_but_answers_and_misses_no_key(shop: Shop, look: Look) -> None:
    secret = "canary-4f1d"
    task = shop.send("shop.nap", 60.0, secret)
    await until(lambda: _has(look, task), "it is active")
    everything = [await look.ask(f"celery.{name}") for name in ("queues", "workers", "tasks", "kinds", "history")]
    assert secret not in repr(everything)
    shop.app.control.revoke(task, terminate=True)
    await until(lambda: _idle(look), "it is ended")

    watch = look.services.celery
    assert watch is not None
    before = await _stats(shop.url)
    for _ in range(5):
        watch._sampled = -10.0
        await watch.sample()
    after = await _stats(shop.url)
    assert after["misses"] - before["misses"] == 0, "an idle queue must not spoil the server's hit rate"
    exchange = watch.broker.exchange
    left = (await exchange([("KEYS", "*qsuite-console*")]))[0]
    assert left
    assert all(0 < seconds <= 120 for seconds in await exchange([("TTL", name) for name in left]))


async def _has(look: Look, task: str) -> bool:
    return any(one.id == task for one in (await look.ask("celery.tasks")).tasks)


async def _stats(url: str) -> dict[str, int]:
    cache = Cache(CacheSettings(url=Secret(url)), application="test")
    try:
        info = await cache.info("stats")
    finally:
        await cache.close()
    return {"misses": int(info["keyspace_misses"])}


async def test_a_read_only_target_hears_workers_and_writes_nothing(shop: Shop) -> None:
    async with looking(shop.url, read_only=True) as look:
        before = await commands_of(shop.url)
        found = await until(lambda: _online(look), "heartbeats are heard")
        tasks = await look.ask("celery.tasks")
        after = await commands_of(shop.url)
    assert [worker.name for worker in found] == ["one@shop", "two@shop"]
    assert all(worker.presence is Presence.ONLINE and worker.active is not None for worker in found)
    assert "read-only" in tasks.unread[0].why
    ours = ("expire", "del", "lpop", "rpush", "set")
    assert {name: after.get(name, 0) - before.get(name, 0) for name in ours} == dict.fromkeys(ours, 0)


async def _online(look: Look) -> Any:
    workers = (await look.ask("celery.workers")).workers
    return workers if len([one for one in workers if one.presence is Presence.ONLINE]) == 2 else None
