"""Local files of bars as streams of records: CSV, JSON lines, Parquet. What a record means is judged elsewhere.

A text file is read line by line, so that every record has a number and a byte offset to go on from; a quoted field
never spans lines, since no field of a bar needs to. Nothing larger than a chunk is ever in memory.
"""

from __future__ import annotations

import csv
import hashlib
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import msgspec

from qsuite_console.model.text import clean
from qsuite_console.providers.errors import FileProblem
from qsuite_console.providers.parquet import ParquetBars

CHUNK_RECORDS: Final = 10_000
LINE_LIMIT: Final = 64 * 1024  # bytes; a bar takes about 100
FILES_LIMIT: Final = 10_000
_CHUNK_BYTES: Final = 4 * 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"
_SKIP: Final = 1024 * 1024
_RAW: Final = 500  # characters kept of a line that can't be read
REQUIRED: Final = ("symbol", "timestamp", "open", "high", "low", "close", "volume")
OPTIONAL: Final = ("trade_count", "vwap")
SHORT: Final[Mapping[str, str]] = {
    "s": "symbol",
    "S": "symbol",
    "t": "timestamp",
    "o": "open",
    "h": "high",
    "l": "low",
    "c": "close",
    "v": "volume",
    "n": "trade_count",
    "vw": "vwap",
}


@dataclass(slots=True)  # not frozen: made a million times, and that would double its cost
class Record:
    """One record: values by long name, or the reason why there are none. ``number`` is its line, or row from 1."""

    number: int
    values: Mapping[str, Any]
    raw: str
    problem: str = ""


@dataclass(slots=True)
class Chunk:
    """Records in a row, and where the next one begins (byte offset and number of the last line)."""

    records: list[Record] = field(default_factory=list)
    offset: int = 0
    number: int = 0


class BarFile(Protocol):
    """A file opened by its format."""

    def check(self) -> None:
        """Raise FileProblem when the file can't hold bars at all."""

    def chunks(self, offset: int, number: int, size: int = 0) -> Iterator[Chunk]:
        """Yield what follows ``offset`` and record ``number``, ``size`` records a chunk (0: the usual number)."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file as it was found; ``identity`` changes whenever its content may have."""

    path: Path
    size: int
    identity: str

    def open(self) -> BarFile:
        """Return the reader for the file's format."""
        return _FORMATS[self.path.suffix.lower()](self.path)

    def is_unchanged(self) -> bool:
        """Return whether the file is still what it was."""
        try:
            return _entry(self.path).identity == self.identity
        except FileProblem:
            return False


def find_files(path_text: str) -> list[FileEntry]:
    """Return the files that a path names (a file, a directory's, a pattern's) by name; raises FileProblem."""
    path = Path(path_text).expanduser()
    if path.is_dir():
        found = sorted(item for item in path.iterdir() if item.suffix.lower() in _FORMATS and item.is_file())
    elif not path.exists() and any(mark in path_text for mark in "*?["):
        found = _matching(path.absolute())
    else:
        found = [path]
    if not found or len(found) > FILES_LIMIT:
        what = "holds no" if not found else f"names more than {FILES_LIMIT:,}"
        raise FileProblem(f"{clean(path_text, 200)} {what} files", hint=f"files end in {', '.join(_FORMATS)}")
    for item in found:
        if item.suffix.lower() not in _FORMATS:
            raise FileProblem(
                f"{clean(item.name, 200)} is of no known format", hint=f"files end in {', '.join(_FORMATS)}"
            )
    return [_entry(item) for item in found]


def _matching(path: Path) -> list[Path]:
    """Return the files that an absolute pattern names, without looking at what lies between."""
    try:
        return sorted(item for item in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if item.is_file())
    except ValueError as error:
        raise FileProblem(f"{clean(path, 200)} is not a pattern: {clean(error, 80)}") from error


def _entry(path: Path) -> FileEntry:
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise FileProblem(f"{clean(path, 200)} is not a regular file")
        with path.open("rb") as stream:
            head = stream.read(4096)
    except OSError as error:
        raise unreadable(path, error) from error
    text = f"{path.absolute()}\0{about.st_size}\0{about.st_mtime_ns}\0".encode("utf-8", "surrogateescape")
    return FileEntry(path, about.st_size, hashlib.sha256(text + head).hexdigest()[:24])


def unreadable(path: Path, error: OSError) -> FileProblem:
    """Return the error of a file that the system won't let us read."""
    return FileProblem(f"{clean(path, 200)} can't be read: {error.strerror or type(error).__name__}")


class _LineFile:
    """What CSV and JSON lines have in common."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self) -> None:
        """Raise FileProblem when the file can't be opened."""
        try:
            with self._path.open("rb") as stream:
                self._begin(stream)
        except OSError as error:
            raise unreadable(self._path, error) from error

    def chunks(self, offset: int, number: int, size: int = 0) -> Iterator[Chunk]:
        """Yield the records behind ``offset``, which ended line ``number``."""
        try:
            with self._path.open("rb") as stream:
                first = self._begin(stream)
                if offset:
                    stream.seek(offset)
                else:
                    number = first
                while True:
                    chunk = Chunk(number=number)
                    is_end = self._fill(stream, chunk, size or CHUNK_RECORDS)
                    chunk.offset, number = stream.tell(), chunk.number
                    yield chunk
                    if is_end:
                        return
        except OSError as error:
            raise unreadable(self._path, error) from error

    def _begin(self, stream: BinaryIO) -> int:
        """Read what comes before the records; return its number of lines."""
        if stream.read(len(_BOM)) != _BOM:
            stream.seek(0)
        return 0

    def _fill(self, stream: BinaryIO, chunk: Chunk, most: int) -> bool:
        size, records, readline, read = 0, chunk.records, stream.readline, self._read
        while len(records) < most and size < _CHUNK_BYTES:
            line = readline(LINE_LIMIT)
            if not line:
                return True
            size += len(line)
            chunk.number += 1
            if len(line) >= LINE_LIMIT and not line.endswith(b"\n"):
                _skip_line(stream)
                records.append(_bad(chunk.number, line, f"the line is longer than {LINE_LIMIT:,} bytes"))
            elif not line.isspace():
                records.append(read(chunk.number, line))
        return False

    def _read(self, number: int, line: bytes) -> Record:
        if b"\0" in line:
            return _bad(number, line, "the line holds a NUL character")
        try:
            text = line.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            return _bad(number, line, "the line is not UTF-8")
        return self._parse(number, text)

    def _parse(self, number: int, text: str) -> Record:
        raise NotImplementedError


class CsvBars(_LineFile):
    """Comma-separated values under a header; columns in any order, unknown ones are ignored."""

    _columns: Sequence[str] = ()

    def _begin(self, stream: BinaryIO) -> int:
        super()._begin(stream)
        line = stream.readline(LINE_LIMIT)
        name = clean(self._path.name, 200)
        try:
            header = next(csv.reader([line.decode().rstrip("\r\n")], strict=True), [])
        except (UnicodeDecodeError, csv.Error) as error:
            raise FileProblem(f"{name} does not begin with a header: it is not CSV text") from error
        columns = [column.strip().lower() for column in header]
        missing = [column for column in REQUIRED if column not in columns]
        if missing:
            hint = f"the first line names the columns: {','.join(REQUIRED)}[,{','.join(OPTIONAL)}]"
            raise FileProblem(f"{name} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}", hint=hint)
        doubled = sorted({column for column in columns if column in REQUIRED and columns.count(column) > 1})
        if doubled:
            raise FileProblem(f"{name} names the column {doubled[0]} twice")
        self._columns = columns
        return 1

    def _parse(self, number: int, text: str) -> Record:
        if '"' in text:
            try:
                fields = next(csv.reader([text], strict=True))
            except (csv.Error, StopIteration):
                return Record(number, {}, text[:_RAW], "a quote is not closed, or stands within a field")
        else:
            fields = text.split(",")
        if len(fields) != len(self._columns):
            problem = f"{len(fields)} fields instead of {len(self._columns)}"
            return Record(number, {}, text[:_RAW], problem)
        return Record(
            number, dict(zip(self._columns, fields, strict=False)), text[:_RAW]
        )  # as many as there are columns


class JsonBars(_LineFile):
    """One JSON object a line, with long names or the provider's short ones; decimals keep their digits."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)

    def _parse(self, number: int, text: str) -> Record:
        try:
            found = self._decoder.decode(text)
        except msgspec.ValidationError:
            return Record(number, {}, text[:_RAW], "the line is not a JSON object")
        except (msgspec.DecodeError, RecursionError, ArithmeticError):
            return Record(number, {}, text[:_RAW], "the line is not JSON")
        return Record(number, {SHORT.get(name, name): value for name, value in found.items()}, text[:_RAW])


class _ParquetFile:
    """Rows of a Parquet file; the offset is a row's number too."""

    def __init__(self, path: Path) -> None:
        self._name = clean(path.name, 200)
        self._bars = ParquetBars(path)

    def check(self) -> None:
        """Raise FileProblem when the file is not Parquet or lacks a column."""
        missing = [name for name in REQUIRED if name not in self._names().values()]
        if missing:
            raise FileProblem(f"{self._name} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}")

    def chunks(self, offset: int, number: int, size: int = 0) -> Iterator[Chunk]:
        """Yield the rows behind ``number``."""
        names = self._names()
        wanted = [name for name, long in names.items() if long in (*REQUIRED, *OPTIONAL)]
        for rows in self._bars.batches(wanted, number, size or CHUNK_RECORDS):
            chunk = Chunk(number=number)
            for row in rows:
                chunk.number += 1
                values = {names[name]: value for name, value in row.items()}
                chunk.records.append(Record(chunk.number, values, ""))
            number = chunk.number
            chunk.offset = self._bars.offset_of(number)
            yield chunk

    def _names(self) -> dict[str, str]:
        columns = [(name, name.strip().lower()) for name in self._bars.columns()]
        return {name: SHORT.get(lower, lower) for name, lower in columns}


def _skip_line(stream: BinaryIO) -> None:
    while (more := stream.readline(_SKIP)) and not more.endswith(b"\n"):
        pass


def _bad(number: int, line: bytes, problem: str) -> Record:
    return Record(number, {}, line[:_RAW].decode("utf-8", "replace").rstrip("\r\n"), problem)


_FORMATS: Final[Mapping[str, Callable[[Path], BarFile]]] = {
    ".csv": CsvBars,
    ".jsonl": JsonBars,
    ".ndjson": JsonBars,
    ".parquet": _ParquetFile,
}
