"""A home's files are brought to today's schema at once, and without loading what is not needed for it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from qsuite_console.history.migrations import HISTORY_STEPS, migrate
from qsuite_console.history.reader import open_reader
from qsuite_console.model.errors import HistoryUnavailable
from qsuite_console.model.jobs import JobQuery

ALL = len(HISTORY_STEPS)
SCRIPT = """
import sqlite3, sys
from qsuite_console.history.migrations import HISTORY_STEPS, migrate

connection = sqlite3.connect(":memory:", isolation_level=None)
assert migrate(connection, "history", HISTORY_STEPS) == len(HISTORY_STEPS)
assert "sqlite_utils" in sys.modules
assert "pandas" not in sys.modules
import pandas
print(pandas.loaded)
"""


def version_of(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    return connection


@pytest.mark.parametrize("before", [0, 1, ALL - 1])
def test_who_reads_meanwhile_finds_what_was_there_or_all(tmp_path: Path, before: int) -> None:
    writing, reading = opened(tmp_path / "history.sqlite"), opened(tmp_path / "history.sqlite")
    migrate(writing, "history", HISTORY_STEPS[:before])
    found: list[int] = []
    writing.set_trace_callback(lambda _: found.append(version_of(reading)))
    assert migrate(writing, "history", HISTORY_STEPS) == ALL - before
    writing.set_trace_callback(None)
    assert len(found) > ALL - before
    assert set(found) == {before}
    assert version_of(reading) == ALL
    assert migrate(writing, "history", HISTORY_STEPS) == 0
    writing.close()
    reading.close()


def test_a_step_that_fails_takes_the_others_back() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(connection, "history", (*HISTORY_STEPS, ("9999_wrong", ("ALTER TABLE nowhere ADD COLUMN x",))))
    assert (version_of(connection), connection.in_transaction) == (0, False)
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    assert migrate(connection, "history", HISTORY_STEPS) == ALL
    connection.close()


async def test_a_file_of_an_older_version_says_what_brings_it_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    writing = opened(path)
    migrate(writing, "history", HISTORY_STEPS[:-1])
    with pytest.raises(HistoryUnavailable, match=rf"older version \(schema {ALL - 1}, this one knows {ALL}\)") as told:
        open_reader(path)
    assert "--headless" in told.value.hint
    migrate(writing, "history", HISTORY_STEPS)
    writing.close()
    reader = open_reader(path)
    assert (await reader.jobs(JobQuery())).jobs == ()
    reader.close()


def test_pandas_is_not_loaded_for_a_new_file_and_stays_loadable(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text("loaded = 'the one beside'")
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "the one beside\n"), done.stderr
