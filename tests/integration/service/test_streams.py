"""Streams of the engine's HTTP interface as a reader has them: in order, without a gap, never at others' expense."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from contracts.engines import running_engine, until
from fakes.control import FakeControl, demo
from fakes.readers import NO_LIMIT, Crowd, Told, read, reading, resident_mib, session, speak
from fakes.stopwatch import Stopwatch
from qsuite_console.engine.control import Control
from qsuite_console.engine.state import ConsoleState
from qsuite_console.headless.http import serve_socket
from qsuite_console.headless.streams import Hub
from qsuite_console.model.events import EngineTrouble
from qsuite_console.model.jobs import JobAction, JobState, Progress, Submission


@pytest.fixture
def control() -> FakeControl:
    return demo()


@pytest.fixture
async def http(control: FakeControl, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        serve_socket(control, tmp_path / "engine.sock", origin="test"),
        session(tmp_path / "engine.sock") as http,
    ):
        yield http


async def test_a_stream_begins_with_the_state_and_goes_on_with_what_happens(
    http: aiohttp.ClientSession, control: FakeControl
) -> None:
    running = control.state.running[0].id
    async with reading(http, "/stream") as told:
        await until(lambda: told.names() == ["state"])
        assert msgspec.convert(told.events[0][2], ConsoleState) == control.state
        control.change(running, progress=Progress(done=7))
        control.emit(EngineTrouble(at=control.clock.now(), message="disk full"))
        await until(lambda: told.names() == ["state", "job", "trouble"])
    assert told.events[1][2]["job"]["progress"]["done"] == 7
    assert told.events[2][2]["message"] == "disk full"
    places = [int(place.split(".")[1]) for place, _, _ in told.events]
    assert places == sorted(places)


async def test_a_reader_that_comes_back_misses_nothing_and_hears_nothing_twice(
    http: aiohttp.ClientSession, control: FakeControl
) -> None:
    running = control.state.running[0].id
    async with reading(http, "/stream") as told:
        control.change(running, progress=Progress(done=1))
        await until(lambda: told.names() == ["state", "job"])
    control.change(running, progress=Progress(done=2))
    control.change(running, progress=Progress(done=3))
    async with reading(http, "/stream", headers={"Last-Event-ID": told.last_id()}) as again:
        control.change(running, progress=Progress(done=4))
        await until(lambda: len(again.events) == 3)
    assert [data["job"]["progress"]["done"] for _, _, data in again.events] == [2, 3, 4]
    async with reading(http, "/stream", params={"after": told.last_id()}) as third:
        await until(lambda: len(third.events) == 3)


@pytest.mark.parametrize("place", ["0.1", "zzz", "…", "..", "1.-1", "7.99999999999999999999"])
async def test_a_place_of_another_engine_or_none_at_all_begins_anew(
    http: aiohttp.ClientSession, control: FakeControl, place: str
) -> None:
    async with reading(http, "/stream", params={"after": place}) as told:
        await until(lambda: told.names() == ["state"])


async def test_who_missed_more_than_is_kept_gets_the_state(http: aiohttp.ClientSession, control: FakeControl) -> None:
    async with reading(http, "/stream") as told:
        await until(lambda: told.names() == ["state"])
    for number in range(1500):  # more than the ring holds
        control.emit(EngineTrouble(at=control.clock.now(), message=str(number)))
    async with reading(http, "/stream", headers={"Last-Event-ID": told.last_id()}) as again:
        await until(lambda: again.names() == ["state"])
        control.emit(EngineTrouble(at=control.clock.now(), message="next"))
        await until(lambda: again.names() == ["state", "trouble"])
        for number in range(1500):  # and the same while it reads
            control.emit(EngineTrouble(at=control.clock.now(), message=str(number)))
        await until(lambda: again.names()[-1] == "state")


async def test_events_can_be_chosen(http: aiohttp.ClientSession, control: FakeControl) -> None:
    async with reading(http, "/stream", params={"events": "trouble,alert"}) as told:
        control.change(control.state.running[0].id, progress=Progress(done=1))
        control.emit(EngineTrouble(at=control.clock.now(), message="disk full"))
        await until(lambda: told.names() == ["state", "trouble"])
    async with http.get("/stream", params={"events": "weather"}) as answer:
        assert answer.status == 400
        assert "must be one of job, deleted, progress" in await answer.text()


async def test_the_socket_tells_the_same_and_takes_nothing(http: aiohttp.ClientSession, control: FakeControl) -> None:
    async with http.ws_connect("/ws") as line:
        first = await line.receive_json()
        assert first["event"] == "state"
        control.emit(EngineTrouble(at=control.clock.now(), message="disk full"))
        second = await line.receive_json()
        assert (second["event"], second["data"]["message"]) == ("trouble", "disk full")
        await line.send_str('{"subscribe": "all"}')
        message = await line.receive()
        assert (message.type, line.close_code) == (aiohttp.WSMsgType.CLOSE, 1003)
    control.emit(EngineTrouble(at=control.clock.now(), message="well"))
    async with http.ws_connect("/ws", params={"after": second["id"]}) as line:
        third = await line.receive_json()
        assert (third["event"], third["data"]["message"]) == ("trouble", "well")
    async with http.get("/ws") as answer:
        assert answer.status == 400


async def test_streams_do_not_hold_up_the_end(control: FakeControl, tmp_path: Path) -> None:
    async with asyncio.timeout(10):
        async with session(tmp_path / "s") as http:
            async with serve_socket(control, tmp_path / "s"):
                told, line = Told(), await http.ws_connect("/ws")
                answer = await http.get("/stream", timeout=NO_LIMIT)
                reader = asyncio.create_task(read(answer, told))
                await until(lambda: told.names() == ["state"])
                assert (await line.receive_json())["event"] == "state"
                goodbye = asyncio.create_task(line.receive())
            await reader
            assert told.is_over
            assert (await goodbye).type is aiohttp.WSMsgType.CLOSE
            assert line.close_code == aiohttp.WSCloseCode.GOING_AWAY


async def test_a_job_is_told_from_its_start_to_its_end_with_its_log(tmp_path: Path) -> None:
    with running_engine(tmp_path) as (engine, path):
        async with session(path) as http:
            receipt = await engine.control.submit(Submission(kind="hold"))
            async with reading(http, f"/jobs/{receipt.job_id}/stream", params={"logs": "true"}) as told:
                await until(lambda: told.names().count("progress") > 2)
                assert told.names()[0] == "job"
                progressed = [data["progress"]["done"] for _, name, data in told.events if name == "progress"]
                assert progressed == sorted(progressed)
                await engine.control.act(JobAction.CANCEL, [receipt.job_id])
                await until(lambda: told.is_over)
            assert told.names()[-1] == "end"
            states = [data["job"]["state"] for _, name, data in told.events if name == "job"]
            assert states[-1] == "cancelled"
            # A browser asks again where a stream has ended; 204 tells it that there is no more.
            async with http.get(f"/jobs/{receipt.job_id}/stream", headers={"Last-Event-ID": told.last_id()}) as answer:
                assert answer.status == 204
            async with reading(http, f"/jobs/{receipt.job_id}/stream") as whole:
                await until(lambda: whole.is_over)
            assert whole.names() == ["job", "end"]


async def test_the_log_comes_whole_and_once_also_to_who_comes_back(tmp_path: Path) -> None:
    with running_engine(tmp_path) as (engine, path):
        async with session(path) as http:
            receipt = await engine.control.submit(Submission(kind="greet", parameters={"name": "Ada"}))
            job = f"/jobs/{receipt.job_id}/stream"
            async with reading(http, job, params={"logs": "true"}) as told:
                await until(lambda: told.is_over)
            lines = [(place, data["message"]) for place, name, data in told.events if name == "log"]
            assert [message for _, message in lines] == ["hello Ada", "and goodbye"]
            for place in (lines[0][0], ".".join([*told.last_id().split(".")[:2], "1"])):  # while it ran, and after
                async with reading(http, job, params={"logs": "true"}, headers={"Last-Event-ID": place}) as again:
                    await until(lambda: again.is_over)
                assert [data["message"] for _, name, data in again.events if name == "log"] == ["and goodbye"]
                assert again.names()[-1] == "end"


async def test_a_deleted_job_ends_its_stream_and_an_unknown_one_has_none(
    http: aiohttp.ClientSession, control: FakeControl
) -> None:
    async with http.get("/jobs/999999/stream") as answer:
        assert answer.status == 404
    waiting = next(job.id for job in control.all_jobs.values() if job.state is JobState.QUEUED)
    async with reading(http, f"/jobs/{waiting}/stream") as told:
        await until(lambda: told.names() == ["job"])
        await control.act(JobAction.CANCEL, [waiting])
        await until(lambda: told.is_over)
    assert told.names()[-1] == "end"


async def test_only_so_many_streams_at_a_time(http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qsuite_console.headless.streams.MAX_READERS", 1)
    async with reading(http, "/stream") as told:
        await until(lambda: told.names() == ["state"])
        async with http.get("/stream") as answer:
            assert answer.status == 503
            assert "1 streams are open already" in await answer.text()


async def test_who_never_reads_is_let_go_and_nobody_else_notices(
    control: FakeControl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = bool(os.environ.get("QSUITE_FULL"))
    reading_well, stuck = (40, 10) if full else (12, 4)
    if not full:
        monkeypatch.setattr("qsuite_console.headless.routes.streams.WRITE_S", 1.0)
    hubs: list[Hub] = []

    def made(control: Control) -> Hub:
        hubs.append(Hub(control))
        return hubs[-1]

    monkeypatch.setattr("qsuite_console.headless.table.Hub", made)
    with Stopwatch() as clock:
        await _crowded(control, tmp_path / "s", hubs, clock, reading_well, stuck)


async def _crowded(
    control: FakeControl, path: Path, hubs: list[Hub], clock: Stopwatch, reading_well: int, stuck: int
) -> None:
    crowd, over = Crowd(path, clock), asyncio.Event()
    async with serve_socket(control, path):
        [hub] = hubs
        speaking = asyncio.create_task(speak(control, over, clock))
        async with crowd.listening(reading_well):
            await until(lambda: len(crowd.late) > 100 * reading_well, 60)
            quiet, memory = crowd.p99(), resident_mib()
            async with crowd.stuck(stuck):
                await until(lambda: hub.readers == reading_well + stuck)
                began = time.monotonic()
                await until(lambda: hub.dropped == stuck, 60)
                took_s = time.monotonic() - began
                beside, grown = crowd.p99(), resident_mib() - memory
        over.set()
        await speaking
        await until(lambda: hub.readers == 0)
    print(
        f"\n{reading_well} readers beside {stuck} that never read: p99 {beside * 1000:.0f} ms late,"
        f" {quiet * 1000:.0f} ms"
        f" without them; the {stuck} let go after {took_s:.1f} s; memory {grown:+.1f} MiB"
    )
    assert beside < 3 * quiet + 0.1
    assert grown < 20
