"""A Parquet file. It can't be appended to, so whole parts are made beside its place, each read back and compared before
it counts; at the end they become one file, a row group at a time. pyarrow is imported when it is needed, never before.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from qsuite_console.db.relation import Column
from qsuite_console.db.row_reader import Chunk
from qsuite_console.model.copytext import rows_of
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.text import clean
from qsuite_console.workers.stream.files import Place, guarded, sync_directory
from qsuite_console.workers.stream.program import Made, Rejected
from qsuite_console.workers.stream.sinks import Report, Save, advance
from qsuite_console.workers.stream.state import State

PART_BYTES: Final = 16 * 1024 * 1024  # of COPY text
Name = Callable[[Sequence[str | None]], str]
_DIGITS: Final = (38, 76)  # of decimal128 and decimal256
_MOST: Final = 1_000  # rows of a part that don't fit their types, before it is given up


def require() -> Any:
    """Return pyarrow; raises InvalidParameters where it is not installed."""
    try:
        importlib.import_module("pyarrow.parquet")
        importlib.import_module("pyarrow.compute")
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise InvalidParameters(
            {"to": "Parquet needs pyarrow"}, hint="pip install 'qsuite-console[parquet]', or name a .csv file"
        ) from error


def type_of(column: Column) -> str:
    """Return the type of a column in the file, in words for a plan."""
    if column.base == "numeric":
        digits, scale = column.precision, column.scale
        if digits is None or scale is None or not 0 <= scale <= digits <= _DIGITS[1]:
            return "string"
        return f"decimal{128 if digits <= _DIGITS[0] else 256}({digits}, {scale})"
    return _TYPES.get(column.base, "string")


class ParquetSink:
    """Parts in a directory of the job's own, then one file."""

    def __init__(self, place: Place, columns: Sequence[Column], name_of: Name, report: Report, save: Save) -> None:
        self._place = place
        self._name_of = name_of
        self._report = report
        self._save = save
        self._arrow = require()
        self._parquet = importlib.import_module("pyarrow.parquet")
        self._schema = self._arrow.schema([(column.name, self._type(column)) for column in columns])
        self._kinds = [column.base for column in columns]
        self._batches: list[Any] = []
        self._pending = 0

    def _type(self, column: Column) -> Any:
        arrow, shown = self._arrow, type_of(column)
        if shown.startswith("decimal"):
            make = arrow.decimal128 if shown.startswith("decimal128") else arrow.decimal256
            return make(column.precision, column.scale)
        if shown.startswith("timestamp"):
            return arrow.timestamp("us", tz="UTC" if column.base == "timestamptz" else None)
        made: Any = {"date": arrow.date32, "boolean": arrow.bool_, "time": lambda: arrow.time64("us")}.get(shown)
        return made() if made is not None else getattr(arrow, shown)()

    async def open(self, state: State) -> State:
        """Keep the parts that the state counts, or begin anew where one is gone."""

        def clear() -> bool:
            self._place.part.mkdir(mode=0o700, exist_ok=True)
            counted = {self._part(number) for number in range(len(state.parts))}
            is_whole = all(part.exists() for part in counted)
            for file in self._place.part.iterdir():
                if file not in counted or not is_whole:
                    file.unlink()
            return is_whole

        if not await asyncio.to_thread(guarded, self._place.part, clear):
            return State(identity=state.identity, estimate=state.estimate)
        return state

    async def write(self, chunk: Chunk, made: Made, state: State) -> None:
        """Gather rows; a part is made, and the place kept, when there are enough."""
        if made.rows:
            bad = await asyncio.to_thread(self._gather, made.data)
            made.rejected.extend(bad)
            made.rows -= len(bad)
        advance(state, chunk, made)
        state.created += made.rows
        self._report(state, made.rejected)
        self._pending += len(made.data)
        if self._pending >= PART_BYTES:
            await self._flush(state)

    async def finish(self, state: State) -> None:
        """Make one file of the parts and give it its name, unless that was done before a kill."""
        if self._place.part.is_dir():
            await self._flush(state)
            await asyncio.to_thread(guarded, self._place.path, lambda: self._join(len(state.parts)))

    async def forget(self) -> None:
        """Do nothing: the file is what was kept."""

    def result(self) -> Mapping[str, Any]:
        """Return the file, its size and its rows as its footer tells them."""
        rows = self._parquet.ParquetFile(self._place.path).metadata.num_rows
        size = self._place.path.stat().st_size
        return {"file": str(self._place.path), "file_bytes": size, "file_rows": rows}

    def _part(self, number: int) -> Path:
        return self._place.part / f"{number:06d}.parquet"

    async def _flush(self, state: State) -> None:
        if self._batches:
            table = self._arrow.Table.from_batches(self._batches, schema=self._schema)
            self._batches, self._pending = [], 0
            path = self._part(len(state.parts))
            await asyncio.to_thread(guarded, path, lambda: self._make_part(path, table))
            state.parts.append(table.num_rows)
        await self._save(state)

    def _make_part(self, path: Path, table: Any) -> None:
        raw = path.with_suffix(".raw")
        self._parquet.write_table(table, raw, compression="zstd")
        if not self._is_same(self._parquet.read_table(raw, use_threads=False), table):
            raise OSError(0, "what was written is not what is read back")
        _sync(raw)
        raw.replace(path)
        sync_directory(path.parent)
        self._arrow.default_memory_pool().release_unused()

    def _is_same(self, left: Any, right: Any) -> bool:
        """Compare column by column; NaN, which equals nothing, is compared by where it stands."""
        compute = importlib.import_module("pyarrow.compute")
        for name in self._schema.names:
            columns = (left[name], right[name])
            if self._arrow.types.is_floating(columns[0].type):
                places = [compute.is_nan(column) for column in columns]
                if not places[0].equals(places[1]):
                    return False
                columns = tuple(
                    compute.if_else(place, None, column) for place, column in zip(places, columns, strict=True)
                )
            if not columns[0].equals(columns[1]):
                return False
        return bool(left.num_rows == right.num_rows)

    def _join(self, parts: int) -> None:
        whole = self._place.part / "whole.raw"
        with self._parquet.ParquetWriter(whole, self._schema, compression="zstd") as writer:
            for number in range(parts):
                file = self._parquet.ParquetFile(self._part(number))
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group))
        _sync(whole)
        self._place.put(whole)
        shutil.rmtree(self._place.part)

    def _gather(self, data: bytes) -> list[Rejected]:
        """Add rows to those of the next part; returns those that do not fit the types of the file."""
        bad: list[Rejected] = []
        self._convert(rows_of(data), bad)
        return bad

    def _convert(self, rows: list[list[str | None]], bad: list[Rejected]) -> None:
        try:
            columns = [
                self._column(base, values, field.type)
                for base, values, field in zip(self._kinds, zip(*rows, strict=True), self._schema, strict=True)
            ]
        except (ValueError, OverflowError) as error:  # pyarrow's ArrowInvalid is a ValueError
            if len(rows) == 1:
                bad.append(Rejected(self._name_of(rows[0]), clean(error, 120)))
                if len(bad) > _MOST:
                    raise
                return
            middle = len(rows) // 2
            self._convert(rows[:middle], bad)
            self._convert(rows[middle:], bad)
            return
        self._batches.append(self._arrow.RecordBatch.from_arrays(columns, schema=self._schema))

    def _column(self, base: str, values: Sequence[str | None], wanted: Any) -> Any:
        reader = _READERS.get(base)
        if reader is not None:
            return self._arrow.array([None if value is None else reader(value) for value in values], wanted)
        column = self._arrow.array(values, self._arrow.string())
        return column if wanted == column.type else column.cast(wanted)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "bool": lambda value: value == "t",
    "bytea": lambda value: bytes.fromhex(value.removeprefix("\\x")),
    "float4": float,
    "float8": float,
}
_TYPES: Final[Mapping[str, str]] = {
    "int2": "int16",
    "int4": "int32",
    "int8": "int64",
    "float4": "float32",
    "float8": "float64",
    "bool": "boolean",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "timestamptz": "timestamp (UTC)",
    "bytea": "binary",
}
