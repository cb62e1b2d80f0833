"""Calls of external addresses: rate, retries, cache, secrets by name, partial results."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp.web as web
import pytest

from fakes.backfill import FakeContext, open_services
from integration.calls.canary import Receiver, serving
from qsuite_console.config.outgoing import NamedSecret, parse_allowances
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import EngineSettings, Settings
from qsuite_console.engine.parameters import decode
from qsuite_console.engine.ports import Permanent
from qsuite_console.history.store import open_store
from qsuite_console.model.clock import SystemClock
from qsuite_console.providers.calls import CallDesk, RateReached, Wanted, masks_of
from qsuite_console.providers.errors import ProviderRefused, ProviderUnavailable
from qsuite_console.providers.guard import Policy
from qsuite_console.providers.outgoing import OutgoingClient, Request
from qsuite_console.workers import Services
from qsuite_console.workers.api import BulkWorker, CallWorker
from qsuite_console.workers.api.parameters import BulkParameters, CallParameters

SECRET = 'canary+secret/"1" %'


class MovedClock(SystemClock):
    """The machine's clock, moved on by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead.total_seconds()


class Bench:
    """A desk on a real history, with its receiver; ``waits`` is what it slept between tries."""

    def __init__(self, services: Services, desk: CallDesk, receiver: Receiver, clock: MovedClock) -> None:
        self.services, self.desk, self.receiver, self.clock = services, desk, receiver, clock
        self.waits: list[float] = []

        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)

        desk.sleep = sleep

    async def call(self, path: str = "/", context: FakeContext | None = None, **given: Any) -> dict[str, Any]:
        parameters: CallParameters = decode(CallParameters, {"url": f"{self.receiver.url}{path}", **given})
        worker = CallWorker(self.services)
        assert worker.check(parameters) == {}
        return dict(await worker.run(context or FakeContext(), parameters))

    async def bulk(self, calls: Any, context: FakeContext | None = None, **given: Any) -> dict[str, Any]:
        parameters: BulkParameters = decode(BulkParameters, {"calls": calls, **given})
        worker = BulkWorker(self.services)
        assert worker.check(parameters) == {}
        return dict(await worker.run(context or FakeContext(), parameters))


@asynccontextmanager
async def benched(
    path: Path, *, per_hour: int = 1000, receiver: Receiver | None = None, port: int = 0
) -> AsyncIterator[Bench]:
    clock = MovedClock()
    store = open_store(path / "history.sqlite", settings=EngineSettings(), clock=clock)
    client = OutgoingClient(Policy(allowances=parse_allowances("127.0.0.1")))
    secrets = {
        "broker": NamedSecret(name="broker", variable="BROKER", hosts=("127.0.0.1",), value=Secret(SECRET)),
        "elsewhere": NamedSecret(name="elsewhere", variable="E", hosts=("api.example.com",), value=Secret("other")),
        "unset": NamedSecret(name="unset", variable="UNSET", hosts=("127.0.0.1",)),
    }
    desk = CallDesk(client, secrets, store.rates, clock, user="ada", per_hour=per_hour)
    try:
        async with serving(receiver or Receiver(), port) as found, open_services(Settings(), clock) as services:
            yield Bench(dataclasses.replace(services, calls=desk), desk, found, clock)
    finally:
        await client.close()
        store.close()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with benched(tmp_path) as found:
        yield found


async def test_an_answer_is_told_in_full(bench: Bench) -> None:
    bench.receiver.answers = [
        web.json_response({"price": 1}, headers={"X-RateLimit-Remaining": "7", "Set-Cookie": "sid=canary"})
    ]
    result = await bench.call("/v1/status?symbol=AAPL", headers="Accept: application/json\nX-Trace: a, b")
    assert json.loads(result["body"]) == {"price": 1}
    assert result["status"] == 200
    assert result["url"].endswith("/v1/status")
    assert result["headers"]["x-ratelimit-remaining"] == "7"
    assert "canary" not in str(result)
    path, headers, _ = bench.receiver.seen[0]
    assert path == "/v1/status?symbol=AAPL"
    assert (headers["X-Trace"], headers["User-Agent"]) == ("a, b", "qsuite-console")


async def test_a_named_secret_is_sent_and_nowhere_told(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    async def echo(request: web.Request) -> web.Response:
        text = f"{dict(request.headers)} {request.path_qs} {await request.text()} {masks_of([SECRET])}"
        received.append((request.headers["X-Key"], request.query["token"], await request.text()))
        return web.Response(text=text, headers={"ETag": request.headers["X-Key"]})

    received: list[tuple[str, str, str]] = []
    bench.receiver.handle = echo  # type: ignore[assignment,method-assign]
    async with serving(bench.receiver):
        result = await bench.call(
            "/echo?token=secret:broker&a=b+c",
            method="POST",
            headers={"X-Key": "secret:broker"},
            body={"password": "secret:broker", "n": 1},
        )
    assert received == [(SECRET, SECRET, received[0][2])]
    assert json.loads(received[0][2]) == {"password": SECRET, "n": 1}
    told = json.dumps(result) + caplog.text
    for form in masks_of([SECRET]):
        assert form not in result["body"]
        assert form not in told


async def test_a_secret_goes_only_where_it_may(bench: Bench) -> None:
    for name, why in (("elsewhere", "may not be sent to"), ("unset", "is empty"), ("nothing", "no secret is named")):
        with pytest.raises(ProviderRefused, match=why):
            await bench.call(headers={"X-Key": f"secret:{name}"})
    assert bench.receiver.seen == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"headers": "Authorization: Bearer canary-1"}, "headers"),
        ({"headers": {"APCA-API-SECRET-KEY": "canary-1"}}, "headers"),
        ({"headers": "Cookie: sid=canary-1"}, "headers"),
        ({"headers": "X-Anything: Bearer canary-1"}, "headers"),
        ({"headers": "Host: canary-1"}, "headers"),
        ({"headers": {"X-A": "canary-1\r\nX-B: 1"}}, "headers"),
        ({"headers": "canary-1"}, "headers"),
        ({"headers": ["canary-1"]}, "headers"),
        ({"url": "https://api.example.com/?api_key=canary-1"}, "url"),
        ({"url": "https://u:canary-1@api.example.com/"}, "url"),
        ({"url": "https://api.example.com/secret:broker"}, "url"),
        ({"url": "file:///canary-1"}, "url"),
        ({"method": "POST", "body": {"login": {"password": "canary-1"}}}, "body"),
        ({"method": "POST", "body": "user=a&password=canary-1"}, "body"),
        ({"body": "canary-1"}, "body"),
    ],
)
async def test_what_may_not_stay_in_the_history_is_refused(bench: Bench, given: dict[str, Any], field: str) -> None:
    whole = {"url": "https://api.example.com/v1", **given}
    problems = CallWorker(bench.services).check(decode(CallParameters, whole))
    assert list(problems) == [field]
    assert "canary-1" not in str(problems)
    listed = BulkWorker(bench.services).check(decode(BulkParameters, {"calls": [whole]}))
    assert list(listed) == ["calls"]
    assert "call 1" in listed["calls"]
    assert "canary-1" not in str(listed)


async def test_passing_failures_are_tried_again(bench: Bench) -> None:
    bench.receiver.answers = [web.Response(status=503, headers={"Retry-After": "7"}), web.Response(status=500)]
    result = await bench.call()
    assert (result["status"], result["tries"]) == (200, 3)
    assert bench.waits[0] == 7
    assert 0.25 <= bench.waits[1] <= 1
    bench.receiver.answers = [web.Response(status=500) for _ in range(9)]
    with pytest.raises(Permanent, match="answered 500"):
        await bench.call(retries=2)
    assert len(bench.receiver.answers) == 6
    bench.receiver.answers = [web.Response(status=404)]
    with pytest.raises(Permanent, match="answered 404"):
        await bench.call()
    assert bench.receiver.answers == []
    bench.receiver.answers = [web.Response(status=429, headers={"Retry-After": "600"})]
    with pytest.raises(Permanent, match="answered 429"):
        await bench.call()


async def test_what_may_have_taken_effect_is_not_sent_twice(bench: Bench) -> None:
    bench.receiver.answers = [web.Response(status=500)]
    with pytest.raises(Permanent, match="answered 500"):
        await bench.call(method="POST", body="x")
    assert len(bench.receiver.seen) == 1
    bench.receiver.answers = [web.Response(status=503)]
    assert (await bench.call(method="POST", body="x"))["tries"] == 2
    context = FakeContext(checkpoint={"sent": True})
    with pytest.raises(Permanent, match="not known whether it arrived"):
        await bench.call(context=context, method="POST", body="x")
    assert len(bench.receiver.seen) == 3
    await bench.call(context=context, method="POST", body="x")
    assert len(bench.receiver.seen) == 4


async def test_an_address_nobody_listens_at(bench: Bench) -> None:
    url = bench.receiver.url.replace(str(bench.receiver.port), "9")
    with pytest.raises(ProviderUnavailable, match="nothing listens there"):
        await bench.call(url=url, method="POST", body="x")
    assert len(bench.waits) == 3  # never sent, so it could be tried again


async def test_answers_are_reused_while_they_are_fresh(bench: Bench) -> None:
    for _ in range(3):
        result = await bench.call("/a", cache_s=60)
    assert (len(bench.receiver.seen), result["is_cached"]) == (1, True)
    await bench.call("/a", cache_s=60, headers={"Accept": "text/csv"})
    await bench.call("/a")
    assert len(bench.receiver.seen) == 3
    bench.clock.ahead += timedelta(seconds=61)
    await bench.call("/a", cache_s=60)
    assert len(bench.receiver.seen) == 4


async def test_the_rate_holds_over_restarts_and_for_each_address(tmp_path: Path) -> None:
    receiver = Receiver()
    async with benched(tmp_path, per_hour=3, receiver=receiver) as bench:
        for _ in range(3):
            await bench.call("/a?n=1")
        with pytest.raises(RateReached, match="called 3 times within an hour"):
            await bench.call("/a?n=2")
        await bench.call("/b")
        holder = FakeContext()
        holder.origin = "http:grafana"
        for _ in range(3):
            await bench.call("/a", holder)  # who holds a token has a rate of his own
        with pytest.raises(RateReached, match="called 3 times within an hour"):
            await bench.call("/a", holder)
    async with benched(tmp_path, per_hour=3, receiver=receiver, port=receiver.port) as bench:
        with pytest.raises(RateReached) as caught:
            await bench.desk.call(_wanted(f"{receiver.url}/a"))
        assert 3500 < (caught.value.after_s or 0) <= 3600
        bench.clock.ahead += timedelta(seconds=3601)
        await bench.call("/a")


async def test_bulk_of_a_hundred_with_failures(tmp_path: Path) -> None:
    """Two bulks of fifty at once: each has every result in its place, and together they keep the rate."""
    under_way = most = 0

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            await asyncio.sleep(0.02)
            number = int(request.query["n"])
            seen.append((request.path, number))
            if number % 5 == 1:
                return web.Response(status=404, text="nothing here")
            if number % 5 == 2:
                return web.Response(status=500)
            if number % 5 == 3 and request.transport is not None:
                request.transport.abort()
            return web.json_response({"n": number})
        finally:
            under_way -= 1

    seen: list[tuple[str, int]] = []
    receiver = Receiver()
    receiver.handle = handle  # type: ignore[assignment,method-assign]
    async with benched(tmp_path, per_hour=60, receiver=receiver) as bench:
        nowhere = "http://10.0.0.1/never"
        first = [{"url": f"{receiver.url}/one?n={n}"} if n % 10 else nowhere for n in range(50)]
        second = [f"{receiver.url}/one?n={n}" for n in range(50, 100)]
        results = await asyncio.gather(
            bench.bulk(first, retries=0), bench.bulk("\n".join(second), retries=0, parallel=20)
        )
    assert len(seen) == 60  # of 95 that lead there: the rate
    assert most <= 70
    for base, result in zip((0, 50), results, strict=True):
        assert result["calls"] == 50
        assert result["succeeded"] + result["failed"] == 50
        for number, one in enumerate(result["results"]):
            n = base + number
            assert one["number"] == number + 1
            if one["address"].startswith("10.0.0.1"):
                assert "not on the public internet" in one["error"]
            elif ("/one", n) not in seen:
                assert "called 60 times within an hour" in one["error"]
            elif n % 5 in (1, 2):
                assert one["error"].startswith("answered 404" if n % 5 == 1 else "answered 500")
            elif n % 5 == 3:
                assert "closed the connection" in one["error"]
            else:
                assert one["ok"]
                assert json.loads(one["body"]) == {"n": n}
    assert sum(result["succeeded"] for result in results) == sum(n % 5 in (0, 4) for _, n in seen)


async def test_a_bulk_goes_on_where_it_was_cut(bench: Bench) -> None:
    calls = [{"url": f"{bench.receiver.url}/{n}", "method": "POST", "body": {"n": n}} for n in range(4)]
    kept = {"number": 1, "ok": True, "error": None, "method": "POST", "address": "x", "status": 200}
    context = FakeContext(checkpoint={"sent": [0, 1], "results": {"0": kept}})
    result = await bench.bulk(calls, context)
    assert [path for path, _, _ in bench.receiver.seen] == ["/2", "/3"]
    assert [one["ok"] for one in result["results"]] == [True, False, True, True]
    assert "not known whether it arrived" in result["results"][1]["error"]
    again = await bench.bulk(calls, context)  # retried by hand: only what has not succeeded
    assert [path for path, _, _ in bench.receiver.seen][2:] == ["/1"]
    assert again["succeeded"] == 4
    bench.receiver.answers = [web.Response(status=404)]
    with pytest.raises(Permanent, match="none of 1 calls succeeded: answered 404"):
        await bench.bulk([calls[0]])


@pytest.mark.parametrize(
    "calls", ["[", [], [1], [{"url": 1}], [{"uri": "x"}], ["http://127.1/"], ["http://a/"] * 51, {}, "ftp://a/"]
)
async def test_lists_of_calls_that_are_none(bench: Bench, calls: Any) -> None:
    assert list(BulkWorker(bench.services).check(BulkParameters(calls=calls))) == ["calls"]


def _wanted(url: str) -> Wanted:
    return Wanted(request=Request(method="GET", url=url), retries=0)
