"""Copies into files: exact, whole or not there, continued where they stopped."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pyarrow import parquet

from fakes.backfill import FakeContext, make_settings, open_services
from fakes.failing import fails_for_good, fails_for_now
from fakes.streaming import NOWHERE, are_equal, into_file, make_tables, run, take_back, worker_of
from qsuite_console.db import row_reader
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.workers import Services
from qsuite_console.workers.stream import parquet_sink

ROWS = 5_000


@dataclass
class Scene:
    """A filled table source, an empty table target, and a directory."""

    services: Services
    connection: asyncpg.Connection
    directory: Path

    async def copy(self, name: str, context: FakeContext | None = None, **given: Any) -> dict[str, Any]:
        return await run(self.services, into_file(self.directory / name, **given), context)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir())


@pytest.fixture
async def scene(empty_database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(row_reader, "CHUNK_BYTES", 40_000)
    monkeypatch.setattr(row_reader, "_PAGE_BYTES", 80_000)
    monkeypatch.setattr(row_reader, "_FIRST_PAGE", 100)
    monkeypatch.setattr(parquet_sink, "PART_BYTES", 90_000)
    connection = await asyncpg.connect(empty_database_dsn)
    await make_tables(connection, ROWS)
    async with open_services(make_settings(empty_database_dsn, NOWHERE)) as services:
        yield Scene(services, connection, tmp_path)
    await connection.close()


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
@pytest.mark.parametrize("given", [{}, {"table": "", "query": "SELECT * FROM source"}], ids=["key", "whole"])
async def test_a_file_holds_what_the_source_holds(scene: Scene, name: str, given: dict[str, Any]) -> None:
    result = await scene.copy(name, **given)
    assert (result["rows_read"], result["rows_written"], result["verified"]) == (ROWS, ROWS, True)
    assert result["file_bytes"] == (scene.directory / name).stat().st_size
    assert scene.names() == [name]
    await take_back(scene.connection, scene.directory / name)
    assert await are_equal(scene.connection)


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
async def test_a_stopped_copy_leaves_no_file_that_looks_whole_and_goes_on(scene: Scene, name: str) -> None:
    context = FakeContext(4)
    path = scene.directory / name

    def stop() -> None:
        if context.breaths == 4:
            raise KeyboardInterrupt

    context.on_breathe = stop
    with pytest.raises(KeyboardInterrupt):
        await scene.copy(name, context)
    assert not path.exists()
    assert scene.names() == [f".{name}.4.part"]
    assert context.checkpoint is not None
    assert 0 < context.checkpoint["read"] < ROWS
    part = scene.directory / f".{name}.4.part"
    if part.is_file():
        with part.open("ab") as file:
            file.write(b"written, but not kept: a row that")
    else:
        (part / "000099.parquet").write_bytes(b"written, but not kept")
    again = FakeContext(4, context.checkpoint)
    result = await scene.copy(name, again)
    assert result["rows_read"] == ROWS
    assert result["verified"] is True
    assert again.said[0][0] == 0
    assert scene.names() == [name]
    await take_back(scene.connection, path)
    assert await are_equal(scene.connection)


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
async def test_a_copy_whose_part_is_gone_begins_anew(scene: Scene, name: str) -> None:
    context = FakeContext(4)

    def stop() -> None:
        if context.breaths == 4:
            raise KeyboardInterrupt

    context.on_breathe = stop
    with pytest.raises(KeyboardInterrupt):
        await scene.copy(name, context)
    part = scene.directory / f".{name}.4.part"
    (part if part.is_file() else part / "000000.parquet").unlink()
    result = await scene.copy(name, FakeContext(4, context.checkpoint))
    assert (result["rows_written"], result["verified"]) == (ROWS, True)


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
async def test_a_kill_after_the_file_got_its_name_ends_well(scene: Scene, name: str) -> None:
    context = FakeContext(4)
    await scene.copy(name, context)
    assert context.checkpoint is not None
    told = (scene.directory / name).read_bytes()
    result = await scene.copy(name, FakeContext(4, {**context.checkpoint, "phase": "finish"}))
    assert result["verified"] is True
    assert (scene.directory / name).read_bytes() == told


async def test_a_file_that_is_there_is_replaced_only_when_it_is_said(scene: Scene) -> None:
    path = scene.directory / "out.csv"
    path.write_text("precious")
    for attempt in (worker_of(scene.services, into_file(path)).plan(into_file(path)), scene.copy("out.csv")):
        with pytest.raises(InvalidParameters, match="is there already"):
            await attempt
    assert path.read_text() == "precious"
    with pytest.raises(InvalidParameters, match="there is no directory"):
        await scene.copy("none/out.csv")
    assert (await scene.copy("out.csv", overwrite=True))["verified"] is True


async def test_transforms_reach_files(scene: Scene) -> None:
    given = {
        "columns": "id,at,price",
        "filter": "id <= 5",
        "derive": "half=id / 2; word='=cmd'",
        "rename": "id=n",
        "cast": "half=numeric(6,1)",
        "processed_at": True,
    }
    result = await scene.copy("out.csv", **given)
    with (scene.directory / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["n"], row["half"], row["word"]) for row in rows] == [
        (str(n), f"{n / 2:.1f}", "=cmd") for n in sorted(range(1, 6), key=lambda n: f"S{n}")
    ]
    assert all(row["processed_at"].endswith("+00:00") for row in rows)
    assert (result["filtered"], result["verified"]) == (ROWS - 5, True)
    await scene.copy("out.parquet", **given)
    table = parquet.read_table(scene.directory / "out.parquet")
    assert str(table.schema.field("half").type) == "decimal128(6, 1)"
    first = table.to_pylist()[0]
    assert first["at"] == datetime(2025, 1, 2, 14, 30, 1, 500_001, tzinfo=UTC)
    assert (first["n"], first["price"]) == (1, Decimal("0.14285714"))


async def test_values_that_a_type_of_the_file_does_not_hold_are_named(scene: Scene) -> None:
    await scene.connection.execute("UPDATE source SET price = 'NaN' WHERE id = 7; "
                                   "UPDATE source SET ratio = 'NaN' WHERE id = 8; "
                                   "UPDATE source SET at = 'infinity' WHERE id = 9")  # fmt: skip
    result = await scene.copy("out.parquet", verify=False)
    assert (result["rows_written"], result["rejected"]) == (ROWS - 2, 2)
    assert sorted(line.partition(":")[0] for line in result["rejected_first"]) == ["symbol=S7, id=7", "symbol=S9, id=9"]
    assert (await scene.copy("out.csv", FakeContext(2)))["verified"] is True
    with fails_for_good("symbol=S.*without strict"):
        await scene.copy("strict.parquet", strict=True)


async def test_a_disk_that_refuses_is_told_and_tried_again(scene: Scene) -> None:
    path = scene.directory / "out.csv"
    (scene.directory / ".out.csv.1.part").mkdir()
    with fails_for_now("out.csv.1.part can't be written: Is a directory"):
        await scene.copy("out.csv")
    (scene.directory / ".out.csv.1.part").rmdir()
    assert (await scene.copy("out.csv"))["verified"] is True
    assert path.exists()
