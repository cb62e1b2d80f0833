"""Reads rows of a table or query as COPY text, in chunks that are bounded in rows and in bytes.

By a key: page after page, each a short statement that begins behind the last key (never OFFSET), so that a copy goes on
where it stopped and holds no snapshot in between. Without one: a single statement in one snapshot, streamed from the
server's portal as fast as chunks are taken from it; it can only be begun anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from qsuite_console.db.errors import DatabaseRejected
from qsuite_console.db.relation import Column, Relation, literal, quote
from qsuite_console.model.copytext import NULL, fields_of, text_of
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.text import clean

CHUNK_BYTES: Final = 2 * 1024 * 1024
CHUNK_ROWS: Final = 50_000
_FIRST_PAGE: Final = 10_000  # rows, until it is known how long they are
_PAGE_BYTES: Final = 2 * CHUNK_BYTES
_PAGE_S: Final = 900.0
_WHOLE_S: Final = 7 * 86_400.0
# What a value's text depends on is the same for whoever reads and writes, also behind a pooler.
EXACT: Final = (
    "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, MDY'; SET LOCAL IntervalStyle = 'postgres'; "
    "SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; SET LOCAL client_encoding = 'UTF8'; "
    "SET LOCAL xmloption = 'content'; SET LOCAL jit = off"
)
Give = Callable[["Chunk"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole rows as COPY text. ``key``: the last row's key, as text, where rows are read by one."""

    data: bytes
    rows: int
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is read: columns of a relation, in this order, by ``key`` (none: in one go).

    ``is_checked``: nothing says that the key is unique, so every row is compared with the one before it.
    """

    relation: Relation
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    is_checked: bool = False

    def select(self) -> str:
        """Return the whole as a SELECT."""
        return f"SELECT {self._list()} FROM {self.relation.sql}"

    def page(self, after: Sequence[str], rows: int) -> str:
        """Return the SELECT of the rows behind a key, at most about ``rows``."""
        keys = ", ".join(quote(name) for name in self.key)
        where = f" WHERE ({keys}) > ({', '.join(self._literals(after))})" if after else ""
        # Rows that share a key, where that can be, come together, so that none is lost between two pages.
        limit = f"FETCH FIRST {rows} ROWS WITH TIES" if self.is_checked else f"LIMIT {rows}"
        return f"{self.select()}{where} ORDER BY {keys} {limit}"

    def places(self) -> tuple[int, ...]:
        """Return where in a row the columns of the key are."""
        names = [column.name for column in self.columns]
        return tuple(names.index(name) for name in self.key)

    def _list(self) -> str:
        return ", ".join(quote(column.name) for column in self.columns)

    def _literals(self, after: Sequence[str]) -> list[str]:
        types = {column.name: column.type for column in self.columns}
        return [f"{literal(value)}::{types[name]}" for name, value in zip(self.key, after, strict=True)]


class RowReader:
    """Gives the chunks of a selection to a callback, one after the other, waiting for it each time."""

    def __init__(self, connection: asyncpg.Connection, selection: Selection) -> None:
        self._connection = connection
        self._selection = selection
        self._places = selection.places()
        self._width = 0.0  # bytes a row, as measured
        self._previous: list[bytes] | None = None

    async def read(self, after: Sequence[str], give: Give) -> None:
        """Read all that follows the key ``after`` (empty: from the beginning); raises what the driver raises."""
        if not self._selection.key:
            await self._whole(give)
            return
        if self._selection.is_checked:
            await self._refuse_null()
        behind = tuple(after)
        while True:
            rows = self._page_rows()
            last = await self._page(behind, rows, give)
            if last is None:
                return
            behind = last

    async def _whole(self, give: Give) -> None:
        gathering = _Gathering(give, self._made)
        limits = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
        begin = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {EXACT}; {limits}"
        await self._copy(begin, self._selection.select(), gathering, _WHOLE_S)
        await gathering.flush()

    async def _page(self, after: tuple[str, ...], rows: int, give: Give) -> tuple[str, ...] | None:
        """Give a page; returns the key of its last row, None where nothing follows it."""
        gathering = _Gathering(give, self._made)
        # A page comes from its index; on a table without statistics the planner would sort all of it each time.
        calm = "" if self._selection.is_checked else "; SET LOCAL enable_sort = off"
        begin = f"BEGIN READ ONLY; {EXACT}; SET LOCAL statement_timeout = '{_PAGE_S:.0f}s'{calm}"
        await self._copy(begin, self._selection.page(after, rows), gathering, _PAGE_S)
        await gathering.flush()
        if gathering.rows:
            self._width = gathering.bytes / gathering.rows
        return None if gathering.rows < rows else gathering.key

    async def _copy(self, begin: str, query: str, gathering: _Gathering, timeout_s: float) -> None:
        connection = self._connection
        try:
            await connection.execute(begin)
            await connection.copy_from_query(query, output=gathering.take, timeout=timeout_s)
            await connection.execute("COMMIT")
        except asyncpg.ReadOnlySQLTransactionError as error:
            connection.terminate()
            raise InvalidParameters({"query": f"would change data: {clean(error, 200)}"}) from error
        except BaseException:
            # The driver can't get out of a COPY whose sender waits for us to read: such a connection is cut.
            connection.terminate()
            raise

    async def _refuse_null(self) -> None:
        """Raise where rows would never be reached: nothing is behind NULL."""
        missing = " OR ".join(f"{quote(name)} IS NULL" for name in self._selection.key)
        query = f"SELECT EXISTS (SELECT FROM {self._selection.relation.sql} WHERE {missing})"
        async with self._connection.transaction(readonly=True):
            await self._connection.execute(f"SET LOCAL statement_timeout = '{_PAGE_S:.0f}s'")
            if await self._connection.fetchval(query, timeout=_PAGE_S):
                raise self._bad([NULL] * len(self._selection.key), "some rows have NULL there")

    def _page_rows(self) -> int:
        if not self._width:
            return _FIRST_PAGE
        return max(100, min(CHUNK_ROWS, int(_PAGE_BYTES / self._width)))

    async def _made(self, data: bytes) -> Chunk:
        if self._selection.is_checked:
            await asyncio.to_thread(self._compare, data)
        return self._finish(data)

    def _finish(self, data: bytes) -> Chunk:
        if not self._selection.key:
            return Chunk(data, data.count(b"\n"))
        last = fields_of(data[data.rfind(b"\n", 0, -1) + 1 : -1])
        found = [last[place] for place in self._places]
        if NULL in found:
            raise self._bad(found, "NULL is no place to go on from")
        return Chunk(data, data.count(b"\n"), tuple(text_of(value) for value in found))

    def _compare(self, data: bytes) -> None:
        for line in data.split(b"\n")[:-1]:
            fields = line.split(b"\t")
            key = [fields[place] for place in self._places]
            if NULL in key:
                raise self._bad(key, "NULL is no place to go on from")
            if key == self._previous:
                raise self._bad(key, "two rows have it")
            self._previous = key

    def _bad(self, key: Sequence[bytes], why: str) -> DatabaseRejected:
        shown = ", ".join(
            f"{name}={'NULL' if value == NULL else text_of(value)}"
            for name, value in zip(self._selection.key, key, strict=True)
        )
        return DatabaseRejected(
            f"the rows can't be read by ({', '.join(self._selection.key)}): {clean(shown, 200)}: {why}",
            hint="name columns that together are unique and never NULL, or none: then it is read in one go",
        )


class _Gathering:
    """Puts what the driver brings together into chunks of whole rows."""

    def __init__(self, give: Give, make: Callable[[bytes], Awaitable[Chunk]]) -> None:
        self._give = give
        self._make = make
        self._parts: list[bytes] = []
        self._size = 0
        self._lines = 0
        self.rows = 0
        self.bytes = 0
        self.key: tuple[str, ...] = ()

    async def take(self, data: bytes) -> None:
        """Take a piece; hands on a chunk when there is enough for one."""
        self._parts.append(bytes(data))
        self._size += len(data)
        self._lines += data.count(b"\n")
        if self._size >= CHUNK_BYTES or self._lines >= CHUNK_ROWS:
            await self.flush()

    async def flush(self) -> None:
        """Hand on the whole rows there are."""
        whole, rest, self._parts = b"".join(self._parts), b"", []
        if not whole.endswith(b"\n"):  # a server sends whole rows, but nothing promises that
            end = whole.rfind(b"\n") + 1
            whole, rest = whole[:end], whole[end:]
            self._parts = [rest] if rest else []
        self._size, self._lines = len(rest), 0
        if whole:
            chunk = await self._make(whole)
            self.rows += chunk.rows
            self.bytes += len(whole)
            self.key = chunk.key
            await self._give(chunk)
