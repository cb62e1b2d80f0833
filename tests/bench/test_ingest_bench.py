"""A million records with one percent bad: all good rows there, each bad one named, memory flat, again nothing new, and
the rate against a plain COPY of the clean rows into the same table, in one run on the same server.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from fakes import ingesting
from fakes.backfill import FakeContext, make_settings, open_services
from qsuite_console.paths import resolve
from qsuite_console.workers.ingest import IngestParameters, IngestWorker

RECORDS = 1_000_000
COLUMNS = ("symbol", "timeframe", "timestamp", "open", "high", "low", "close", "volume")
NOWHERE = {
    "APCA_API_DATA_URL": "http://127.0.0.1:1",
    "APCA_API_BASE_URL": "http://127.0.0.1:1",
    "APCA_API_KEY_ID": "K",
    "APCA_API_SECRET_KEY": "S",
}


class Memory:
    """The highest resident size of this process while it is watched."""

    def __init__(self) -> None:
        self._process, self._over = psutil.Process(os.getpid()), threading.Event()
        self.before = self.peak = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.peak = max(self.peak, self._process.memory_info().rss)

    def stop(self) -> float:
        self._over.set()
        self._thread.join()
        return (self.peak - self.before) / 1e6


def clean_rows(symbols: list[str]) -> list[tuple[Any, ...]]:
    found = []
    for line, reason in ingesting.lines(RECORDS, symbols, 100):
        if not reason:
            symbol, stamp, *numbers = line.strip().split(",")
            found.append((symbol, "1Min", datetime.fromisoformat(stamp), *(Decimal(number) for number in numbers)))
    return found


async def plain_copy(dsn: str, symbols: list[str]) -> float:
    """Return the seconds in which asyncpg copies the clean rows, made beforehand, into the empty table."""
    rows = clean_rows(symbols)
    connection = await asyncpg.connect(dsn)
    await connection.execute("TRUNCATE price_ticks")
    started = time.perf_counter()
    await connection.copy_records_to_table("price_ticks", records=rows, columns=COLUMNS)
    spent = time.perf_counter() - started
    await connection.execute("TRUNCATE price_ticks")
    await connection.close()
    return spent


@pytest.mark.timeout(900)
async def test_a_million_records_with_one_percent_bad(database_dsn: str, tmp_path: Path) -> None:
    symbols, path = ingesting.symbols(20), tmp_path / "bars.csv"
    bad = ingesting.write(path, RECORDS, symbols)
    good = RECORDS - len(bad)
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("INSERT INTO market_data_ticker (symbol) SELECT unnest($1::text[])", symbols)
    ratios = []
    async with open_services(make_settings(database_dsn, NOWHERE)) as opened:
        services = replace(opened, paths=resolve(str(tmp_path / "home")).ensure())
        worker, parameters = IngestWorker(services), IngestParameters(path=str(path))
        warm = tmp_path / "warm.csv"
        ingesting.write(warm, 100_000, symbols)
        await worker.run(FakeContext(1), IngestParameters(path=str(warm)))  # partitions, imports, caches
        for number in (2, 3, 4):  # the best of three: other work on the machine costs the two sides unequally
            await connection.execute("TRUNCATE price_ticks")
            memory = Memory()
            result = await worker.run(FakeContext(number), parameters)
            grown = memory.stop()
            assert (result["records"], result["created"], result["rejected"]) == (RECORDS, good, len(bad))
            assert await connection.fetchval("SELECT count(*) FROM price_ticks") == good
            named = [json.loads(line) for line in await asyncio.to_thread(_read, Path(result["rejects_file"]))]
            assert {one["record"]: one["reason"] for one in named} == {
                line: reason.removesuffix(" GHOST") for line, reason in bad.items()
            }
            if number == 2:
                again = await worker.run(FakeContext(9), parameters)
                assert (again["created"], again["updated"], again["skipped"]) == (0, 0, good)
            plain_s = await plain_copy(database_dsn, symbols)
            ours_s = result["duration_s"]
            ratios.append(plain_s * RECORDS / (ours_s * good))
            print(
                f"\n{RECORDS:,} records, {len(bad):,} bad: {result['records_per_s']:,}/s; plain COPY "
                f"{good / plain_s:,.0f}/s: {ratios[-1]:.2f}; memory + {grown:.0f} MB; again {again['records_per_s']:,}"
            )
            assert grown < 100
    await connection.close()
    assert max(ratios) >= 0.5


def _read(path: Path) -> list[str]:
    return path.read_text().splitlines()
