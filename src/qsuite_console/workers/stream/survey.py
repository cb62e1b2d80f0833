"""Looks at source and destination before a copy, only reading: what is read, by which key, and whether it fits there.

Everything that can be known to fail is refused here, by name; single values that are too large are found on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from qsuite_console.db.relation import (
    Column,
    Relation,
    Rights,
    describe_query,
    describe_table,
    is_unsure,
    misfit,
    page_costs,
    rights_on,
    tables_like,
)
from qsuite_console.db.row_reader import CHUNK_ROWS, Selection
from qsuite_console.db.row_writer import Intake
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.text import clean
from qsuite_console.workers.stream.parameters import SourceParameters, StreamParameters
from qsuite_console.workers.stream.program import Program
from qsuite_console.workers.stream.transform import Transform, read_names

if TYPE_CHECKING:
    import asyncpg

_DEAR: Final = 0.5  # of the cost of reading all: what a page may cost before it is warned of


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is read and what becomes of it. ``page_cost``: of a page, as a share of reading all."""

    relation: Relation
    selection: Selection
    program: Program
    page_cost: float = 0.0
    warnings: list[str] = field(default_factory=list)

    @property
    def is_resumable(self) -> bool:
        """Return whether a copy goes on where it stopped."""
        return bool(self.selection.key)

    @property
    def signature(self) -> list[list[str]]:
        """Return the names and types of what is read."""
        return [[column.name, column.type] for column in self.selection.columns]


@dataclass(frozen=True, kw_only=True)
class Writing:
    """Where rows go in a table. ``is_one``: all in one transaction; ``is_kept``: the place is kept beside them."""

    intake: Intake
    rights: Rights
    is_one: bool
    is_kept: bool
    was_empty: bool
    warnings: list[str] = field(default_factory=list)


async def survey_source(connection: asyncpg.Connection, parameters: SourceParameters, transform: Transform) -> Reading:
    """Describe the source; raises InvalidParameters naming what is wrong."""
    relation = await _relation(connection, parameters)
    names = [column.name for column in relation.columns]
    if not names:
        raise InvalidParameters({_field(parameters): f"{relation.name} has no columns"})
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidParameters({_field(parameters): f"two columns are named {clean(', '.join(twice), 100)}: use AS"})
    key, is_checked = _key(relation, read_names(parameters.key))
    program = Program(transform, relation.columns, key)
    selection = Selection(relation=relation, columns=program.columns, key=key, is_checked=is_checked)
    reading = Reading(relation=relation, selection=selection, program=program)
    if is_checked and (relation.rows or 0) > 2 * CHUNK_ROWS:
        whole, page = await page_costs(connection, selection.select(), selection.page((), CHUNK_ROWS))
        if whole and page / whole > _DEAR:
            pages = (relation.rows or 0) // CHUNK_ROWS + 1
            reading.warnings.append(
                f"no index serves the key ({', '.join(key)}): each of about {pages:,} pages reads the whole source; "
                "without a key it is read once"
            )
    return reading


async def survey_table(
    connection: asyncpg.Connection, parameters: StreamParameters, reading: Reading, *, is_same_database: bool
) -> Writing:
    """Describe the destination and check that the rows fit; raises InvalidParameters naming what does not."""
    table = await describe_table(connection, parameters.to)
    if table is None or table.oid is None:
        raise InvalidParameters(
            {"to": f"there is no table {clean(parameters.to, 100)}{await _meant(connection, parameters.to)}"},
            hint=f"it must exist: CREATE TABLE … (LIKE {reading.relation.name} INCLUDING ALL)"
            if is_same_database and reading.relation.is_table
            else "it must exist: create it first",
        )
    if is_same_database and table.oid == reading.relation.oid:
        raise InvalidParameters({"to": f"{table.name} is the table that is read"})
    rights = await rights_on(connection, table.oid)
    outputs, stamp = reading.program.outputs, reading.program.transform.stamp
    columns, warnings = _fitting(table, outputs, stamp)
    key = _target_key(table, parameters, reading, [column.name for column in columns])
    is_one = not key and not reading.is_resumable
    is_kept = rights.may_keep and (reading.is_resumable or is_one)
    _check_rights(table, rights, upserts=bool(key), must_keep=not key)
    if rights.has_triggers:
        warnings.append(f"{table.name} has triggers: each row fires them")
    async with connection.transaction(readonly=True):
        was_empty = not await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table.sql})")
    intake = Intake(table=table, columns=columns, key=key, stamp=stamp)
    return Writing(intake=intake, rights=rights, is_one=is_one, is_kept=is_kept, was_empty=was_empty, warnings=warnings)


async def _relation(connection: asyncpg.Connection, parameters: SourceParameters) -> Relation:
    if parameters.query.strip():
        return await describe_query(connection, parameters.query)
    relation = await describe_table(connection, parameters.table)
    if relation is None:
        where = f" in {clean(parameters.source, 60)}" if parameters.source else ""
        meant = await _meant(connection, parameters.table)
        raise InvalidParameters({"table": f"there is no table {clean(parameters.table, 100)}{where}{meant}"})
    return relation


async def _meant(connection: asyncpg.Connection, name: str) -> str:
    alike = await tables_like(connection, name)
    return f"; did you mean {clean(', '.join(alike), 200)}?" if alike else ""


def _field(parameters: SourceParameters) -> str:
    return "query" if parameters.query.strip() else "table"


def _key(relation: Relation, asked: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Return the key to read by, and whether rows must be looked at since nothing says that it is unique."""
    if asked:
        names = [column.name for column in relation.columns]
        strange = [name for name in asked if name not in names]
        if strange:
            known = clean(", ".join(names), 300)
            raise InvalidParameters({"key": f"there is no column {clean(', '.join(strange), 100)}; known are {known}"})
        is_unique = any(key.is_total and set(key.columns) <= set(asked) for key in relation.keys)
        return tuple(dict.fromkeys(asked)), not is_unique
    return next(((key.columns, False) for key in relation.keys if key.is_total), ((), False))


def _fitting(table: Relation, outputs: Sequence[Column], stamp: str) -> tuple[tuple[Column, ...], list[str]]:
    """Return the destination's columns in the order of the rows; raises InvalidParameters for what does not fit."""
    wrong: list[str] = []
    unsure: list[str] = []
    found: list[Column] = []
    moment = Column(name=stamp, type="timestamp with time zone", base="timestamptz", modifier=-1)
    for column in (*outputs, *([moment] if stamp else [])):
        target = table.column(column.name)
        if target is None:
            wrong.append(f"{column.name} is not in {table.name}: leave it out (columns) or rename it")
        elif target.is_generated:
            wrong.append(f"{column.name} is generated there: leave it out (columns)")
        elif why := misfit(column, target):
            wrong.append(f"{column.name} {why}: cast {column.name}={target.type}")
        else:
            found.append(target)
            if is_unsure(column, target):
                unsure.append(f"{column.name} to {target.type}")
    names = {column.name for column in found}
    unfilled = [
        column.name
        for column in table.columns
        if column.is_required and not (column.has_default or column.is_generated or column.name in names)
    ]
    if unfilled:
        wrong.append(f"nothing fills {', '.join(unfilled)}, NOT NULL there")
    if wrong:
        more = f"; and {len(wrong) - 8} more" if len(wrong) > 8 else ""
        raise InvalidParameters({"to": clean("; ".join(wrong[:8]) + more, 1500)})
    told = [f"a query tells no digits: {', '.join(unsure)} rounds what has more"] if unsure else []
    return tuple(found), told


def _target_key(
    table: Relation, parameters: StreamParameters, reading: Reading, names: Sequence[str]
) -> tuple[str, ...]:
    """Return the columns that decide what is the same row in the destination, none where rows are only added."""
    asked = read_names(parameters.to_key)
    if asked:
        key = table.key_of(asked)
        if key is None:
            known = "; ".join(", ".join(key.columns) for key in table.keys) or "none"
            raise InvalidParameters(
                {"to_key": f"{table.name} has no unique key on ({clean(', '.join(asked), 100)}); it has: {known}"}
            )
        missing = [name for name in key.columns if name not in names]
        if missing:
            raise InvalidParameters({"to_key": f"{clean(', '.join(missing), 100)} is not among what is copied"})
        return key.columns
    read_by = [reading.program.transform.named(name) for name in reading.selection.key]
    for key in (table.key_of(read_by), *table.keys):
        if key is not None and set(key.columns) <= set(names):
            return key.columns
    return ()


def _check_rights(table: Relation, rights: Rights, *, upserts: bool, must_keep: bool) -> None:
    if rights.is_standby:
        raise InvalidParameters(
            {"to": "its server is a standby, which takes no rows; point the console at the primary"}
        )
    missing = [
        word
        for word, has, needed in (
            ("INSERT", rights.may_insert, True),
            ("SELECT", rights.may_select, True),
            ("UPDATE", rights.may_update, upserts),
        )
        if needed and not has
    ]
    if missing:
        raise InvalidParameters(
            {"to": f"the role {clean(rights.role, 60)} lacks {', '.join(missing)} on {table.name}"},
            hint=f"GRANT {', '.join(missing)} ON {table.name} TO {clean(rights.role, 60)}",
        )
    if must_keep and not rights.may_keep:
        raise InvalidParameters(
            {"to": f"{table.name} has no unique key, and the role {clean(rights.role, 60)} may not keep the place of "
                   "a copy beside it"},
            hint="GRANT CREATE ON DATABASE … for the schema qsuite_console, or give the table a key",
        )  # fmt: skip
