"""Creates the platform's missing tables and touches none that exist: an existing platform is adopted as it is.

Everything happens in one transaction under an advisory lock, so that two consoles starting on an empty database
don't race, and a failure leaves nothing half made.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from importlib import resources
from typing import Final

import asyncpg

from qsuite_console.config.settings import TableSettings

_LOCK_KEY: Final = 0x7153_7569_7465  # "qSuite": one number for all who create tables
_SECTION: Final = re.compile(r"^-- @table (.+)$", re.MULTILINE)
_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)(\.name)?(?:\+(\w+))?\}\}")
_IDENTIFIER_LIMIT: Final = 63  # bytes PostgreSQL keeps
MONTHS_AHEAD: Final = 3


async def create_schema(connection: asyncpg.Connection, tables: TableSettings) -> tuple[str, ...]:
    """Create the tables that are missing, with their indexes and partitions; return their names, none when all exist.

    Names may be schema-qualified; missing schemas are created. Driver errors pass to the session that lent
    ``connection``, which translates them.
    """
    created: list[str] = []
    async with connection.transaction():
        await connection.execute("SET LOCAL client_min_messages = warning")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK_KEY)
        for schema in _schemas(tables):
            if await connection.fetchval("SELECT to_regnamespace(quote_ident($1)) IS NULL", schema):
                await connection.execute(f"CREATE SCHEMA {_quote(schema)}")
        for name, statements in _sections(tables):
            if await connection.fetchval("SELECT to_regclass($1) IS NULL", name):
                await connection.execute(statements)
                created.append(_plain(name))
        today = datetime.now(UTC).date()
        for parent in (tables.price_ticks, "task_runs_partitioned"):
            if parent in created:
                await ensure_months(connection, parent, today, _add_months(today, MONTHS_AHEAD))
    return tuple(created)


async def ensure_months(connection: asyncpg.Connection, table: str, first: date, last: date) -> tuple[str, ...]:
    """Create the missing monthly partitions of ``table`` covering ``first`` to ``last`` (UTC); return their names.

    Bounds carry their offset, so that the session's time zone can't shift them. Raises the driver's CheckViolation
    when the default partition already holds rows of a missing month.
    """
    created: list[str] = []
    month = first.replace(day=1)
    while month <= last:
        following = _add_months(month, 1)
        name = partition_name(table, month)
        if await connection.fetchval("SELECT to_regclass($1) IS NULL", quote_table(name)):
            await connection.execute(
                f"CREATE TABLE {quote_table(name)} PARTITION OF {quote_table(table)} "
                f"FOR VALUES FROM ('{month} 00:00:00+00') TO ('{following} 00:00:00+00')"
            )
            created.append(name)
        month = following
    return tuple(created)


def partition_name(table: str, month: date) -> str:
    """Return the name of the partition of ``table`` for ``month``: ``price_ticks_p202611``."""
    schema, name = _split(table)
    short = name.encode()[: _IDENTIFIER_LIMIT - 8].decode(errors="ignore")
    return ".".join(filter(None, (schema, f"{short}_p{month:%Y%m}")))


def quote_table(table: str) -> str:
    """Return a table's name, schema-qualified or not, as a quoted SQL identifier."""
    schema, name = _split(table)
    return f"{_quote(schema)}.{_quote(name)}" if schema else _quote(name)


def _sections(tables: TableSettings) -> list[tuple[str, str]]:
    """Return (quoted table name, its statements) in the order in which they must be made."""
    text = resources.files("qsuite_console.db").joinpath("sql/schema.sql").read_text(encoding="utf-8")
    parts = _SECTION.split(text)[1:]
    rendered = [_render(part, tables) for part in parts]
    return [(_quoted(name.strip()), body) for name, body in zip(rendered[::2], rendered[1::2], strict=True)]


def _render(text: str, tables: TableSettings) -> str:
    def name_of(match: re.Match[str]) -> str:
        table, suffix = getattr(tables, match[1]), match[3] or ""
        schema, name = _split(table)
        full = name.encode()[: _IDENTIFIER_LIMIT - len(suffix)].decode(errors="ignore") + suffix
        return _quote(full) if match[2] or not schema else f"{_quote(schema)}.{_quote(full)}"

    return _PLACEHOLDER.sub(name_of, text)


def _schemas(tables: TableSettings) -> list[str]:
    named = (tables.tickers, tables.market_data, tables.price_ticks, tables.calendar, tables.coverage)
    return sorted({schema for schema, _ in map(_split, named) if schema})


def _split(table: str) -> tuple[str, str]:
    schema, _, name = table.rpartition(".")
    return schema, name


def _quote(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _quoted(name: str) -> str:
    return name if name.startswith('"') else _quote(name)


def _plain(name: str) -> str:
    return name.replace('"."', ".")[1:-1].replace('""', '"')


def _add_months(day: date, months: int) -> date:
    index = day.year * 12 + day.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)
