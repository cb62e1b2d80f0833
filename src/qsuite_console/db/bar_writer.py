"""Stores one page of bars with its ledger entries and checkpoint in one transaction: all of it or nothing.

COPY goes straight into the table where the range is known to be empty (3 times cheaper than any INSERT); where rows
are found after all, the same page is merged through a temporary table and only rows that differ are rewritten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from typing import Final

import asyncpg

from qsuite_console.db import ledger
from qsuite_console.db.bars import Destination
from qsuite_console.db.errors import DatabaseRejected
from qsuite_console.db.ledger import ChainState, Covered, Refused
from qsuite_console.model.text import clean

_STAGE: Final = "qsuite_backfill_stage"
_REFUSED_LIMIT: Final = 100  # rows of one page that the table itself may refuse before the page is given up
_DATA_STATES: Final = ("22", "23")


@dataclass(frozen=True, slots=True)
class PageWrite:
    """What one page changes. ``rows`` is COPY text in the order of the destination's columns."""

    rows: bytes
    count: int
    is_straight: bool
    covered: Sequence[Covered]
    chain: ChainState | None  # where to go on; None: the chain is complete
    chain_name: str
    refused: Sequence[Refused] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """Where pages go and under which names; the same for all pages of a run."""

    destination: Destination
    coverage: str
    timeframe: str
    ledger_name: str
    rivals: Sequence[str]
    plan: str
    job_id: int
    owners: Mapping[str, str]  # first column of a row -> symbol, where that is not the symbol itself
    origin: str = ""  # who sent the rows, where the table has a column for it; "" is the column's default


@dataclass(slots=True)
class Stored:
    """What came of a page: rows inserted or changed, how many of them are new, and bars that the table refused."""

    written: int = 0
    created: int = 0
    was_straight: bool = True
    refused: list[Refused] = field(default_factory=list)


async def store_page(connection: asyncpg.Connection, target: Target, page: PageWrite) -> Stored:
    """Write rows, ledger, checkpoint and quarantine in one transaction."""
    stored = Stored(was_straight=page.is_straight)
    async with connection.transaction():
        if page.count:
            await store_rows(connection, target, page.rows, stored)
        covered = _less_refused(page.covered, stored.refused)
        await ledger.forget(connection, target.coverage, target.rivals, covered)
        names = (target.timeframe, target.ledger_name)
        await ledger.extend_ledger(connection, target.destination, target.coverage, names, covered)
        if page.chain is None:
            await ledger.forget_chain(connection, target.plan, page.chain_name)
        else:
            await ledger.write_chain(connection, target.plan, page.chain, target.job_id)
        refused = [*page.refused, *stored.refused]
        await ledger.quarantine(connection, target.destination.table, target.timeframe, refused, target.job_id)
    return stored


async def store_rows(connection: asyncpg.Connection, target: Target, rows: bytes, stored: Stored) -> None:
    """Store COPY text into ``stored``, halved until the rows that the table refuses stand alone.

    Runs within the caller's transaction; raises DatabaseRejected when the table refuses too many.
    """
    if stored.was_straight:
        try:
            async with connection.transaction():
                copied = _count(await _copy(connection, target, rows))
            stored.written += copied
            stored.created += copied
            return
        except asyncpg.UniqueViolationError:
            stored.was_straight = False  # somebody wrote here since the plan: merge instead
        except asyncpg.PostgresError as error:
            if not _is_about_data(error):
                raise
            await _halve(connection, target, rows, stored, error)
            return
    try:
        async with connection.transaction():
            created, changed = await _merge(connection, target, rows)
        stored.written += created + changed
        stored.created += created
    except asyncpg.PostgresError as error:
        if not _is_about_data(error):
            raise
        await _halve(connection, target, rows, stored, error)


async def _halve(
    connection: asyncpg.Connection, target: Target, rows: bytes, stored: Stored, error: asyncpg.PostgresError
) -> None:
    lines = rows.splitlines(keepends=True)
    if len(lines) == 1:
        stored.refused.append(_refuse(target, lines[0], error))
        if len(stored.refused) > _REFUSED_LIMIT:
            raise DatabaseRejected(
                f"{target.destination.table} refuses most of what is fetched: {clean(error, 200)}",
                hint="compare the table's constraints with what the provider sends",
                sqlstate=error.sqlstate or "",
            ) from error
        return
    middle = len(lines) // 2
    await store_rows(connection, target, b"".join(lines[:middle]), stored)
    await store_rows(connection, target, b"".join(lines[middle:]), stored)


async def _copy(connection: asyncpg.Connection, target: Target, rows: bytes) -> str:
    schema, _, name = target.destination.table.rpartition(".")
    columns = list(target.destination.columns)
    if target.destination.origin and target.origin:
        columns.append(target.destination.origin)
        rows = rows.replace(b"\n", f"\t{target.origin}\n".encode())  # within a value COPY writes it as \\n
    status: str = await connection.copy_to_table(
        name, source=BytesIO(rows), columns=columns, schema_name=schema or None, format="text"
    )
    return status


async def _merge(connection: asyncpg.Connection, target: Target, rows: bytes) -> tuple[int, int]:
    """Return how many rows are new and how many were changed; what is the same already is left alone."""
    destination = target.destination
    columns = ", ".join(f'"{name}"' for name in destination.columns)
    key = ", ".join(f'"{name}"' for name in destination.key)
    values = [name for name in destination.columns if name not in destination.key]
    changes = [f'"{name}" = excluded."{name}"' for name in values]
    if destination.stamp:
        changes.append(f'"{destination.stamp}" = now()')
    into, sent = columns, columns
    if destination.origin:
        changes.append(f'"{destination.origin}" = ' + ("$1::text" if target.origin else "DEFAULT"))
        if target.origin:
            into, sent = f'{columns}, "{destination.origin}"', f"{columns}, $1::text"
    arguments = [target.origin] if destination.origin and target.origin else []
    old, new = (", ".join(f'{of}."{name}"' for name in values) for of in ("b", "excluded"))
    await connection.execute(
        f"CREATE TEMP TABLE {_STAGE} ON COMMIT DROP AS SELECT {columns} FROM {destination.quoted} WITH NO DATA"
    )
    await connection.copy_to_table(
        _STAGE, source=BytesIO(rows), columns=list(destination.columns), schema_name="pg_temp", format="text"
    )
    insert = (
        f"INSERT INTO {destination.quoted} AS b ({into}) SELECT {sent} FROM pg_temp.{_STAGE} ON CONFLICT ({key}) DO"
    )
    created = _count(await connection.execute(f"{insert} NOTHING", *arguments))
    # Rows made by the first statement equal what the second one brings: it touches none of them.
    update = f"UPDATE SET {', '.join(changes)} WHERE ({old}) IS DISTINCT FROM ({new})"
    changed = _count(await connection.execute(f"{insert} {update}", *arguments))
    await connection.execute(f"DROP TABLE pg_temp.{_STAGE}")
    return created, changed


def _is_about_data(error: asyncpg.PostgresError) -> bool:
    """Return whether single rows are to blame: bad values or constraints, not a missing partition."""
    state = error.sqlstate or ""
    has_no_partition = state == "23514" and not getattr(error, "constraint_name", None)
    return state.startswith(_DATA_STATES) and not has_no_partition


def _refuse(target: Target, line: bytes, error: asyncpg.PostgresError) -> Refused:
    text = line.decode("utf-8", "replace").rstrip("\n")
    fields = dict(zip(target.destination.columns, text.split("\t"), strict=False))
    owner = fields[target.destination.key[0]]
    constraint = getattr(error, "constraint_name", None)
    reason = f"the table refuses it: {constraint or clean(error, 120)}"
    return Refused(target.owners.get(owner, owner), datetime.fromisoformat(fields["timestamp"]), reason, text[:1000])


def _less_refused(covered: Sequence[Covered], refused: Sequence[Refused]) -> list[Covered]:
    """Take refused rows off the counts by which the table is verified later."""
    if not refused:
        return list(covered)
    lost: dict[str, int] = {}
    for item in refused:
        lost[item.symbol] = lost.get(item.symbol, 0) + 1
    return [Covered(item.symbol, item.low, item.high, max(0, item.bars - lost.get(item.symbol, 0))) for item in covered]


def _count(status: str) -> int:
    return int(status.rsplit(" ", 1)[-1])
