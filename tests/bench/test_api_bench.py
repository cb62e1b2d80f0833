"""What programs wait for answers while a backfill runs: engine, exchange, PostgreSQL and the asker each apart, as in
earnest. The exchange allows 200 requests a minute of 10,000 bars each, as the real one does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from qsuite_console.paths import resolve

SYMBOLS, ASKED, TIMES, ROUNDS = 100, 20, 100, 3
LIMIT_MS = 20.0
STEADY = 18.0  # per cent of the backfill
BACKFILL = {"symbols": "all", "timeframe": "1Min", "start": "2024-01-02", "end": "2025-06-30", "table": "price_ticks"}


@contextlib.contextmanager
def started(*words: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program until the block ends."""
    child = subprocess.Popen([sys.executable, *words], text=True, stdin=subprocess.PIPE, **options)
    try:
        yield child
    finally:
        child.terminate()
        child.communicate(timeout=60)


@pytest.fixture
async def engine(database_dsn: str, valkey_url: str, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A headless engine on a platform with minute bars of every symbol."""
    home = resolve(str(tmp_path)).ensure()
    apart = Path(__file__).parents[1] / "fakes" / "exchange_apart.py"
    options = {"symbols": SYMBOLS, "rate_limit": 200, "is_bucket": True}
    with started("-P", str(apart), json.dumps(options), stdout=subprocess.PIPE) as exchange:
        assert exchange.stdout is not None
        environment = json.loads(await asyncio.to_thread(exchange.stdout.readline))
        environment |= {"DATABASE_URL": database_dsn, "REDIS_URL": valkey_url, "QSUITE_CONSOLE_HOME": str(tmp_path)}
        log = (tmp_path / "engine.log").open("w")
        with (
            log,
            started("-m", "qsuite_console", "--headless", env={**os.environ, **environment}, stdout=log, stderr=log),
        ):
            async with asyncio.timeout(60):
                while not home.socket.exists():
                    await asyncio.sleep(0.05)
            connector = aiohttp.UnixConnector(str(home.socket))
            async with aiohttp.ClientSession("http://engine", connector=connector) as session:
                yield session


async def ask(http: aiohttp.ClientSession, path: str, body: Any = None) -> Any:
    method = "GET" if body is None else "POST"
    async with http.request(method, path, json=body) as answer:
        found = await answer.json()
        assert answer.status < 300, found
        return found


async def fill(dsn: str) -> list[str]:
    """Store 2,000 minutes of ASKED symbols and return their names."""
    connection = await asyncpg.connect(dsn)
    names = [f"P{n:03d}" for n in range(ASKED)]
    await connection.execute("INSERT INTO market_data_ticker (symbol) SELECT unnest($1::text[])", names)
    await connection.execute(
        """INSERT INTO market_data_marketdata (ticker_id, "timestamp", open, high, low, close, volume)
           SELECT t.id, timestamptz '2025-03-03 14:30+00' + n * interval '1 minute', 100, 101, 99, 100.5, n
             FROM generate_series(1, 2000) n, market_data_ticker t"""
    )
    await connection.close()
    return names


async def waited(http: aiohttp.ClientSession, path: str) -> list[float]:
    """Return how many ms each of TIMES answers took, shortest first."""
    found = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        await ask(http, path)
        found.append(1000 * (time.perf_counter() - begun))
        await asyncio.sleep(0.005)
    return sorted(found)


async def figures(http: aiohttp.ClientSession, paths: dict[str, str]) -> dict[str, tuple[float, float]]:
    """Return name -> p50 and p95 in ms, the best of ROUNDS: what else the machine does is not this program's."""
    best: dict[str, tuple[float, float]] = {}
    for _ in range(ROUNDS):
        for name, path in paths.items():
            times = await waited(http, path)
            found = times[TIMES // 2], times[TIMES * 95 // 100]
            best[name] = min(best.get(name, found), found, key=lambda pair: pair[1])
    return best


@pytest.mark.timeout(600)
async def test_answers_while_a_backfill_runs(engine: aiohttp.ClientSession, database_dsn: str) -> None:
    plan = await ask(engine, "/plan", {"kind": "backfill", "parameters": BACKFILL})
    assert plan["figures"], plan
    for n in range(300):
        body = {"kind": "report", "run_at": "2090-01-01T00:00:00Z", "parameters": {"name": "jobs", "hours": n + 1}}
        await ask(engine, "/jobs", body)
    job = (await ask(engine, "/jobs", {"kind": "backfill", "parameters": BACKFILL}))["job_id"]
    async with asyncio.timeout(240):  # until the requests that the limit lets through at once are spent
        while ((status := await ask(engine, f"/jobs/{job}/status"))["progress"] or 0.0) < STEADY:
            assert not status["is_over"], status
            await asyncio.sleep(0.5)
    symbols = await fill(database_dsn)
    paths = {
        "health": "/health",
        "jobs": "/jobs?limit=50",
        "jobs, 200 a page": "/jobs",
        "status": f"/jobs/{job}/status",
        "prices": f"/prices/latest?symbols={','.join(symbols)}",
        "prices, each anew": f"/prices/latest?symbols={','.join(symbols)}&fresh=true",
        "candles": f"/ohlcv?symbol={symbols[0]}&limit=1000",
    }
    begun = await ask(engine, f"/jobs/{job}/status")
    busy = await figures(engine, paths)
    ended = await ask(engine, f"/jobs/{job}/status")
    assert not ended["is_over"], "the backfill must outlast the measurement"
    await ask(engine, f"/jobs/{job}/cancel", {})
    idle = await figures(engine, paths)
    print(f"\nbackfill went from {begun['progress']} % to {ended['progress']} % meanwhile; ms, p50 / p95:")
    for name in paths:
        (a, b), (c, d) = busy[name], idle[name]
        print(f"{name:20} while it runs {a:6.2f} / {b:6.2f}, without {c:6.2f} / {d:6.2f}")
    assert all(busy[name][1] < LIMIT_MS for name in ("jobs", "status", "prices")), busy
