"""What the first start on a home loads for its files, and leaves as it was for others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sqlite3, sys
from qsuite_console.history.migrations import HISTORY_STEPS, migrate

connection = sqlite3.connect(":memory:")
assert migrate(connection, "history", HISTORY_STEPS) == len(HISTORY_STEPS)
assert "sqlite_utils" in sys.modules
assert "pandas" not in sys.modules
import pandas
print(pandas.loaded)
"""


def test_pandas_is_not_loaded_for_a_new_file_and_stays_loadable(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text("loaded = 'the one beside'")
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "the one beside\n"), done.stderr
