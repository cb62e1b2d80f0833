"""Writes chunks of COPY text into a table, each with its place in one transaction: all of it or nothing, and once.

COPY goes straight into the table as long as no key is taken (several times cheaper than any INSERT); where rows are
found, the chunk is merged through a temporary table, and only rows that differ are rewritten. What the table refuses is
halved until the rows to blame stand alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import asyncpg
from asyncpg.transaction import Transaction

from qsuite_console.db.errors import DatabaseError, DatabaseRejected
from qsuite_console.db.queries import load
from qsuite_console.db.relation import Column, Relation, quote
from qsuite_console.db.row_reader import EXACT
from qsuite_console.model.text import clean

REFUSED_LIMIT: Final = 1_000  # rows of one chunk that the table may refuse before the copy is given up
_STAGE: Final = "qsuite_stream_stage"
_LOCK: Final = 0x7153_7569_7468
_PIECE: Final = 256 * 1024
_WRITE_S: Final = 900.0
_DATA_STATES: Final = ("22", "23")
_COMPARED_AS_TEXT: Final = frozenset({"json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle", ""})


class StreamTaken(DatabaseError):
    """A later attempt of the same job writes the same copy: this one is a leftover."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Where rows go. ``key``: columns that decide what is the same row, empty to append; ``stamp`` is not compared."""

    table: Relation
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A line that the table refuses, and why."""

    line: bytes
    reason: str


@dataclass(slots=True)
class Written:
    """What came of a chunk."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: list[RefusedRow] = field(default_factory=list)


class RowWriter:
    """Holds one connection for the length of an attempt. Driver errors pass to the session that lent it."""

    def __init__(self, connection: asyncpg.Connection, intake: Intake, stream: str, attempt: int) -> None:
        self._connection = connection
        self._intake = intake
        self._stream = stream
        self._attempt = attempt
        self._is_straight = True
        self._is_kept = False
        self._whole: Transaction | None = None

    async def open(self, *, keeps: bool) -> str:
        """Return the state that was kept with the last rows, "" for none; the copy is this attempt's from now on.

        ``keeps``: whether the place is kept beside the table at all. Raises StreamTaken.
        """
        self._is_kept = keeps
        if not keeps:
            return ""
        connection = self._connection
        if await connection.fetchval("SELECT to_regclass('qsuite_console.stream') IS NULL"):
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
                await connection.execute("SET LOCAL client_min_messages = warning")
                if await connection.fetchval("SELECT to_regnamespace('qsuite_console') IS NULL"):
                    await connection.execute("CREATE SCHEMA qsuite_console")
                await connection.execute(load("stream_table"))
        state = await connection.fetchval(load("stream_open"), self._stream, self._attempt)
        if state is None:
            raise self._taken()
        return "" if state == "{}" else str(state)

    async def begin(self) -> None:
        """Let all that is written from now on become visible with ``commit``, or not at all."""
        self._whole = self._connection.transaction()
        await self._whole.start()
        await self._connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")

    async def commit(self) -> None:
        """Make visible what was begun, if anything was."""
        if self._whole is not None:
            await self._whole.commit()
            self._whole = None

    async def write(self, data: bytes, rows: int) -> Written:
        """Write whole lines; call it within ``chunk``."""
        written = Written()
        if rows:
            await self._store(data, written)
            written.unchanged = rows - written.created - written.updated - len(written.refused)
            if self._intake.key:
                self._is_straight = written.created == rows  # nobody was there before: COPY may go straight again
        return written

    @contextlib.asynccontextmanager
    async def chunk(self) -> AsyncIterator[None]:
        """Write a chunk and its place in one transaction."""
        async with self._connection.transaction():
            await self._connection.execute(f"{EXACT}; SET LOCAL statement_timeout = '{_WRITE_S:.0f}s'")
            yield

    async def keep(self, state: str) -> None:
        """Keep the state with the rows, where it is kept here; raises StreamTaken."""
        if not self._is_kept:
            return
        told = await self._connection.execute(load("stream_save"), self._stream, self._attempt, state)
        if not _count(told):
            raise self._taken()

    async def forget(self) -> None:
        """Remove the place of a copy that is complete."""
        if self._is_kept:
            await self._connection.execute(load("stream_forget"), self._stream)

    def _taken(self) -> StreamTaken:
        return StreamTaken("a later attempt of this job writes the copy", hint="this one is of no more use")

    async def _store(self, data: bytes, written: Written) -> None:
        if self._is_straight or not self._intake.key:
            try:
                async with self._connection.transaction():
                    written.created += await self._copy(data)
                return
            except asyncpg.UniqueViolationError as error:
                if not self._intake.key:
                    await self._halve(data, written, error)
                    return
                self._is_straight = False
            except asyncpg.PostgresError as error:
                if not _is_about_data(error):
                    raise
                await self._halve(data, written, error)
                return
        try:
            async with self._connection.transaction():
                created, updated = await self._merge(data)
            written.created += created
            written.updated += updated
        except asyncpg.PostgresError as error:
            if not _is_about_data(error):
                raise
            await self._halve(data, written, error)

    async def _halve(self, data: bytes, written: Written, error: asyncpg.PostgresError) -> None:
        lines = [line + b"\n" for line in data.split(b"\n")[:-1]]
        if len(lines) == 1:
            constraint = getattr(error, "constraint_name", None)
            reason = clean(str(error).partition("\nDETAIL: ")[0], 160)
            written.refused.append(RefusedRow(lines[0], constraint or reason))
            if len(written.refused) > REFUSED_LIMIT:
                raise DatabaseRejected(
                    f"{self._intake.table.name} refuses more than {REFUSED_LIMIT:,} rows of one chunk: {reason}",
                    hint="compare its constraints with what the source holds",
                    sqlstate=error.sqlstate or "",
                ) from error
            return
        middle = len(lines) // 2
        await self._store(b"".join(lines[:middle]), written)
        await self._store(b"".join(lines[middle:]), written)

    async def _copy(self, data: bytes) -> int:
        table = self._intake.table
        status: str = await self._connection.copy_to_table(
            table.table,
            source=_pieces(data),
            columns=[column.name for column in self._intake.columns],
            schema_name=table.schema,
            format="text",
            timeout=_WRITE_S,
        )
        return _count(status)

    async def _merge(self, data: bytes) -> tuple[int, int]:
        """Return how many rows are new and how many were changed; of rows with one key the last one counts."""
        intake, connection = self._intake, self._connection
        names = [column.name for column in intake.columns]
        columns = ", ".join(map(quote, names))
        key = ", ".join(map(quote, intake.key))
        await connection.execute(
            f"CREATE TEMP TABLE {_STAGE} ON COMMIT DROP AS SELECT {columns} FROM {intake.table.sql} WITH NO DATA"
        )
        await connection.copy_to_table(
            _STAGE, source=_pieces(data), columns=names, schema_name="pg_temp", format="text", timeout=_WRITE_S
        )
        insert = (
            f"INSERT INTO {intake.table.sql} AS b ({columns}) SELECT DISTINCT ON ({key}) {columns} "
            f"FROM pg_temp.{_STAGE} ORDER BY {key}, ctid DESC ON CONFLICT ({key}) DO"
        )
        created = _count(await connection.execute(f"{insert} NOTHING", timeout=_WRITE_S))
        updated = 0
        values = [column for column in intake.columns if column.name not in intake.key]
        compared = [column for column in values if column.name != intake.stamp]
        if compared:
            changes = ", ".join(f"{quote(column.name)} = excluded.{quote(column.name)}" for column in values)
            old, new = (", ".join(_comparable(of, column) for column in compared) for of in ("b", "excluded"))
            # Rows made by the first statement equal what the second one brings: it touches none of them.
            update = f"UPDATE SET {changes} WHERE ({old}) IS DISTINCT FROM ({new})"
            updated = _count(await connection.execute(f"{insert} {update}", timeout=_WRITE_S))
        await connection.execute(f"DROP TABLE pg_temp.{_STAGE}")
        return created, updated


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    """Yield what is sent at once: a file would be read by threads of the driver, each with an arena of memory."""
    for begin in range(0, len(data), _PIECE):
        yield data[begin : begin + _PIECE]


def _comparable(of: str, column: Column) -> str:
    name = f"{of}.{quote(column.name)}"
    return f"{name}::text" if column.base in _COMPARED_AS_TEXT else name


def _is_about_data(error: asyncpg.PostgresError) -> bool:
    """Return whether single rows are to blame: bad values or constraints, not a missing partition."""
    state = error.sqlstate or ""
    has_no_partition = state == "23514" and not getattr(error, "constraint_name", None)
    return state.startswith(_DATA_STATES) and not has_no_partition


def _count(status: str) -> int:
    return int(status.rsplit(" ", 1)[-1])
