"""Very many records with one percent bad of ten kinds, by any number: stored, compared, repeated, and against COPY."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from fakes import ingesting
from fakes.backfill import FakeContext, make_settings, open_services
from qsuite_console.paths import resolve
from qsuite_console.workers.ingest import IngestParameters, IngestWorker

COLUMNS = ("symbol", "timeframe", "timestamp", "open", "high", "low", "close", "volume")
NOWHERE = {
    "APCA_API_DATA_URL": "http://127.0.0.1:1",
    "APCA_API_BASE_URL": "http://127.0.0.1:1",
    "APCA_API_KEY_ID": "K",
    "APCA_API_SECRET_KEY": "S",
}
SYMBOLS = ingesting.symbols(20)
EVERY = 100  # one record in a hundred is bad


class Memory:
    """The highest resident size of a process while it is watched, in MB above the first one."""

    def __init__(self, process: psutil.Process) -> None:
        self._process, self._over = process, threading.Event()
        self.before = self.peak = process.memory_info().rss
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            try:
                self.peak = max(self.peak, self._process.memory_info().rss)
            except psutil.NoSuchProcess:
                return

    def stop(self) -> float:
        self._over.set()
        self._thread.join()
        return (self.peak - self.before) / 1e6


@dataclass(frozen=True)
class Round:
    """One ingest of the file into the empty table, and one COPY of its clean rows into the same."""

    records_per_s: float
    copied_per_s: float
    grown_mb: float

    @property
    def ratio(self) -> float:
        return self.records_per_s / self.copied_per_s


async def know(connection: asyncpg.Connection) -> None:
    await connection.execute("INSERT INTO market_data_ticker (symbol) SELECT unnest($1::text[])", SYMBOLS)


def clean_lines(records: int) -> Iterator[list[str]]:
    for line, reason in ingesting.lines(records, SYMBOLS, EVERY):
        if not reason:
            yield line.strip().split(",")


async def check_rows(connection: asyncpg.Connection, records: int, directory: Path) -> int:
    """Compare the table with the good lines, row by row; return how many there are."""
    path = directory / "table.txt"
    await connection.execute("SET TIME ZONE 'UTC'")
    await connection.copy_from_query(
        'SELECT symbol, to_char("timestamp", \'YYYY-MM-DD"T"HH24:MI:SS"Z"\'), trim_scale(open), trim_scale(high), '
        'trim_scale(low), trim_scale(close), volume FROM price_ticks ORDER BY symbol, "timestamp"',
        output=path,
        format="csv",
    )
    count = 0
    with path.open() as rows:
        for wanted, row in zip(clean_lines(records), rows, strict=True):
            symbol, stamp, *numbers = wanted
            text = ",".join((symbol, stamp, *(f"{Decimal(number).normalize():f}" for number in numbers)))
            assert row.rstrip("\n") == text
            count += 1
    return count


def check_named(path: Path, bad: dict[int, str]) -> None:
    """Compare the file of rejects with the bad lines."""
    with path.open() as lines:
        named = {one["record"]: one["reason"] for one in map(json.loads, lines)}
    assert named == {line: reason.removesuffix(" GHOST") for line, reason in bad.items()}


async def copy_clean(connection: asyncpg.Connection, records: int) -> float:
    """Return the rows a second at which asyncpg copies the clean rows, made beforehand, into the empty table."""
    rows = []
    for symbol, stamp, *numbers in clean_lines(records):
        at = datetime.fromisoformat(stamp).astimezone(UTC)
        rows.append((symbol, "1Min", at, *(Decimal(number) for number in numbers)))
    await connection.execute("TRUNCATE price_ticks")
    started = time.perf_counter()
    await connection.copy_records_to_table("price_ticks", records=rows, columns=COLUMNS)
    spent = time.perf_counter() - started
    await connection.execute("TRUNCATE price_ticks")
    return len(rows) / spent


async def million(dsn: str, directory: Path, records: int, rounds: int = 3) -> list[Round]:
    """Take the file and copy its rows in turns; everything but speed and memory is compared here."""
    path = directory / "bars.csv"
    bad = ingesting.write(path, records, SYMBOLS, EVERY)
    good = records - len(bad)
    connection = await asyncpg.connect(dsn)
    await know(connection)
    found: list[Round] = []
    async with open_services(make_settings(dsn, NOWHERE)) as opened:
        services = replace(opened, paths=resolve(str(directory / "home")).ensure())
        worker, parameters = IngestWorker(services), IngestParameters(path=str(path))
        warm = directory / "warm.csv"
        ingesting.write(warm, min(records, 100_000), SYMBOLS)
        await worker.run(FakeContext(1), IngestParameters(path=str(warm)))  # partitions, imports
        for number in range(2, 2 + rounds):
            await connection.execute("TRUNCATE price_ticks")
            memory = Memory(psutil.Process(os.getpid()))
            result: dict[str, Any] = dict(await worker.run(FakeContext(number), parameters))
            grown = memory.stop()
            assert (result["records"], result["created"], result["rejected"]) == (records, good, len(bad))
            check_named(Path(result["rejects_file"]), bad)
            if number == 2:
                assert await check_rows(connection, records, directory) == good
                again = dict(await worker.run(FakeContext(99), parameters))
                assert (again["created"], again["updated"], again["skipped"]) == (0, 0, good)
                assert await connection.fetchval("SELECT count(*) FROM price_ticks") == good
            copied = await copy_clean(connection, records)
            found.append(Round(records / result["duration_s"], copied, grown))
    await connection.close()
    return found
