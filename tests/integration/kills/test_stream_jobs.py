"""A copy loses the server it reads from, the one it writes to, or both at once; it goes on and ends right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from fakes.streaming import are_equal, make_tables, take_back
from integration.kills.killing import Kills, result_of
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings
from qsuite_console.db import row_reader
from qsuite_console.model.jobs import JobDetail
from qsuite_console.workers.stream import parquet_sink

ROWS = 25_000
MIDDLE = "NEW.symbol = 'S90'"  # in the second chunk: rows come by (symbol, id)


async def prepare(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await make_tables(connection, ROWS)
    await connection.close()


async def finish(kills: Kills, job: int) -> JobDetail:
    await kills.start("postgres")
    detail = await kills.end(job)
    assert len(detail.attempts) > 1
    result = result_of(detail)
    assert (result["rows_read"], result["created"], result["verified"]) == (ROWS, ROWS, True)
    return detail


async def test_both_ends_on_one_server(kills: Kills) -> None:
    await prepare(kills.dsn)
    async with kills.gate("target", MIDDLE):
        job = await kills.submit("stream", table="source", to="target")
        await kills.until_held(job, lambda job: job.progress.done > 0)
        await kills.kill("postgres")
    detail = await finish(kills, job)
    assert any("continuing behind" in line.message for line in detail.logs)
    connection = await asyncpg.connect(kills.dsn)
    assert await are_equal(connection)
    await connection.close()


async def test_the_destination_alone(start_kills: Callable[..., Awaitable[Kills]], empty_database_dsn: str) -> None:
    await prepare(empty_database_dsn)
    kills = await start_kills(others={"there": DatabaseSettings(dsn=Secret(empty_database_dsn), pool_min=0)})
    await prepare(kills.dsn)  # the same rows, to compare with
    await kills.execute("ALTER TABLE target DROP CONSTRAINT target_pkey")
    async with kills.gate("target", MIDDLE):
        job = await kills.submit("stream", table="source", to="target", source="there")
        await kills.until_held(job, lambda job: job.progress.done > 0)
        await kills.kill("postgres")
    await finish(kills, job)
    connection = await asyncpg.connect(kills.dsn)
    assert await are_equal(connection)  # nothing is unique there: each row once, all the same
    await connection.close()


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
async def test_the_source_alone(kills: Kills, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(row_reader, "CHUNK_BYTES", 10_000)
    monkeypatch.setattr(row_reader, "_PAGE_BYTES", 10_000)
    monkeypatch.setattr(row_reader, "_FIRST_PAGE", 100)
    monkeypatch.setattr(parquet_sink, "PART_BYTES", 30_000)
    await prepare(kills.dsn)
    path = tmp_path / name
    job = await kills.submit("stream.file", table="source", to=str(path))
    await kills.until(job, lambda job: job.progress.done > 0)
    await kills.kill("postgres")
    await kills.until_failed_once(job)
    assert not path.exists()
    await finish(kills, job)
    connection = await asyncpg.connect(kills.dsn)
    await take_back(connection, path)
    assert await are_equal(connection)
    await connection.close()
