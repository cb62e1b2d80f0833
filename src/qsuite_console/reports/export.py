"""A document for programs: JSON as it is, CSV with its tables. No spreadsheet takes a field of it for a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from qsuite_console.reports.document import Cell, Document, Table

_RISKY: Final = tuple("=+-@\t\r\n|%")
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


def as_json(document: Document) -> bytes:
    """Return the whole document, indented; numbers and instants as such beside the text people read."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def as_csv(document: Document) -> Iterator[bytes]:
    """Yield the tables; of several each begins with a line of its title and ends with an empty one."""
    tables = document.tables
    for number, table in enumerate(tables):
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer)
        if len(tables) > 1:
            writer.writerow([harmless(f"# {table.title}")])
        writer.writerow(_heads(table))
        writer.writerows([_plain(each) for each in row] for row in table.rows)
        if number + 1 < len(tables):
            buffer.write("\r\n")
        yield buffer.getvalue().encode("utf-8")


def _heads(table: Table) -> list[str]:
    return [harmless(f"{column.title} ({column.unit})" if column.unit else column.title) for column in table.columns]


def _plain(field: Cell) -> str:
    if field.value is None:
        return harmless("" if field.text == "–" else field.text)
    return repr(field.value) if isinstance(field.value, float) else harmless(str(field.value))


def harmless(text: str) -> str:
    """Return a field that a spreadsheet takes for text: a quote goes before what would begin a formula."""
    if _NUMBER.fullmatch(text) or not text.lstrip().startswith(_RISKY):
        return text
    return f"'{text}"
