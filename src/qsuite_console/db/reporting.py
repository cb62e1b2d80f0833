"""One SELECT of an operator's own: in a transaction that may not write, cut by time and by rows, fetched by a cursor.

The transaction can't be made writable again once the statement has begun, and a prepared statement is a single one.
What a function with side effects does (ending a session, say) no transaction prevents: that is a matter of the role.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from qsuite_console.db.database import Database
from qsuite_console.db.errors import DatabaseRejected

_READS: Final = frozenset({"select", "with", "values", "table"})
_BLANK: Final = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)+", re.DOTALL)
_WORD: Final = re.compile(r"\(*\s*([A-Za-z]+)")
_LOCK_MS: Final = 250
_NUMBERS: Final = frozenset({"int2", "int4", "int8", "float4", "float8", "numeric", "oid"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The rows of a query, at most as many as were wanted; ``has_more``: there were others."""

    columns: tuple[str, ...]
    are_numbers: tuple[bool, ...]
    rows: tuple[tuple[Any, ...], ...]
    has_more: bool = False


def problem_of(sql: str) -> str:
    """Return why a text is not one reading statement as far as its beginning tells, "" if it is. Pure."""
    text = _BLANK.sub(" ", sql).strip()
    if not text:
        return "write a SELECT"
    found = _WORD.match(text)
    word = found[1].lower() if found else ""
    return (
        "" if word in _READS else f"begins with {word.upper() or text[:1]!r}; only SELECT, WITH, VALUES and TABLE read"
    )


async def select(database: Database, sql: str, label: str, *, budget_s: float, most_rows: int) -> Selected:
    """Run the statement and return its first rows; raises DatabaseError, also for what would write."""
    async with database.session(label, budget_s) as connection, connection.transaction(readonly=True):
        limit_ms = max(100, int(900 * budget_s))
        await connection.execute(f"SET LOCAL statement_timeout = {limit_ms}; SET LOCAL lock_timeout = {_LOCK_MS}")
        statement = await connection.prepare(sql.strip().rstrip(";"))
        attributes = statement.get_attributes()
        if not attributes:
            raise DatabaseRejected("the query returns no columns", hint="write a SELECT with at least one column")
        rows = await _first(statement, most_rows + 1)
    return Selected(
        columns=tuple(each.name for each in attributes),
        are_numbers=tuple(each.type.name in _NUMBERS for each in attributes),
        rows=tuple(tuple(row) for row in rows[:most_rows]),
        has_more=len(rows) > most_rows,
    )


async def _first(statement: Any, count: int) -> Sequence[asyncpg.Record]:
    cursor = await statement.cursor()
    found: Sequence[asyncpg.Record] = await cursor.fetch(count)
    return found
