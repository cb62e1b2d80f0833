"""kill -9 while files are loaded: what was committed is not read again, nothing is lost, nothing is there twice."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

TESTS = Path(__file__).parents[1]
ROWS = 150_000
STORED = "SELECT bars FROM qsuite_console.backfill_chain"
NOWHERE = {
    "APCA_API_DATA_URL": "http://127.0.0.1:1",
    "APCA_API_BASE_URL": "http://127.0.0.1:1",
    "APCA_API_KEY_ID": "",
    "APCA_API_SECRET_KEY": "",
}


def write(path: Path) -> None:
    at = datetime(2025, 2, 3, tzinfo=UTC)
    with path.open("w") as stream:
        stream.write("symbol,timestamp,open,high,low,close,volume\n")
        for number in range(ROWS):
            moment = (at + timedelta(minutes=number // 3)).isoformat()
            stream.write(f"{('AAPL', 'MSFT', 'IBM')[number % 3]},{moment},100,101,99,100.{number % 7},{number}\n")


async def launch(dsn: str, path: Path) -> asyncio.subprocess.Process:
    parameters = {"source": "file", "path": str(path), "timeframe": "1Min", "start": "2025-01-01", "end": "2025-12-31"}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fakes.backfill",
        json.dumps(parameters),
        "200",
        cwd=TESTS,
        env={**os.environ, **NOWHERE, "DATABASE_URL": dsn},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def stored_rows(connection: asyncpg.Connection) -> int:
    if await connection.fetchval("SELECT to_regclass('qsuite_console.backfill_chain') IS NULL"):
        return 0
    return await connection.fetchval(STORED) or 0


async def test_three_kills_lose_nothing_and_repeat_nothing(database_dsn: str, tmp_path: Path) -> None:
    path, dice = tmp_path / "bars.csv", random.Random(11)
    write(path)
    connection = await asyncpg.connect(database_dsn)
    try:
        seen = 0
        for _ in range(3):
            process = await launch(database_dsn, path)
            async with asyncio.timeout(60):
                while await stored_rows(connection) <= seen and process.returncode is None:
                    await asyncio.sleep(0.005)
            await asyncio.sleep(dice.uniform(0, 0.2))  # the moment is what the test is about
            assert process.returncode is None, (await process.communicate())[1].decode()[-2000:]
            process.send_signal(signal.SIGKILL)
            await process.communicate()
            now = await stored_rows(connection)
            assert now > seen
            assert await connection.fetchval("SELECT count(*) FROM price_ticks") == now
            seen = now
        process = await launch(database_dsn, path)
        stdout, stderr = await process.communicate()
        assert process.returncode == 0, stderr.decode()[-2000:]
        result = json.loads(stdout)
        assert result["rows_written"] == ROWS - seen  # the rest, and no row twice
        assert result["rows_read"] == result["rows_present"] == ROWS
        assert result["verified"]
        total = await connection.fetchrow("SELECT count(*) AS rows, sum(volume) AS volume FROM price_ticks")
        assert (total["rows"], total["volume"]) == (ROWS, ROWS * (ROWS - 1) // 2)
    finally:
        await connection.close()
