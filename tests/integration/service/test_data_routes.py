"""What programs ask the HTTP interface for besides what a console does, on real servers: bars in and prices out, jobs
in short, schedules, alerts, figures, reports and webhooks; each change through the gate.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from redis.asyncio import Redis

from fakes.backfill import NOWHERE, make_settings
from fakes.served import Served, serving
from qsuite_console.config.settings import Settings, TargetSettings
from qsuite_console.history.reader import open_reader
from qsuite_console.model.audit import AuditQuery
from qsuite_console.sandbox.exchange.server import Exchange

SYMBOLS = ("AAPL", "MSFT", "S000")


@pytest.fixture
async def connection(database_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_dsn)
    await opened.execute("INSERT INTO market_data_ticker (symbol) SELECT unnest($1::text[])", list(SYMBOLS))
    yield opened
    await opened.close()


@pytest.fixture
def settings(database_dsn: str, valkey_url: str) -> Settings:
    return make_settings(database_dsn, NOWHERE, redis=valkey_url)


@pytest.fixture
async def served(settings: Settings, connection: asyncpg.Connection, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(settings, tmp_path / "home") as opened:
        yield opened


def bar(symbol: str, minute: int, close: Any = 100.5, **more: Any) -> dict[str, Any]:
    at = f"2025-03-03T{15 + minute // 60:02d}:{minute % 60:02d}:00Z"
    return {"symbol": symbol, "timestamp": at, "open": 100, "high": 101, "low": 99, "close": close, "volume": 10} | more


async def audited(served: Served) -> list[tuple[str, str, str]]:
    def read() -> list[tuple[str, str, str]]:
        reader = open_reader(served.paths.history)
        try:
            lines, _ = asyncio.run(reader.audited(AuditQuery(limit=1000)))
            return [(line.action, line.origin, line.result) for line in lines]
        finally:
            reader.close()

    return await asyncio.to_thread(read)


async def test_bars_are_stored_to_the_last_digit_and_seen_at_once(
    served: Served, connection: asyncpg.Connection
) -> None:
    exact = (
        b'{"records": [{"symbol": "aapl", "t": "2025-03-03T15:00:00Z",'
        b' "o": 100.000001, "h": 101, "l": 99, "c": 100.123457, "v": 1}]}'
    )
    async with served.http.post("/bars", data=exact) as answer:
        assert answer.status == 200, await answer.text()
    stored = await connection.fetchrow("SELECT open, close FROM market_data_marketdata")
    assert [str(value).rstrip("0") for value in stored] == ["100.000001", "100.123457"]
    records = [bar(symbol, minute) for symbol in SYMBOLS[:2] for minute in range(1, 91)]
    status, made = await served.ask("POST", "/bars", {"records": records})
    assert (status, made["created"], made["rejected"], made["table"]) == (200, 180, 0, "market_data_marketdata")
    assert (await served.ask("POST", "/bars", {"records": records}))[1]["skipped"] == 180
    status, prices = await served.ask("GET", "/prices/latest", symbols="msft,AAPL,ZZZZ")
    assert [(price["symbol"], Decimal(price["price"]), price["source"]) for price in prices["prices"]] == [
        ("MSFT", Decimal("100.5"), "database"),
        ("AAPL", Decimal("100.5"), "database"),
    ]
    assert prices["missing"] == ["ZZZZ"]
    changed = await served.ask("POST", "/bars", {"records": [bar("AAPL", 90, "100.75"), bar("AAPL", 91, 100.25)]})
    assert (changed[1]["created"], changed[1]["updated"]) == (1, 1)
    _, prices = await served.ask("GET", "/prices/latest", symbols="AAPL")
    assert Decimal(prices["prices"][0]["price"]) == Decimal("100.25"), "what was kept for a second is forgotten"
    _, candles = await served.ask("GET", "/ohlcv", symbol="AAPL", limit=1000)
    assert len(candles["bars"]) == 92
    assert [Decimal(one["close"]) for one in candles["bars"][-2:]] == [Decimal("100.75"), Decimal("100.25")]


async def test_each_bad_bar_is_named_and_a_strict_batch_is_whole_or_not_there(
    served: Served, connection: asyncpg.Connection
) -> None:
    records = [
        bar("AAPL", 0),
        bar("NOPE", 1),
        {"symbol": "AAPL", "timestamp": "2025-03-03T15:02:00Z", "open": 1},
        bar("AAPL", 3, high=98),
        bar("AAPL", 4, close="NaN"),
        ["no", "record"],
        bar("AAPL", 0, 100.25),
    ]
    status, refused = await served.ask("POST", "/bars", {"records": records, "strict": True})
    assert (status, refused["error"]["type"]) == (422, "InvalidParameters")
    assert refused["error"]["problems"]["records"] == "6 of 7 are bad, nothing was written"
    assert refused["error"]["problems"]["record 3"] == "missing fields high, low, close, volume"
    assert await connection.fetchval("SELECT count(*) FROM market_data_marketdata") == 0
    status, made = await served.ask("POST", "/bars", {"records": records})
    assert (status, made["records"], made["created"], made["rejected"]) == (200, 7, 1, 6)
    assert {error["record"]: error["reason"] for error in made["errors"]} == {
        1: "duplicate: line 7 has the same symbol and time",
        2: "unknown symbol",
        3: "missing fields high, low, close, volume",
        4: "high < low",
        5: "close is not a number",
        6: "the record is not a mapping of names to values",
    }
    assert made["unknown_symbols"] == {"NOPE": 1}
    status, made = await served.ask("POST", "/bars", {"records": [bar("NOPE", 1)], "create_symbols": True})
    assert (made["created"], made["symbols_created"]) == (1, ["NOPE"])
    for body, said in (
        ({"records": []}, "there are none"),
        ({"records": [bar("AAPL", 0)], "timeframe": "1Day", "table": "market_data"}, "1Min bars only"),
        ({"records": [bar("AAPL", 0)], "table": "users"}, "neither"),
    ):
        status, refused = await served.ask("POST", "/bars", body)
        assert status == 422
        assert said in refused["error"]["message"]
    malformed: tuple[tuple[dict[str, Any], str], ...] = (
        ({"records": [{}] * 10_001}, "at most 10,000"),
        ({"records": "x"}, "the request's body is refused"),
        ({"records": [], "timeframe": "2Min"}, "the request's body is refused"),
        ({"data": []}, "the request's body is refused"),
    )
    for body, said in malformed:
        status, refused = await served.ask("POST", "/bars", body)
        assert (status, refused["error"]["type"]) == (400, "UsageProblem")
        assert said in refused["error"]["message"]
    lines = [line for line in await audited(served) if line[0] == "bars.store"]
    assert {origin for _, origin, _ in lines} == {"http"}
    assert any("1 new, 0 changed" in result for _, _, result in lines)


async def test_a_batch_of_ten_thousand_bars_is_one_answer(served: Served, connection: asyncpg.Connection) -> None:
    records = [
        bar(SYMBOLS[n % 2], n // 2 % 600, close=100 + n % 7 / 8) | {"timestamp": _stamp(n // 2)} for n in range(10_000)
    ]
    status, made = await served.ask("POST", "/bars", {"records": records})
    assert (status, made["created"], made["rejected"]) == (200, 10_000, 0), made
    assert await connection.fetchval("SELECT count(*) FROM market_data_marketdata") == 10_000
    (line,) = [line for line in await audited(served) if line[0] == "bars.store"]
    assert "10,000 new" in line[2]


def _stamp(minute: int) -> str:
    return f"2025-03-{3 + minute // 1440:02d}T{minute // 60 % 24:02d}:{minute % 60:02d}:00Z"


async def test_cached_prices_come_first_and_go_when_bars_come(
    served: Served, connection: asyncpg.Connection, valkey_url: str
) -> None:
    await served.ask("POST", "/bars", {"records": [bar(symbol, 0) for symbol in SYMBOLS]})
    redis = Redis.from_url(valkey_url)
    await redis.set("price:AAPL", '{"price": "123.450", "at": "2025-03-03T16:00:00Z"}', ex=60)
    await redis.set("price:MSFT", "no price", ex=60)
    _, found = await served.ask("GET", "/prices/latest", symbols="AAPL,MSFT,S000")
    assert [(one["price"].rstrip("0"), one["source"]) for one in found["prices"]] == [
        ("123.45", "cache"),
        ("100.5", "database"),
        ("100.5", "database"),
    ]
    for source, prices in (("cache", 1), ("database", 3)):
        _, found = await served.ask("GET", "/prices/latest", symbols="AAPL,MSFT,S000", source=source)
        assert len(found["prices"]) == prices
    await served.ask("POST", "/bars", {"records": [bar("AAPL", 1, 100.25)]})
    assert await redis.get("price:AAPL") is None
    _, found = await served.ask("GET", "/prices/latest", symbols="AAPL,MSFT,S000")
    assert Decimal(found["prices"][0]["price"]) == Decimal("100.25")
    await redis.aclose()
    for query in (
        {"fresh": "true"},
        {"symbols": ""},
        {"symbols": ",".join(f"S{n}" for n in range(501))},
        {"symbols": "A", "x": "1"},
    ):
        status, refused = await served.ask("GET", "/prices/latest", **query)
        assert status in (400, 422), refused
    for query in ({"symbol": "AAPL", "limit": "1001"}, {"symbol": "AAPL", "timeframe": "3Min"}, {"limit": "5"}):
        assert (await served.ask("GET", "/ohlcv", **query))[0] == 400


async def test_queries_do_not_grow_with_what_is_asked_for(served: Served, connection: asyncpg.Connection) -> None:
    names = [f"Q{n:03d}" for n in range(300)]
    await connection.execute("INSERT INTO market_data_ticker (symbol) SELECT unnest($1::text[])", names)
    await served.ask("POST", "/bars", {"records": [bar(name, 0) for name in names]})
    route = "GET /prices/latest"
    await served.ask("GET", "/prices/latest", symbols="Q000", fresh="true")
    one = served.cost(route).last_queries
    _, found = await served.ask("GET", "/prices/latest", symbols=",".join(names), fresh="true")
    assert len(found["prices"]) == 300
    assert 0 < served.cost(route).last_queries == one
    for _ in range(2):
        await served.ask("GET", "/prices/latest", symbols=",".join(names))
    assert served.cost(route).last_queries == 0, "an answer that is kept costs no query"
    await served.ask("GET", "/jobs", limit=200)
    assert served.cost("GET /jobs").last_queries == 0


async def test_a_job_in_short_and_one_action_on_it(served: Served) -> None:
    status, receipt = await served.ask("POST", "/reports", {"name": "jobs", "format": "json"})
    assert status == 202
    job_id = receipt["job_id"]
    async with asyncio.timeout(30):
        while not (told := (await served.ask("GET", f"/jobs/{job_id}/status"))[1])["is_over"]:
            await asyncio.sleep(0.02)
    assert (told["task_id"], told["status"], told["progress"], told["estimated_remaining"]) == (
        job_id,
        "succeeded",
        100.0,
        0.0,
    )
    status, refused = await served.ask("POST", f"/jobs/{job_id}/cancel")
    assert (status, refused["error"]["type"]) == (409, "Conflict")
    assert (await served.ask("POST", "/jobs/99999/cancel"))[0] == 404
    assert (await served.ask("GET", "/jobs/99999/status"))[0] == 404
    assert (await served.ask("GET", "/jobs/x/status"))[0] == 400
    body = {"kind": "report", "run_at": "2099-01-01T00:00:00Z", "parameters": {"name": "jobs", "hours": 2}}
    _, receipt = await served.ask("POST", "/jobs", body)
    later = receipt["job_id"]
    assert (await served.ask("GET", f"/jobs/{later}/status"))[1]["estimated_remaining"] is None
    for action, state in (("pause", "paused"), ("cancel", "cancelled"), ("retry", "queued")):
        status, done = await served.ask("POST", f"/jobs/{later}/{action}", {"origin": "desk"})
        assert (status, done["is_done"]) == (200, True), done
        if action != "retry":
            assert (await served.ask("GET", f"/jobs/{later}/status"))[1]["status"] == state
    assert ("jobs.pause", "desk") in {(action, origin) for action, origin, _ in await audited(served)}
    assert (await served.ask("DELETE", f"/jobs/{job_id}"))[0] == 200
    assert (await served.ask("GET", f"/jobs/{job_id}"))[0] == 404


async def test_schedules_from_made_to_gone(served: Served) -> None:
    body = {"name": "night", "kind": "report", "parameters": {"name": "jobs"}, "cron": "30 2 * * *"}
    status, made = await served.ask("POST", "/schedules", {**body, "zone": "Europe/Berlin", "note": "for the desk"})
    assert status == 201, made
    assert made["view"]["schedule"]["parameters"] == {"name": "jobs"}
    assert (await served.ask("POST", "/schedules", body))[0] == 409
    status, refused = await served.ask("POST", "/schedules", {"name": "X Y", "kind": "nothing", "cron": "61 * * * *"})
    assert (status, set(refused["error"]["problems"])) == (422, {"name", "kind", "cron"})
    _, listed = await served.ask("GET", "/schedules")
    assert "night" in [one["schedule"]["name"] for one in listed["schedules"]]
    _, coming = await served.ask(
        "GET", "/schedules/night/next", most=3, start="2027-03-27T00:00:00Z", end="2027-03-29T00:00:00Z"
    )
    assert coming["times"] == ["2027-03-27T01:30:00Z", "2027-03-28T01:00:00Z"], "the gap of the clocks"
    status, changed = await served.ask("PATCH", "/schedules/night", {"every": "5 min", "note": ""})
    schedule = changed["view"]["schedule"]
    assert (status, schedule["timing"]["every_s"], schedule["timing"]["cron"], schedule["note"]) == (200, 300.0, "", "")
    assert schedule["timing"]["zone"] == "Europe/Berlin"
    status, refused = await served.ask("PATCH", "/schedules/night", {"note": "late", "revision": 1})
    assert (status, refused["error"]["type"]) == (409, "Conflict")
    whole = {"kind": "report", "once": f"{datetime.now(UTC).year + 1}-06-01 10:00", "enabled": False}
    status, replaced = await served.ask("PUT", "/schedules/night", whole)
    assert status == 200, replaced
    schedule = replaced["view"]["schedule"]
    assert (status, schedule["parameters"], schedule["is_enabled"], schedule["note"]) == (200, {}, False, "")
    for action, is_done in (("enable", True), ("enable", False), ("pause", True)):
        status, done = await served.ask("POST", f"/schedules/night/{action}")
        assert (status, done["is_done"]) == (200, is_done)
    status, ran = await served.ask("POST", "/schedules/night/run")
    assert (await served.ask("GET", f"/jobs/{ran['figures']['job_id']}/status"))[0] == status == 200
    status, told = await served.ask("POST", "/schedules/explain", {"cron": "0 0 30 2 *"})
    assert (status, told["problems"]) == (200, {"cron": "never comes: there is no such day, as 30 February"})
    assert (await served.ask("POST", "/schedules/explain", {"every": "1 h", "most": 7}))[1]["words"] == "every 1 h"
    assert (await served.ask("GET", "/schedules/night", start="yesterday"))[0] == 400
    assert (await served.ask("DELETE", "/schedules/night"))[0] == 200
    assert (await served.ask("GET", "/schedules/night"))[0] == 404
    assert (await served.ask("PATCH", "/schedules/night", {}))[0] == 404


async def test_figures_alerts_and_webhooks(served: Served) -> None:
    async with asyncio.timeout(20):
        while not (told := (await served.ask("GET", "/metrics/snapshot"))[1])["readings"]:
            await asyncio.sleep(0.05)
    assert {"postgresql", "redis", "host"} <= {reading["source"] for reading in told["readings"]}
    async with served.http.get("/metrics/snapshot") as answer:
        tag = answer.headers["ETag"]
        at = (await answer.json())["at"]
    async with served.http.get("/metrics/snapshot", headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304 or (await answer.json())["at"] != at
    status, series = await served.ask("GET", "/metrics/series", names="host.cpu,redis.hit_rate", window_s=60)
    assert (status, [line["name"] for line in series["lines"]]) == (200, ["host.cpu", "redis.hit_rate"])
    assert (await served.ask("GET", "/metrics/series"))[0] == 400
    for path in ("/alerts", "/alerts/history", "/alerts/silences"):
        assert (await served.ask("GET", path))[0] == 200
    _, rules = await served.ask("GET", "/alerts/rules", text="host.cpu")
    assert [rule["id"] for rule in rules["rules"]] == ["host.cpu"]
    status, done = await served.ask("POST", "/alerts/host/silence", {"minutes": 5, "reason": "upgrade"})
    assert (status, done["is_done"]) == (200, True), done
    _, silences = await served.ask("GET", "/alerts/silences")
    assert [(one["subject"], one["reason"]) for one in silences["silences"]] == [("host", "upgrade")]
    assert (await served.ask("DELETE", "/alerts/host/silence"))[1]["is_done"]
    assert (await served.ask("POST", "/alerts/host.cpu/silence", {"minutes": 0}))[0] == 400
    assert (await served.ask("POST", "/alerts/no.such/acknowledge"))[0] == 404
    assert (await served.ask("GET", "/webhooks"))[1]["endpoints"] == []
    assert (await served.ask("GET", "/webhooks/deliveries", state="dead"))[1]["deliveries"] == []
    assert (await served.ask("GET", "/webhooks/deliveries", state="odd"))[0] == 400
    for method, path in (
        ("GET", "/webhooks/deliveries/1"),
        ("POST", "/webhooks/deliveries/1/redeliver"),
        ("POST", "/webhooks/desk/test"),
        ("POST", "/webhooks/desk/enable"),
    ):
        assert (await served.ask(method, path))[0] == 404, path


async def test_a_report_is_made_shown_and_sent_whole(served: Served) -> None:
    status, receipt = await served.ask(
        "POST", "/reports", {"name": "jobs", "format": "html", "parameters": {"hours": 1}}
    )
    assert (status, receipt["estimated_s"] > 0) == (202, True)
    async with asyncio.timeout(60):
        while not (told := (await served.ask("GET", f"/jobs/{receipt['job_id']}/status"))[1])["is_over"]:
            await asyncio.sleep(0.05)
    assert told["status"] == "succeeded", told
    _, listed = await served.ask("GET", "/reports")
    (report,) = listed["reports"]
    file = report["file"]
    assert (await served.ask("GET", f"/reports/{file}"))[1]["lines"]
    async with served.http.get(f"/reports/{file}/download") as answer:
        body, headers = await answer.read(), answer.headers
    assert body == Path(report["path"]).read_bytes()
    assert headers["Content-Type"].startswith("text/html")
    assert headers["Content-Disposition"] == f'attachment; filename="{file}"'
    assert headers["Content-Security-Policy"] == "sandbox"
    async with served.http.get(f"/reports/{file}/download", headers={"If-None-Match": headers["ETag"]}) as answer:
        assert answer.status == 304
    for path in ("/reports/nothing.pdf/download", "/reports/..%2F..%2Fetc%2Fpasswd/download", "/reports/nothing.pdf"):
        async with served.http.get(path) as answer:
            assert answer.status == 404
    assert (await served.ask("POST", f"/reports/{file}/send", {"endpoint": "desk"}))[0] == 404, "nobody is told here"
    assert (await served.ask("POST", f"/jobs/{receipt['job_id']}/tell", {"endpoint": "desk"}))[0] == 404
    assert (await served.ask("DELETE", f"/reports/{file}"))[1]["is_done"]
    assert (await served.ask("DELETE", f"/reports/{file}"))[0] == 404
    assert not Path(report["path"]).exists()
    status, refused = await served.ask("POST", "/reports", {"name": "poem"})
    assert (status, set(refused["error"]["problems"])) == (422, {"name"})


@pytest.mark.parametrize("text", ["\0", "%00", "A\x1b[2J", "é", "'; DROP TABLE x", "x" * 200, "\u202e", "../..", "{}"])
async def test_hostile_values_are_refused_not_failed_over(served: Served, text: str) -> None:
    asked: tuple[tuple[str, str, Any, dict[str, Any]], ...] = (
        ("GET", "/prices/latest", None, {"symbols": text, "fresh": "true"}),
        ("GET", "/ohlcv", None, {"symbol": text}),
        ("GET", "/metrics/series", None, {"names": text}),
        ("GET", "/alerts/history", None, {"text": text, "before": text}),
        ("GET", "/reports", None, {"text": text}),
        ("GET", "/webhooks/deliveries", None, {"text": text, "endpoint": text}),
        ("POST", "/schedules/explain", {"cron": text, "zone": text}, {}),
        ("POST", "/schedules", {"name": text, "kind": text, "every": text}, {}),
        ("POST", "/reports", {"name": text, "format": text}, {}),
        ("POST", "/bars", {"records": [bar(text, 0), bar("AAPL", 0, text), bar("AAPL", 0, t=text)]}, {}),
        ("POST", "/bars", {"records": [bar("AAPL", 0)], "table": text}, {}),
        *(
            (method, f"{path}/{quote(text, safe='')}{tail}", None, {})
            for method, path, tail in (
                ("GET", "/schedules", ""),
                ("POST", "/schedules", "/run"),
                ("POST", "/alerts", "/acknowledge"),
                ("GET", "/reports", "/download"),
                ("POST", "/webhooks", "/test"),
            )
        ),
    )
    for method, path, body, query in asked:
        status, told = await served.ask(method, path, body, **query)
        assert status < 500, (method, path, body, query, told)
        assert "\x1b" not in str(told)


async def test_production_and_read_only_hold_here_too(
    settings: Settings, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    one = {"records": [bar("AAPL", 0)]}
    schedule = {"name": "s", "kind": "report", "every": "1 h"}
    looked = replace(settings, target=TargetSettings(name="looked", read_only=True))
    async with serving(looked, tmp_path / "looked") as served:
        for path, body in (("/bars", one), ("/schedules", schedule)):
            status, refused = await served.ask("POST", path, body)
            assert (status, refused["error"]["type"]) == (403, "ReadOnly")
        assert (await served.ask("GET", "/prices/latest", symbols="AAPL"))[0] == 200
    prod = replace(settings, target=TargetSettings(name="prod", word="PRODUCTION"))
    async with serving(prod, tmp_path / "prod") as served:
        for path, body in (("/bars", one), ("/schedules", schedule)):
            for wrong in ({}, {"confirmation": "alpha"}):
                status, refused = await served.ask("POST", path, {**body, **wrong})
                assert (status, refused["error"]["type"]) == (403, "Unconfirmed")
            assert (await served.ask("POST", path, {**body, "confirmation": "prod"}))[0] in (200, 201)
    assert await connection.fetchval("SELECT count(*) FROM market_data_marketdata") == 1


async def test_programs_are_answered_while_a_backfill_runs(
    database_dsn: str,
    valkey_url: str,
    connection: asyncpg.Connection,
    exchange: Callable[..., Awaitable[Exchange]],
    tmp_path: Path,
) -> None:
    """The absolute figures are in tests/bench; here a median that no slow machine reaches, and never a failure."""
    source = await exchange(symbols=20)
    settings = make_settings(database_dsn, source.environment, redis=valkey_url, rate_limit=100_000)
    async with serving(settings, tmp_path / "home") as served:
        await served.ask("POST", "/bars", {"records": [bar(symbol, 0) for symbol in SYMBOLS]})
        wanted = {"symbols": "all", "timeframe": "1Min", "start": "2024-01-02", "end": "2025-06-30"}
        _, receipt = await served.ask("POST", "/jobs", {"kind": "backfill", "parameters": wanted})
        path = f"/jobs/{receipt['job_id']}/status"
        async with asyncio.timeout(60):
            while not (await served.ask("GET", path))[1]["done"]:
                await asyncio.sleep(0.05)
        waited: dict[str, list[float]] = {}
        for _ in range(25):
            for asked in ("/jobs?limit=50", path, "/prices/latest?symbols=AAPL,MSFT,S000"):
                begun = time.perf_counter()
                status, told = await served.ask("GET", asked)
                waited.setdefault(asked, []).append(time.perf_counter() - begun)
                assert status == 200, told
        _, told = await served.ask("GET", path)
        assert (told["status"], told["is_over"]) == ("running", False), "the backfill outlasts what is measured"
        assert {asked: median(times) for asked, times in waited.items() if median(times) > 0.25} == {}
        assert (await served.ask("POST", path.replace("status", "cancel")))[0] == 200
