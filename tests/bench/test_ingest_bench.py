"""A million records with one percent bad: all good rows there, each bad one named, memory flat, again nothing new, and
the rate against a plain COPY of the clean rows into the same table, in one run on the same server.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from fakes import ingesting
from integration.ingest.million import EVERY, NOWHERE, SYMBOLS, Memory, check_rows, clean_lines, know, million

RECORDS = 1_000_000


@pytest.mark.timeout(1200)
async def test_a_million_records_with_one_percent_bad(database_dsn: str, tmp_path: Path) -> None:
    rounds = await million(database_dsn, tmp_path, RECORDS)
    for one in rounds:
        print(
            f"\n{RECORDS:,} records: {one.records_per_s:,.0f}/s; plain COPY {one.copied_per_s:,.0f}/s: "
            f"{one.ratio:.2f}; memory + {one.grown_mb:.0f} MB"
        )
        assert one.grown_mb < 100
    assert max(one.ratio for one in rounds) >= 0.5


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "stdin"])
async def test_the_executable_takes_a_million_in_flat_memory(form: str, database_dsn: str, tmp_path: Path) -> None:
    path = tmp_path / f"bars.{'csv' if form == 'stdin' else form}"
    if form in ("csv", "stdin"):
        ingesting.write(path, RECORDS, SYMBOLS, EVERY)
    else:
        _write(path)
    connection = await asyncpg.connect(database_dsn)
    await know(connection)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "qsuite_console", "ingest", "-" if form == "stdin" else str(path), "--json"),
        stdin=path.open() if form == "stdin" else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=(tmp_path / "stderr.txt").open("w"),
        env={**os.environ, **NOWHERE, "QSUITE_CONSOLE_HOME": str(tmp_path / "home"), "DATABASE_URL": database_dsn},
    )
    while process.returncode is None and not await connection.fetchval("SELECT EXISTS (SELECT FROM price_ticks)"):
        await asyncio.sleep(0.01)  # from its first rows on
    memory = Memory(psutil.Process(process.pid))
    stdout, _ = await process.communicate()
    grown = memory.stop()
    assert process.returncode == 0, (tmp_path / "stderr.txt").read_text()[-2000:]
    result = json.loads(stdout)["result"]
    print(
        f"\n{form}: {result['records_per_s']:,}/s, {result['rejected']:,} bad; resident {memory.before / 1e6:.0f} MB "
        f"at its first rows, + {grown:.0f} MB at most"
    )
    assert grown < 100
    assert await check_rows(connection, RECORDS, tmp_path) == result["created"]
    await connection.close()


def _write(path: Path) -> None:
    """Write the good records with numbers as numbers."""
    names = ("symbol", "timestamp", "open", "high", "low", "close", "volume")
    if path.suffix == ".jsonl":
        with path.open("w") as file:
            for symbol, stamp, *numbers in clean_lines(RECORDS):
                fields = ",".join(f'"{name}":{number}' for name, number in zip(names[2:], numbers, strict=True))
                file.write(f'{{"symbol":"{symbol}","timestamp":"{stamp}",{fields}}}\n')
        return
    import pyarrow
    import pyarrow.parquet

    columns: dict[str, list[Any]] = {name: [] for name in names}
    for symbol, stamp, *numbers in clean_lines(RECORDS):
        columns["symbol"].append(symbol)
        columns["timestamp"].append(datetime.fromisoformat(stamp).astimezone(UTC))
        for name, number in zip(names[2:6], numbers, strict=False):
            columns[name].append(float(number))
        columns["volume"].append(int(numbers[-1]))
    pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=100_000)
