"""Parquet files through pyarrow, an optional dependency: imported when the first such file is opened, never before."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from qsuite_console.model.text import clean
from qsuite_console.providers.errors import FileProblem

_EPOCH: Final = date(1970, 1, 1)
_DAY_S: Final = 86_400


class Batch:
    """Some rows of a file, by column or one by one."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    def row(self, place: int) -> dict[str, Any]:
        """Return one row; what Python has no value for, an instant of the year 20000, comes as None."""
        found: dict[str, Any] = {}
        for name in self._rows.schema.names:
            try:
                found[name] = self._rows.column(name)[place].as_py()
            except (OverflowError, ValueError):
                found[name] = None
        return found

    def texts(self, name: str, low: int, high: int) -> list[str]:
        """Return a column's values [low, high) as texts that mean the same to whoever reads texts; "" for none."""
        column = self._rows.column(name).slice(low, high - low)
        types = importlib.import_module("pyarrow.types")
        kind = column.type
        if types.is_timestamp(kind) and kind.tz is not None:
            return _instants(column)
        if types.is_integer(kind) or types.is_float64(kind) or types.is_decimal(kind) or types.is_dictionary(kind):
            column = column.cast("string")
        elif not (types.is_string(kind) or types.is_large_string(kind)):
            return _written(column)
        return ["" if value is None else value for value in column.to_pylist()]


def _instants(column: Any) -> list[str]:
    """Return instants as 2025-01-02T05:00:00Z; column by column, since Python's own take a hundred times longer."""
    pyarrow = importlib.import_module("pyarrow")
    try:
        seconds = column.cast(pyarrow.timestamp("s", "UTC")).cast("int64").to_pylist()
    except ValueError:  # some have fractions of a second
        return _written(column)
    return ["" if value is None else _day(value // _DAY_S) + _clock(value % _DAY_S) for value in seconds]


def _written(column: Any) -> list[str]:
    try:
        return ["" if value is None else str(value) for value in column.to_pylist()]
    except (OverflowError, ValueError):
        return [""] * len(column)


@lru_cache(maxsize=4096)
def _day(number: int) -> str:
    try:
        return (_EPOCH + timedelta(days=number)).isoformat()
    except OverflowError:
        return ""


@lru_cache(maxsize=4096)
def _clock(seconds: int) -> str:
    return f"T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}Z"


class ParquetBars:
    """One file; only its footer and one batch at a time are in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: Any = None

    def columns(self) -> list[str]:
        """Return the names of the columns; raises FileProblem."""
        return list(self._file().schema_arrow.names)

    def offset_of(self, number: int) -> int:
        """Return about how many bytes of the file the first ``number`` rows take: what progress is measured by."""
        rows = self._file().metadata.num_rows
        return self._path.stat().st_size * number // rows if rows else 0

    def batches(self, names: list[str], skip: int, size: int) -> Iterator[Batch]:
        """Yield batches of rows behind the first ``skip``; whole row groups before them are not read."""
        file = self._file()
        group, before = 0, 0
        while group < file.num_row_groups and before + file.metadata.row_group(group).num_rows <= skip:
            before += file.metadata.row_group(group).num_rows
            group += 1
        groups = list(range(group, file.num_row_groups))
        left = skip - before
        try:
            for batch in file.iter_batches(batch_size=size, row_groups=groups, columns=names) if groups else ():
                if left >= batch.num_rows:
                    left -= batch.num_rows
                    continue
                yield Batch(batch.slice(left))
                left = 0
        except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
            raise FileProblem(f"{clean(self._path.name, 200)} is damaged: {clean(error, 120)}") from error

    def _file(self) -> Any:
        if self._opened is None:
            try:
                parquet = importlib.import_module("pyarrow.parquet")
            except ImportError as error:
                raise FileProblem(
                    f"{clean(self._path.name, 200)} is Parquet, which needs pyarrow",
                    hint="pip install 'qsuite-console[parquet]'",
                ) from error
            try:
                self._opened = parquet.ParquetFile(self._path)
            except (OSError, ValueError) as error:
                name = clean(self._path.name, 200)
                raise FileProblem(f"{name} can't be read as Parquet: {clean(error, 120)}") from error
        return self._opened
