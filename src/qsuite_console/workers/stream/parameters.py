"""What a copy can be told, for a table and for a file; the form, the flags and the validation are made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from qsuite_console.model.kinds import PATH
from qsuite_console.model.text import clean
from qsuite_console.workers.stream.syntax import BadExpression, parse
from qsuite_console.workers.stream.transform import Transform, read_names, read_pairs
from qsuite_console.workers.stream.values import parse_type

_LONG: Final = 20_000
CSV: Final = ".csv"
PARQUET: Final = ".parquet"


class SourceParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows are read, and what is done to them on their way."""

    table: Annotated[
        str,
        msgspec.Meta(title="Table", description="table or view to read", examples=["price_ticks"], max_length=200),
    ] = ""
    query: Annotated[
        str,
        msgspec.Meta(
            title="Query",
            description="one SELECT to read instead of a table; anything else is refused",
            examples=["SELECT * FROM price_ticks WHERE symbol = 'AAPL'"],
            max_length=_LONG,
        ),
    ] = ""
    source: Annotated[
        str,
        msgspec.Meta(
            title="Source",
            description="target of the configuration whose database is read; empty: this one's",
            examples=["staging"],
            max_length=100,
        ),
    ] = ""
    key: Annotated[
        str,
        msgspec.Meta(
            title="Key",
            description="columns by which rows are read in pages and the copy resumes; empty: the table's primary key",
            examples=["symbol,timestamp"],
            max_length=1000,
        ),
    ] = ""
    columns: Annotated[
        str,
        msgspec.Meta(title="Columns", description="columns to keep; empty: all", examples=["symbol,close"],
                     max_length=_LONG),
    ] = ""  # fmt: skip
    filter: Annotated[
        str,
        msgspec.Meta(title="Filter", description="keep rows for which this is true", examples=["volume > 0"],
                     max_length=_LONG),
    ] = ""  # fmt: skip
    derive: Annotated[
        str,
        msgspec.Meta(
            title="Derive",
            description="new columns, name=expression; …",
            examples=["mid=round((high+low)/2, 4)"],
            max_length=_LONG,
        ),
    ] = ""
    cast: Annotated[
        str,
        msgspec.Meta(title="Cast", description="other types, column=type, …", examples=["close=numeric(20,8)"],
                     max_length=_LONG),
    ] = ""  # fmt: skip
    rename: Annotated[
        str,
        msgspec.Meta(title="Rename", description="other names, column=name, …", examples=["timestamp=at"],
                     max_length=_LONG),
    ] = ""  # fmt: skip
    drop_incomplete: Annotated[
        bool, msgspec.Meta(title="Drop incomplete", description="leave out rows in which a column is NULL")
    ] = False
    processed_at: Annotated[
        bool, msgspec.Meta(title="Stamp", description="add a column processed_at with the time of the copy")
    ] = False
    transform: Annotated[
        str,
        msgspec.Meta(
            title="Transform",
            description="file (TOML or JSON) with filter, derive, cast, rename, columns, …; flags beat it",
            examples=["bars.toml"],
            max_length=4096,
            extra_json_schema=PATH,
        ),
    ] = ""
    strict: Annotated[bool, msgspec.Meta(title="Strict", description="stop at the first row that can't be taken")] = (
        False
    )
    verify: Annotated[
        bool, msgspec.Meta(title="Verify", description="compare destination and source at the end, by a checksum")
    ] = True


class StreamParameters(SourceParameters, frozen=True, kw_only=True):
    """Into a table of the target."""

    to: Annotated[
        str,
        msgspec.Meta(
            title="To",
            description="table of this target that takes the rows; it must exist",
            examples=["archive.price_ticks"],
            min_length=1,
            max_length=200,
        ),
    ]
    to_key: Annotated[
        str,
        msgspec.Meta(
            title="Key there",
            description="columns of a unique key there: rows that have it are updated; empty: the key read by, or its "
            "primary key",
            examples=["symbol,timestamp"],
            max_length=1000,
        ),
    ] = ""


class FileParameters(SourceParameters, frozen=True, kw_only=True):
    """Into a file of this machine."""

    to: Annotated[
        str,
        msgspec.Meta(
            title="To",
            description="file that is made, .csv or .parquet",
            examples=["bars.csv"],
            min_length=1,
            max_length=4096,
            extra_json_schema=PATH,
        ),
    ]
    overwrite: Annotated[bool, msgspec.Meta(title="Overwrite", description="replace a file that is there")] = False


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
    if "\0" in parameters.query + parameters.table + parameters.to:  # type: ignore[attr-defined]  # both kinds have it
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


__all__ = ["CSV", "PARQUET", "FileParameters", "SourceParameters", "StreamParameters", "Transform", "check",
           "given_transform"]  # fmt: skip
