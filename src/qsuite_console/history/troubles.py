"""SQLite's failures as one line a person can act on."""

from __future__ import annotations

import sqlite3
from typing import Final

from qsuite_console.model.errors import HistoryUnavailable

_REFUSALS: Final = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")
_DAMAGE: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


def error_name(error: sqlite3.Error) -> str:
    """Return SQLite's symbolic name of an error, "" where Python raised it by itself."""
    return str(getattr(error, "sqlite_errorname", "") or "")


def is_refused(error: sqlite3.Error) -> bool:
    """Say whether the disk, not the statement, is the trouble."""
    return error_name(error).startswith(_REFUSALS)


def is_damaged(error: sqlite3.Error) -> bool:
    """Say whether the file itself is broken."""
    return error_name(error).startswith(_DAMAGE)


def unavailable(error: sqlite3.Error, path: str) -> HistoryUnavailable:
    """Return the error to show for one of SQLite's."""
    name = error_name(error)
    if name == "SQLITE_FULL":
        return HistoryUnavailable(
            f"the history {path} can't grow: the disk is full",
            hint="free some space; running jobs go on and the engine resumes by itself",
        )
    if name.startswith(_DAMAGE):
        return HistoryUnavailable(
            f"the history {path} is damaged ({name})",
            hint="restart: the damaged file is kept aside and a fresh one begun",
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return HistoryUnavailable(
            f"the history {path} can't be written ({name})",
            hint="check the owner, the permissions and whether the file system is mounted read-only",
        )
    if name.startswith("SQLITE_IOERR"):
        return HistoryUnavailable(
            f"the disk refuses the history {path} ({name})",
            hint="check the disk, its quota and the file size limit; the engine resumes by itself",
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return HistoryUnavailable(
            f"the history {path} is locked by another program ({name})", hint="close whatever holds it open for writing"
        )
    return HistoryUnavailable(f"the history {path} failed: {error}", hint="see the log for details")
