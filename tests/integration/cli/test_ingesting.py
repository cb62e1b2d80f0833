"""``ingest`` as a person types it: a file, a pipe, bad records, a strict refusal, what is left behind."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import asyncpg

from fakes import ingesting
from integration.cli.conftest import Console

ROW = "S000,2025-03-03T15:{:02d}:00Z,100,101,99,100.5,10\n"
BAD = "S000,2025-03-03T16:00:00Z,100,101,99,,\n"


async def test_files_and_pipes_through_the_executable(console: Console, database_dsn: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("INSERT INTO market_data_ticker (symbol) VALUES ('S000')")
    console.environ["DATABASE_URL"] = database_dsn
    path = tmp_path / "bars.csv"
    path.write_text(ingesting.HEADER + "".join(ROW.format(minute) for minute in range(20)) + BAD)

    first = await asyncio.to_thread(console.run, "ingest", str(path))
    assert first.returncode == 0, first.stderr
    assert "Record 22: missing fields close, volume" in first.stdout
    rejects = list((console.home / "state" / "rejects").iterdir())
    assert [json.loads(line)["record"] for line in rejects[0].read_text().splitlines()] == [22]
    assert stat.S_IMODE(rejects[0].stat().st_mode) == 0o600

    records = "".join(
        json.dumps({"s": "S000", "t": f"2025-03-04T15:{n:02d}:00Z", "o": 1, "h": 2, "l": 1, "c": 1.5, "v": 3}) + "\n"
        for n in range(7)
    )
    piped = await asyncio.to_thread(console.run, "ingest", "-", "--json", stdin=records)
    assert piped.returncode == 0, piped.stderr
    assert json.loads(piped.stdout)["result"]["created"] == 7
    spool = console.home / "state" / "spool"
    assert list(spool.iterdir()) == []

    refused = await asyncio.to_thread(console.run, "ingest", "--strict", stdin=path.read_text().replace("T15:", "T17:"))
    assert refused.returncode == 1
    assert "strict: 1 of 21 records are bad, nothing was written: Record 22: missing fields" in refused.stderr
    (kept,) = spool.iterdir()
    assert (kept.suffix, stat.S_IMODE(kept.stat().st_mode)) == (".csv", 0o600)
    assert f"what was read is kept: {kept}" in refused.stderr
    assert await connection.fetchval("SELECT count(*) FROM price_ticks") == 27
    empty = await asyncio.to_thread(console.run, "ingest", stdin="")
    assert (empty.returncode, "standard input is empty" in empty.stderr) == (2, True)
    await connection.close()
