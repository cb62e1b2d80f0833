"""What rows are copied from and to: a table's or a query's columns with their exact types, keys and size.

A query is never run to be described: it is prepared as a subquery within a read-only transaction, which only a single
SELECT survives.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from qsuite_console.db.queries import load
from qsuite_console.db.schema import quote_table
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.text import clean

TABLES: Final = "rpvmf"
_PLAIN: Final = re.compile(r'("(?:[^"]|"")+"|[A-Za-z_][\w$]*)(\.("(?:[^"]|"")+"|[A-Za-z_][\w$]*))?')
_NUMERIC_BASE: Final = 4  # what PostgreSQL adds to precision and scale in a type's modifier
_TIMES: Final = ("time", "timetz", "timestamp", "timestamptz")
_MICROSECONDS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. ``base`` is the built-in type beneath ("numeric"), "" for others; ``modifier`` is None where a query
    does not tell it, -1 for none.
    """

    name: str
    type: str
    base: str
    modifier: int | None = None
    is_required: bool = False
    has_default: bool = False
    is_generated: bool = False

    @property
    def scale(self) -> int | None:
        """Return a numeric's digits behind the point, None where it has no limit or none is known."""
        if self.base != "numeric" or self.modifier is None or self.modifier < _NUMERIC_BASE:
            return None
        return (((self.modifier - _NUMERIC_BASE) & 0x7FF) ^ 1024) - 1024

    @property
    def precision(self) -> int | None:
        """Return a numeric's digits in all, None where it has no limit or none is known."""
        if self.base != "numeric" or self.modifier is None or self.modifier < _NUMERIC_BASE:
            return None
        return (self.modifier - _NUMERIC_BASE) >> 16 & 0xFFFF

    @property
    def fraction(self) -> int:
        """Return a time's digits behind the second."""
        return _MICROSECONDS if self.modifier is None or self.modifier < 0 else self.modifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Columns that no two rows share; ``is_total``: none of them is ever NULL."""

    columns: tuple[str, ...]
    is_primary: bool
    is_total: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A table or a query. ``sql`` stands behind FROM; ``rows`` is an estimate, None where there is none."""

    name: str
    sql: str
    columns: tuple[Column, ...]
    keys: tuple[Key, ...] = ()
    rows: int | None = None
    oid: int | None = None
    schema: str = ""
    table: str = ""

    @property
    def is_table(self) -> bool:
        """Return whether it is stored rather than computed."""
        return self.oid is not None

    def column(self, name: str) -> Column | None:
        """Return the column of that name."""
        return next((column for column in self.columns if column.name == name), None)

    def key_of(self, columns: Sequence[str]) -> Key | None:
        """Return the key over exactly these columns, in any order."""
        return next((key for key in self.keys if set(key.columns) == set(columns)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What the role may do with a table; ``may_keep``: a place in a copy can be kept beside it."""

    may_insert: bool
    may_update: bool
    may_select: bool
    is_standby: bool
    role: str
    has_triggers: bool
    may_keep: bool


async def describe_table(connection: asyncpg.Connection, name: str) -> Relation | None:
    """Return the table, view or partitioned table called ``name``, None where there is none."""
    text = name.strip()
    raw = text if _PLAIN.fullmatch(text) else ""
    row = await connection.fetchrow(load("stream_find"), raw or quote_table(text), quote_table(text))
    if row is None or row["kind"] not in TABLES:
        return None
    columns = tuple(Column(**dict(each)) for each in await connection.fetch(load("stream_columns"), row["oid"]))
    keys = tuple(
        Key(columns=tuple(each["columns"]), is_primary=each["is_primary"], is_total=each["is_total"])
        for each in await connection.fetch(load("stream_keys"), row["oid"])
    )
    sql = f"{quote(row['schema'])}.{quote(row['name'])}"
    async with connection.transaction(readonly=True):
        rows = await _estimate(connection, f"SELECT FROM {sql}")
    return Relation(
        name=f"{row['schema']}.{row['name']}",
        sql=sql,
        columns=columns,
        keys=keys,
        rows=rows,
        oid=row["oid"],
        schema=row["schema"],
        table=row["name"],
    )


async def tables_like(connection: asyncpg.Connection, name: str) -> list[str]:
    """Return the tables that ``name`` may have meant."""
    plain: dict[str, str] = {}
    for row in await connection.fetch(load("maintenance_names", connection.get_server_version().major)):
        plain.setdefault(row["name"].rpartition(".")[2].strip('"').lower(), row["name"])
    wanted = name.rpartition(".")[2].strip().strip('"').lower()
    return [plain[found] for found in difflib.get_close_matches(wanted, plain, n=3, cutoff=0.6)]


async def describe_query(connection: asyncpg.Connection, query: str) -> Relation:
    """Return what a SELECT answers with; raises InvalidParameters for anything else, and what the server says."""
    text = query.strip().rstrip(";").rstrip()
    sql = f"(\n{text}\n) AS source"
    async with connection.transaction(readonly=True):
        try:
            prepared = await connection.prepare(f"SELECT * FROM {sql}")
        except asyncpg.InsufficientPrivilegeError:
            raise
        except (asyncpg.SyntaxOrAccessError, asyncpg.FeatureNotSupportedError) as error:
            raise InvalidParameters(
                {"query": f"is not a single SELECT that can be read from: {clean(str(error), 200)}"},
                hint="write one SELECT without a semicolon; changes, SET and several statements are refused",
            ) from error
        found = prepared.get_attributes()
        types = await connection.fetch(load("stream_types"), [each.type.oid for each in found])
        rows = await _estimate(connection, f"SELECT * FROM {sql}")
    columns = tuple(
        Column(name=each.name, type=kind["type"], base=kind["base"]) for each, kind in zip(found, types, strict=True)
    )
    return Relation(name="the query", sql=sql, columns=columns, rows=rows)


async def page_costs(connection: asyncpg.Connection, select: str, page: str) -> tuple[float, float]:
    """Return the planner's costs of reading all and of reading a page."""
    async with connection.transaction(readonly=True):
        return (await _plan(connection, select))["Total Cost"], (await _plan(connection, page))["Total Cost"]


async def rights_on(connection: asyncpg.Connection, oid: int) -> Rights:
    """Return what the role of this connection may do."""
    row = await connection.fetchrow(load("stream_rights"), oid)
    return Rights(**dict(row))


def quote(identifier: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Return text as a SQL literal, the same whatever standard_conforming_strings says."""
    text = value.replace("'", "''")
    return "E'" + text.replace("\\", "\\\\") + "'" if "\\" in text else f"'{text}'"


def misfit(source: Column, target: Column) -> str:
    """Return why values of ``source`` do not fit ``target`` exactly, "" where they do (one may be too large)."""
    if source.base == target.base and source.base:
        return _narrowed(source, target)
    if source.type == target.type or target.base in _TEXTS or (source.base in _TEXTS and not target.base):
        return ""
    if target.base in _WIDER.get(source.base, ()):
        return _narrowed(source, target)
    return f"is {source.type} in the source and {target.type} in the destination"


def is_unsure(source: Column, target: Column) -> bool:
    """Return whether digits may be lost that the source does not declare: a query tells no scale."""
    if source.base == target.base == "numeric":
        return source.modifier is None and target.scale is not None
    return source.base == target.base and source.base in _TIMES and source.modifier is None and target.fraction < 6


def _narrowed(source: Column, target: Column) -> str:
    told = f"is {source.type} in the source and {target.type} in the destination, which would round it"
    if target.scale is not None:
        if source.base in ("float4", "float8"):
            return told
        scale = source.scale if source.scale is not None else target.scale + 1
        if source.base == "numeric" and source.modifier is not None and scale > target.scale:
            return told
        if source.base != "numeric" and target.scale < 0:
            return told
    if source.base in _TIMES and source.base == target.base and source.modifier is not None:
        return told if source.fraction > target.fraction else ""
    return ""


async def _estimate(connection: asyncpg.Connection, select: str) -> int:
    return int((await _plan(connection, select))["Plan Rows"])


async def _plan(connection: asyncpg.Connection, select: str) -> dict[str, float]:
    text = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {select}")
    plan: dict[str, float] = json.loads(text)[0]["Plan"]
    return plan


_TEXTS: Final = ("text", "varchar", "bpchar")
_WIDER: Final = {
    "int2": ("int4", "int8", "numeric", "float4", "float8"),
    "int4": ("int2", "int8", "numeric", "float8"),
    "int8": ("int2", "int4", "numeric"),
    "float4": ("float8", "numeric"),
    "float8": ("numeric",),
    "json": ("jsonb",),
    "jsonb": ("json",),
    "date": ("timestamp", "timestamptz"),
    "text": ("name",),
    "varchar": ("name",),
    "name": ("text",),
}
