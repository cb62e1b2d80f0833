"""Numbered steps from an empty file to today's tables. ``user_version`` repeats the number of the last step, so that
an up-to-date file opens without loading sqlite-utils and a newer one is refused. Steps are only ever added. What a
file lacks comes in one transaction: whoever reads meanwhile finds the old tables or all of the new ones.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from threading import get_ident
from typing import TYPE_CHECKING, Final

from qsuite_console.history import alerts, deliveries, rates, schedule_rows, schema, watches
from qsuite_console.model.errors import HistoryUnavailable

if TYPE_CHECKING:
    from sqlite_utils import Database

Step = tuple[str, Sequence[str]]

HISTORY_STEPS: Final[Sequence[Step]] = (
    ("0001_jobs", schema.HISTORY),
    ("0002_alerts", alerts.SCHEMA),
    ("0003_schedules", schedule_rows.SCHEMA),
    ("0004_outgoing", (*rates.SCHEMA, *deliveries.SCHEMA)),
    ("0005_watches", watches.SCHEMA),
    ("0006_handed_out", schema.HANDED_OUT),
)
TELEMETRY_STEPS: Final[Sequence[Step]] = (("0001_telemetry", schema.TELEMETRY),)


def migrate(connection: sqlite3.Connection, name: str, steps: Sequence[Step]) -> int:
    """Apply the missing steps, all or none, and return how many; refuse a file from the future."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(steps):
        raise HistoryUnavailable(
            f"the {name} file was written by a newer version (schema {version}, this one knows {len(steps)})",
            hint="upgrade qsuite-console, or point QSUITE_CONSOLE_HOME at another directory",
        )
    if version == len(steps):
        return 0
    with _as_if_absent("pandas"):
        from sqlite_utils import Database
        from sqlite_utils.migrations import Migrations

    migrations = Migrations(name)
    for number, (title, statements) in enumerate(steps, start=1):
        migrations(name=title)(_step(title, number, statements))
    connection.execute("BEGIN IMMEDIATE")
    with connection:  # commits, or rolls back what failed
        migrations.apply(Database(connection))
    return len(steps) - int(version)


class _Absence(MetaPathFinder):
    """Finds one module nowhere, for the thread that made it."""

    def __init__(self, name: str) -> None:
        self._name, self._thread = name, get_ident()

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == self._name and get_ident() == self._thread:
            raise ModuleNotFoundError(f"{fullname} is not wanted here", name=fullname)


@contextmanager
def _as_if_absent(name: str) -> Iterator[None]:
    """Spare the first start a module that sqlite-utils loads wherever it is installed: a second for pandas, unused."""
    absence = _Absence(name)
    sys.meta_path.insert(0, absence)
    try:
        yield
    finally:
        sys.meta_path.remove(absence)


def _step(title: str, number: int, statements: Sequence[str]) -> Callable[[Database], None]:
    def apply(database: Database) -> None:
        for statement in statements:
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {number}")

    apply.__name__ = title
    return apply
