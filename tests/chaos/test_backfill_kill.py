"""kill -9 at random moments: what was committed is there, is never asked for again, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from fakes.backfill import FakeContext, make_settings, open_services
from qsuite_console.sandbox.exchange.server import Exchange
from qsuite_console.workers.backfill import BackfillParameters, BackfillWorker

TESTS = Path(__file__).parents[1]
PARAMETERS = {"symbols": "all", "timeframe": "1Min", "start": "2025-03-03", "end": "2025-04-08"}
ROUNDS = 10
COLUMNS = 'symbol, timeframe, "timestamp", open, high, low, close, volume, trade_count, vwap'
TABLE = f"SELECT {COLUMNS} FROM price_ticks ORDER BY 1, 2, 3"


@pytest.fixture
async def second_dsn(postgres: Any) -> AsyncIterator[str]:
    name = f"kill_{os.getpid()}"
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE qsuite_template")
    yield urlunsplit(urlsplit(postgres.url)._replace(path=f"/{name}"))
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


async def fingerprint(dsn: str) -> tuple[int, str]:
    connection = await asyncpg.connect(dsn)
    try:
        row = await connection.fetchrow(f"SELECT count(*) AS n, md5(string_agg(t::text, '\n')) AS h FROM ({TABLE}) t")
        return row["n"], row["h"]
    finally:
        await connection.close()


async def name_tickers(dsn: str, symbols: list[str]) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("INSERT INTO market_data_ticker (symbol) SELECT unnest($1::text[])", symbols)
    finally:
        await connection.close()


async def committed_pages(dsn: str, exchange: Exchange) -> set[tuple[str, str | None]]:
    """The (symbols, token) of every page that the database holds, by its own checkpoints and ledger."""
    following: dict[tuple[str, str | None], str | None] = {
        (record.query["symbols"], record.page_token): record.next_page_token
        for record in exchange.requests.bars()
        if record.status == 200 and not record.fault
    }
    connection = await asyncpg.connect(dsn)
    try:
        chains: dict[str, str] = {}
        if await connection.fetchval("SELECT to_regclass('qsuite_console.backfill_chain') IS NOT NULL"):
            rows = await connection.fetch("SELECT symbols, page_token FROM qsuite_console.backfill_chain")
            chains = {",".join(row["symbols"]): row["page_token"] for row in rows}
        done = {
            row["symbol"]
            for row in await connection.fetch(
                "SELECT symbol FROM backfill_coverage WHERE upper(period) = timestamptz '2025-04-09 00:00-04'"
            )
        }
    finally:
        await connection.close()
    pages: set[tuple[str, str | None]] = set()
    for symbols in {key[0] for key in following}:
        stop = chains.get(symbols)
        if stop is None and not done.issuperset(symbols.split(",")):
            continue
        token: str | None = None
        while (symbols, token) in following:
            pages.add((symbols, token))
            token = following[(symbols, token)]
            if token is None or token == stop:
                break
    return pages


async def launch(dsn: str, exchange: Exchange) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fakes.backfill",
        json.dumps(PARAMETERS),
        "100000",
        cwd=TESTS,
        env={**os.environ, **exchange.environment, "DATABASE_URL": dsn},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def wait_for_pages(exchange: Exchange, count: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(60):
        while len(exchange.requests.bars()) < count and process.returncode is None:
            await asyncio.sleep(0.002)


@pytest.mark.slow
async def test_ten_kills_end_in_the_same_table_and_fetch_no_committed_page_again(
    database_dsn: str, second_dsn: str, exchange: Callable[..., Awaitable[Exchange]]
) -> None:
    server = await exchange(symbols=16, latency_ms=10)
    parameters = BackfillParameters(symbols="all", timeframe="1Min", start=date(2025, 3, 3), end=date(2025, 4, 8))
    symbols = sorted(server._stocks._market.by_symbol)
    for dsn in (database_dsn, second_dsn):
        await name_tickers(dsn, symbols)
    async with open_services(make_settings(second_dsn, server.environment, rate_limit=100_000)) as services:
        undisturbed = await BackfillWorker(services).run(FakeContext(), parameters)
    expected = await fingerprint(second_dsn)
    assert expected[0] == undisturbed["rows_present"] > 150_000
    server.requests._records.clear()
    dice = random.Random(7)
    seen = 0
    committed: set[tuple[str, str | None]] = set()
    for number in range(ROUNDS + 1):
        process = await launch(database_dsn, server)
        if number < ROUNDS:
            await wait_for_pages(server, seen + dice.randint(1, 3), process)
            await asyncio.sleep(dice.uniform(0, 0.5))  # the moment is what the test is about
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
        stdout, stderr = await process.communicate()
        log = server.requests.bars()
        again = {(r.query["symbols"], r.page_token) for r in log[seen:]} & committed
        assert not again, f"round {number} fetched committed pages again: {again}"
        seen = len(log)
        committed = await committed_pages(database_dsn, server)
    assert process.returncode == 0, stderr.decode()[-2000:]
    result = json.loads(stdout)
    assert result["verified"]
    assert await fingerprint(database_dsn) == expected
    assert len(committed) == undisturbed["requests"]
