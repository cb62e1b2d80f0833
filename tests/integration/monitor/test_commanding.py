"""Commands to workers that are not ours: what each does to them, what it refuses, and how a lost worker is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from integration.monitor.conftest import Look, Shop, looking, until
from qsuite_console.metrics.from_celery import CelerySource
from qsuite_console.model.celery import Presence
from qsuite_console.model.errors import Conflict, NotFound

pytestmark = pytest.mark.xdist_group("celery of others")  # one broker, two workers for all of them

VICTIM = "three@shop"


@pytest.fixture
async def look(shop: Shop) -> AsyncIterator[Look]:
    async with looking(shop.url) as found:
        assert found.services.celery is not None
        found.services.celery.listen()
        yield found


async def worker(look: Look, name: str) -> Any:
    return next((one for one in (await look.ask("celery.workers")).workers if one.name == name), None)


async def task(look: Look, task_id: str, state: str) -> Any:
    tasks = (await look.ask("celery.tasks")).tasks
    return next((one for one in tasks if one.id == task_id and one.state == state), None)


async def test_a_running_task_is_terminated_and_only_where_it_was_seen(shop: Shop, look: Look) -> None:
    nap = shop.send("shop.nap", 60.0)
    found = await until(lambda: task(look, nap, "active"), "it runs")
    proposal = await look.propose("celery.revoke", task_id=nap, terminate=True)
    assert proposal.lines[:2] == (f"shop.nap · {nap}", f"active on {found.worker}")
    done = await look.perform(proposal)
    assert done.figures["workers"] == [found.worker]

    async def ended() -> bool:
        return await task(look, nap, "active") is None

    await until(ended, "its process was ended")
    with pytest.raises(Conflict, match="any more"):
        await look.perform(proposal)
    with pytest.raises(Conflict, match="no worker runs task"):
        await look.propose("celery.revoke", task_id=nap, terminate=True)


async def test_rates_and_queues_are_switched_at_every_worker(shop: Shop, look: Look) -> None:
    with pytest.raises(NotFound, match=r"no worker knows a task shop\.nothing"):
        await look.propose("celery.rate-limit", task="shop.nothing", rate="1/s")
    limited = await look.propose("celery.rate-limit", task="shop.add", rate="10/m")
    assert "one@shop: no limit now" in limited.lines
    assert (await look.perform(limited)).message == "shop.add: 10/m now, by 2 workers"
    lifted = await look.propose("celery.rate-limit", task="shop.add", rate="0/s")
    assert "one@shop: 10/m now" in lifted.lines
    assert (await look.perform(lifted)).message == "shop.add: no limit now, by 2 workers"

    await look.perform(await look.propose("celery.consume", queue="extra", worker="one@shop"))
    said = await asyncio.to_thread(shop.inspect().active_queues)
    assert {one["name"] for one in said["one@shop"]} == {"shop", "extra"}
    assert {one["name"] for one in said["two@shop"]} == {"shop"}
    with pytest.raises(Conflict, match="takes from extra already"):
        await look.propose("celery.consume", queue="extra", worker="one@shop")
    await look.perform(await look.propose("celery.consume", queue="extra", worker="one@shop", enabled=False))


async def _quiet(look: Look) -> Any:
    return (await look.ask("celery.kinds")).quiet_workers


async def test_who_tells_nothing_is_named_and_made_to_tell_a_killed_worker_is_lost_one_that_is_stopped_says_goodbye(
    shop: Shop, look: Look
) -> None:
    for name in ("three", "four"):
        shop.start(name, "-Q", "nothing")
    await until(lambda: worker(look, VICTIM), "three is there")
    await until(lambda: worker(look, "four@shop"), "four is there")

    async def online() -> bool:
        found = [await worker(look, name) for name in (VICTIM, "four@shop")]
        return all(one.presence is Presence.ONLINE for one in found)

    await until(online, "both are heard")
    for _ in range(4):
        shop.send("shop.add", 1, 2, queue="nothing")
    quiet = set(await until(lambda: _quiet(look), "who works without telling is named"))
    assert quiet <= {VICTIM, "four@shop"}
    told = await look.perform(await look.propose("celery.events"))
    assert told.figures["workers"] == ["four@shop", VICTIM], "the others tell since they were started"
    with_e = await look.perform(await look.propose("celery.events", enabled=False))
    assert with_e.figures["workers"] == ["four@shop", VICTIM]
    assert with_e.lines == (
        "off before, or started with -E, which can't be switched off from outside: one@shop, two@shop",
    )

    assert look.services.celery is not None
    source = CelerySource(look.services.celery, look.services.clock)
    shop.end("three")
    stopped = await look.perform(await look.propose("celery.shutdown", worker="four@shop"))
    assert "asked to stop" in stopped.message
    with pytest.raises(NotFound, match="no worker nobody@shop answers"):
        await look.propose("celery.shutdown", worker="nobody@shop")

    async def lost() -> bool:
        return (await source.read()).watched["celery.lost"] == 1

    await until(lost, "one worker is lost")
    await asyncio.to_thread(shop.workers.pop("four").wait, 20)
    silent, gone = await worker(look, VICTIM), await worker(look, "four@shop")
    assert (silent.presence, silent.active) == (Presence.SILENT, None)
    assert gone.presence is Presence.OFFLINE
    assert (await source.read()).watched["celery.lost"] == 1, "who said goodbye is not lost"


async def test_nobody_there_is_said_at_once(shop: Shop, patience: Callable[[float], None]) -> None:
    patience(60.0)
    empty = shop.url.rpartition("/")[0] + "/7"
    async with looking(empty) as look:
        found = await look.ask("celery.workers")
        assert (found.workers, found.listening) == ((), 0)
        assert found.cost_ms < 30_000, "there is nobody to be waited for"
        assert (await look.ask("celery.queues")).queues == ()
        with pytest.raises(Conflict, match="no worker listens"):
            await look.propose("celery.revoke", task_id="x")
        assert look.services.celery is not None
        assert CelerySource(look.services.celery, look.services.clock).is_absent
