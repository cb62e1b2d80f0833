"""Whether two sets of rows are equal: how many there are, and a sum over a digest of each, whatever their order.

A row's digest is the first half of the MD5 of its values, each behind its length, so that no two rows look alike;
numbers count by their value (1.50 is 1.5), all else by what COPY writes of it. Python and PostgreSQL compute the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from qsuite_console.db.relation import Column, Relation, quote
from qsuite_console.db.row_reader import EXACT

_TRIMMED: Final = 13  # the first version with trim_scale
_NONE: Final = "-;"


@dataclass(frozen=True, slots=True)
class Digest:
    """Rows and the sum of their digests."""

    rows: int
    total: int


async def digest_of(
    connection: asyncpg.Connection, relation: Relation, columns: Sequence[Column], targets: Sequence[Column]
) -> Digest:
    """Return the digest of columns of a relation, read as the types of ``targets``, in one statement."""
    version = connection.get_server_version().major
    row = " || ".join(_part(column, target, version) for column, target in zip(columns, targets, strict=True))
    query = (
        f"SELECT count(*) AS rows, coalesce(sum(('x' || substr(md5({row}), 1, 16))::bit(64)::int8), 0)::text AS total "
        f"FROM {relation.sql}"
    )
    async with connection.transaction(readonly=True):
        await connection.execute(f"{EXACT}; SET LOCAL statement_timeout = 0")
        found = await connection.fetchrow(query, timeout=7 * 86_400.0)
    return Digest(found["rows"], int(found["total"]))


async def count_of(connection: asyncpg.Connection, relation: Relation) -> int:
    """Return how many rows there are."""
    async with connection.transaction(readonly=True):
        await connection.execute("SET LOCAL statement_timeout = 0")
        return int(await connection.fetchval(f"SELECT count(*) FROM {relation.sql}", timeout=7 * 86_400.0))


def digest_rows(rows: Iterable[Sequence[str | None]], numbers: Sequence[int]) -> Digest:
    """Return the digest of rows of text; ``numbers`` are the places of numeric values."""
    count = total = 0
    md5, from_bytes = hashlib.md5, int.from_bytes
    for row in rows:
        values = list(row)
        for place in numbers:
            values[place] = _trimmed(values[place])
        text = "".join([_NONE if value is None else f"{len(value)}:{value};" for value in values])
        total += from_bytes(md5(text.encode("utf-8"), usedforsecurity=False).digest()[:8], "big", signed=True)
        count += 1
    return Digest(count, total)


def _part(column: Column, target: Column, version: int) -> str:
    """Return what a column adds to its row's text; ``concat`` writes a value as COPY does."""
    value = quote(column.name)
    if target.base and column.base and column.base != target.base and target.base not in ("text", "varchar", "bpchar"):
        value = f"{value}::{target.base}"
    if (target.base or column.base) == "numeric" and version >= _TRIMMED:
        value = f"trim_scale({value})"
    return f"CASE WHEN {value} IS NULL THEN '{_NONE}' ELSE length(concat({value})) || ':' || concat({value}) || ';' END"


def _trimmed(value: str | None) -> str | None:
    return value.rstrip("0").rstrip(".") if value is not None and "." in value else value
