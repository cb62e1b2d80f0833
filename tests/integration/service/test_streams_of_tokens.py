"""Streams over TCP: each holder of a token hears what it may, for as long as its token holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from contracts.engines import until
from fakes.control import FakeControl, demo
from fakes.readers import NO_LIMIT, Told, read, reading
from qsuite_console.config.api import ApiSettings, ApiToken
from qsuite_console.config.secrets import Secret
from qsuite_console.headless.http import Interface
from qsuite_console.model.access import Scope
from qsuite_console.model.events import EngineTrouble
from qsuite_console.model.jobs import JobAction, Progress, Submission

ROBOT, READER = "robot-" + "x" * 40, "reader-" + "y" * 40


@asynccontextmanager
async def served(control: FakeControl, path: Path, *tokens: ApiToken) -> AsyncIterator[str]:
    """Serve at a port of 127.0.0.1 and give its address."""
    api = ApiSettings(listen="127.0.0.1:0")
    interface = Interface(path, api=api, tokens={token.name: token for token in tokens})
    async with interface.serve(control):
        assert interface.address is not None
        yield f"http://127.0.0.1:{interface.address[1]}"


def holder(base: str, value: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(base, headers={"Authorization": f"Bearer {value}"})


def robot() -> ApiToken:
    return ApiToken(name="robot", reference="env:R", scope=Scope.OPERATE, own_jobs_only=True, value=Secret(ROBOT))


async def test_who_may_see_its_own_jobs_only_hears_of_no_others(tmp_path: Path) -> None:
    control = demo()
    other = control.state.running[0].id
    parameters = {"symbols": "ROBO", "start": "2025-01-02"}
    async with served(control, tmp_path / "s", robot()) as base, holder(base, ROBOT) as http:
        before = await control.submit(Submission(kind="backfill", parameters=parameters, origin="http:robot"))
        async with reading(http, "/stream") as told, http.ws_connect("/ws") as line:
            await until(lambda: told.names() == ["state"])
            state = told.events[0][2]
            assert (state["running"], state["queues"], state["counts"]) == ([], [], {})
            assert not state["snapshot"]["readings"]
            control.change(other, progress=Progress(done=5))
            control.sample(control.state.snapshot.readings)
            control.emit(EngineTrouble(at=control.clock.now(), message="disk full"))
            await control.act(JobAction.CANCEL, [before.job_id])
            await until(lambda: len(told.events) > 1)
            assert [(name, data["job"]["id"]) for _, name, data in told.events[1:]] == [("job", before.job_id)]
            heard = [await line.receive_json(), await line.receive_json()]
            assert [message["event"] for message in heard] == ["state", "job"]
        async with http.get(f"/jobs/{other}/stream") as answer:
            assert answer.status == 404


async def test_streams_end_with_the_token_they_were_opened_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qsuite_console.headless.door.LOOK_S", 0.02)
    monkeypatch.setattr("qsuite_console.headless.routes.streams.PASS_S", 0.05)
    file, control = tmp_path / "token", demo()
    file.write_text(f"{READER}\n")
    desk = ApiToken(name="desk", reference=f"file:{file}", path=str(file))
    running = control.state.running[0].id
    async with served(control, tmp_path / "s", desk) as base, holder(base, READER) as http:
        told = [Told(), Told()]
        answers = [await http.get(path, timeout=NO_LIMIT) for path in ("/stream", f"/jobs/{running}/stream")]
        readers = [asyncio.create_task(read(answer, each)) for answer, each in zip(answers, told, strict=True)]
        async with http.ws_connect("/ws") as line:
            await until(lambda: all(each.events for each in told))
            assert (await line.receive_json())["event"] == "state"
            file.write_text("another-" + "z" * 40)
            await until(lambda: all(each.is_over for each in told))
            assert (await line.receive()).type is aiohttp.WSMsgType.CLOSE
        await asyncio.gather(*readers)
        async with http.get("/stream") as answer:
            assert answer.status == 401
