"""Bars in, prices and candles out, for programs: exact, at once, bounded, and while a backfill runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
from redis.asyncio import Redis

from fakes.backfill import make_settings
from fakes.served import SYMBOLS, Served, audited, bar, serving
from qsuite_console.sandbox.exchange.server import Exchange


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
