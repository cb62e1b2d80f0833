"""What answers over TCP are like: tagged, made once for many, timed, the slow ones told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fakes.control import FakeControl, demo
from fakes.platform import NOW
from integration.service.tcp_client import JOB, TOKENS, Client, served
from qsuite_console.model.jobs import JobPage, JobQuery
from qsuite_console.model.reports import ReportInfo, ReportPart
from qsuite_console.model.traffic import RequestsView


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s" / "engine.sock"


@pytest.fixture
def control() -> FakeControl:
    return demo()


@pytest.fixture
async def client(control: FakeControl, path: Path) -> AsyncIterator[Client]:
    async with served(control, path) as (found, _):
        yield found


async def test_what_did_not_change_is_not_sent_again(client: Client, control: FakeControl) -> None:
    for target in ("/jobs", "/state", "/kinds", "/openapi.json", "/operations"):
        status, _, headers = await client.ask("GET", target, "reader")
        assert status == 200
        again = {"If-None-Match": headers["ETag"]}
        status, body, headers = await client.ask("GET", target, "reader", headers=again)
        assert (status, body) == (304, None), target
        assert headers["Vary"] == "Authorization, Origin"
        weak = {"If-None-Match": f'"other", W/{again["If-None-Match"]}'}
        assert (await client.ask("GET", target, "reader", headers=weak))[0] == 304
    tag = (await client.ask("GET", "/jobs", "reader"))[2]["ETag"]
    await client.ask("POST", "/jobs", "operator", body={**JOB, "join": False})
    assert (await client.ask("GET", "/jobs", "reader", headers={"If-None-Match": tag}))[0] == 200
    _, _, headers = await client.ask("POST", "/check", "reader", body=JOB)
    assert headers["Cache-Control"] == "no-store"


async def test_an_answer_is_made_once_for_many(client: Client, control: FakeControl) -> None:
    control.calls.clear()
    answers = await asyncio.gather(*(client.ask("GET", "/statistics", "reader") for _ in range(20)))
    assert {status for status, _, _ in answers} == {200}
    assert len([call for call in control.calls if call[0] == "statistics"]) == 1
    assert len([headers for _, _, headers in answers if "Age" in headers]) == 19


async def test_what_each_route_took_is_told(client: Client) -> None:
    for _ in range(3):
        await client.ask("GET", "/jobs", "reader")
    await client.ask("GET", "/jobs?limit=0", "reader")
    await client.ask("POST", "/jobs", "reader", body=JOB)
    await client.ask("GET", "/jobs")
    view = msgspec.convert((await client.ask("GET", "/requests", "admin"))[1], RequestsView)
    jobs = next(row for row in view.routes if row.route == "GET /jobs")
    assert (jobs.answered, jobs.refused, jobs.failed) == (4, 1, 0)
    assert jobs.p95_ms is not None
    assert jobs.body_bytes > 0
    assert next(row for row in view.routes if row.route == "POST /jobs").refused == 1
    assert view.turned_away == {"NotAuthenticated": 1}
    assert view.callers["reader"] == 5
    assert [place for place in view.listens_on if str(client.port) in place]


async def test_a_slow_request_is_told_and_a_wait_for_news_is_none(
    client: Client, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qsuite_console.headless.costs.SLOW_S", 1.0)
    answer = control.jobs

    async def late(query: JobQuery) -> JobPage:
        await asyncio.sleep(1.1)
        return await answer(query)

    monkeypatch.setattr(control, "jobs", late)
    await client.ask("GET", "/jobs?text=slow", "operator")
    await client.ask("GET", f"/state?wait=1.2&after={control.state.sequence}", "reader")
    view = msgspec.convert((await client.ask("GET", "/requests", "admin"))[1], RequestsView)
    assert [(slow.route, slow.path, slow.caller, slow.status) for slow in view.slow] == [
        ("GET /jobs", "/jobs", "operator", 200)
    ]
    waited = next(row for row in view.routes if row.route == "GET /state")
    assert waited.worst_ms < view.slow[0].ms


async def test_a_file_that_is_read_slowly_is_no_slow_request(
    client: Client, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qsuite_console.headless.costs.SLOW_S", 1.0)
    report = ReportInfo(
        file="jobs-1-a.csv",
        path="/reports/jobs-1-a.csv",
        name="jobs",
        format="csv",
        title="Jobs",
        target="sandbox",
        window="today, UTC",
        created_at=NOW,
        expires_at=NOW,
        job_id=1,
    )

    def part(parameters: Mapping[str, Any]) -> ReportPart:
        if parameters["offset"]:
            time.sleep(1.1)
        return ReportPart(at=NOW, report=report, offset=parameters["offset"], data=b"ab", size=4)

    control.answers["reports.content"] = part
    async with client.session.get(
        client.base + "/reports/jobs-1-a.csv/download", headers={"Authorization": f"Bearer {TOKENS['reader']}"}
    ) as answer:
        assert await answer.read() == b"abab"
    view = msgspec.convert((await client.ask("GET", "/requests", "admin"))[1], RequestsView)
    assert view.slow == ()
    assert [row.answered for row in view.routes if row.route == "GET /reports/{file}/download"] == [1]


async def test_head_is_answered_as_get_without_the_body(client: Client) -> None:
    for path, who in (("/health/live", ""), ("/health/ready", "reader"), ("/jobs?limit=2", "reader")):
        got = await client.ask("GET", path, who)
        status, body, headers = await client.ask("HEAD", path, who)
        assert (status, body) == (got[0], None)
        assert headers["Content-Length"] == got[2]["Content-Length"]
        assert headers.get("ETag") == got[2].get("ETag")
    assert (await client.ask("HEAD", "/jobs"))[0] == 401
    status, _, headers = await client.ask("HEAD", "/stream", "reader")
    assert (status, headers["Allow"]) == (405, "GET")
