"""The one connection that writes, in the one thread that owns it. Waiting operations share a transaction (group
commit), so that many small facts cost one fsync; each gets its own answer once it is on disk. A transaction takes in
what arrives while it is open, for at most ``BUDGET_S``: nobody waits long behind a flood of others.

An operation raises a ConsoleError only before it has written anything; any other failure rolls the whole batch back
and runs its operations one by one. While the disk is full only essential operations (endings, checkpoints, deletes)
are tried; the rest is refused at once until ``probe`` finds room again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from qsuite_console.history.ballast import Ballast
from qsuite_console.history.figures import Figures
from qsuite_console.history.troubles import is_refused, unavailable
from qsuite_console.model.errors import ConsoleError, HistoryUnavailable

BATCH: Final = 64
BUDGET_S: Final = 0.004
TURN: Final = 8  # operations without a lane that may pass before a lane has its turn
IDLE_S: Final = 1.0
T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Transaction:
    """What an operation works with."""

    connection: sqlite3.Connection
    figures: Figures = field(default_factory=Figures)


Work = Callable[[Transaction], Any]


@dataclass(slots=True)
class _Item:
    work: Work
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    is_essential: bool
    is_probe: bool = False
    is_refused: bool = False  # not even tried, since the disk refuses
    value: Any = None
    error: BaseException | None = None


def _settle(items: list[_Item]) -> None:
    for item in items:
        if item.future.done():
            continue
        if item.error is not None:
            item.future.set_exception(item.error)
        else:
            item.future.set_result(item.value)


class Writer:
    """Runs operations in order; ``run`` may be awaited on any loop."""

    def __init__(self, connection: sqlite3.Connection, path: str, ballast: Ballast) -> None:
        self._connection = connection
        self._path = path
        self._ballast = ballast
        self._urgent: deque[_Item] = deque()
        self._lanes: dict[str, deque[_Item]] = {}
        self._arrived = threading.Condition()
        self._refused: HistoryUnavailable | None = None
        self._is_closed = False
        self._has_log = False
        self._thread = threading.Thread(target=self._work, name="history-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[Transaction], T], *, is_essential: bool = False, lane: str = "") -> T:
        """Return what ``work`` returned, once it is durable. Raises HistoryUnavailable and what ``work`` raises.

        Work of named lanes takes turns, lane by lane; work without a lane goes before it, but for one turn in eight.
        """
        result: T = await self._put(work, is_essential=is_essential, lane=lane)
        return result

    async def probe(self) -> None:
        """Try a real write and the ballast; raises HistoryUnavailable while the disk refuses either."""
        await self._put(self._probe, is_probe=True)

    def _put(
        self, work: Work, *, is_essential: bool = False, is_probe: bool = False, lane: str = ""
    ) -> asyncio.Future[Any]:
        if self._is_closed:
            raise HistoryUnavailable("the history is closed", hint="the engine is stopping")
        loop = asyncio.get_running_loop()
        item = _Item(work, loop, loop.create_future(), is_essential, is_probe)
        with self._arrived:
            if lane:
                self._lanes.setdefault(lane, deque()).append(item)
            else:
                self._urgent.append(item)
            self._arrived.notify()
        return item.future

    def close(self) -> None:
        """Finish what waits and close the connection."""
        with self._arrived:
            self._is_closed = True
            self._arrived.notify()
        self._thread.join()

    def _work(self) -> None:
        while self._wait():
            if batch := self._commit():
                self._answer(batch)
                self._has_log = True
            else:
                self._fold_log()
        with contextlib.suppress(
            sqlite3.Error
        ):  # closing folds the log into the file; failing that, the next open does
            self._connection.execute("PRAGMA optimize")
        self._connection.close()

    def _fold_log(self) -> None:
        """Move the log into the file while nobody waits."""
        self._has_log = False
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            log.warning("the history's log was not folded into its file: %s", unavailable(error, self._path).message)

    def _wait(self) -> bool:
        """Wait for work, or for a moment without any after a commit; False once closed and done."""
        with self._arrived:
            while not (self._urgent or self._lanes):
                if self._is_closed:
                    return False
                if not self._arrived.wait(IDLE_S if self._has_log else None):
                    return True
        return True

    def _arrivals(self, taken: list[_Item]) -> Iterator[_Item]:
        """Yield what a transaction does, in order, and note it in ``taken``; what the disk refuses is only noted."""
        deadline = time.perf_counter() + BUDGET_S
        while len(taken) < BATCH and (not taken or time.perf_counter() < deadline):
            with self._arrived:
                if self._urgent and (not self._lanes or len(taken) % TURN != TURN - 1):
                    item = self._urgent.popleft()
                elif self._lanes:
                    lane = next(iter(self._lanes))
                    items = self._lanes.pop(lane)
                    item = items.popleft()
                    if items:
                        self._lanes[lane] = items  # to the end of the line
                else:
                    return
            taken.append(item)
            if self._refused is not None and not (item.is_essential or item.is_probe):
                item.is_refused = True
                item.error = HistoryUnavailable(self._refused.message, hint=self._refused.hint)
            else:
                yield item

    def _commit(self) -> list[_Item]:
        """Commit what waits and return all that has its answer now."""
        taken: list[_Item] = []
        try:
            self._transact(self._arrivals(taken))
        except Exception as error:
            if not taken:  # the transaction could not even begin: who waits must hear of it
                list(self._arrivals(taken))
            batch = [item for item in taken if not item.is_refused]
            if isinstance(error, sqlite3.Error) and (is_refused(error) or len(batch) == 1):
                self._commit_refused(batch, error)
            elif len(batch) == 1:
                batch[0].error = error
            else:
                self._commit_singly(batch)
        return taken

    def _commit_singly(self, batch: list[_Item]) -> None:
        for item in batch:
            try:
                self._transact([item])
            except sqlite3.Error as error:
                self._commit_refused([item], error)
            except Exception as error:
                item.error = error

    def _commit_refused(self, batch: list[_Item], error: sqlite3.Error) -> None:
        trouble = unavailable(error, self._path)
        if is_refused(error):
            self._refused = trouble
            essential = [item for item in batch if item.is_essential]
            if self._ballast.release() and essential:
                log.warning("%s; the reserve was released", trouble.message)
                batch = [item for item in batch if not item.is_essential]
                self._commit_singly(essential)
        for item in batch:
            item.error = HistoryUnavailable(trouble.message, hint=trouble.hint)

    def _transact(self, items: Iterable[_Item]) -> None:
        connection = self._connection
        transaction = Transaction(connection)
        connection.execute("BEGIN IMMEDIATE")
        try:
            for item in items:
                item.error = None
                try:
                    item.value = item.work(transaction)
                except ConsoleError as error:
                    item.error = error
            transaction.figures.write(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                    connection.execute("ROLLBACK")
            raise

    def _probe(self, transaction: Transaction) -> None:
        self._ballast.restore()
        transaction.connection.execute("INSERT OR REPLACE INTO probes VALUES (1, zeroblob(65536))")
        transaction.connection.execute("UPDATE probes SET body = zeroblob(0) WHERE id = 1")
        self._refused = None

    def _answer(self, batch: list[_Item]) -> None:
        loops: dict[asyncio.AbstractEventLoop, list[_Item]] = {}
        for item in batch:
            loops.setdefault(item.loop, []).append(item)
        for loop, items in loops.items():
            try:
                loop.call_soon_threadsafe(_settle, items)
            except RuntimeError:  # the asker's loop is closed: its facts are on disk, nobody waits for the answer
                log.debug("nobody waits for %d answers of the history", len(items))
