"""What a copy can be told, for a table and for a file; the form, the flags and the validation are made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from qsuite_console.model.kinds import PATH
from qsuite_console.model.text import clean
from qsuite_console.workers.stream.syntax import BadExpression, parse
from qsuite_console.workers.stream.transform import read_names, read_pairs
from qsuite_console.workers.stream.values import parse_type

_LONG: Final = 20_000
CSV: Final = ".csv"
PARQUET: Final = ".parquet"


def _text(title: str, help_: str, example: str = "", limit: int = _LONG, **more: Any) -> msgspec.Meta:
    return msgspec.Meta(
        title=title, description=help_, examples=[example] if example else None, max_length=limit, **more
    )


Table = Annotated[str, _text("Table", "table or view to read", "price_ticks", 200)]
Query = Annotated[
    str,
    _text(
        "Query",
        "one SELECT to read instead of a table; anything else is refused",
        "SELECT * FROM price_ticks WHERE symbol = 'AAPL'",
    ),
]
Source = Annotated[
    str, _text("Source", "target of the configuration whose database is read, else this one's", "staging", 100)
]
ReadBy = Annotated[
    str,
    _text(
        "Key",
        "columns by which rows are read in pages and the copy resumes, else the table's primary key",
        "symbol,timestamp",
        1000,
    ),
]
ToTable = Annotated[
    str,
    _text("To", "table of this target that takes the rows; it must exist", "archive.price_ticks", 200, min_length=1),
]
ToKey = Annotated[
    str,
    _text(
        "Key there",
        "columns of a unique key there: rows that have it are updated; else the key read by, or its primary key",
        "symbol,timestamp",
        1000,
    ),
]
ToFile = Annotated[
    str,
    _text("To", "file that is made, .csv or .parquet", "bars.csv", 4096, min_length=1, extra_json_schema=PATH),
]
Columns = Annotated[str, _text("Columns", "columns to keep, else all", "symbol,close")]
Filter = Annotated[str, _text("Filter", "keep rows for which this is true", "volume > 0")]
Derive = Annotated[str, _text("Derive", "new columns, name=expression; …", "mid=round((high+low)/2, 4)")]
Casts = Annotated[str, _text("Cast", "other types, column=type, …", "close=numeric(20,8)")]
Rename = Annotated[str, _text("Rename", "other names, column=name, …", "timestamp=at")]
DropIncomplete = Annotated[
    bool, msgspec.Meta(title="Drop incomplete", description="leave out rows in which a column is NULL")
]
Stamp = Annotated[bool, msgspec.Meta(title="Stamp", description="add a column processed_at with the time of the copy")]
File = Annotated[
    str,
    _text(
        "Transform",
        "file (TOML or JSON) with filter, derive, cast, rename, columns, …; flags beat it",
        "bars.toml",
        4096,
        extra_json_schema=PATH,
    ),
]
Strict = Annotated[bool, msgspec.Meta(title="Strict", description="stop at the first row that can't be taken")]
Verify = Annotated[
    bool, msgspec.Meta(title="Verify", description="compare destination and source at the end, by a checksum")
]


class StreamParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows, into which table of the target, and what is done to them on their way."""

    table: Table = ""
    query: Query = ""
    to: ToTable
    source: Source = ""
    key: ReadBy = ""
    to_key: ToKey = ""
    columns: Columns = ""
    filter: Filter = ""
    derive: Derive = ""
    cast: Casts = ""
    rename: Rename = ""
    drop_incomplete: DropIncomplete = False
    processed_at: Stamp = False
    transform: File = ""
    strict: Strict = False
    verify: Verify = True


class FileParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows, into which file of this machine, and what is done to them on their way."""

    table: Table = ""
    query: Query = ""
    to: ToFile
    overwrite: Annotated[bool, msgspec.Meta(title="Overwrite", description="replace a file that is there")] = False
    source: Source = ""
    key: ReadBy = ""
    columns: Columns = ""
    filter: Filter = ""
    derive: Derive = ""
    cast: Casts = ""
    rename: Rename = ""
    drop_incomplete: DropIncomplete = False
    processed_at: Stamp = False
    transform: File = ""
    strict: Strict = False
    verify: Verify = True


SourceParameters = StreamParameters | FileParameters


def given_transform(parameters: SourceParameters) -> dict[str, Any]:
    """Return what the parameters themselves declare of the transform; raises ValueError."""
    return {
        "columns": read_names(parameters.columns),
        "filter": parameters.filter.strip(),
        "derive": read_pairs(parameters.derive),
        "cast": read_pairs(parameters.cast),
        "rename": read_pairs(parameters.rename),
        "drop_incomplete": parameters.drop_incomplete,
        "processed_at": parameters.processed_at,
    }


def check(parameters: SourceParameters) -> dict[str, str]:
    """Return field -> problem, without any I/O."""
    problems: dict[str, str] = {}
    if not parameters.table.strip() and not parameters.query.strip():
        problems["table"] = "name a table, or write a query"
    elif parameters.table.strip() and parameters.query.strip():
        problems["query"] = "either a table or a query, not both"
    if "\0" in parameters.query + parameters.table + parameters.to:
        problems["to"] = "holds a NUL character"
    readers: Mapping[str, Callable[[str], Any]] = {
        "derive": lambda text: [parse(each) for each in read_pairs(text).values()],
        "cast": lambda text: [parse_type(each) for each in read_pairs(text).values()],
        "rename": read_pairs,
        "filter": lambda text: parse(text) if text.strip() else None,
    }
    for name, read in readers.items():
        try:
            read(getattr(parameters, name))
        except (BadExpression, ValueError) as error:
            problems[name] = clean(error, 300)
    if isinstance(parameters, FileParameters) and Path(parameters.to).suffix.lower() not in (CSV, PARQUET):
        problems["to"] = f"{clean(Path(parameters.to).name, 100)} ends neither in .csv nor in .parquet"
    return problems
