"""The sample exchange speaks the provider's protocol: paging, bounds, refusals, limits, faults."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from datetime import UTC, datetime
from itertools import pairwise

import aiohttp
import pytest

from qsuite_console.sandbox.exchange.faults import bad_kind
from qsuite_console.sandbox.exchange.options import BAD_KINDS

NOW = datetime(2026, 11, 20, 15, 30, 20, tzinfo=UTC)  # a Friday, an hour into the session
DAYS = {"symbols": "AAPL,MSFT", "timeframe": "1Day", "start": "2025-01-02", "end": "2025-12-31"}


def _now():
    return NOW


async def get(server, path, query=None, headers=None, *, is_raw=False):
    """Return (status, headers, body) of one request; the body unpacked unless it is wanted raw."""
    options = server.options
    keys = {"APCA-API-KEY-ID": options.key_id, "APCA-API-SECRET-KEY": options.secret_key}
    async with (
        aiohttp.ClientSession(auto_decompress=False) as client,
        client.get(server.data_url + path, params=query or {}, headers=keys if headers is None else headers) as answer,
    ):
        body = await answer.read()
        is_packed = answer.headers.get("Content-Encoding") == "gzip" and not is_raw
        return answer.status, answer.headers, gzip.decompress(body) if is_packed else body


async def pages(server, query, path="/v2/stocks/bars"):
    found, token = [], None
    while True:
        extra = {"page_token": token} if token else {}
        status, _, body = await get(server, path, {**query, **extra})
        assert status == 200, body
        found.append(json.loads(body))
        token = found[-1]["next_page_token"]
        if token is None:
            return found


async def test_pages_hold_symbols_then_times_and_end_exactly(exchange):
    server = await exchange(now=_now)
    whole = (await pages(server, {**DAYS, "limit": "10000"}))[0]["bars"]
    assert {symbol: len(bars) for symbol, bars in whole.items()} == {"AAPL": 250, "MSFT": 250}
    for limit, expected in ((100, 5), (250, 2), (500, 1), (499, 2)):
        found = await pages(server, {**DAYS, "symbols": "MSFT,AAPL,MSFT", "limit": str(limit)})
        assert len(found) == expected
        assert all(sum(map(len, page["bars"].values())) == limit for page in found[:-1])
        flat = [(symbol, bar["t"]) for page in found for symbol, bars in page["bars"].items() for bar in bars]
        assert flat == [(symbol, bar["t"]) for symbol in ("AAPL", "MSFT") for bar in whole[symbol]]
    default = await pages(server, {**DAYS, "symbols": "AAPL", "timeframe": "1Day", "start": "2016-01-04"})
    assert len(default[0]["bars"]["AAPL"]) == 1000


async def test_descending_pages_are_the_same_bars_backwards(exchange):
    server = await exchange(now=_now)
    query = {**DAYS, "timeframe": "1Min", "start": "2026-11-19T20:00:00Z", "end": "2026-11-20"}
    up = await pages(server, {**query, "limit": "70"})
    down = await pages(server, {**query, "limit": "70", "sort": "desc"})
    for symbol in ("AAPL", "MSFT"):
        rising = [bar for page in up for bar in page["bars"].get(symbol, [])]
        falling = [bar for page in down for bar in page["bars"].get(symbol, [])]
        assert rising == falling[::-1]
        assert len(rising) == 60 + 60


async def test_bounds_are_inclusive_and_nothing_comes_from_the_future(exchange):
    server = await exchange(now=_now)

    async def labels(**query):
        found = await pages(server, {"symbols": "AAPL", "timeframe": "1Min", "limit": "10000", **query})
        return [bar["t"] for page in found for bar in page["bars"].get("AAPL", [])]

    exact = await labels(start="2026-11-20T14:30:00Z", end="2026-11-20T14:32:00Z")
    assert exact == [f"2026-11-20T14:3{n}:00Z" for n in range(3)]
    assert await labels(start="2026-11-20T09:30:00.000000001-05:00", end="2026-11-20T14:31:59.5Z") == exact[:2]
    today = await labels()
    assert (today[0], today[-1], len(today)) == ("2026-11-20T14:30:00Z", "2026-11-20T15:29:00Z", 60)
    assert await labels(start="2026-11-20", end="2026-11-20") == today
    assert await labels(start="2030-01-01", end="2030-02-01") == []
    assert await labels(start="2025-12-25", end="2025-12-25") == []
    early = await labels(start="2025-11-28", end="2025-11-28")
    assert (early[0], early[-1], len(early)) == ("2025-11-28T14:30:00Z", "2025-11-28T17:59:00Z", 210)


async def test_daily_bars_are_labelled_midnight_new_york_and_add_up(exchange):
    server = await exchange(now=_now)

    async def bars(timeframe, start, end):
        query = {"symbols": "AAPL", "timeframe": timeframe, "start": start, "end": end, "limit": "10000"}
        return [bar for page in await pages(server, query) for bar in page["bars"].get("AAPL", [])]

    winter, summer = await bars("1Day", "2026-01-05", "2026-01-05"), await bars("1D", "2026-07-06", "2026-07-06")
    assert (winter[0]["t"], summer[0]["t"]) == ("2026-01-05T05:00:00Z", "2026-07-06T04:00:00Z")
    for timeframe, count in (("1Min", 390), ("5T", 78), ("15Min", 26), ("30Min", 13), ("1Hour", 7), ("4H", 2)):
        found = await bars(timeframe, "2026-07-06", "2026-07-06")
        assert len(found) == count
        day = summer[0]
        assert (found[0]["o"], found[-1]["c"]) == (day["o"], day["c"])
        assert (max(b["h"] for b in found), min(b["l"] for b in found)) == (day["h"], day["l"])
        assert (sum(b["v"] for b in found), sum(b["n"] for b in found)) == (day["v"], day["n"])
    assert [b["t"][11:16] for b in await bars("1Hour", "2026-07-06", "2026-07-06")][:2] == ["13:00", "14:00"]
    assert [b["t"] for b in await bars("1Week", "2026-06-28", "2026-07-10")] == [
        "2026-06-29T04:00:00Z",
        "2026-07-06T04:00:00Z",
    ]
    quarters = await bars("3Month", "2025-01-01", "2025-12-31")
    year = await bars("12M", "2025-01-01", "2025-12-31")
    assert [b["t"][:10] for b in quarters] == ["2025-01-01", "2025-04-01", "2025-07-01", "2025-10-01"]
    assert sum(b["v"] for b in quarters) == year[0]["v"]
    assert (await bars("1Day", "2026-11-19", "2026-11-20"))[-1][
        "t"
    ] == "2026-11-19T05:00:00Z"  # today's isn't whole yet


async def test_one_symbol_in_the_path(exchange):
    server = await exchange(now=_now)
    query = {"timeframe": "1Day", "start": "2025-01-02", "end": "2025-01-10", "limit": "4"}
    found = await pages(server, query, "/v2/stocks/AAPL/bars")
    assert [len(page["bars"]) for page in found] == [4, 2]
    assert {page["symbol"] for page in found} == {"AAPL"}


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"since": "2025-01-01"}, 400, "unexpected query parameter(s): since"),
        ({"symbols": "AAPL,BAD SYMBOL"}, 400, "invalid symbol: BAD SYMBOL"),
        ({"symbols": "AAPL,ABC123"}, 400, "invalid symbol: ABC123"),
        ({"symbols": "aapl"}, 400, "invalid symbol: aapl"),
        ({"symbols": "AAPL,"}, 400, "invalid symbol: "),
        ({"symbols": ""}, 400, "symbols is required"),
        ({"timeframe": "1day"}, 400, "invalid timeframe: 1day"),
        ({"timeframe": "90Min"}, 422, "timeframe 90Min is not supported"),
        ({"timeframe": "5Month"}, 422, "timeframe 5Month is not supported"),
        ({"limit": "0"}, 422, "limit must be between 1 and 10000"),
        ({"limit": "10001"}, 422, "limit must be between 1 and 10000"),
        ({"limit": "ten"}, 400, "invalid limit: ten"),
        ({"start": "yesterday"}, 400, "invalid start: yesterday"),
        ({"start": "2025-01-02T09:30:00"}, 400, "invalid start: 2025-01-02T09:30:00"),
        ({"end": "2024-01-01"}, 422, "end should not be before start"),
        ({"page_token": "nonsense"}, 400, "invalid page_token: nonsense"),
        ({"page_token": "QUFQTHwxTWlufDIwMjU="}, 400, "invalid page_token: QUFQTHwxTWlufDIwMjU="),
        ({"sort": "up"}, 400, "invalid sort: up"),
        ({"feed": "mine"}, 400, "invalid feed: mine"),
        ({"feed": "sip", "end": "2026-11-20"}, 403, "subscription does not permit querying recent SIP data"),
        ({"adjustment": "raw,none"}, 400, "invalid adjustment: raw,none"),
    ],
)
async def test_refusals(exchange, change, status, message):
    server = await exchange(now=_now)
    got, headers, body = await get(server, "/v2/stocks/bars", {**DAYS, **change})
    assert (got, json.loads(body)["message"]) == (status, message)
    if status in {400, 422}:
        assert "X-RateLimit-Remaining" in headers


async def test_unknown_symbols_are_silently_absent(exchange):
    server = await exchange(now=_now)
    found = await pages(server, {**DAYS, "symbols": "NOSUCHSYMBOL,AAPL,BRK.B"})
    assert list(found[0]["bars"]) == ["AAPL"]
    assert await pages(server, {**DAYS, "symbols": "NOSUCH"}) == [{"bars": {}, "next_page_token": None}]
    status, _, body = await get(server, "/v2/stocks/quotes/latest", {"symbols": "NOSUCH,MSFT"})
    assert (status, list(json.loads(body)["quotes"])) == (200, ["MSFT"])


async def test_shares_exist_from_listing_to_delisting(exchange):
    server = await exchange(symbols=40, now=_now)
    late = next(i for i in server.market.instruments if i.listed)
    gone = next(i for i in server.market.instruments if i.delisted)
    query = {"symbols": f"{late.symbol},{gone.symbol}", "timeframe": "1Day", "start": "2025-01-02", "limit": "10000"}
    bars = (await pages(server, query))[0]["bars"]
    assert bars[late.symbol][0]["t"][:10] >= str(late.listed)
    assert bars[gone.symbol][-1]["t"][:10] < str(gone.delisted)
    status, _, body = await get(server, "/v2/assets/" + gone.symbol)
    assert (status, json.loads(body)["status"]) == (200, "inactive")
    assert (await get(server, "/v2/assets/NOSUCH"))[0] == 404


async def test_keys_are_checked(exchange):
    server = await exchange(now=_now)
    missing = await get(server, "/v2/stocks/bars", DAYS, headers={})
    wrong = await get(server, "/v2/clock", headers={"APCA-API-KEY-ID": "x", "APCA-API-SECRET-KEY": "y"})
    assert (missing[0], wrong[0]) == (401, 403)
    assert json.loads(wrong[2]) == {"message": "forbidden."}
    basic = aiohttp.encode_basic_auth(server.options.key_id, server.options.secret_key)
    assert (await get(server, "/v2/clock", headers={"Authorization": basic}))[0] == 200


async def test_gzip_when_asked(exchange):
    server = await exchange(now=_now)
    plain = await get(server, "/v2/stocks/bars", DAYS, headers=_keys(server, {"Accept-Encoding": "identity"}))
    packed = await get(
        server, "/v2/stocks/bars", DAYS, headers=_keys(server, {"Accept-Encoding": "gzip, deflate"}), is_raw=True
    )
    assert "Content-Encoding" not in plain[1]
    assert packed[1]["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed[2]) == plain[2]


def _keys(server, more):
    return {"APCA-API-KEY-ID": server.options.key_id, "APCA-API-SECRET-KEY": server.options.secret_key, **more}


@pytest.mark.parametrize("is_bucket", [False, True])
async def test_the_limit_is_announced_kept_and_lifted(exchange, is_bucket):
    server = await exchange(rate_limit=5, rate_window_s=1.0, is_bucket=is_bucket, now=_now)
    refused = None
    for _ in range(12):
        status, headers, body = await get(server, "/v2/stocks/bars", {**DAYS, "limit": "1"})
        assert headers["X-RateLimit-Limit"] == "5"
        assert 0 <= int(headers["X-RateLimit-Remaining"]) < 5
        if status == 429:
            refused = headers, body
            break
    assert refused is not None
    assert "too many requests" in json.loads(refused[1])["message"]
    assert int(refused[0]["X-RateLimit-Remaining"]) == 0
    await asyncio.sleep(max(0.0, int(refused[0]["X-RateLimit-Reset"]) - time.time()))
    assert (await get(server, "/v2/stocks/bars", DAYS))[0] == 200
    assert (await get(server, "/v2/clock"))[0] == 200  # the trading host has a budget of its own


async def test_faults_come_in_the_same_order_every_time(exchange):
    seen = []
    for _ in range(2):
        server = await exchange(fail_rate=0.5, now=_now)
        for _ in range(40):
            try:
                status, _, body = await get(server, "/v2/stocks/bars", DAYS)
            except aiohttp.ClientError:
                continue
            if status == 200 and server.requests.bars()[-1].fault == "truncate":
                with pytest.raises(ValueError, match=r"."):
                    json.loads(body)
        seen.append([record.fault for record in server.requests])
    assert seen[0] == seen[1]
    assert set(seen[0]) == {"", "500", "502", "503", "504", "reset", "truncate"}


async def test_damaged_bars_are_known_beforehand(exchange):
    server = await exchange(bad_rate=0.05, now=_now)
    good = await exchange(now=_now)
    query = {**DAYS, "timeframe": "1Min", "start": "2026-11-16", "end": "2026-11-19", "limit": "1000"}
    texts, expected, token = [], {}, None
    for page in await pages(good, query):
        for symbol, bars in page["bars"].items():
            for bar in bars:
                kind = bad_kind(42, symbol, "1Min", bar["t"], 0.05, BAD_KINDS)
                expected[kind] = expected.get(kind, 0) + 1
    while True:
        status, _, body = await get(server, "/v2/stocks/bars", query | ({"page_token": token} if token else {}))
        texts.append(body.decode())
        found = json.loads(texts[-1])
        assert status == 200
        assert sum(map(len, found["bars"].values())) <= 1000
        token = found["next_page_token"]
        if token is None:
            break
    expected.pop("")
    assert set(expected) == set(BAD_KINDS)
    assert sum(text.count("NaN") for text in texts) == expected["nan"]
    assert sum(text.count('"c":null') for text in texts) == expected["null"]
    assert sum(record.bad_bars for record in server.requests) == sum(expected.values())


async def test_latest_values_snapshots_and_the_log(exchange):
    server = await exchange(now=_now)
    bar = json.loads((await get(server, "/v2/stocks/bars/latest", {"symbols": "AAPL"}))[2])["bars"]["AAPL"]
    trade = json.loads((await get(server, "/v2/stocks/AAPL/trades/latest"))[2])["trade"]
    quote = json.loads((await get(server, "/v2/stocks/AAPL/quotes/latest"))[2])["quote"]
    assert bar["t"] == "2026-11-20T15:29:00Z"
    assert quote["bp"] < trade["p"] == bar["c"] < quote["ap"]
    snapshot = json.loads((await get(server, "/v2/stocks/snapshots", {"symbols": "AAPL"}))[2])["AAPL"]
    assert snapshot["minuteBar"] == bar
    await get(server, "/v2/stocks/bars", DAYS)
    log = json.loads((await get(server, "/sandbox/requests", {"after": "4"}))[2])["requests"]
    assert [(r["path"], r["status"], r["bars"]) for r in log] == [("/v2/stocks/bars", 200, 500)]
    assert [r.symbols for r in server.requests.bars()] == [("AAPL", "MSFT")]
    assert all(a.number < b.number for a, b in pairwise(server.requests))


async def test_calendar_and_clock(exchange):
    server = await exchange(now=_now)
    rows = json.loads((await get(server, "/v2/calendar", {"start": "2026-11-23", "end": "2026-11-30"}))[2])
    assert [(r["date"], r["open"], r["close"]) for r in rows] == [
        ("2026-11-23", "09:30", "16:00"),
        ("2026-11-24", "09:30", "16:00"),
        ("2026-11-25", "09:30", "16:00"),
        ("2026-11-27", "09:30", "13:00"),
        ("2026-11-30", "09:30", "16:00"),
    ]
    assert rows[2]["settlement_date"] == "2026-11-27"
    clock = json.loads((await get(server, "/v2/clock"))[2])
    assert clock["is_open"] is True
    assert clock["next_close"] == "2026-11-20T16:00:00.000000-05:00"
    assert clock["next_open"] == "2026-11-23T09:30:00.000000-05:00"
    assert (await get(server, "/v2/calendar", {"start": "soon"}))[0] == 422
