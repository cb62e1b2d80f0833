"""A copy without the engine: tables of rows of every type, a checkpoint in a file, a program to be killed."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import psutil

from fakes.backfill import FakeContext, make_settings, open_services
from qsuite_console.db import row_reader
from qsuite_console.workers import Services
from qsuite_console.workers.stream import FileParameters, FileStreamWorker, StreamParameters, StreamWorker, parquet_sink

NOWHERE = {
    "APCA_API_DATA_URL": "http://127.0.0.1:1",
    "APCA_API_BASE_URL": "http://127.0.0.1:1",
    "APCA_API_KEY_ID": "K",
    "APCA_API_SECRET_KEY": "S",
}
CHUNK = "STREAM_TEST_CHUNK"
COLUMNS = """
    id int8 NOT NULL, symbol text NOT NULL, at timestamptz NOT NULL, price numeric(20,8), size numeric, ratio float8,
    note text, tags text[], extra jsonb
"""
# Rows whose every value follows from their number; NULL, empty and hostile texts among them.
FILL = r"""
INSERT INTO {table} SELECT n, 'S' || n %% 97, timestamptz '2025-01-02 14:30:00.000001+00' + n * interval '1.5 s',
       CASE WHEN n %% 101 <> 0 THEN n / 7.0 END, (n::int8 * 1000003)::numeric / 3, n / 3.0::float8,
       CASE n %% 11 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN E'tab\tnewline\nback\\slash "quoted", \\N' WHEN 3 THEN
            '=1+1' WHEN 4 THEN E'\u00e9\u4e2d\U0001f600' ELSE 'note ' || n END,
       CASE WHEN n %% 5 = 0 THEN ARRAY['a,b', NULL, '"', 'n' || n] END,
       CASE WHEN n %% 7 = 0 THEN jsonb_build_object('n', n, 'text', E'x\ty') END
  FROM generate_series(1, {rows}) n
""".replace("%%", "%")


KEY = "PRIMARY KEY (symbol, id)"


async def make_tables(connection: Any, rows: int, *, key: str = KEY, target_key: str = KEY) -> None:
    """Create the filled table source and the empty table target."""
    for table, own in (("source", key), ("target", target_key)):
        await connection.execute(f"CREATE TABLE {table} ({COLUMNS}, {own})")
    await connection.execute(FILL.format(table="source", rows=rows))


async def are_equal(connection: Any, left: str = "source", right: str = "target") -> bool:
    """Compare two tables by all rows that only one of them has."""
    one, other = f"TABLE {left} EXCEPT ALL TABLE {right}", f"TABLE {right} EXCEPT ALL TABLE {left}"
    return await connection.fetchval(f"SELECT NOT EXISTS (({one}) UNION ALL ({other}))")


async def take_back(connection: Any, path: Path) -> None:
    """Fill the table target with what a file holds, by programs that are not ours."""
    if path.suffix == ".csv":
        await connection.copy_to_table("target", source=path, format="csv", header=True)
        return
    file = importlib.import_module("pyarrow.parquet").ParquetFile(path)  # not in each program that is killed
    names = file.schema_arrow.names
    await connection.execute("CREATE TABLE back (LIKE target)")
    for name in ("size", "tags", "extra"):  # text in the file
        await connection.execute(f"ALTER TABLE back ALTER {name} TYPE text USING NULL")
    for batch in file.iter_batches(batch_size=20_000):
        rows = [tuple(row.values()) for row in batch.to_pylist()]
        await connection.copy_records_to_table("back", records=rows, columns=names)
    await connection.execute(
        "INSERT INTO target "
        "SELECT id, symbol, at, price, size::numeric, ratio, note, tags::text[], extra::jsonb FROM back"
    )


class Memory:
    """The largest resident size of a process, and what it was once its work had begun."""

    def __init__(self, pid: int) -> None:
        self._process, self._over = psutil.Process(pid), threading.Event()
        self.begun = self.peak = 0
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            try:
                size = self._process.memory_info().rss
            except psutil.NoSuchProcess:
                return
            self.peak = max(self.peak, size)

    def begin(self) -> None:
        self.begun = self.begun or self.peak

    def stop(self) -> float:
        self._over.set()
        self._thread.join()
        return (self.peak - self.begun) / 1e6 if self.begun else 0.0


def into_table(**given: Any) -> StreamParameters:
    return msgspec.convert({"table": "source", "to": "target", **given}, StreamParameters)


def into_file(path: Path, **given: Any) -> FileParameters:
    return msgspec.convert({"table": "source", "to": str(path), **given}, FileParameters)


def worker_of(services: Services, parameters: Any) -> Any:
    return (FileStreamWorker if isinstance(parameters, FileParameters) else StreamWorker)(services)


async def run(services: Services, parameters: Any, context: FakeContext | None = None) -> dict[str, Any]:
    return dict(await worker_of(services, parameters).run(context or FakeContext(), parameters))


class FileContext(FakeContext):
    """Keeps its checkpoint in a file, as the history does: replaced at once."""

    def __init__(self, path: Path) -> None:
        super().__init__(checkpoint=json.loads(path.read_text()) if path.exists() else None)
        self._path = path

    async def save(self, checkpoint: Any) -> None:
        await super().save(checkpoint)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self.checkpoint))
        fresh.replace(self._path)


async def launch(dsn: str, parameters: Any, checkpoint: Path, chunk: int = 0) -> asyncio.subprocess.Process:
    """Start the program below on a copy; ``chunk``: bytes of one, 0 for the usual."""
    kind = "file" if isinstance(parameters, FileParameters) else "table"
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fakes.streaming",
        kind,
        msgspec.json.encode(parameters).decode(),
        str(checkpoint),
        cwd=Path(__file__).parents[1],
        env={**os.environ, "DATABASE_URL": dsn, CHUNK: str(chunk)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def _main(kind: str, parameters: str, checkpoint: str) -> None:
    size = int(os.environ.get(CHUNK, "0"))
    if size:  # so that a small copy has many chunks
        row_reader.CHUNK_BYTES, row_reader.CHUNK_ROWS, row_reader._PAGE_BYTES = size, size // 50, 2 * size
        row_reader._FIRST_PAGE = 200
        parquet_sink.PART_BYTES = 2 * size
    decoded = msgspec.json.decode(parameters, type=FileParameters if kind == "file" else StreamParameters)
    async with open_services(make_settings(os.environ["DATABASE_URL"], NOWHERE)) as services:
        result = await run(services, decoded, FileContext(Path(checkpoint)))
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
