"""Headers, error classes and redirects, against a small local server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime

import pytest
from aiohttp import web

from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import ProviderSettings
from qsuite_console.providers import errors, session
from qsuite_console.providers.alpaca import AlpacaClient, BarsQuery

QUERY = BarsQuery(
    symbols=("AAPL", "BRK.B"),
    timeframe="1Day",
    start=datetime(2025, 1, 2, 5, tzinfo=UTC),
    end=datetime(2025, 1, 4, 4, 59, 59, tzinfo=UTC),
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Handler], Awaitable[AlpacaClient]]]:
    opened: list[tuple[web.AppRunner, AlpacaClient]] = []

    async def start(handler: Handler) -> AlpacaClient:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handler)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        client = AlpacaClient(
            ProviderSettings(data_url=url, trading_url=url, key_id=Secret("KEYID"), secret_key=Secret("s3cr3t"))
        )
        opened.append((runner, client))
        return client

    yield start
    for runner, client in opened:
        await client.close()
        await runner.cleanup()


def answer(status: int, body: object = None, **headers: str) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers=headers)

    return handle


@pytest.mark.parametrize(
    ("status", "body", "kind", "is_transient", "words"),
    [
        (401, {"message": "unauthorized."}, errors.ProviderUnauthorized, False, "refused the key (401)"),
        (403, {"message": "forbidden."}, errors.ProviderUnauthorized, False, "refused the key (403)"),
        (
            403,
            {"code": 42210000, "message": "subscription does not permit querying recent SIP data"},
            errors.ProviderUnauthorized,
            False,
            "plan does not permit",
        ),
        (400, {"message": "invalid symbol: TAOP:NASDAQ"}, errors.InvalidSymbol, False, "TAOP:NASDAQ"),
        (422, {"message": "bad timeframe\x1b[2J"}, errors.ProviderRefused, False, "bad timeframe␛[2J"),
        (404, "<html>", errors.ProviderRefused, False, "no reason given"),
        (429, {"message": "too many requests."}, errors.ProviderThrottled, True, "429"),
        (500, "<html>500</html>", errors.ProviderUnavailable, True, "failing (500)"),
        (504, "", errors.ProviderUnavailable, True, "failing (504)"),
        (302, "", errors.ProviderRefused, False, "redirect"),
    ],
)
async def test_answers_become_errors_by_what_can_be_done(
    serve: Callable[[Handler], Awaitable[AlpacaClient]],
    status: int,
    body: object,
    kind: type[errors.ProviderError],
    is_transient: bool,
    words: str,
) -> None:
    client = await serve(answer(status, body, Location="http://127.0.0.1:9/"))
    with pytest.raises(kind) as caught:
        await client.bars(QUERY)
    assert words in caught.value.message
    assert caught.value.is_transient is is_transient
    assert caught.value.status == status
    assert "s3cr3t" not in caught.value.message + caught.value.hint + repr(caught.value)


async def test_a_redirect_never_carries_the_key(serve: Callable[[Handler], Awaitable[AlpacaClient]]) -> None:
    seen: list[str] = []

    async def trap(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("APCA-API-SECRET-KEY", ""))
        return web.Response(text="{}")

    other = await serve(trap)
    client = await serve(answer(307, "", Location=other.settings.data_url))
    with pytest.raises(errors.ProviderRefused):
        await client.bars(QUERY)
    assert seen == []


async def test_the_request_is_what_the_protocol_asks_for(serve: Callable[[Handler], Awaitable[AlpacaClient]]) -> None:
    seen: list[web.Request] = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        return web.json_response({"bars": {}, "next_page_token": None})

    client = await serve(note)
    await client.bars(QUERY, "opaque|token==")
    assert dict(seen[0].query) == {
        "symbols": "AAPL,BRK.B",
        "timeframe": "1Day",
        "start": "2025-01-02T05:00:00Z",
        "end": "2025-01-04T04:59:59Z",
        "limit": "10000",
        "adjustment": "raw",
        "sort": "asc",
        "page_token": "opaque|token==",
    }
    assert seen[0].headers["APCA-API-KEY-ID"] == "KEYID"
    assert "gzip" in seen[0].headers["Accept-Encoding"]
    assert "AAPL,BRK.B" in seen[0].raw_path  # commas stay single characters: the URL's length is planned with


async def test_an_answer_that_breaks_off_is_transient(serve: Callable[[Handler], Awaitable[AlpacaClient]]) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "5000"})
        await response.prepare(request)
        await response.write(b'{"bars":')
        assert request.transport is not None
        request.transport.abort()
        return response

    client = await serve(cut)
    with pytest.raises(errors.ProviderUnavailable, match="not reachable"):
        await client.bars(QUERY)


async def test_too_much_is_not_read(
    serve: Callable[[Handler], Awaitable[AlpacaClient]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "BODY_LIMIT", 1024 * 1024)
    client = await serve(answer(200, "x" * 2_000_000))
    with pytest.raises(errors.ProviderRefused, match="more than 1 MiB"):
        await client.bars(QUERY)


async def test_nobody_listening_is_transient() -> None:
    client = AlpacaClient(ProviderSettings(data_url="http://127.0.0.1:1"))
    with pytest.raises(errors.ProviderUnavailable, match=r"127\.0\.0\.1:1 is not reachable"):
        await client.bars(QUERY)
    await client.close()


async def test_calendar_days_become_sessions(serve: Callable[[Handler], Awaitable[AlpacaClient]]) -> None:
    days = [
        {"date": "2025-07-02", "open": "09:30", "close": "16:00", "session_open": "0400"},
        {"date": "2025-07-03", "open": "09:30", "close": "13:00"},
    ]
    client = await serve(answer(200, days))
    full, early = await client.calendar(date(2025, 7, 1), date(2025, 7, 5))
    assert (full.open_at, full.close_at) == (
        datetime(2025, 7, 2, 13, 30, tzinfo=UTC),
        datetime(2025, 7, 2, 20, 0, tzinfo=UTC),
    )
    assert (full.is_early_close, early.is_early_close) == (False, True)


async def test_a_calendar_that_can_t_be_read_is_transient(
    serve: Callable[[Handler], Awaitable[AlpacaClient]],
) -> None:
    client = await serve(answer(200, [{"date": "2025-07-02", "open": "nine", "close": "16:00"}]))
    with pytest.raises(errors.ProviderUnavailable, match="calendar"):
        await client.calendar(date(2025, 7, 1), date(2025, 7, 5))


def test_quota_headers_are_read_by_the_provider_s_own_clock() -> None:
    quota = session.read_quota(
        {
            "X-RateLimit-Limit": "200",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": "1736780460",
            "Date": "Mon, 13 Jan 2025 15:00:30 GMT",
            "Retry-After": "Mon, 13 Jan 2025 15:00:40 GMT",
        }
    )
    assert (quota.limit, quota.remaining, quota.reset_s, quota.retry_after_s) == (200, 0, 30.0, 10.0)


@pytest.mark.parametrize("value", ["", "soon", "nan", "-5", "1e99", "∞"])
def test_headers_that_make_no_sense_count_as_not_said(value: str) -> None:
    quota = session.read_quota({"X-RateLimit-Limit": value, "X-RateLimit-Reset": value, "Retry-After": value})
    assert quota.limit is None
    assert quota.reset_s is None
    assert quota.retry_after_s is None
