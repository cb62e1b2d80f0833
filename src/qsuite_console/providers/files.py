"""Local files of bars as streams of records: CSV, JSON lines, Parquet. What a record means is judged elsewhere.

A text file is read line by line, so that every record has a number and a byte offset to go on from; a quoted field
never spans lines, since no field of a bar needs to. Nothing larger than a chunk is ever in memory.
"""

from __future__ import annotations

import csv
import hashlib
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import msgspec

from qsuite_console.model.text import clean
from qsuite_console.providers.errors import FileProblem
from qsuite_console.providers.parquet import Batch, ParquetBars
from qsuite_console.providers.records import (
    OPTIONAL,
    REQUIRED,
    SHORT,
    Chunk,
    Columns,
    Lines,
    Record,
    Rows,
    by_column,
)

CHUNK_RECORDS: Final = 10_000
LINE_LIMIT: Final = 64 * 1024  # bytes; a bar takes about 100
FILES_LIMIT: Final = 10_000
_CHUNK_BYTES: Final = 4 * 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"
_SKIP: Final = 1024 * 1024
_RAW: Final = 500  # characters kept of a line that can't be read
_GROUP: Final = 256  # lines between two looks at how much they are
_TOO_LONG: Final = f"the line is longer than {LINE_LIMIT:,} bytes"


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
                is_end = False
                while not is_end:
                    lines, too_long, is_end = _read_lines(stream, size or CHUNK_RECORDS)
                    records = self._records(number + 1, lines, too_long)
                    number += len(lines)
                    yield Chunk(records, stream.tell(), number)
        except OSError as error:
            raise unreadable(self._path, error) from error

    def _begin(self, stream: BinaryIO) -> int:
        """Read what comes before the records; return its number of lines."""
        if stream.read(len(_BOM)) != _BOM:
            stream.seek(0)
        return 0

    def _records(self, first: int, lines: Sequence[bytes], too_long: Mapping[int, bytes]) -> Lines:
        """Return the records of lines of which the first has the number ``first``; blank lines are none."""
        numbers: Sequence[int] = range(first, first + len(lines))
        broken = {at: _bad(numbers[at], line, _TOO_LONG) for at, line in too_long.items()}
        whole = b"".join(lines)
        try:
            text = "" if b"\0" in whole else whole.decode()
        except UnicodeDecodeError:
            text = ""
        if not text:
            broken |= {at: bad for at, line in enumerate(lines) if (bad := _why_no_text(numbers[at], line))}
            text = "".join("\n" if at in broken else line.decode() for at, line in enumerate(lines))
        texts = text.removesuffix("\n").split("\n") if lines else []
        if "\r" in text:
            texts = [line.rstrip("\r") for line in texts]
        if "" in texts or any(map(str.isspace, texts)):
            kept = [at for at, line in enumerate(texts) if at in broken or not (line.isspace() or not line)]
            broken = {place: broken[at] for place, at in enumerate(kept) if at in broken}
            numbers, texts = [numbers[at] for at in kept], [texts[at] for at in kept]
        return Lines(numbers, texts, broken, self._parse, self._split)

    def _parse(self, number: int, text: str) -> Record:
        raise NotImplementedError

    def _split(self, texts: Sequence[str]) -> Columns:
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
        fields = _fields(text)
        if fields is None:
            return Record(number, {}, text[:_RAW], "a quote is not closed, or stands within a field")
        if len(fields) != len(self._columns):
            problem = f"{len(fields)} fields instead of {len(self._columns)}"
            return Record(number, {}, text[:_RAW], problem)
        return Record(number, dict(zip(self._columns, fields, strict=True)), text[:_RAW])

    def _split(self, texts: Sequence[str]) -> Columns:
        return by_column([_fields(text) if '"' in text else text.split(",") for text in texts], self._columns)


_SAMPLE: Final = 8  # lines that show which names a file uses
_WIDTH: Final = len(REQUIRED) + len(OPTIONAL)
_KEYS: Final = (*REQUIRED, *OPTIONAL, *SHORT)


def _form(names: Mapping[str, str]) -> type[msgspec.Struct]:
    """Return a record of JSON by ``names``, long -> as written; then come the other known names, which are odd there.

    Numbers with decimals become texts when it is read, as they were written.
    """
    fields: list[tuple[str, Any, Any]] = [("symbol", str, msgspec.NODEFAULT), ("timestamp", str, msgspec.NODEFAULT)]
    fields += [(name, Any, msgspec.NODEFAULT) for name in REQUIRED[2:]]
    fields += [(name, Any, "") for name in OPTIONAL]
    keys = {name: names.get(name, name) for name in (*REQUIRED, *OPTIONAL)}
    others = {f"other_{key}": key for key in _KEYS if key not in keys.values()}
    fields += [(name, Any, msgspec.UNSET) for name in others]
    return msgspec.defstruct("Bar", fields, rename=keys | others)


_SHORT: Final = {long: short for short, long in SHORT.items()}
_FORMS: Final[Sequence[Mapping[str, str]]] = ({}, _SHORT | {"symbol": "s"}, _SHORT | {"symbol": "S"})


class JsonBars(_LineFile):
    """One JSON object a line, with long names or the provider's short ones; decimals keep their digits."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
        self._usual = [msgspec.json.Decoder(_form(names), float_hook=str).decode for names in _FORMS]

    def _parse(self, number: int, text: str) -> Record:
        try:
            found = self._decoder.decode(text)
        except msgspec.ValidationError:
            return Record(number, {}, text[:_RAW], "the line is not a JSON object")
        except (msgspec.DecodeError, RecursionError, ArithmeticError):
            return Record(number, {}, text[:_RAW], "the line is not JSON")
        return Record(number, {SHORT.get(name, name): value for name, value in found.items()}, text[:_RAW])

    def _split(self, texts: Sequence[str]) -> Columns:
        for _ in _FORMS:
            if any(map(self._row, texts[:_SAMPLE])):
                break
            self._usual.append(self._usual.pop(0))  # the form of the file's first lines is tried first from then on
        return by_column([self._row(text) for text in texts], (*REQUIRED, *OPTIONAL))

    def _row(self, text: str) -> Sequence[str] | None:
        try:
            values = msgspec.structs.astuple(self._usual[0](text))
        except (msgspec.DecodeError, RecursionError):
            return None
        if values[_WIDTH:].count(msgspec.UNSET) + _WIDTH < len(values):
            return None
        return tuple(map(str, values[:_WIDTH]))


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
        for batch in self._bars.batches(wanted, number, size or CHUNK_RECORDS):
            rows = _rows(batch, number + 1, {name: names[name] for name in wanted})
            number += len(batch)
            yield Chunk(rows, self._bars.offset_of(number), number)

    def _names(self) -> dict[str, str]:
        columns = [(name, name.strip().lower()) for name in self._bars.columns()]
        return {name: SHORT.get(lower, lower) for name, lower in columns}


def _rows(batch: Batch, first: int, names: Mapping[str, str]) -> Rows:
    """Return a batch as records; ``names``: name in the file -> long name."""

    def read(place: int) -> Mapping[str, Any]:
        return {names[name]: value for name, value in batch.row(place).items()}

    def columns(low: int, high: int) -> Columns:
        return Columns(range(high - low), {long: batch.texts(name, low, high) for name, long in names.items()})

    return Rows(first, len(batch), read, columns)


def _read_lines(stream: BinaryIO, most: int) -> tuple[list[bytes], dict[int, bytes], bool]:
    """Return up to ``most`` lines, those by place that are too long to be read, and whether there are no more."""
    lines: list[bytes] = []
    too_long: dict[int, bytes] = {}
    size, readline = 0, stream.readline
    while len(lines) < most and size < _CHUNK_BYTES:
        before = stream.tell()
        group = [line for _ in range(min(_GROUP, most - len(lines))) if (line := readline(LINE_LIMIT))]
        if not group:
            return lines, too_long, True
        cut = next((at for at, line in enumerate(group) if len(line) >= LINE_LIMIT and line[-1:] != b"\n"), None)
        if cut is not None:
            too_long[len(lines) + cut] = group[cut]
            stream.seek(before + sum(map(len, group[: cut + 1])))
            while (more := readline(_SKIP)) and more[-1:] != b"\n":
                pass
            group[cut:] = [b"\n"]
        lines += group
        size += sum(map(len, group))
    return lines, too_long, False


def _fields(text: str) -> list[str] | None:
    """Return the fields of a line of CSV, None where its quotes are wrong."""
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration):
        return None


def _why_no_text(number: int, line: bytes) -> Record | None:
    if b"\0" in line:
        return _bad(number, line, "the line holds a NUL character")
    try:
        line.decode()
    except UnicodeDecodeError:
        return _bad(number, line, "the line is not UTF-8")
    return None


def _bad(number: int, line: bytes, problem: str) -> Record:
    return Record(number, {}, line[:_RAW].decode("utf-8", "replace").rstrip("\r\n"), problem)


_FORMATS: Final[Mapping[str, Callable[[Path], BarFile]]] = {
    ".csv": CsvBars,
    ".jsonl": JsonBars,
    ".ndjson": JsonBars,
    ".parquet": _ParquetFile,
}
