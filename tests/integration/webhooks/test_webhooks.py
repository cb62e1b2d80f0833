"""Webhooks: verified by the published library, delivered at least once with one id, whatever the receiver does."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from datetime import timedelta
from pathlib import Path

import aiohttp.web as web
import pytest

from integration.calls.canary import open_canary, serving
from integration.webhooks.desk import NEW, OLD, TARGET, HandClock, Verifier, desk, told, webhook
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.deliveries import DeliveryState
from qsuite_console.model.errors import NotFound
from qsuite_console.model.health import AlertState, Level
from qsuite_console.model.jobs import JobState


async def test_a_failed_job_is_told_and_verified(tmp_path: Path) -> None:
    clock = HandClock()
    async with (
        serving(Verifier(OLD, clock=clock)) as receiver,
        desk(tmp_path, webhook(receiver.url), clock=clock) as found,
    ):
        job = await found.job()
        await found.job(JobState.SUCCEEDED)
        assert await found.tick() == 1
        ((identifier, payload),) = receiver.verified
        assert payload["type"] == "job.failed"
        assert payload["data"]["id"] == job.id
        assert payload["data"]["error"] == "it broke"
        assert "canary-parameter" not in str(receiver.seen)
        _, headers, body = receiver.seen[0]
        assert headers["Content-Type"] == "application/json"
        assert headers["X-Webhook-Signature"].startswith(f"t={int(clock.now().timestamp())},v1=")
        (one,) = await found.deliveries()
        assert (one.id, one.state, one.status, one.attempts) == (identifier, DeliveryState.DELIVERED, 200, 1)
        detail = await found.store.deliveries.detail(TARGET, one.number)
        assert detail.delivery.body.encode() == body
        assert await found.tick(3600) == 0  # once, however often it is looked at


async def test_a_receiver_that_is_down_for_an_hour_hears_of_it_once(tmp_path: Path) -> None:
    clock = HandClock()
    receiver = Verifier(OLD, clock=clock)
    async with serving(receiver):
        port = receiver.port
    async with desk(tmp_path, webhook(f"http://127.0.0.1:{port}/hook"), clock=clock) as found:
        await found.job()
        tries = 0
        for _ in range(60):  # minute by minute
            tries += await found.tick(60)
        assert tries == 4  # at once, after 5 s, 5 min and 30 min
        (waiting,) = await found.deliveries()
        assert waiting.state is DeliveryState.WAITING
        assert "nothing listens there" in waiting.error
        async with serving(receiver, port):
            for _ in range(120):
                tries += await found.tick(60)
        (one,) = await found.deliveries()
        assert (one.state, one.attempts, tries) == (DeliveryState.DELIVERED, 5, 5)
        assert [identifier for identifier, _ in receiver.verified] == [waiting.id]
        detail = await found.store.deliveries.detail(TARGET, one.number)
        assert [bool(each.error) for each in detail.tries] == [True] * 4 + [False]


async def test_every_try_has_the_same_id_and_a_new_signature(tmp_path: Path) -> None:
    clock = HandClock()
    async with (
        serving(Verifier(OLD, clock=clock)) as receiver,
        desk(tmp_path, webhook(receiver.url), clock=clock) as found,
    ):
        receiver.answers = [web.Response(status=500), web.Response(status=302, headers={"Location": "/x"})]
        await found.job()
        await found.tick()
        await found.tick(6)
        await found.tick(400)
        headers = [each for _, each, _ in receiver.seen]
        assert len(headers) == 3
        assert len({each["webhook-id"] for each in headers}) == 1
        assert len({each["webhook-timestamp"] for each in headers}) == 3
        assert len({each["webhook-signature"] for each in headers}) == 3
        assert len(receiver.verified) == 3
        (one,) = await found.deliveries()
        detail = await found.store.deliveries.detail(TARGET, one.number)
        assert detail.tries[1].error == "answered 302 Found: a redirect is not followed"


async def test_the_schedule_ends_and_a_hand_begins_it_anew(tmp_path: Path) -> None:
    clock = HandClock()
    async with (
        serving(Verifier(OLD, clock=clock)) as receiver,
        desk(tmp_path, webhook(receiver.url), clock=clock) as found,
    ):
        receiver.answers = [web.Response(status=500) for _ in range(10)]
        await found.job()
        at = []
        for _ in range(9 * 24 * 12):  # nine days, five minutes each
            if await found.tick(300):
                at.append(clock.now())
        (dead,) = await found.deliveries()
        assert (dead.state, dead.attempts, len(at)) == (DeliveryState.DEAD, 10, 10)
        hours = [round((later - earlier) / timedelta(hours=1)) for earlier, later in itertools.pairwise(at)]
        assert hours[3:] == pytest.approx([2, 5, 10, 14, 20, 24], abs=2)
        assert await found.store.deliveries.redeliver(TARGET, [dead.number], clock.now()) == 1
        assert await found.tick() == 1
        assert receiver.verified[-1][0] == dead.id
        with pytest.raises(NotFound):
            await found.store.deliveries.detail(TARGET, 99)


async def test_410_ends_it_until_it_is_enabled_again(tmp_path: Path) -> None:
    clock = HandClock()
    async with (
        serving(Verifier(OLD, clock=clock)) as receiver,
        desk(tmp_path, webhook(receiver.url), clock=clock) as found,
    ):
        receiver.answers = [web.Response(status=410)]
        await found.job()
        await found.tick()
        await found.job()
        assert await found.tick(3600) == 0
        (one,) = await found.deliveries()
        assert one.state is DeliveryState.DEAD
        _, why = (await found.store.deliveries.disabled(TARGET))["desk"]
        assert "answered 410 Gone" in why
        assert await found.store.deliveries.enable(TARGET, "desk")
        await found.tick(120)  # what ended meanwhile has been looked at, and is past
        await found.job()
        await found.tick(1)
        assert len(receiver.verified) == 2


async def test_a_receiver_that_echoes_its_address_puts_it_into_no_log(tmp_path: Path) -> None:
    async with told(tmp_path) as (receiver, found, _):
        receiver.answers = [web.Response(status=404, reason="no /canary-path here")]
        await found.job()
        await found.tick()
        (kept,) = await found.deliveries()
        assert kept.error == "answered 404 Not Found"


async def test_a_throttled_receiver_gets_a_pause(tmp_path: Path) -> None:
    clock = HandClock()
    async with (
        serving(Verifier(OLD, clock=clock)) as receiver,
        desk(tmp_path, webhook(receiver.url), clock=clock) as found,
    ):
        receiver.answers = [web.Response(status=429, headers={"Retry-After": "600"})]
        await found.job()
        await found.tick()
        await found.job()
        assert await found.tick(300) == 0  # nor is the other one sent meanwhile
        assert await found.tick(400) == 2
        assert {one.state for one in await found.deliveries()} == {DeliveryState.DELIVERED}


async def test_a_secret_is_rotated_under_load(tmp_path: Path) -> None:
    """The file changes while deliveries go out: old, both, new. Each verifies with what is valid at the receiver."""
    file = tmp_path / "secret"
    file.write_text(OLD)
    receiver = Verifier(OLD, NEW)
    async with serving(receiver):
        endpoint = webhook(receiver.url, secret=f"file:{file}")
        async with desk(tmp_path, endpoint, clock=SystemClock()) as found:
            by_new = []
            for texts in ((OLD,), (NEW, OLD), (NEW,)):

                async def rotate(texts: tuple[str, ...] = texts) -> None:
                    swapped = file.with_suffix(".new")
                    swapped.write_text("\n".join(texts))
                    swapped.replace(file)

                await asyncio.gather(*(found.job() for _ in range(20)))
                await asyncio.gather(found.tick(), rotate())
                await asyncio.gather(*(found.job() for _ in range(20)))
                await found.tick()
                by_new.append(receiver.seen[-1][1]["webhook-signature"].count("v1,"))
            assert by_new == [1, 2, 1]
            assert receiver.refused == []
            assert len(receiver.verified) == 120
            assert len({identifier for identifier, _ in receiver.verified}) == 120
            receiver.secrets = (OLD,)
            await found.job()
            await found.tick()
            assert len(receiver.refused) == 1  # the old one is over: this could have failed above


async def test_what_happened_while_nothing_ran_is_told(tmp_path: Path) -> None:
    clock = HandClock()
    async with serving(Verifier(OLD, clock=clock)) as receiver:
        async with desk(tmp_path, webhook(receiver.url), clock=clock) as found:
            await found.job()  # it ends, and the process dies before anybody looks
        clock.at += timedelta(hours=5)
        async with desk(tmp_path, webhook(receiver.url), clock=clock, begins=False) as found:
            await found.tick()
            assert len(receiver.verified) == 1
            await found.store.deliveries.redeliver(TARGET, [1], clock.now())
            taken = await found.store.deliveries.take(
                TARGET, "desk", limit=4, now=clock.now(), until=clock.now() + timedelta(seconds=60)
            )
            assert len(taken) == 1  # taken up by a process that dies now
            assert await found.tick(30) == 0
            assert await found.tick(31) == 1


async def test_the_first_look_tells_nothing_of_the_past(tmp_path: Path) -> None:
    async with serving(Verifier(OLD)) as receiver, desk(tmp_path, webhook(receiver.url), begins=False) as found:
        await found.job()
        found.clock.at += timedelta(hours=1)
        assert await found.tick() == 0
        assert await found.tick(300) == 0


async def test_alerts_are_told_on_change_only(tmp_path: Path) -> None:
    clock = HandClock()
    async with (
        serving(Verifier(OLD, clock=clock)) as receiver,
        desk(tmp_path, webhook(receiver.url), clock=clock) as found,
    ):
        alert = await found.alert()
        for _ in range(5):
            await found.tick(10)
        alert = await found.alert(since=alert.since, message="CPU 92 %", acknowledged_by=None)
        await found.tick(10)
        await found.alert(since=alert.since, level=Level.CRITICAL)
        await found.tick(10)
        await found.alert(since=alert.since, level=Level.CRITICAL, acknowledged_by="ada")
        await found.tick(10)
        await found.alert(since=alert.since, level=Level.CRITICAL, state=AlertState.CLEARED, cleared_at=clock.now())
        await found.tick(10)
        await found.tick(10)
        told = [(payload["type"], payload["data"]["level"]) for _, payload in receiver.verified]
        assert told == [("alert.fired", "warning"), ("alert.fired", "critical"), ("alert.cleared", "critical")]
        assert receiver.verified[-1][1]["data"]["duration_s"] == 80.0


async def test_a_silenced_alert_is_told_once_it_is_loud(tmp_path: Path) -> None:
    clock = HandClock()
    async with (
        serving(Verifier(OLD, clock=clock)) as receiver,
        desk(tmp_path, webhook(receiver.url), clock=clock) as found,
    ):
        quiet = await found.alert(silenced_until=clock.now() + timedelta(hours=1))
        await found.tick(10)
        other = await found.alert(id="redis.memory", silenced_until=clock.now() + timedelta(hours=1))
        await found.tick(10)
        await found.alert(id="redis.memory", since=other.since, state=AlertState.CLEARED, cleared_at=clock.now())
        await found.tick(10)
        assert receiver.verified == []  # never told, so its end is not either
        await found.alert(since=quiet.since)
        await found.tick(10)
        assert [payload["data"]["alert"] for _, payload in receiver.verified] == ["host.cpu"]


async def test_each_is_told_what_it_wants(tmp_path: Path) -> None:
    clock = HandClock()
    async with serving(Verifier(OLD, clock=clock)) as receiver:
        every = webhook(receiver.url, events=["job.*"], kinds=["warm.*"], schedules=["nightly*"])
        severe = webhook(receiver.url, events=["alert.fired"], levels=["critical"], alerts=["redis.*"])
        severe = dataclasses.replace(severe, name="severe")
        off = dataclasses.replace(webhook(receiver.url, enabled=False), name="off")
        async with desk(tmp_path, every, severe, off, clock=clock) as found:
            await found.job(JobState.SUCCEEDED, kind="warm.prices", origin="schedule nightly-1")
            await found.job(JobState.SUCCEEDED, kind="warm.prices", origin="cli")
            await found.job(JobState.FAILED, kind="backfill", origin="schedule nightly-1")
            await found.alert(level=Level.CRITICAL)
            await found.alert(id="redis.memory", level=Level.WARNING)
            await found.alert(id="redis.clients", level=Level.CRITICAL)
            await found.tick()
            assert sorted((one.endpoint, one.event, one.subject) for one in await found.deliveries()) == [
                ("desk", "job.succeeded", "job 1"),
                ("severe", "alert.fired", "redis.clients"),
            ]


async def test_the_guard_stands_before_webhooks_too(tmp_path: Path) -> None:
    async with open_canary() as canary:
        for number, host in enumerate(("[::1]", "0x7f000001", "127.0.0.2", "10.0.0.1")):
            url = f"http://{host}:{canary.port}/secret-path"
            async with desk(tmp_path / str(number), webhook(url), port=canary.port) as found:
                await found.job()
                await found.tick()
                (one,) = await found.deliveries()
                assert one.state is DeliveryState.WAITING
                assert "not on the public internet" in one.error or "four decimal numbers" in one.error
                assert "secret-path" not in one.error
        assert canary.accepted == 0


async def test_a_secret_that_is_missing_is_named_and_never_quoted(tmp_path: Path) -> None:
    async with serving(Verifier(OLD)) as receiver:
        for number, (given, why) in enumerate(
            (
                ({"secret": "env:NOWHERE"}, "env:NOWHERE is empty"),
                ({"secret": "file:/nowhere/x"}, "file:/nowhere/x can't be read: No such file or directory"),
                ({"secret": "env:SHORT"}, "env:SHORT: a secret is whsec_ and the base64 of 24 to 64 bytes"),
            )
        ):
            endpoint = webhook(receiver.url, {"SHORT": "canary-short"}, **given)
            async with desk(tmp_path / str(number), endpoint) as found:
                assert found.courier.problem(endpoint) == why
                await found.job()
                await found.tick()
                (one,) = await found.deliveries()
                assert one.error == why
        assert receiver.seen == []
