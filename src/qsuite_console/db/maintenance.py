"""VACUUM, ANALYZE and builds of indexes, one after the other, watched and stopped from the panels' connection.

The statement carries a mark by which it is found in ``pg_stat_activity``: also behind a pooler, where nobody knows the
pid in advance. There no session can be given a lock timeout either, so a table that is locked is skipped instead of
waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from qsuite_console.db import queries
from qsuite_console.db.database import Database
from qsuite_console.db.errors import DatabaseBusy, DatabaseError
from qsuite_console.db.panels import PanelReader
from qsuite_console.model.text import clean

_log: Final = logging.getLogger(__name__)
LONGEST_S: Final = 7 * 86_400.0
_POLL_S: Final = 0.5
_STOP_S: Final = 8.0  # a backend comes to its next page, and to its end, sooner than that
_SETTLE_S: Final = 3.0  # until the server's statistics show what was done
_SETTLE_STEP_S: Final = 0.1
Watch = Callable[["Step"], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One table as it is now. ``name`` is qualified and quoted; ``may``: the role may maintain it."""

    oid: int
    name: str
    kind: str
    pages: int
    live: int
    dead: int
    modified: int
    bytes: int
    vacuumed_at: datetime | None
    analyzed_at: datetime | None
    xid_age: int | None
    at: datetime
    role: str
    is_standby: bool
    may: bool


@dataclass(frozen=True, slots=True)
class Step:
    """How far a statement is: its phase and the pages it has read of those there are."""

    phase: str
    scanned: int
    total: int


class Maintenance:
    """Finds tables, and vacuums or analyzes them; every method raises DatabaseError."""

    def __init__(self, database: Database, panels: PanelReader) -> None:
        self._database = database
        self._panels = panels

    async def find(self, name: str) -> int | None:
        """Return the oid of the table called ``name``, None when there is none."""
        try:
            async with self._database.session("vacuum find", 10.0) as connection:
                row = await connection.fetchrow(queries.load("maintenance_find", self._database.version), name)
        except DatabaseError as error:
            if error.sqlstate in ("42602", "42601", "0A000"):  # no name that a table could have
                return None
            raise
        return row["oid"] if row is not None and row["kind"] in ("r", "m", "p") else None

    async def alike(self, name: str) -> tuple[str, ...]:
        """Return the names of tables that ``name`` may have meant."""
        names = [row["name"] for row in await self._panels.rows("maintenance_names")]
        plain: dict[str, str] = {}
        for known in names:
            plain.setdefault(known.rpartition(".")[2].strip('"').lower(), known)
        wanted = name.rpartition(".")[2].strip('"').lower()
        return tuple(plain[found] for found in difflib.get_close_matches(wanted, plain, n=3, cutoff=0.6))

    async def needed(self, *, vacuums: bool, analyzes: bool) -> tuple[int, ...]:
        """Return the tables that have passed what starts autovacuum, or its ANALYZE; worst first, at most 1,000."""
        return tuple(row["oid"] for row in await self._panels.rows("maintenance_needed", vacuums, analyzes))

    async def leaves(self, oid: int) -> tuple[int, ...]:
        """Return the partitions of a partitioned table that hold rows."""
        return tuple(row["oid"] for row in await self._panels.rows("maintenance_leaves", oid))

    async def look(self, oids: Sequence[int]) -> tuple[Target, ...]:
        """Return these tables as they are, in this order; those that are gone are left out."""
        rows = {row["oid"]: row for row in await self._panels.rows("maintenance_tables", list(oids))}
        return tuple(Target(**rows[oid]) for oid in oids if oid in rows)

    async def size(self, oid: int) -> int | None:
        """Return the bytes of a table with all that belongs to it, None while it is locked or gone."""
        try:
            rows = await self._panels.rows("maintenance_size", oid)
        except DatabaseBusy:
            return None
        return None if rows[0]["bytes"] is None else int(rows[0]["bytes"])

    async def run(
        self,
        statement: str,
        mark: str,
        label: str,
        lock_timeout_s: float,
        watch: Watch,
        progress: str = "maintenance_progress",
    ) -> tuple[str, ...]:
        """Run a statement to its end and return the server's warnings; ``watch`` is told what ``progress`` finds.

        Cancelled, it cancels its own backend and waits for that before it lets go.
        """
        warnings: list[str] = []

        def hear(_: Any, message: Any) -> None:
            if message.severity_en in ("WARNING", "ERROR"):
                warnings.append(clean(message.message, 300))

        marked = f"{mark} {statement}"
        async with self._database.session(label) as connection:
            if not self._database.settings.pgbouncer:
                await connection.execute(f"SET statement_timeout = 0; SET lock_timeout = {int(lock_timeout_s * 1000)}")
            connection.add_log_listener(hear)
            running = asyncio.create_task(connection.execute(marked, timeout=LONGEST_S))
            try:
                while not (await asyncio.wait({running}, timeout=_POLL_S))[0]:
                    await self._tell(mark, watch, progress)
            except BaseException:
                await self._stopped(running, mark)
                raise
            finally:
                with contextlib.suppress(asyncpg.InterfaceError):  # lost, so the pool has it back already
                    if not connection.is_closed():
                        connection.remove_log_listener(hear)
            running.result()
        return tuple(warnings)

    async def settled(self, target: Target, *, vacuumed: bool, analyzed: bool) -> Target | None:
        """Return the table once the server's statistics know of what was done since ``target`` was looked at."""
        deadline = asyncio.get_running_loop().time() + _SETTLE_S
        while True:
            found = await self.look([target.oid])
            if not found:
                return None
            now = found[0]
            is_seen = (not vacuumed or _is_after(now.vacuumed_at, target.at)) and (
                not analyzed or _is_after(now.analyzed_at, target.at)
            )
            if is_seen or asyncio.get_running_loop().time() > deadline:
                return now
            await asyncio.sleep(_SETTLE_STEP_S)

    async def _tell(self, mark: str, watch: Watch, progress: str) -> None:
        try:
            rows = await self._panels.rows(progress, mark)
        except DatabaseError as error:
            # Not to know how far it is is no reason to end it; what concerns the statement its own connection tells.
            _log.debug("the progress of %s can't be read: %s", mark, error)
            return
        for row in rows[:1]:
            await watch(Step(clean(row["phase"], 60), row["scanned"] or 0, row["total"] or 0))

    async def _stopped(self, running: asyncio.Task[Any], mark: str) -> None:
        """Cancel the statement on the server and wait for its end, however often this task is cancelled meanwhile."""
        stopping = asyncio.ensure_future(self._stop(running, mark))
        while not stopping.done():
            try:
                await asyncio.shield(stopping)
            except asyncio.CancelledError:
                continue

    async def _stop(self, running: asyncio.Task[Any], mark: str) -> None:
        deadline = asyncio.get_running_loop().time() + _STOP_S
        while not running.done() and asyncio.get_running_loop().time() < deadline:
            try:
                await self._panels.rows("maintenance_cancel", mark)
            except DatabaseError:
                break  # the server is gone or hangs: the connection is cut below
            await asyncio.wait({running}, timeout=_POLL_S)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _is_after(at: datetime | None, then: datetime) -> bool:
    return at is not None and at >= then


def options(mode: str, flags: Mapping[str, bool]) -> str:
    """Return the statement's words up to the table's name: "VACUUM (ANALYZE, FREEZE)"."""
    chosen = [name.upper() for name, is_on in flags.items() if is_on]
    if mode == "vacuum_analyze":
        chosen.insert(0, "ANALYZE")
    return ("ANALYZE" if mode == "analyze" else "VACUUM") + (f" ({', '.join(chosen)})" if chosen else "")
