"""Who may ask over TCP, and by which names: tokens, scopes, hosts, origins, rates."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from fakes.control import FakeControl, demo
from integration.service.tcp_client import JOB, TOKENS, Client, served
from qsuite_console.config.api import ApiSettings, ApiToken
from qsuite_console.headless import listening
from qsuite_console.headless.listening import listen_tcp
from qsuite_console.headless.routes import ROUTES
from qsuite_console.headless.table import Route
from qsuite_console.model.access import Scope
from qsuite_console.model.errors import Conflict, UsageProblem
from qsuite_console.model.jobs import JobDetail, JobPage, Receipt
from qsuite_console.model.operations import OperationInfo, Proposal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s" / "engine.sock"


@pytest.fixture
def control() -> FakeControl:
    made = demo()
    for name, changes in (("database.terminate", True), ("alerts.acknowledge", False), ("bars.store", True)):
        made.operation_infos += (OperationInfo(name=name, title=name, help="", changes_target=changes),)
        made.proposals[name] = lambda _, name=name: Proposal(operation=name, title=f"do {name}?")
    return made


@pytest.fixture
async def client(control: FakeControl, path: Path) -> AsyncIterator[Client]:
    async with served(control, path) as (found, _):
        yield found


def filled(route: Route) -> str:
    return re.sub(r"\{[a-z_]+\}", "1", route.path)


async def test_no_route_without_a_token_but_liveness(client: Client) -> None:
    opened = [route.name for route in ROUTES if route.is_open]
    assert opened == ["GET /health/live"]
    for route in ROUTES:
        for headers in ({}, {"Authorization": "Bearer wrong-" + "x" * 40}):
            status, body, got = await client.ask(route.method, filled(route), headers=headers)
            if route.is_open:
                assert status == 200, route.name
                continue
            assert (status, body["error"]["type"]) == (401, "NotAuthenticated"), route.name
            assert got["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", "Basic " + TOKENS["reader"], TOKENS["reader"], f"Bearer {TOKENS['reader']}x", "Bearer \xff"],
)
async def test_what_is_no_token_is_refused_without_a_word_about_paths(client: Client, header: str) -> None:
    for path in ("/jobs", "/no/such/path", "/openapi.json"):
        status, body, _ = await client.ask("GET", path, headers={"Authorization": header})
        assert status == 401
        assert "GET /jobs" not in str(body)


async def test_two_tokens_at_once_are_none(client: Client) -> None:
    headers = [("Authorization", f"Bearer {TOKENS['reader']}"), ("Authorization", f"Bearer {TOKENS['admin']}")]
    async with client.session.get(client.base + "/jobs", headers=headers) as answer:
        assert answer.status == 401


async def test_a_scope_covers_what_it_says(client: Client, control: FakeControl) -> None:
    for who in ("reader", "operator", "admin"):
        assert (await client.ask("GET", "/jobs", who))[0] == 200
    status, body, _ = await client.ask("POST", "/jobs", "reader", body=JOB)
    assert (status, body["error"]["type"]) == (403, "NotAllowed")
    assert "the token reader has the scope read, POST /jobs wants operate" in body["error"]["message"]
    assert (await client.ask("POST", "/jobs", "operator", body=JOB))[0] == 201
    for path in ("/operations/database.terminate", "/operations/database.terminate/proposal"):
        status, body, _ = await client.ask("POST", path, "operator", body={})
        assert (status, body["error"]["type"]) == (403, "NotAllowed")
        assert "to do database.terminate wants admin" in body["error"]["message"]
        assert (await client.ask("POST", path, "admin", body={}))[0] == 200
    for name in ("alerts.acknowledge", "bars.store"):
        assert (await client.ask("POST", f"/operations/{name}/proposal", "operator", body={}))[0] == 200


async def test_who_may_only_read_is_told_so_by_the_state(client: Client) -> None:
    for who, is_read_only in (("reader", True), ("operator", False), ("admin", False)):
        state = (await client.ask("GET", "/state", who))[1]
        assert state["is_read_only"] is is_read_only
        assert state["forbids"].startswith("the token reader has the scope read" if is_read_only else "")
        assert bool(state["forbids"]) is is_read_only


async def test_every_changing_row_wants_more_than_read(client: Client) -> None:
    asking = {"POST /check", "POST /ask/{probe}", "POST /schedules/explain", "POST /schedules/next"}
    for route in ROUTES:
        if route.method == "GET" or route.name in asking:
            continue
        assert route.scope is not Scope.READ, route.name
        status, _, _ = await client.ask(route.method, filled(route), "reader", body={})
        assert status == 403, route.name


async def test_who_asked_is_the_token_whatever_the_body_says(client: Client) -> None:
    _, receipt, _ = await client.ask("POST", "/jobs", "operator", body={**JOB, "origin": "console", "join": False})
    _, detail, _ = await client.ask("GET", f"/jobs/{receipt['job_id']}", "reader")
    assert detail["job"]["origin"] == "http:operator"


async def test_a_robot_sees_and_changes_its_own_jobs_only(client: Client, control: FakeControl) -> None:
    others = sorted(control.all_jobs)
    symbols = {**JOB, "parameters": {"symbols": "ROBO", "start": "2025-01-02"}}
    status, body, _ = await client.ask("POST", "/jobs", "robot", body=symbols)
    own = msgspec.convert(body, Receipt).job_id
    assert status == 201
    page = msgspec.convert((await client.ask("GET", "/jobs", "robot"))[1], JobPage)
    assert [job.id for job in page.jobs] == [own]
    detail = msgspec.convert((await client.ask("GET", f"/jobs/{own}", "robot"))[1], JobDetail)
    assert detail.job.origin == "http:robot"
    for tail in ("", "/logs", "/status", "/stream"):
        assert (await client.ask("GET", f"/jobs/{others[0]}{tail}", "robot"))[0] == 404, tail
    for action in ("cancel", "pause", "resume", "retry"):
        assert (await client.ask("POST", f"/jobs/{others[0]}/{action}", "robot", body={}))[0] == 404
    body = {"action": "cancel", "job_ids": [others[0], own]}
    _, results, _ = await client.ask("POST", "/jobs/actions", "robot", body=body)
    assert [(result["job_id"], result["is_done"]) for result in results] == [(others[0], False), (own, True)]
    assert results[0]["refusal"] == "NotFound"
    body = {"action": "cancel", "job_ids": [own, own, others[0], others[0]]}
    status, results, _ = await client.ask("POST", "/jobs/actions", "robot", body=body)
    assert (status, [result["job_id"] for result in results]) == (200, [own, others[0]])
    for route in ("/state", "/events", "/requests", "/statistics", "/queues"):
        status, body, _ = await client.ask("GET", route, "robot")
        assert (status, body["error"]["type"]) == (403, "NotAllowed"), route


OWN = (
    "127.0.0.1:{port}",
    "localhost:{port}",
    "LOCALHOST:{port}",
    "[::1]:{port}",
    "localhost:9000",  # the other end of a tunnel
    "localhost",
    "console.lan:1",
    "a.lan:8443",
)


@pytest.mark.parametrize("own", OWN)
async def test_it_answers_to_its_names(control: FakeControl, path: Path, own: str) -> None:
    settings = ApiSettings(listen="127.0.0.1:0", hosts="Console.lan, a.lan:8443")
    async with served(control, path, settings) as (client, _):
        status, _, _ = await client.ask("GET", "/health", "reader", headers={"Host": own.format(port=client.port)})
        assert status == 200


FOREIGN = (
    "evil.example",
    "evil.example:{port}",
    "127.0.0.1.evil.example:{port}",
    "localhost.evil.example",
    "localhost:",
    "localhost:8x",
    "",
    "localhost:{port}@evil.example",
    "[::ffff:127.0.0.1]:{port}",
    "127.0.0.1:{port}, evil.example",
)


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize("path_asked", ["/health/live", "/jobs"])
async def test_a_rebound_name_is_refused(client: Client, foreign: str, path_asked: str) -> None:
    headers = {"Host": foreign.format(port=client.port)}
    status, body, _ = await client.ask("GET", path_asked, "admin", headers=headers)
    assert (status, body["error"]["type"]) == (403, "NotAllowed")
    assert "not called" in body["error"]["message"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", "x"])
async def test_a_foreign_page_is_refused(client: Client, control: FakeControl, origin: str) -> None:
    for method, target, body in (("GET", "/jobs", None), ("POST", "/jobs", JOB), ("GET", "/health/live", None)):
        status, answer, headers = await client.ask(method, target, "admin", headers={"Origin": origin}, body=body)
        assert (status, answer["error"]["type"]) == (403, "NotAllowed")
        assert "Access-Control-Allow-Origin" not in headers
    status, _, headers = await client.ask("OPTIONS", "/jobs", headers={"Origin": origin})
    assert status in (401, 403)
    assert "Access-Control-Allow-Origin" not in headers
    assert not [call for call in control.calls if call[0] == "submit"]


async def test_a_page_that_was_let_in_may_read(control: FakeControl, path: Path) -> None:
    settings = ApiSettings(listen="127.0.0.1:0", origins="https://dash.lan")
    async with served(control, path, settings) as (client, _):
        page = {"Origin": "https://dash.lan"}
        status, _, headers = await client.ask("OPTIONS", "/jobs", headers=page)
        assert (status, headers["Access-Control-Allow-Origin"]) == (204, "https://dash.lan")
        assert "Authorization" in headers["Access-Control-Allow-Headers"]
        status, _, headers = await client.ask("GET", "/jobs", "reader", headers=page)
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, "https://dash.lan")
        assert (await client.ask("GET", "/jobs", headers=page))[0] == 401
        sent = {**page, "Authorization": f"Bearer {TOKENS['reader']}"}
        async with client.session.get(client.base + "/stream", headers=sent) as stream:
            assert stream.headers["Access-Control-Allow-Origin"] == "https://dash.lan"
            assert stream.headers["Server"] == "qsuite-console"


async def test_who_asks_too_often_is_told_when_to_come_back(control: FakeControl, path: Path) -> None:
    settings = ApiSettings(listen="127.0.0.1:0", requests_per_minute=60)
    async with served(control, path, settings) as (client, _):
        answers = [(await client.ask("GET", "/kinds", "reader")) for _ in range(60)]
        statuses = [status for status, _, _ in answers]
        assert statuses[:6] == [200] * 6
        assert statuses[-1] == 429
        _, body, headers = answers[-1]
        assert body["error"]["type"] == "TooManyRequests"
        assert int(headers["Retry-After"]) >= 1
        assert (await client.ask("GET", "/kinds", "admin"))[0] == 200


async def test_whom_nobody_let_in_has_to_wait(
    control: FakeControl, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qsuite_console.headless.door.REFUSALS_PER_S", 1.0)
    monkeypatch.setattr("qsuite_console.headless.door.PENALTY_S", 30.0)
    async with served(control, path) as (client, _):
        flood = [asyncio.create_task(client.ask("GET", "/jobs")) for _ in range(20)]
        done, waiting = await asyncio.wait(flood, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        async with asyncio.timeout(10):
            while len(done) < 6:
                more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                done |= more
        assert {task.result()[0] for task in done} == {401}
        assert (await client.ask("GET", "/jobs", "reader"))[0] == 200  # others do not
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert len(waiting) > 5


async def test_a_replaced_token_holds_without_a_restart(
    control: FakeControl, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qsuite_console.headless.door.LOOK_S", 0.01)
    file = tmp_path / "token"
    file.write_text(TOKENS["reader"] + "\n")
    tokens = {"desk": ApiToken(name="desk", reference=f"file:{file}", path=str(file))}

    async def until(desk: Client, who: str, wanted: int) -> None:
        async with asyncio.timeout(10):
            while (await desk.ask("GET", "/kinds", who))[0] != wanted:
                await asyncio.sleep(0.01)

    async with served(control, path, tokens=tokens) as (client, _):
        assert (await client.ask("GET", "/kinds", "reader"))[0] == 200
        file.write_text(f"{TOKENS['admin']}\n{TOKENS['reader']}\n")
        await until(client, "admin", 200)
        assert (await client.ask("GET", "/kinds", "reader"))[0] == 200
        file.write_text(TOKENS["admin"])
        await until(client, "reader", 401)
        file.unlink()
        await until(client, "admin", 401)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_no_address_of_others_unless_allowed(host: str) -> None:
    with pytest.raises(UsageProblem, match="other machines reach"):
        listen_tcp(host, 0)


async def test_a_port_that_is_taken_is_named(control: FakeControl, path: Path, tmp_path: Path) -> None:
    async with served(control, path) as (client, _):
        settings = ApiSettings(listen=f"127.0.0.1:{client.port}")
        with pytest.raises(Conflict, match=f"127.0.0.1:{client.port}: another process listens there"):
            async with served(demo(), tmp_path / "t" / "engine.sock", settings):
                pass
        assert not (tmp_path / "t" / "engine.sock").exists()


async def test_it_does_not_listen_where_nobody_could_come_in(control: FakeControl, path: Path) -> None:
    empty = {"desk": ApiToken(name="desk", reference="env:NOWHERE")}
    with pytest.raises(UsageProblem, match=r"no token to come in with \(desk: NOWHERE is empty\)"):
        async with served(control, path, tokens=empty):
            pass


async def test_who_connects_and_says_nothing_is_cut_off(
    control: FakeControl, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "IDLE_S", 0.2)
    monkeypatch.setattr(listening, "MAX_CONNECTIONS", 20)
    async with served(control, path) as (client, _):
        streams = [await asyncio.open_connection("127.0.0.1", client.port) for _ in range(25)]
        for _, writer in streams[:10]:
            writer.write(b"GET /state HTTP/1.1\r\nHost: x\r\n")
        async with asyncio.timeout(10):
            ended = await asyncio.gather(*(reader.read() for reader, _ in streams), return_exceptions=True)
        assert all(not end or isinstance(end, ConnectionError) for end in ended)
        for _, writer in streams:
            writer.close()
        assert (await client.ask("GET", "/health", "reader"))[0] == 200


async def test_who_asks_and_does_not_read_is_cut_off(
    control: FakeControl, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "UNREAD_S", 0.2)
    asked = f"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKENS['reader']}\r\n\r\n"
    async with served(control, path) as (client, _):
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(peer, ("127.0.0.1", client.port))
        await loop.sock_sendall(peer, asked.encode() * 20)

        async def go_on() -> None:
            while True:  # the first that is sent after the connection was cut off is answered by a reset
                await loop.sock_sendall(peer, b" ")
                await asyncio.sleep(0.01)

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(go_on(), 30)
        peer.close()
        assert (await client.ask("GET", "/health", "reader"))[0] == 200


async def test_what_others_send_amiss_is_no_trouble_of_ours(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    for sent in (
        b"\x16\x03\x01\x02\x00\x01",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"BREW / HTTP/9.9\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(sent)
        async with asyncio.timeout(10):
            assert (await reader.read()).startswith(b"HTTP/1.0 400 ")
        writer.close()
    assert (await client.ask("GET", "/health", "reader"))[0] == 200
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert "x" * 300 not in caplog.text


async def test_no_token_is_ever_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    for who in ("reader", "admin"):
        await client.ask("GET", "/jobs?limit=0", who)
        await client.ask("GET", "/no/such", who)
    await client.ask("GET", "/jobs", headers={"Authorization": "Bearer canary-" + "y" * 40})
    assert not [name for name, secret in TOKENS.items() if secret in caplog.text]
    assert "canary" not in caplog.text
    await client.ask("POST", "/jobs", "reader", body=JOB)
    assert "http:reader may not POST /jobs" in caplog.text
