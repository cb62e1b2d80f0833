"""Parquet files through pyarrow, an optional dependency: imported when the first such file is opened, never before."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qsuite_console.model.text import clean
from qsuite_console.providers.errors import FileProblem


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

    def batches(self, names: list[str], skip: int, size: int) -> Iterator[list[dict[str, Any]]]:
        """Yield lists of rows behind the first ``skip``; whole row groups before them are not read."""
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
                yield batch.slice(left).to_pylist()
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
