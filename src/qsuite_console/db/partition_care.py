"""Monthly partitions of any table partitioned by a range of time: made ahead, cleared of strays, removed when old.

A table whose parts are not whole UTC months is somebody else's scheme and left as it is. Every change takes the root's
lock for a moment only: two seconds are waited for it, several times, and never behind a long transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, TypeVar

import asyncpg

from qsuite_console.db.queries import load
from qsuite_console.db.schema import ensure_months, partition_name

T = TypeVar("T")
LOCK_TIMEOUT: Final = "2s"
TRIES: Final = 5
LONGEST_S: Final = 3600.0  # for what depends on the number of rows
_LOCK: Final = 0x7153_7569_7467  # the advisory lock that backfills take for the same purpose
_COUNTED: Final = 100_000  # strays are counted up to here


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A partitioned table. ``key`` is the column, ``type`` timestamptz, timestamp or date."""

    oid: int
    schema: str
    name: str
    key: str
    type: str
    default_oid: int | None
    default_name: str | None
    default_schema: str | None
    may: bool

    @property
    def table(self) -> str:
        """Return the name with its schema, unquoted."""
        return f"{self.schema}.{self.name}"

    @property
    def quoted(self) -> str:
        """Return the name as SQL."""
        return f"{_quote(self.schema)}.{_quote(self.name)}"

    @property
    def quoted_default(self) -> str:
        """Return the default partition as SQL; only where there is one."""
        return f"{_quote(self.default_schema or '')}.{_quote(self.default_name or '')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One partition, [low, high); an open end is None. ``rows`` is the planner's estimate."""

    oid: int
    schema: str
    name: str
    rows: int
    low: datetime | None
    high: datetime | None

    @property
    def is_month(self) -> bool:
        """Return whether it is exactly one UTC month."""
        return self.low is not None and self.high == next_month(self.low) and self.low == month_of(self.low)

    @property
    def quoted(self) -> str:
        """Return the name as SQL."""
        return f"{_quote(self.schema)}.{_quote(self.name)}"


def month_of(at: datetime) -> datetime:
    """Return the first instant of the UTC month that holds ``at``."""
    utc = at.astimezone(UTC)
    return datetime(utc.year, utc.month, 1, tzinfo=UTC)


def next_month(at: datetime, months: int = 1) -> datetime:
    """Return the first instant of the UTC month ``months`` after that of ``at`` (before it, where negative)."""
    index = at.astimezone(UTC).year * 12 + at.astimezone(UTC).month - 1 + months
    return datetime(index // 12, index % 12 + 1, 1, tzinfo=UTC)


async def read_roots(connection: asyncpg.Connection) -> list[Root]:
    """Return every table partitioned by one range of a time."""
    return [Root(**dict(row)) for row in await connection.fetch(load("partitioned_tables"))]


async def read_parts(connection: asyncpg.Connection, root: Root) -> list[Part]:
    """Return the partitions of a root, oldest first, without the default one.

    The server writes bounds in the session's style and zone, of which not every one can be read back: both are set.
    """
    async with connection.transaction():
        await connection.execute("SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL timezone = 'UTC'")
        return [Part(**dict(row)) for row in await connection.fetch(load("partitions_of"), root.oid, root.type)]


def missing_months(parts: Sequence[Part], now: datetime, ahead: int) -> list[date]:
    """Return the months from this one to ``ahead`` after it that no partition holds."""
    wanted = [next_month(now, months) for months in range(ahead + 1)]
    return [month.date() for month in wanted if not any(_holds(part, month) for part in parts)]


async def count_strays(connection: asyncpg.Connection, root: Root) -> dict[date, int]:
    """Return month -> rows in the default partition, oldest first; of very many only those that were looked at."""
    if root.default_oid is None:
        return {}
    key = f"{_quote(root.key)} AT TIME ZONE 'UTC'" if root.type == "timestamptz" else _quote(root.key)
    rows = await connection.fetch(
        f"SELECT date_trunc('month', z.at)::date AS month, count(*) AS strays "
        f"FROM (SELECT ({key})::timestamp AS at FROM {root.quoted_default} LIMIT {_COUNTED}) z GROUP BY 1 ORDER BY 1"
    )
    return {row["month"]: row["strays"] for row in rows}


async def create_month(connection: asyncpg.Connection, root: Root, month: date) -> tuple[str, str]:
    """Make one partition; returns (its name, "") or ("", why it was not made)."""

    async def create() -> tuple[str, str]:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        made = await ensure_months(connection, root.table, month, month)
        return (made[0], "") if made else ("", f"a table named {partition_name(root.table, month)} is in its place")

    try:
        return await _patiently(connection, create)
    except asyncpg.CheckViolationError:
        return "", f"the default partition holds rows of {month:%Y-%m}"
    except asyncpg.InvalidObjectDefinitionError:
        return "", f"another partition reaches into {month:%Y-%m}"


async def move_strays(connection: asyncpg.Connection, root: Root, months: Sequence[date]) -> int:
    """Make partitions for the months of strays and move the rows there, in one transaction; returns how many moved."""

    async def move() -> int:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(f"ALTER TABLE {root.quoted} DETACH PARTITION {root.quoted_default}")
        moved = 0
        for month in months:
            await ensure_months(connection, root.table, month, month)
            low = datetime(month.year, month.month, 1, tzinfo=UTC)
            bounds = (low, next_month(low)) if root.type == "timestamptz" else _plain(low, root.type)
            status = await connection.execute(
                f"WITH gone AS (DELETE FROM {root.quoted_default} WHERE {_quote(root.key)} >= $1 "
                f"AND {_quote(root.key)} < $2 RETURNING *) INSERT INTO {root.quoted} SELECT * FROM gone",
                *bounds,
                timeout=LONGEST_S,
            )
            moved += int(status.rsplit(" ", 1)[-1])
        attach = f"ALTER TABLE {root.quoted} ATTACH PARTITION {root.quoted_default} DEFAULT"  # reads what is left
        await connection.execute(attach, timeout=LONGEST_S)
        return moved

    return await _patiently(connection, move)


async def count_rows(connection: asyncpg.Connection, part: Part) -> int:
    """Return how many rows a partition holds, exactly."""
    async with connection.transaction(readonly=True):
        await connection.execute("SET LOCAL statement_timeout = 0")
        return int(await connection.fetchval(f"SELECT count(*) FROM {part.quoted}", timeout=LONGEST_S))


async def remove_part(connection: asyncpg.Connection, root: Root, part: Part, *, is_dropped: bool) -> None:
    """Detach a partition, which stays as a table of its own, or drop it with its rows."""

    async def remove() -> None:
        if is_dropped:
            await connection.execute(f"DROP TABLE {part.quoted}")
        else:
            await connection.execute(f"ALTER TABLE {root.quoted} DETACH PARTITION {part.quoted}")

    await _patiently(connection, remove)


async def _patiently(connection: asyncpg.Connection, change: Callable[[], Awaitable[T]]) -> T:
    """Do a change in a transaction of its own, again and again while the lock is taken."""
    for number in range(1, TRIES + 1):
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL statement_timeout = 0")
                return await change()
        except asyncpg.LockNotAvailableError:
            if number == TRIES:
                raise
            await asyncio.sleep(0.2 * number)
    raise AssertionError("unreachable")


def _holds(part: Part, month: datetime) -> bool:
    return (part.low is None or part.low <= month) and (part.high is None or month < part.high)


def _plain(low: datetime, kind: str) -> tuple[datetime | date, datetime | date]:
    """Return a month's bounds for a column without a time zone."""
    first, last = low.replace(tzinfo=None), next_month(low).replace(tzinfo=None)
    return (first.date(), last.date()) if kind == "date" else (first, last)


def _quote(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
