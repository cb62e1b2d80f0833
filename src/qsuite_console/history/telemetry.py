"""Log lines, newest progress and throughput points, in a file of their own with ``synchronous=NORMAL``.

Losing the last quarter second of these in a power cut is harmless, so they never wait for a disk: callers leave them
in memory and one thread writes what has gathered, at most four times a second. While the disk refuses, the newest
lines stay in memory, bounded.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Final

from qsuite_console.history.rows import stamp, to_json
from qsuite_console.history.troubles import error_name
from qsuite_console.model.jobs import LogLine, Progress

TAIL: Final = 1000  # lines kept of each job
POINTS: Final = 600  # throughput points kept of each job
INTERVAL_S: Final = 0.25
POINT_EVERY_US: Final = 1_000_000
_WAITING: Final = 20_000
_KNOWN_JOBS: Final = 2_000
log = logging.getLogger(__name__)


class Telemetry:
    """Gathers in memory, writes in its own thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._lines: deque[LogLine] = deque(maxlen=_WAITING)
        self._progress: dict[int, Progress] = {}
        self._forgotten: list[int] = []
        self._numbers: OrderedDict[int, int] = OrderedDict()
        self._pointed: OrderedDict[int, tuple[int, int]] = OrderedDict()  # job -> (stamp, points) of its throughput
        self._work = threading.Event()
        self._stop = threading.Event()
        self._flush_asked = threading.Event()
        self._flushed = threading.Condition(self._lock)
        self._rounds = 0
        self._is_writing = False
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name="history-telemetry", daemon=True)
        self._thread.start()

    def note_progress(self, job_id: int, progress: Progress) -> None:
        """Keep the newest progress of a job; never waits."""
        with self._lock:
            self._progress[job_id] = progress
        self._work.set()

    def note_logs(self, lines: Sequence[LogLine]) -> None:
        """Append log lines; their numbers are given here; never waits."""
        with self._lock:
            self._lines.extend(lines)
        self._work.set()

    def forget(self, job_ids: Sequence[int]) -> None:
        """Drop what is kept of deleted jobs."""
        if job_ids:
            with self._lock:
                self._forgotten.extend(job_ids)
            self._work.set()

    def flush(self, timeout_s: float = 2.0) -> bool:
        """Wait until what was noted before this call is readable; False if that took longer (a full disk)."""
        with self._flushed:
            is_waiting = bool(self._lines or self._progress or self._forgotten)
            goal = self._rounds + int(is_waiting) + int(self._is_writing)
            if goal > self._rounds:
                self._flush_asked.set()
                self._work.set()
            return self._flushed.wait_for(lambda: self._rounds >= goal, timeout_s) and not self._trouble

    def close(self) -> None:
        """Write what waits and close the file."""
        self._stop.set()
        self._flush_asked.set()
        self._work.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while True:
            self._work.wait()
            self._flush_asked.wait(INTERVAL_S)
            self._flush_asked.clear()
            self._work.clear()
            is_last = self._stop.is_set()
            self._round()
            if is_last:
                return

    def _round(self) -> None:
        with self._lock:
            lines, self._lines = list(self._lines), deque(maxlen=_WAITING)
            progress, self._progress = self._progress, {}
            forgotten, self._forgotten = self._forgotten, []
            self._is_writing = True
        try:
            self._write(lines, progress, forgotten)
            self._trouble = ""
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.rollback()
            self._numbers.clear()
            self._pointed.clear()
            self._keep(error, lines, progress, forgotten)
        with self._flushed:
            self._rounds += 1
            self._is_writing = False
            self._flushed.notify_all()

    def _keep(
        self, error: sqlite3.Error, lines: list[LogLine], progress: dict[int, Progress], forgotten: list[int]
    ) -> None:
        name = error_name(error) or str(error)
        if name != self._trouble:
            log.warning("job logs and progress stay in memory: %s", name)
        self._trouble = name
        with self._lock:
            self._lines = deque([*lines, *self._lines], maxlen=_WAITING)
            self._progress = {**progress, **self._progress}
            self._forgotten = [*forgotten, *self._forgotten]

    def _write(self, lines: list[LogLine], progress: dict[int, Progress], forgotten: list[int]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        self._write_lines(lines)
        connection.executemany(
            "INSERT INTO progress VALUES (?, ?) ON CONFLICT DO UPDATE SET progress = excluded.progress",
            [(job_id, to_json(newest)) for job_id, newest in progress.items()],
        )
        for job_id, newest in progress.items():
            self._write_point(job_id, newest)
        for table in ("logs", "progress", "throughput"):
            connection.executemany(f"DELETE FROM {table} WHERE job_id = ?", [(job_id,) for job_id in forgotten])
        for job_id in forgotten:
            self._numbers.pop(job_id, None)
            self._pointed.pop(job_id, None)
        connection.execute("COMMIT")

    def _write_lines(self, lines: list[LogLine]) -> None:
        rows = []
        for line in lines:
            number = self._number(line.job_id) + 1
            self._numbers[line.job_id] = number
            rows.append((line.job_id, number, stamp(line.at), line.level, line.message, line.attempt))
        self._connection.executemany("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?)", rows)
        touched = {line.job_id for line in lines}
        self._connection.executemany(
            "DELETE FROM logs WHERE job_id = ? AND number <= ?",
            [(job_id, self._numbers[job_id] - TAIL) for job_id in touched if self._numbers[job_id] > TAIL],
        )
        while len(self._numbers) > _KNOWN_JOBS:
            self._numbers.popitem(last=False)

    def _number(self, job_id: int) -> int:
        known = self._numbers.get(job_id)
        if known is not None:
            self._numbers.move_to_end(job_id)
            return known
        (number,) = self._connection.execute("SELECT max(number) FROM logs WHERE job_id = ?", (job_id,)).fetchone()
        return int(number or 0)

    def _write_point(self, job_id: int, progress: Progress) -> None:
        if progress.updated_at is None:
            return
        at = stamp(progress.updated_at)
        last, points = (
            self._pointed.get(job_id)
            or self._connection.execute(
                "SELECT coalesce(max(at), 0), count(*) FROM throughput WHERE job_id = ?", (job_id,)
            ).fetchone()
        )
        if at - last < POINT_EVERY_US:
            return
        self._connection.execute(
            "INSERT OR REPLACE INTO throughput VALUES (?, ?, ?, ?)", (job_id, at, progress.done, progress.rate)
        )
        points += 1
        if points > POINTS:
            points -= self._thin(job_id)
        self._pointed[job_id] = (at, points)
        self._pointed.move_to_end(job_id)
        while len(self._pointed) > _KNOWN_JOBS:
            self._pointed.popitem(last=False)

    def _thin(self, job_id: int) -> int:
        """Drop every second point, so that a long job keeps its whole curve at half the resolution."""
        return self._connection.execute(
            "DELETE FROM throughput WHERE job_id = ?1 AND at IN (SELECT at FROM (SELECT at, row_number() OVER"
            " (ORDER BY at) AS n FROM throughput WHERE job_id = ?1) WHERE n % 2 = 0)",
            (job_id,),
        ).rowcount
