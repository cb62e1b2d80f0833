"""What happened, kept in SQLite: jobs, attempts, checkpoints, results, figures, audit; logs and progress beside it."""

from __future__ import annotations

import sqlite3
from typing import Final

_FIXED: Final = (3, 51, 3)
_BACKPORTED: Final = {(3, 44): 6, (3, 50): 7}


def sqlite_version() -> str:
    """Return the version of the SQLite library in use."""
    return sqlite3.sqlite_version


def has_wal_reset_race(version: str = sqlite3.sqlite_version) -> bool:
    """Say whether two writing connections may damage a WAL file: SQLite 3.7.0–3.51.2 except 3.44.6 and 3.50.7.

    The history has one writing connection in one process, so it is safe either way; a second writer never is.
    """
    parts = tuple(int(part) for part in version.split("."))
    patch = _BACKPORTED.get((parts[0], parts[1]))
    return parts < _FIXED and (patch is None or parts[2] < patch)
