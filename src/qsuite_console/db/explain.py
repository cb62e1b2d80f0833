"""The plan of a statement without running it: EXPLAIN, never ANALYZE, one statement, in a read-only transaction.

The option list in parentheses keeps the text from adding ANALYZE, the extended protocol takes one statement only, and
what the planner itself evaluates can't write. A text with $1 is prepared, so that the plan is the one for any value.
"""

from __future__ import annotations

import re
from typing import Final

import asyncpg

from qsuite_console.db import queries
from qsuite_console.model.text import clean

PLAN_LINES: Final = 2000
_NAME: Final = "qsuite_console_explained"
_EXPLAINABLE: Final = ("select", "insert", "update", "delete", "merge", "values", "with", "table", "(")
_COMMENT: Final = re.compile(r"\s*(?:--[^\n]*(?:\n|$)|/\*.*?\*/)", re.DOTALL)


class CannotExplain(Exception):
    """There is no plan: ``why`` in a line, and what to do."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.hint = hint


def check_statement(text: str) -> str:
    """Return the statement to explain, without the semicolon at its end; raises CannotExplain for other commands."""
    stripped = text.strip().rstrip(";").strip()
    rest = stripped
    while (match := _COMMENT.match(rest)) is not None:
        rest = rest[match.end() :]
    first = re.match(r"\s*(\w+|\()", rest)
    word = first[1] if first else ""
    if word.lower() not in _EXPLAINABLE:
        what = f"{clean(word.upper(), 30)} has no plan" if word else "there is no statement"
        raise CannotExplain(what, "only SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES and WITH have one")
    if "\0" in stripped:
        raise CannotExplain("the statement has a zero byte")
    return stripped


async def explain(connection: asyncpg.Connection, statement: str, *, search_path: str) -> tuple[list[str], bool]:
    """Return the plan's lines and whether it is the generic one; raises CannotExplain and the driver's errors."""
    async with connection.transaction(readonly=True):
        await connection.fetch(queries.load("explain_scope"), search_path)
        try:
            async with connection.transaction():
                plan = await _plan(connection, statement)
        except asyncpg.PostgresSyntaxError as error:
            raise _refused(error) from error
        return (plan, False) if plan is not None else (await _generic(connection, statement), True)


async def _plan(connection: asyncpg.Connection, statement: str) -> list[str] | None:
    """Return the plan, None for a statement with parameters: bound to nulls it would be planned for nulls."""
    prepared = await connection.prepare(f"EXPLAIN (COSTS ON, FORMAT TEXT) {statement}", name="")
    if prepared.get_parameters():
        return None
    return [row[0] for row in (await prepared.fetch())[:PLAN_LINES]]


async def _generic(connection: asyncpg.Connection, statement: str) -> list[str]:
    try:
        async with connection.transaction():
            await connection.fetch(f"PREPARE {_NAME} AS {statement}")
    except (asyncpg.PostgresSyntaxError, asyncpg.IndeterminateDatatypeError) as error:
        raise _refused(error) from error
    try:
        async with connection.transaction():  # what fails inside must leave the name to be forgotten
            await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            count = await connection.fetchval(
                "SELECT cardinality(parameter_types) FROM pg_catalog.pg_prepared_statements WHERE name = $1", _NAME
            )
            rows = await connection.fetch(f"EXPLAIN (COSTS ON) EXECUTE {_NAME}({', '.join(['NULL'] * count)})")
    finally:
        await connection.execute(f"DEALLOCATE {_NAME}")
    return [row[0] for row in rows[:PLAN_LINES]]


def _refused(error: asyncpg.PostgresError) -> CannotExplain:
    text = clean(str(error).partition("\n")[0], 200)
    if "multiple commands" in text:
        return CannotExplain("it is more than one statement", "copy the one in question and explain it alone")
    if isinstance(error, asyncpg.IndeterminateDatatypeError):
        return CannotExplain(f"the types of its parameters can't be told: {text}")
    return CannotExplain(f"the server can't read it: {text}", "it may be cut, or have placeholders of a driver")
