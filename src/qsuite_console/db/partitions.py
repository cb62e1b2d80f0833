"""Monthly partitions made ahead of the rows; a table without partitions, or with other ones, is left as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Final

import asyncpg

from qsuite_console.db.bars import Destination
from qsuite_console.db.queries import load
from qsuite_console.db.schema import ensure_months, partition_name, quote_table

_LOCK: Final = 0x7153_7569_7467
_TRIES: Final = 5


async def prepare_months(
    connection: asyncpg.Connection, destination: Destination, months: Iterable[date]
) -> tuple[list[str], list[str]]:
    """Create the missing partitions for ``months`` (first days, UTC); return (names created, warnings)."""
    if not destination.is_partitioned:
        return [], []
    bounds = [
        (row["low"], row["high"])
        for row in await connection.fetch(load("partition_bounds"), quote_table(destination.table))
    ]
    created: list[str] = []
    warnings: list[str] = []
    for month in sorted(set(months)):
        start = datetime(month.year, month.month, 1, tzinfo=UTC)
        if any(low <= start < high for low, high in bounds):
            continue
        try:
            created += await _create(connection, destination.table, month)
        except asyncpg.CheckViolationError:
            warnings.append(f"the default partition of {destination.table} holds rows of {month:%Y-%m} already")
        except asyncpg.InvalidObjectDefinitionError:
            continue  # another partition reaches into the month
        except asyncpg.InsufficientPrivilegeError:
            warnings.append(f"this role may not create partitions of {destination.table}; the default one is used")
            break
    return created, warnings


async def _create(connection: asyncpg.Connection, table: str, month: date) -> tuple[str, ...]:
    """Create one partition; the parent is locked for a moment, so a busy table is tried several times."""
    for number in range(1, _TRIES + 1):
        try:
            async with connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = '2s'")
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
                return await ensure_months(connection, table, month, month)
        except asyncpg.LockNotAvailableError:
            if number == _TRIES:
                raise
            await asyncio.sleep(0.2 * number)
        except asyncpg.DuplicateTableError:
            return ()
    return (partition_name(table, month),)
