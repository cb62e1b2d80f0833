"""Indexes built, rebuilt and dropped without stopping anybody's writes, one statement after the other.

A build that fails, is cancelled or whose server dies leaves an invalid index that costs every write and serves nobody:
it is cleared away at once where that is possible, and looked for before anything is built. What stands behind a
constraint is never dropped here, whoever asks.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from qsuite_console.config.settings import TableSettings
from qsuite_console.db import queries
from qsuite_console.db.database import Database
from qsuite_console.db.errors import DatabaseBusy, DatabaseError, DatabaseRejected
from qsuite_console.db.index_catalogue import (
    CATALOGUE,
    Existing,
    Recommended,
    Shape,
    State,
    index_name,
    is_equal,
    judge,
)
from qsuite_console.db.maintenance import Maintenance, Watch
from qsuite_console.db.panels import PanelReader, Rows
from qsuite_console.db.schema import quote_table

_log: Final = logging.getLogger(__name__)
LOCK_TIMEOUT: Final = "2s"  # for what locks a table for a moment
TRIES: Final = 5
_CLEARING_S: Final = 4.0  # for what a cancelled build leaves, before the cancellation goes on
_RESOLVE_S: Final = 5.0
_LEFTOVER: Final = re.compile(r"_cc(?:new|old)\d*$")  # of a REINDEX CONCURRENTLY that did not end


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A table that has or gets indexes. Sizes are the planner's; a partitioned one's are those of its parts."""

    oid: int
    name: str  # qualified and quoted
    kind: str
    may: bool
    role: str
    is_standby: bool
    pages: int
    bytes: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one of the recommended indexes stands; ``index`` is what serves, is broken, or has taken its name."""

    recommended: Recommended
    name: str
    state: State
    home: Home | None
    index: Existing | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A partitioned table or one of its parts."""

    oid: int
    parent: int | None
    level: int
    kind: str
    name: str
    short: str
    pages: int


def is_leftover(index: Existing) -> bool:
    """Return whether an invalid index is what a rebuild left, or a drop that did not end: good for nothing."""
    return not index.is_sound and (not index.is_live or _LEFTOVER.search(index.name) is not None)


def why_kept(index: Existing) -> str:
    """Return why an index must not be dropped, "" when it may be."""
    if index.constraint:
        return f"{index.name} stands behind the constraint {index.constraint}; drop the constraint, if anything"
    if index.is_attached:
        return f"{index.name} is a part of a partitioned index; drop that one"
    if index.is_replica_identity:
        return f"{index.name} is the replica identity of {index.table}"
    return ""


class IndexReader:
    """What is there, read on the panels' connection; every method raises DatabaseError.

    That connection has a search path of its own: names are resolved on one of the pool's.
    """

    def __init__(self, database: Database, panels: PanelReader, tables: TableSettings) -> None:
        self._database = database
        self._panels = panels
        self._tables = tables

    async def standings(self) -> tuple[Standing, ...]:
        """Return every recommended index with its state."""
        wanted = {one.table: quote_table(one.table_of(self._tables)) for one in CATALOGUE}
        known = await self._resolve(sorted(set(wanted.values())))
        rows = {row["oid"]: row for row in await self._panels.rows("care_tables", list(known.values()))}
        homes = {name: _home(rows[oid]) for name, oid in known.items() if oid in rows}
        indexes = await self.indexes(tables=[home.oid for home in homes.values()])
        found = []
        for one in CATALOGUE:
            home = homes.get(wanted[one.table])
            state: State = "no table"
            index = None
            if home is not None:
                there = [each for each in indexes if each.table_oid == home.oid]
                state, index = judge(one, self._tables, there)
            name = one.name(self._tables)
            found.append(Standing(recommended=one, name=name, state=state, home=home, index=index))
        return tuple(found)

    async def home(self, table: str) -> Home | None:
        """Return a table by its name as SQL, None when there is none."""
        rows = await self._panels.rows("care_tables", list((await self._resolve([table])).values()))
        return _home(rows[0]) if rows else None

    async def indexes(
        self, *, tables: Sequence[int] = (), oids: Sequence[int] = (), name: str = "", faulty: bool = False
    ) -> tuple[Existing, ...]:
        """Return indexes of tables, by oid, by name with or without schema, or all that are broken."""
        known = list((await self._resolve([name])).values()) if name else []
        short = "" if known else name  # else in whichever schema it is
        rows = await self._panels.rows("care_indexes", list(tables), [*oids, *known], short, faulty)
        return tuple(_existing(row) for row in rows)

    async def tree(self, table: int) -> tuple[Node, ...]:
        """Return a partitioned table and all below it, parents first."""
        return tuple(Node(**row) for row in await self._panels.rows("care_tree", table))

    async def leaves(self, index: int) -> tuple[int, ...]:
        """Return the parts of an index that hold entries, or itself."""
        return tuple(row["oid"] for row in await self._panels.rows("care_leaves", index))

    async def size(self, index: Existing) -> int:
        """Return its bytes; of a locked one what the planner knows."""
        try:
            rows = await self._panels.rows("care_size", list(await self.leaves(index.oid)))
        except DatabaseBusy:
            return index.bytes
        return int(rows[0]["bytes"] or 0)

    async def _resolve(self, names: Sequence[str]) -> dict[str, int]:
        """Return name as SQL -> oid, of what there is; what can't be the name of anything isn't there."""
        async with self._database.session("indexes", _RESOLVE_S) as connection:
            try:
                rows = await connection.fetch(queries.load("care_resolve"), list(names))
            except (asyncpg.InvalidNameError, asyncpg.FeatureNotSupportedError, asyncpg.PostgresSyntaxError):
                return {}
        return {row["name"]: row["oid"] for row in rows}

    async def transactions(self) -> Rows:
        """Return the oldest transactions that a concurrent build has to wait for."""
        return await self._panels.rows("care_transactions")


class IndexCare:
    """Changes indexes. ``mark`` finds its statements on the server, ``label`` names its session."""

    def __init__(
        self,
        database: Database,
        panels: PanelReader,
        reader: IndexReader,
        *,
        mark: str,
        label: str,
        lock_timeout_s: float,
    ) -> None:
        self._database = database
        self._maintenance = Maintenance(database, panels)
        self._reader = reader
        self._mark, self._label, self._lock_timeout_s = mark, label, lock_timeout_s

    async def build(self, home: Home, name: str, tail: str, shape: Shape, watch: Watch) -> None:
        """Build an index on a table or a partitioned one; what is there already is kept, what is broken replaced.

        ``tail`` is what follows the table in CREATE INDEX. Raises DatabaseError.
        """
        if home.kind != "p":
            await self._one(home.oid, home.name, name, tail, shape, watch)
            return
        made: dict[int, str] = {}
        tree = await self._reader.tree(home.oid)
        for node in tree:
            own = name if node.oid == home.oid else index_name(node.short, _suffix(name))
            if node.kind == "p":
                made[node.oid] = await self._shell(node, own, tail, shape)
            else:
                made[node.oid] = await self._one(node.oid, node.name, own, tail, shape, watch)
        attached = {each.oid for each in await self._reader.indexes(tables=[n.oid for n in tree]) if each.is_attached}
        for node in sorted(tree, key=lambda each: -each.level):
            if node.parent is None:
                continue
            mine = next(iter(await self._reader.indexes(name=made[node.oid])), None)
            if mine is not None and mine.oid not in attached:
                await self._briefly(f"ALTER INDEX {made[node.parent]} ATTACH PARTITION {made[node.oid]}")
        found = await self._reader.indexes(name=made[home.oid])
        if found and not found[0].is_valid:
            raise DatabaseBusy(f"{name} is not complete yet: a partition came or went meanwhile")

    async def rebuild(self, index: Existing, watch: Watch) -> None:
        """Rebuild an index, a partitioned one part by part; raises DatabaseError."""
        for oid in await self._reader.leaves(index.oid):
            part = next(iter(await self._reader.indexes(oids=[oid])), None)
            if part is None:
                continue
            await self._clear(part)
            try:
                await self._run(f"REINDEX INDEX CONCURRENTLY {part.quoted}", watch)
            except BaseException as error:
                await self._tidy(part, error)
                raise

    async def drop(self, index: Existing, watch: Watch) -> None:
        """Drop an index that nothing depends on; raises DatabaseRejected for one that must be kept."""
        kept = why_kept(index)
        if kept:
            raise DatabaseRejected(kept)
        if index.kind == "I":
            await self._briefly(f"DROP INDEX IF EXISTS {index.quoted}")
        else:
            await self._run(f"DROP INDEX CONCURRENTLY IF EXISTS {index.quoted}", watch)

    async def _one(self, table: int, table_name: str, name: str, tail: str, shape: Shape, watch: Watch) -> str:
        """Build it on a plain table unless one like it is there; returns the name of the one that is, as SQL."""
        found = await self._reader.indexes(tables=[table])
        if any(each.is_building for each in found):
            raise DatabaseBusy(f"another session builds an index on {table_name}")
        for each in found:
            if is_equal(each.shape, shape) and each.is_sound:
                return each.quoted
        for each in found:
            if each.name == name and each.is_sound:
                raise DatabaseRejected(f"{name} is the name of another index of {table_name}", hint="rename that one")
            if each.name == name:
                await self.drop(each, watch)
        quoted = f"{_schema(table_name)}.{_quote(name)}"
        try:
            await self._run(f"CREATE INDEX CONCURRENTLY {_quote(name)} ON {table_name} {tail}", watch)
        except BaseException as error:
            await self._tidy_build(quoted, error)
            raise
        made = await self._reader.indexes(name=quoted)
        if not made or not made[0].is_sound:
            raise DatabaseBusy(f"{name} is not valid after its build")
        return made[0].quoted

    async def _shell(self, node: Node, name: str, tail: str, shape: Shape) -> str:
        """Make the partitioned index without its parts, unless it is there; returns its name as SQL."""
        for each in await self._reader.indexes(tables=[node.oid]):
            if is_equal(each.shape, shape):
                return each.quoted
        await self._briefly(f"CREATE INDEX {_quote(name)} ON ONLY {node.name} {tail}")
        return f"{_schema(node.name)}.{_quote(name)}"

    async def _clear(self, of: Existing) -> None:
        """Drop what rebuilds of an index left."""
        for other in await self._reader.indexes(tables=[of.table_oid]):
            if _is_left_of(other, of.name) and not other.is_building:
                await self.drop(other, _unwatched)

    async def _tidy(self, part: Existing, error: BaseException) -> None:
        """Clear away what a rebuild left that ended with ``error``."""
        await self._within(self._clear(part), part.name, error)

    async def _tidy_build(self, quoted: str, error: BaseException) -> None:
        async def clear() -> None:
            for each in await self._reader.indexes(name=quoted):
                if not each.is_sound and not each.is_building:
                    await self.drop(each, _unwatched)

        await self._within(clear(), quoted, error)

    async def _within(self, work: Coroutine[Any, Any, None], name: str, error: BaseException) -> None:
        """Do it within seconds; where it can't be done the next run, or ``repair``, finds what is left."""
        task = asyncio.ensure_future(asyncio.wait_for(work, _CLEARING_S))
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                continue
            except (DatabaseError, TimeoutError) as second:
                _log.warning("after %r what is left of %s could not be cleared away: %s", error, name, second)

    async def _run(self, statement: str, watch: Watch) -> None:
        await self._maintenance.run(
            statement, self._mark, self._label, self._lock_timeout_s, watch, progress="care_progress"
        )

    async def _briefly(self, statement: str) -> None:
        """Run what locks a table for a moment: it waits two seconds at a time, so that nobody queues behind it."""
        async with self._database.session(self._label) as connection:
            for number in range(1, TRIES + 1):
                try:
                    async with connection.transaction():
                        await connection.execute(
                            f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL statement_timeout = 0"
                        )
                        await connection.execute(f"{self._mark} {statement}")
                    return
                except asyncpg.LockNotAvailableError:
                    if number == TRIES:
                        raise
                    await asyncio.sleep(0.2 * number)


def question(one: Recommended, tables: TableSettings, version: int | None = None) -> str:
    """Return the query that a recommended index serves, with the tables of the settings."""
    text = queries.load(one.serves, version)
    for field in ("tickers", "market_data", "price_ticks", "calendar", "coverage"):
        text = text.replace(f"{{{{{field}}}}}", quote_table(getattr(tables, field)))
    return text


def tail_of(index: Existing) -> str:
    """Return what follows the table in the statement that makes an index."""
    return "USING " + index.definition.partition(" USING ")[2]


async def _unwatched(_: Any) -> None:
    """Nobody watches."""


def _is_left_of(other: Existing, name: str) -> bool:
    """Return whether ``other`` is what a rebuild of the index ``name`` left; names are cut to 63 bytes."""
    found = _LEFTOVER.search(other.name)
    return (
        found is not None
        and not other.is_sound
        and bool(found.start())
        and name.startswith(other.name[: found.start()])
    )


def _home(row: Mapping[str, Any]) -> Home:
    return Home(**{field: row[field] for field in Home.__dataclass_fields__})


def _existing(row: Mapping[str, Any]) -> Existing:
    given = dict(row)
    shape = Shape(tuple(given.pop("keys")), given.pop("method"), tuple(given.pop("include")), given.pop("predicate"))
    return Existing(shape=shape, **given)


def _suffix(name: str) -> str:
    """Return what tells the indexes of a partition apart: the end of the root's name."""
    return "_" + "_".join(name.split("_")[-2:])


def _schema(table: str) -> str:
    """Return the schema of a qualified, quoted name, as SQL."""
    if table.startswith('"'):
        return table[: table.index('".') + 1]
    return table.partition(".")[0]


def _quote(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
