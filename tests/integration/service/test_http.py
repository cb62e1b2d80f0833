"""The engine's HTTP interface as any local program sees it: routes, refusals, the socket's safety."""

from __future__ import annotations

import asyncio
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from yarl import URL

from fakes.control import FakeControl, demo
from fakes.stopwatch import Stopwatch
from qsuite_console.engine.control import Control
from qsuite_console.engine.state import ConsoleState
from qsuite_console.headless.http import MAX_BODY, serve_socket
from qsuite_console.headless.routes import ROUTES
from qsuite_console.model.errors import (
    Conflict,
    ConsoleError,
    HistoryUnavailable,
    InvalidParameters,
    ReadOnly,
)
from qsuite_console.model.jobs import JobDetail, JobPage, Receipt
from qsuite_console.model.wire import EngineInfo, EventsAnswer


@asynccontextmanager
async def served(control: Control, path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        serve_socket(control, path, origin="test"),
        aiohttp.ClientSession("http://engine", connector=aiohttp.UnixConnector(str(path))) as session,
    ):
        yield session


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s" / "engine.sock"


@pytest.fixture
def control() -> FakeControl:
    return demo()


@pytest.fixture
async def http(control: FakeControl, path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with served(control, path) as session:
        yield session


async def refusal(answer: aiohttp.ClientResponse) -> tuple[int, dict[str, Any]]:
    assert answer.content_type == "application/json"
    body = await answer.json()
    assert set(body) == {"error"}
    assert body["error"]["message"]
    return answer.status, body["error"]


async def test_the_socket_can_be_opened_by_its_owner_only(http: aiohttp.ClientSession, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_health_names_who_answers(http: aiohttp.ClientSession, control: FakeControl) -> None:
    async with http.get("/health") as answer:
        info = msgspec.json.decode(await answer.read(), type=EngineInfo)
    assert info.origin == "test"
    assert info.is_live
    assert info.is_ready
    control.set_state(trouble="disk full")
    async with http.get("/health") as answer:
        info = msgspec.json.decode(await answer.read(), type=EngineInfo)
    assert (info.is_live, info.is_ready, info.problems) == (True, False, ("disk full",))


async def test_state_survives_the_way_whole(http: aiohttp.ClientSession, control: FakeControl) -> None:
    async with http.get("/state") as answer:
        assert msgspec.json.decode(await answer.read(), type=ConsoleState) == control.state
        tag = answer.headers["ETag"]
    async with http.get("/state", headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
    control.set_state(trouble="x")
    async with http.get("/state", headers={"If-None-Match": tag}) as answer:
        assert answer.status == 200


async def test_state_can_be_waited_for(http: aiohttp.ClientSession, control: FakeControl) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    now = control.state.sequence
    async with http.get("/state", params={"after": now, "wait": "0.3"}) as answer:
        assert (await answer.json())["sequence"] == now
    assert loop.time() - started >= 0.3
    waiting = asyncio.create_task(_read(http, f"/state?after={now}&wait=20"))
    await asyncio.sleep(0)
    control.set_state(trouble="news")
    assert b"news" in await asyncio.wait_for(waiting, 15)  # of the 20 s it would wait


async def _read(http: aiohttp.ClientSession, path: str) -> bytes:
    async with http.get(path) as answer:
        return await answer.read()


async def test_waiting_readers_do_not_hold_up_the_end(control: FakeControl, path: Path) -> None:
    with Stopwatch() as waited:
        async with served(control, path) as session:
            waiting = asyncio.create_task(_read(session, f"/state?after={control.state.sequence}&wait=30"))
            await _read(session, "/health")
            before = waited.seconds
    assert waited.seconds - before < 3
    await asyncio.gather(waiting, return_exceptions=True)


async def test_jobs_are_made_listed_shown_and_changed(http: aiohttp.ClientSession, control: FakeControl) -> None:
    body = {"kind": "backfill", "parameters": {"symbols": "AAPL", "start": "2025-01-02"}, "origin": "test"}
    async with http.post("/jobs", json=body) as answer:
        assert answer.status == 201
        receipt = msgspec.json.decode(await answer.read(), type=Receipt)
    async with http.get(f"/jobs/{receipt.job_id}") as answer:
        detail = msgspec.json.decode(await answer.read(), type=JobDetail)
    assert detail.job.parameters["symbols"] == "AAPL"
    async with http.get("/jobs", params={"states": "queued,running", "limit": "5"}) as answer:
        page = msgspec.json.decode(await answer.read(), type=JobPage)
    assert 0 < len(page.jobs) <= 5
    async with http.post("/jobs/actions", json={"action": "cancel", "job_ids": [receipt.job_id, 999_999]}) as answer:
        results = await answer.json()
    assert [result["is_done"] for result in results] == [True, False]
    async with http.get(f"/jobs/{receipt.job_id}/logs", params={"after": "0"}) as answer:
        assert answer.status == 200
    async with http.get("/events", params={"after": "0"}) as answer:
        events = msgspec.json.decode(await answer.read(), type=EventsAnswer)
    assert events.newest >= 1
    assert events.events
    async with http.post("/queues/general", json={"is_paused": True}) as answer:
        assert (await answer.json())["is_paused"] is True
    for route in ("/kinds", "/statistics?window_s=60"):
        async with http.get(route) as answer:
            assert answer.status == 200
    for route in ("/check", "/plan"):
        async with http.post(route, json={"kind": "backfill", "parameters": {"symbols": "AAPL"}}) as answer:
            assert answer.status == 200
    async with http.post("/ask/backfill.coverage", json={"parameters": {}}) as answer:
        assert (await answer.json())["type"] == "market.CoverageMap"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidParameters({"start": "after end"}), 422),
        (ReadOnly("only looking"), 403),
        (Conflict("is finished"), 409),
        (HistoryUnavailable("disk full", hint="free some"), 503),
        (ConsoleError("database down"), 503),
    ],
)
async def test_refusals_have_a_status_a_type_and_a_hint(
    http: aiohttp.ClientSession, control: FakeControl, error: ConsoleError, status: int
) -> None:
    control.failures["submit"] = error
    async with http.post("/jobs", json={"kind": "backfill"}) as answer:
        got, body = await refusal(answer)
    assert got == status
    assert (body["type"], body["message"], body["hint"]) == (type(error).__name__, error.message, error.hint)


async def test_a_bug_is_a_500_that_tells_nothing_about_our_inside(
    http: aiohttp.ClientSession, control: FakeControl, caplog: pytest.LogCaptureFixture
) -> None:
    control.failures["kinds"] = RuntimeError("password=s3cret")  # type: ignore[assignment]
    async with http.get("/kinds") as answer:
        status, body = await refusal(answer)
    assert status == 500
    assert "s3cret" not in str(body)
    assert "GET /kinds failed" in caplog.text


HOSTILE = [
    ("GET", "/nothing", None, 404),
    ("GET", "/jobs/nine", None, 400),
    ("GET", "/jobs/-1", None, 400),
    ("GET", "/jobs/" + "9" * 40, None, 400),
    ("GET", "/jobs/999999", None, 404),
    ("GET", "/jobs/..%2F..%2Fetc", None, 400),
    ("GET", "/jobs?limit=0", None, 400),
    ("GET", "/jobs?limit=99999999", None, 400),
    ("GET", "/jobs?limit=x", None, 400),
    ("GET", "/jobs?states=nonsense", None, 400),
    ("GET", "/jobs?colour=red", None, 400),
    ("GET", "/state?after=NaN", None, 400),
    ("GET", "/state?wait=99999", None, 400),
    ("GET", "/state?wait=-1", None, 400),
    ("GET", "/statistics?window_s=inf", None, 400),
    ("GET", "/jobs/1/logs?limit=1e9", None, 400),
    ("DELETE", "/jobs", None, 405),
    ("POST", "/health", b"{}", 405),
    ("POST", "/jobs", b"", 400),
    ("POST", "/jobs", b"not json", 400),
    ("POST", "/jobs", b"\xff\xfe", 400),
    ("POST", "/jobs", b'{"kind": "\xff"}', 400),
    ("POST", "/jobs", b'{"kind": 5}', 400),
    ("POST", "/jobs", b'{"kind": "backfill", "paramaters": {"symbols": "AAPL"}}', 400),
    ("POST", "/jobs", b'["backfill"]', 400),
    ("POST", "/jobs", b"[" * 100_000, 400),
    ("POST", "/jobs", b'{"kind": "backfill", "parameters": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}", 400),
    ("POST", "/jobs", b"x" * (MAX_BODY + 1), 413),
    ("POST", "/check", b'{"kind": "backfill", "surprise": 1}', 400),
    ("POST", "/jobs/actions", b'{"action": "explode", "job_ids": [1]}', 400),
    ("POST", "/jobs/actions", b'{"action": "cancel", "job_ids": ["1"]}', 400),
    ("POST", "/jobs/actions", b'{"action": "cancel", "job_ids": [' + b"1," * 10_001 + b"1]}", 400),
    ("POST", "/queues/nosuch%1b%5b2J", b"{}", 404),
    ("POST", "/ask/nosuch", b"{}", 404),
]


@pytest.mark.parametrize(("method", "target", "body", "status"), HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_input_is_refused_in_json(
    http: aiohttp.ClientSession, method: str, target: str, body: bytes | None, status: int
) -> None:
    async with http.request(method, URL("http://engine" + target, encoded=True), data=body) as answer:
        got, error = await refusal(answer)
    assert got == status, error
    assert "\x1b" not in str(error)
    async with http.get("/health") as answer:
        assert answer.status == 200


async def test_a_half_sent_request_holds_up_nobody(http: aiohttp.ClientSession, path: Path) -> None:
    readers = [await asyncio.open_unix_connection(str(path)) for _ in range(20)]
    for _, writer in readers:
        writer.write(b"GET /state HTTP/1.1\r\nHost: x\r\n")
        await writer.drain()
    with Stopwatch() as waited:
        async with http.get("/health") as answer:
            assert answer.status == 200
    assert waited.seconds < 2
    for _, writer in readers:
        writer.close()


async def test_every_route_is_said_to_who_is_lost(http: aiohttp.ClientSession) -> None:
    async with http.get("/") as answer:
        _, error = await refusal(answer)
    assert all(route.path in error["hint"] for route in ROUTES)


async def test_a_live_socket_is_never_taken_over(http: aiohttp.ClientSession, path: Path) -> None:
    with pytest.raises(Conflict, match="another engine answers"):
        async with serve_socket(demo(), path):
            pass
    async with http.get("/health") as answer:
        assert answer.status == 200


async def test_a_stale_socket_is_replaced_and_ours_removed_at_the_end(control: FakeControl, path: Path) -> None:
    path.parent.mkdir()
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    async with served(control, path) as session, session.get("/health") as answer:
        assert answer.status == 200
    assert not path.exists()


async def test_a_link_planted_in_a_public_directory_is_not_followed(control: FakeControl, tmp_path: Path) -> None:
    public, mine = tmp_path / "public", tmp_path / "mine"
    public.mkdir()
    public.chmod(0o777)
    mine.mkdir(mode=0o755)
    (public / "planted").symlink_to(mine)
    with pytest.raises(ConsoleError, match="can't open the engine's socket"):
        async with serve_socket(control, public / "planted" / "engine.sock"):
            pass
    assert list(mine.iterdir()) == []
    assert stat.S_IMODE(mine.stat().st_mode) == 0o755


async def test_what_is_not_a_socket_is_left_alone(control: FakeControl, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("mine")
    with pytest.raises(ConsoleError, match="another file is in its place"):
        async with serve_socket(control, path):
            pass
    assert path.read_text() == "mine"


def test_the_headless_path_loads_no_screen() -> None:
    program = (
        "import sys, qsuite_console.headless.service, qsuite_console.headless.http;"
        "print([m for m in ('textual', 'rich', 'plotext', 'weasyprint') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr
