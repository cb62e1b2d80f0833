"""Webhooks of a running console: what its jobs make it tell, its questions, and what operators can do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp.web as web
import pytest

from integration.calls.canary import serving
from integration.webhooks.desk import OLD, Verifier
from qsuite_console.config.loading import load
from qsuite_console.config.settings import Settings
from qsuite_console.engine.control import Control
from qsuite_console.engine.ports import Claiming
from qsuite_console.model.clock import Clock
from qsuite_console.model.deliveries import DeliveryDetail, DeliveryPage, DeliveryState, EndpointList
from qsuite_console.model.errors import NotFound
from qsuite_console.model.jobs import Submission
from qsuite_console.paths import Paths, resolve
from qsuite_console.runtime import open_runtime

Work = Callable[[Control], Coroutine[Any, Any, Any]]


def configured(home: Path, port: int, *, is_read_only: bool = True, **more: list[str]) -> tuple[Settings, Paths]:
    wanted = {"events": ["job.*"], **more}
    paths = resolve(str(home)).ensure()
    paths.config_file.write_text(
        f'default_target = "looked"\n[outgoing]\nallow = "127.0.0.1:{port}"\n[targets.looked]\n'
        f"read_only = {str(is_read_only).lower()}\n"
        f'[webhooks.desk]\nurl = "http://127.0.0.1:{port}/canary-path"\nsecret = "env:DESK"\n'
        + "".join(f"{name} = {json.dumps(value)}\n" for name, value in wanted.items())
    )
    paths.config_file.chmod(0o600)
    return load(paths, {"DESK": OLD}, {}).settings, paths


async def within(
    settings: Settings,
    paths: Paths,
    work: Callable[[Control], Coroutine[Any, Any, Any]],
    claim: Claiming = Claiming.ALL,
    clock: Clock | None = None,
) -> Any:
    def run() -> Any:
        with open_runtime(settings, paths, claim=claim, origin="test", clock=clock) as runtime:
            return asyncio.run(work(runtime.control))

    return await asyncio.to_thread(run)


async def page(control: Control, **asked: Any) -> DeliveryPage:
    found = await control.ask("webhooks.log", asked)
    assert isinstance(found, DeliveryPage)
    return found


async def test_jobs_are_told_and_operators_see_it(tmp_path: Path) -> None:
    async def work(control: Control) -> None:
        for _ in range(3):  # once the first look is over, what ends is told
            await control.perform("webhooks.test", {"endpoint": "desk"})
        await control.submit(Submission(kind="cleanup", parameters={}, origin="test"))
        async with asyncio.timeout(60):
            while not any(one.event == "job.succeeded" for one in (await page(control)).deliveries):
                await asyncio.sleep(0.05)
            while (await page(control, state="waiting")).deliveries:
                await asyncio.sleep(0.05)
        newest = (await page(control, limit=1)).deliveries[0]
        assert (newest.subject, newest.state) == ("job 1", DeliveryState.DELIVERED)
        detail = await control.ask("webhooks.delivery", {"number": newest.number})
        assert isinstance(detail, DeliveryDetail)
        assert len(detail.tries) == 1
        listed = await control.ask("webhooks.list", {})
        assert isinstance(listed, EndpointList)
        assert [(one.name, one.where, one.problem, one.delivered) for one in listed.endpoints] == [
            ("desk", "127.0.0.1", "", 4)
        ]
        again = await control.perform("webhooks.redeliver", {"number": newest.number})
        assert again.is_done
        assert again.message.startswith(f"delivery {newest.number} to desk: delivered in")
        receiver.answers = [web.Response(status=410)]
        gone = await control.perform("webhooks.test", {"endpoint": "desk"})
        assert not gone.is_done
        assert "answered 410 Gone" in gone.message
        listed = await control.ask("webhooks.list", {})
        assert isinstance(listed, EndpointList)
        assert listed.endpoints[0].disabled_at is not None
        assert (
            await control.perform("webhooks.enable", {"endpoint": "desk"})
        ).message == "desk is told again from now on"
        assert (await control.propose("webhooks.test", {"endpoint": "desk"})).title == "Send a test to desk?"
        with pytest.raises(NotFound, match="under the name x"):
            await control.propose("webhooks.test", {"endpoint": "x"})
        with pytest.raises(NotFound, match="no delivery 99"):
            await control.propose("webhooks.redeliver", {"number": 99})

    async with serving(Verifier(OLD)) as receiver:
        settings, paths = configured(tmp_path, receiver.port)
        await within(settings, paths, work)
        assert receiver.refused == []
        ids = [identifier for identifier, payload in receiver.verified if payload["type"] == "job.succeeded"]
        assert len(ids) == 2  # once by itself, once by hand
        assert len(set(ids)) == 1
    found = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "config.toml"]
    assert [path for path in found if b"canary-path" in path.read_bytes() or OLD.encode() in path.read_bytes()] == []


async def test_what_ended_with_the_engine_is_told_by_the_next(tmp_path: Path) -> None:
    async def look(control: Control) -> None:
        async with asyncio.timeout(30):
            while not (await page(control)).deliveries:
                await control.perform("webhooks.test", {"endpoint": "desk"})

    async def submit(control: Control) -> None:
        await control.submit(Submission(kind="cleanup", parameters={}, origin="test"))
        async with asyncio.timeout(60):
            while control.state.counts.get("succeeded", 0) == 0:
                await asyncio.sleep(0.05)

    async def wait(control: Control) -> None:
        async with asyncio.timeout(60):
            while not any(payload["type"] == "job.succeeded" for _, payload in receiver.verified):
                await asyncio.sleep(0.05)

    async with serving(Verifier(OLD)) as receiver:
        settings, paths = configured(tmp_path, receiver.port)
        await within(settings, paths, look)
        await within(settings, paths, submit)
        await within(settings, paths, wait)
        told = [identifier for identifier, payload in receiver.verified if payload["type"] == "job.succeeded"]
        assert len(told) == 1


async def test_a_test_needs_no_engine(tmp_path: Path) -> None:
    async def work(control: Control) -> Any:
        return await control.perform("webhooks.test", {"endpoint": "desk"})

    async with serving(Verifier(OLD)) as receiver:
        settings, paths = configured(tmp_path, receiver.port)
        outcome = await within(settings, paths, work, Claiming.NONE)
        assert outcome.is_done
        assert len(receiver.verified) == 1
