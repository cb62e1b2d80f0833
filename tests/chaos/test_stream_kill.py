"""kill -9 in the middle of a copy, again and again: it goes on where it was, and the destination equals the source.

Full size (2 million rows, ten kills): QSUITE_STREAM_ROWS=2000000 QSUITE_STREAM_KILLS=10 pytest -s on this file.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from fakes.streaming import KEY, Memory, are_equal, into_file, into_table, launch, make_tables, take_back

ROWS = int(os.environ.get("QSUITE_STREAM_ROWS", "60000"))
KILLS = int(os.environ.get("QSUITE_STREAM_KILLS", "3"))
IS_FULL = ROWS > 1_000_000
FILE_ROWS = ROWS if IS_FULL else 30_000
CHUNK = 0 if IS_FULL else 100_000  # bytes
LIMIT_S = 600 if IS_FULL else 90
pytestmark = pytest.mark.timeout(3600 if IS_FULL else 180)


class Copy:
    """A copy that is started and killed; how far it is, is asked of what it keeps."""

    kills = KILLS

    def __init__(self, dsn: str, parameters: Any, checkpoint: Path, connection: asyncpg.Connection) -> None:
        self.dsn, self.parameters, self.checkpoint, self.connection = dsn, parameters, checkpoint, connection
        self.dice = random.Random(7)
        self.grown: list[float] = []

    async def read(self) -> int:
        if hasattr(self.parameters, "to_key"):
            if await self.connection.fetchval("SELECT to_regclass('qsuite_console.stream') IS NULL"):
                return 0
            found = await self.connection.fetch("SELECT (state->>'read')::int8 AS read FROM qsuite_console.stream")
            assert len(found) <= 1, "another job was begun instead"
            return (found[0]["read"] or 0) if found else 0
        return json.loads(self.checkpoint.read_text()).get("read", 0) if self.checkpoint.exists() else 0

    async def launch(self) -> asyncio.subprocess.Process:
        return await launch(self.dsn, self.parameters, self.checkpoint, CHUNK)

    async def kill_once(self, seen: int) -> int:
        """Start it, wait until it is farther than it was, kill it a moment later; returns how far it was."""
        process = await self.launch()
        memory = Memory(process.pid)
        async with asyncio.timeout(LIMIT_S):
            while (now := await self.read()) <= seen and process.returncode is None:
                await asyncio.sleep(0.005)
        memory.begin()
        await asyncio.sleep(self.dice.uniform(0, 0.1 if not IS_FULL else 0.5))  # the moment is what the test is about
        if process.returncode is not None:
            raise AssertionError((now, (await process.communicate())[1].decode()[-2000:]))
        process.send_signal(signal.SIGKILL)
        await process.communicate()
        self.grown.append(memory.stop())
        return await self.read()

    async def finish(self) -> dict[str, Any]:
        process = await self.launch()
        memory = Memory(process.pid)
        talking = asyncio.create_task(process.communicate())
        seen = await self.read()
        while not talking.done() and not memory.begun:
            if await self.read() > seen:
                memory.begin()
            await asyncio.sleep(0.005)
        stdout, stderr = await talking
        self.grown.append(memory.stop())
        assert process.returncode == 0, stderr.decode()[-3000:]
        return dict(json.loads(stdout))


async def through_kills(copy: Copy, rows: int, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    seen, started = 0, time.monotonic()
    for _ in range(copy.kills):
        farther = await copy.kill_once(seen)
        assert seen < farther < rows
        seen = farther
    result = await copy.finish()
    assert result["rows_read"] == rows  # each once: also over the kills
    assert result["verified"] is True, result
    grown = max(copy.grown)
    with capsys.disabled():
        if IS_FULL:
            print(
                f"\n{result['source']} to {result.get('table') or result['file']}: {rows:,} rows, {copy.kills} kills, "
                f"{result['verification']}; {time.monotonic() - started:.0f} s in all, memory + {grown:.0f} MB at most"
            )
    assert grown < 100
    return result


class Command(Copy):
    """The same through the executable: the same command again goes on with the job that was killed."""

    kills = KILLS if IS_FULL else 2  # its chunks are as large as ever

    async def launch(self) -> asyncio.subprocess.Process:
        config = self.checkpoint.parent / "home" / "config" / "config.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(
            f"[engine]\nmax_rescues = {KILLS}\n"
        )  # by default a job fails when its process died six times
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "qsuite_console", "run", "stream", "--table", "source", "--to", "target", "--json"),
            env={**os.environ, "QSUITE_CONSOLE_HOME": str(self.checkpoint.parent / "home"), "DATABASE_URL": self.dsn},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def finish(self) -> dict[str, Any]:
        return dict((await super().finish())["result"])


@pytest.mark.parametrize("way", ["upsert", "append"])
async def test_a_table(database_dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], way: str) -> None:
    connection = await asyncpg.connect(database_dsn)
    try:
        await make_tables(connection, ROWS, target_key=KEY if way == "upsert" else "CHECK (id > 0)")
        copy = (Copy if way == "append" else Command)(
            database_dsn, into_table(), tmp_path / "checkpoint.json", connection
        )
        result = await through_kills(copy, ROWS, capsys)
        assert (result["created"], result["updated"], result["rejected"]) == (ROWS, 0, 0)
        assert await are_equal(connection)
        assert await connection.fetchval("SELECT count(*) FROM qsuite_console.stream") == 0
    finally:
        await connection.close()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
async def test_a_file(database_dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    connection = await asyncpg.connect(database_dsn)
    path = tmp_path / f"out.{suffix}"
    try:
        await make_tables(connection, FILE_ROWS)
        copy = Copy(database_dsn, into_file(path), tmp_path / "checkpoint.json", connection)
        result = await through_kills(copy, FILE_ROWS, capsys)
        assert result["rows_written"] == FILE_ROWS
        await take_back(connection, path)
        assert await are_equal(connection)
        assert sorted(each.name for each in tmp_path.iterdir()) == ["checkpoint.json", path.name]
    finally:
        await connection.close()
