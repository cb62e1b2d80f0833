"""The hostile addresses again, by the ways people have: the job kinds api.call and api.bulk, and a webhook."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from fakes.backfill import FakeContext
from integration.calls.canary import open_canary
from integration.calls.test_calls import benched
from integration.calls.test_guard import INSIDE, LITERALS, Names, client
from integration.webhooks.desk import desk, webhook
from qsuite_console.config.outgoing import BadDeclaration
from qsuite_console.engine.parameters import decode
from qsuite_console.engine.ports import Permanent
from qsuite_console.model.deliveries import DeliveryState
from qsuite_console.model.errors import ConsoleError
from qsuite_console.notify.carriers import WebhookCarrier
from qsuite_console.providers.calls import CallDesk
from qsuite_console.workers.api import BulkWorker, CallWorker
from qsuite_console.workers.api.parameters import BulkParameters, CallParameters


async def test_jobs_reach_nobody_inside(tmp_path: Path) -> None:
    async with open_canary() as canary, benched(tmp_path) as bench:
        urls = [text.format(port=canary.port) for text in LITERALS]
        urls += [f"http://{name}:{canary.port}/" for name in INSIDE]
        outgoing = client(canary, Names())
        desk_of_ours = CallDesk(outgoing, {}, None, bench.clock, user="ada")
        services = dataclasses.replace(bench.services, calls=desk_of_ours)
        call, bulk = CallWorker(services), BulkWorker(services)
        good = []
        for url in urls:
            parameters: CallParameters = decode(CallParameters, {"url": url, "retries": 0})
            if call.check(parameters):
                continue  # refused as it is typed
            good.append(url)
            with pytest.raises(ConsoleError):
                await call.run(FakeContext(), parameters)
        assert len(urls) >= 60
        assert len(good) >= 20
        many: BulkParameters = decode(BulkParameters, {"calls": good[:50], "retries": 0})
        assert not bulk.check(many)
        with pytest.raises(Permanent, match="none of"):
            await bulk.run(FakeContext(), many)
        await outgoing.close()
        assert canary.accepted == 0


async def test_webhooks_reach_nobody_inside(tmp_path: Path) -> None:
    async with open_canary() as canary:
        urls = [text.format(port=canary.port) for text in LITERALS]
        urls += [f"http://{name}:{canary.port}/" for name in INSIDE]
        outgoing = client(canary, Names())
        carrier = WebhookCarrier(outgoing)
        async with desk(tmp_path, webhook("https://example.com/")) as found:
            await found.job()
            await found.courier.notice()
            (delivery,) = await found.deliveries()
            detail = await found.store.deliveries.detail("default", delivery.number)
            tried = 0
            for url in urls:
                try:
                    endpoint = webhook(url)
                except BadDeclaration:
                    continue  # refused as the configuration is loaded
                tried += 1
                carried = await carrier.carry(endpoint, detail.delivery, found.clock.now())
                assert carried.error, url
                assert carried.status is None
            assert tried >= 30
            assert delivery.state is DeliveryState.WAITING
        await outgoing.close()
        assert canary.accepted == 0
