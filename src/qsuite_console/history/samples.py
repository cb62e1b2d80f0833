"""Figures over time, in a file of their own: telemetry never endangers the history of jobs, nor waits for a disk.

Each value is kept as it was for an hour, as minimum, mean and maximum of a minute for a week and of a quarter of an
hour for 90 days; so the size is bounded by the number of figures. Callers leave values in memory, one thread writes
what has gathered. A row counts what it stands for, so a minute that a restart cuts in two is one row all the same.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from qsuite_console.history.files import BUSY_MS, open_for_reading, open_for_writing
from qsuite_console.history.migrations import Step
from qsuite_console.history.rows import moment, stamp
from qsuite_console.history.troubles import error_name, unavailable

SPANS: Final[Mapping[int, int]] = {0: 3600, 60: 7 * 86_400, 900: 90 * 86_400}  # seconds a row stands for -> kept
FLUSH_S: Final = 60.0  # each figure has a page of its own: the more values share a write, the less is written
WAL_PAGES: Final = 500
PRUNE_EVERY_S: Final = 60
MOST_NAMES: Final = 500
_WAITING: Final = 50_000
_SECOND: Final = 1_000_000
STEPS: Final[Sequence[Step]] = (
    (
        "0001_samples",
        (
            """CREATE TABLE names (
                id INTEGER PRIMARY KEY,
                target TEXT NOT NULL,
                name TEXT NOT NULL,
                title TEXT NOT NULL,
                unit TEXT NOT NULL,
                UNIQUE (target, name)
            )""",
            """CREATE TABLE points (
                span INTEGER NOT NULL,
                name INTEGER NOT NULL,
                at INTEGER NOT NULL,
                samples INTEGER NOT NULL,
                total REAL NOT NULL,
                low REAL NOT NULL,
                high REAL NOT NULL,
                PRIMARY KEY (span, name, at)
            ) WITHOUT ROWID""",
        ),
    ),
)
_ADD: Final = (
    "INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET samples = samples + excluded.samples,"
    " total = total + excluded.total, low = min(low, excluded.low), high = max(high, excluded.high)"
)
T = TypeVar("T")
log = logging.getLogger(__name__)


class Value(NamedTuple):
    """One measured figure."""

    at: datetime
    name: str
    title: str
    unit: str
    value: float


class Stored(NamedTuple):
    """One row as it is read: the mean, lowest and highest value of the stretch that begins at ``at``."""

    at: datetime
    mean: float
    low: float
    high: float


class Samples:
    """The figures of one target; made by ``open_samples``."""

    def __init__(self, connection: sqlite3.Connection, path: Path, target: str) -> None:
        self._connection = connection
        self._path = path
        self._target = target
        self._lock = threading.Lock()
        self._waiting: deque[Value] = deque(maxlen=_WAITING)
        self._names: dict[str, tuple[int, str, str]] = {}
        self._pruned_at = 0
        self._trouble = ""
        self._rounds = 0
        self._is_writing = False
        self._flushed = threading.Condition(self._lock)
        self._wake = threading.Event()
        self.is_closed = False
        self._reading: sqlite3.Connection | None = None
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="samples-reader")
        self._writer = threading.Thread(target=self._run, name="samples-writer", daemon=True)
        self._writer.start()

    def note(self, values: Iterable[Value]) -> None:
        """Keep values; never waits. While the disk refuses, the newest stay in memory, bounded."""
        with self._lock:
            self._waiting.extend(values)

    async def known(self) -> dict[str, tuple[str, str]]:
        """Return name -> (title, unit) of every figure there is; raises HistoryUnavailable."""
        return await self._ask(self._known)

    async def read(self, name: str, start: datetime, end: datetime, step_s: float, span: int) -> list[Stored]:
        """Return what is known of a figure in [start, end), at most one row each ``step_s``, oldest first.

        ``span`` is one of SPANS: of which rows. Raises HistoryUnavailable.
        """
        return await self._ask(lambda: self._read(name, stamp(start), stamp(end), max(1, int(step_s * _SECOND)), span))

    def flush(self, timeout_s: float = 2.0) -> bool:
        """Wait until what was noted before this call is readable; False if that took longer (a full disk)."""
        with self._flushed:
            goal = self._rounds + int(bool(self._waiting)) + int(self._is_writing)
            if goal > self._rounds:
                self._wake.set()
            return self._flushed.wait_for(lambda: self._rounds >= goal, timeout_s) and not self._trouble

    def close(self) -> None:
        """Write what waits and close the file."""
        self.is_closed = True
        self._wake.set()
        self._writer.join()
        self._reader.submit(self._close_reading).result()
        self._reader.shutdown()
        self._connection.close()

    # writing, in the writer's thread

    def _run(self) -> None:
        while not self.is_closed:
            self._wake.wait(FLUSH_S)
            self._wake.clear()
            self._round()
        self._round()

    def _round(self) -> None:
        with self._lock:
            values, self._waiting = list(self._waiting), deque(maxlen=_WAITING)
            self._is_writing = True
        try:
            if values:
                self._write(values)
            self._trouble = ""
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.rollback()
            self._names.clear()
            self._tell(error)
            with self._lock:
                self._waiting = deque([*values, *self._waiting], maxlen=_WAITING)
        with self._flushed:
            self._rounds += 1
            self._is_writing = False
            self._flushed.notify_all()

    def _tell(self, error: sqlite3.Error) -> None:
        name = error_name(error) or str(error)
        if name != self._trouble:
            log.warning("figures stay in memory: %s", unavailable(error, str(self._path)).message)
        self._trouble = name

    def _write(self, values: Sequence[Value]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        rows: dict[tuple[int, int, int], list[float]] = {}
        for value in values:
            number = self._number(value)
            if number is None:
                continue
            at = stamp(value.at)
            for span in SPANS:
                start = at - at % (span * _SECOND) if span else at
                row = rows.setdefault((span, number, start), [0, 0.0, value.value, value.value])
                row[0] += 1
                row[1] += value.value
                row[2], row[3] = min(row[2], value.value), max(row[3], value.value)
        connection.executemany(_ADD, [(*key, *row) for key, row in rows.items()])
        newest = stamp(values[-1].at) // _SECOND
        if abs(newest - self._pruned_at) >= PRUNE_EVERY_S:
            self._prune(newest)
        connection.execute("COMMIT")

    def _number(self, value: Value) -> int | None:
        """Return the number of a figure, None where there are too many: a bounded file needs a bounded list."""
        known = self._names.get(value.name)
        if known is not None and known[1:] == (value.title, value.unit):
            return known[0]
        if known is None and len(self._names) >= MOST_NAMES:
            return None
        (number,) = self._connection.execute(
            "INSERT INTO names (target, name, title, unit) VALUES (?, ?, ?, ?) ON CONFLICT (target, name)"
            " DO UPDATE SET title = excluded.title, unit = excluded.unit RETURNING id",
            (self._target, value.name, value.title, value.unit),
        ).fetchone()
        self._names[value.name] = (number, value.title, value.unit)
        return int(number)

    def _prune(self, now_s: int) -> None:
        self._pruned_at = now_s
        numbers = [row[0] for row in self._connection.execute("SELECT id FROM names").fetchall()]
        for span, kept_s in SPANS.items():
            before = (now_s - kept_s) * _SECOND
            self._connection.executemany(
                "DELETE FROM points WHERE span = ? AND name = ? AND at < ?",
                [(span, number, before) for number in numbers],
            )

    # reading, in the reader's thread

    async def _ask(self, query: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._translated, query)

    def _translated(self, query: Callable[[], T]) -> T:
        self.flush()
        try:
            return query()
        except sqlite3.Error as error:
            self._close_reading()
            raise unavailable(error, str(self._path)) from error

    def _close_reading(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _file(self) -> sqlite3.Connection:
        if self._reading is None:
            self._reading = open_for_reading(self._path)
        return self._reading

    def _known(self) -> dict[str, tuple[str, str]]:
        rows = self._file().execute("SELECT name, title, unit FROM names WHERE target = ?", (self._target,)).fetchall()
        return {name: (title, unit) for name, title, unit in rows}

    def _read(self, name: str, start: int, end: int, step: int, span: int) -> list[Stored]:
        rows = (
            self._file()
            .execute(
                "SELECT min(at), sum(total) / sum(samples), min(low), max(high) FROM points WHERE span = ?"
                " AND name = (SELECT id FROM names WHERE target = ? AND name = ?) AND at >= ? AND at < ?"
                " GROUP BY at / ? ORDER BY 1",
                (span, self._target, name, start, end, step),
            )
            .fetchall()
        )
        return [Stored(moment(at), mean, low, high) for at, mean, low, high in rows]


def samples_path(history: Path) -> Path:
    """Return the file of figures that lies beside a history file."""
    return history.with_name("samples.sqlite" if history.name == "history.sqlite" else f"{history.stem}-samples.sqlite")


def open_samples(path: Path, target: str, now: datetime, *, busy_ms: int = BUSY_MS) -> Samples:
    """Open the file for writing; only the owner of the history beside it may. Raises HistoryUnavailable."""
    connection, warning = open_for_writing(path, durability="normal", name="samples", steps=STEPS, now=now)
    connection.execute(f"PRAGMA busy_timeout = {busy_ms}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    if warning:
        log.warning("%s", warning)
    return Samples(connection, path, target)
