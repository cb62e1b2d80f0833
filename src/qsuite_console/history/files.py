"""Opening the files: who may read them, how SQLite treats them, and what becomes of a damaged one."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from qsuite_console.history.migrations import Step, migrate
from qsuite_console.history.troubles import is_damaged, is_refused, unavailable
from qsuite_console.model.errors import HistoryUnavailable

BUSY_MS: Final = 5000
WAL_PAGES: Final = 4000  # 16 MB: under load the log is folded seldom, since commits wait for it; when idle, at once
WAL_LIMIT: Final = 16 << 20
_CHECK_S: Final = 1.0
_SYNCHRONOUS: Final = {"full": "FULL", "normal": "NORMAL"}
log = logging.getLogger(__name__)


def telemetry_path(history: Path) -> Path:
    """Return the file of logs and progress that lies beside a history file."""
    return history.with_name(
        "telemetry.sqlite" if history.name == "history.sqlite" else f"{history.stem}-telemetry.sqlite"
    )


def open_for_writing(
    path: Path, *, durability: str, name: str, steps: Sequence[Step], now: datetime
) -> tuple[sqlite3.Connection, str]:
    """Return the writing connection of a file brought to today's schema, and a warning ("" when all is well).

    A damaged file is put aside as ``.corrupt-<time>`` and a fresh one begun. Only the lock's owner may call this.
    """
    try:
        return _open(path, durability, name, steps), ""
    except sqlite3.DatabaseError as error:
        if not is_damaged(error):
            raise unavailable(error, str(path)) from error
        aside = quarantine(path, now)
        warning = f"the {name} file was damaged ({error}): it is kept as {aside.name} and a fresh one was begun"
        log.error("%s", warning)
        try:
            return _open(path, durability, name, steps), warning
        except sqlite3.Error as again:
            raise unavailable(again, str(path)) from again
    except OSError as error:
        raise HistoryUnavailable(
            f"the history {path} can't be written: {error.strerror}",
            hint="check the owner, the permissions and the free space",
        ) from error


def _open(path: Path, durability: str, name: str, steps: Sequence[Step]) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite gives -wal and -shm the same mode
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS.get(durability, 'FULL')}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
        connection.execute("PRAGMA temp_store = MEMORY")
        _check(connection)
        migrate(connection, name, steps)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    """Look for damage for at most a second: the whole of a usual history, the first part of a huge one."""
    deadline = time.monotonic() + _CHECK_S
    connection.set_progress_handler(lambda: int(time.monotonic() > deadline), 20_000)
    try:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorname", "") != "SQLITE_INTERRUPT":
            raise
        return
    finally:
        connection.set_progress_handler(None, 0)
    if verdict != "ok":
        damage = sqlite3.DatabaseError(str(verdict).splitlines()[0])
        damage.sqlite_errorname = "SQLITE_CORRUPT"
        raise damage


def quarantine(path: Path, now: datetime) -> Path:
    """Move a damaged file and its log aside and return where it went."""
    mark = f".corrupt-{now:%Y%m%dT%H%M%S}"
    aside = path.with_name(path.name + mark)
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(path.with_name(path.name + suffix + mark) if suffix else aside)
    return aside


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Return a connection that can neither write nor checkpoint; also where nothing at all can be written.

    SQLite wants to make an index of its log beside the file. Where it can't (a filesystem mounted read-only, another
    owner's directory), the file is taken as it lies, together with a log that a killed engine has left.
    """
    try:
        return _readable(path, "mode=ro")
    except sqlite3.Error as error:
        if not is_refused(error) or not os.access(path, os.R_OK):
            raise
        log_file = path.with_name(f"{path.name}-wal")
        if not log_file.exists() or not log_file.stat().st_size:
            return _readable(path, "immutable=1")
    with tempfile.TemporaryDirectory(prefix="qsuite-history-") as directory:
        copy = Path(directory) / path.name
        shutil.copyfile(log_file, copy.with_name(log_file.name))
        shutil.copyfile(path, copy)
        apart = _readable(copy, "mode=rw")
        try:
            whole = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            apart.backup(whole)
        finally:
            apart.close()
    return whole


def _readable(path: Path, manner: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{manner}", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        connection.execute("PRAGMA query_only = 1")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # only now the file is opened
    except BaseException:
        connection.close()
        raise
    return connection
