"""The databases of the other targets: known to be read from, never shown, never in the way of the chosen one."""

from __future__ import annotations

from pathlib import Path

from qsuite_console.config.loading import load
from qsuite_console.config.schema import secrets_of, walk
from qsuite_console.paths import resolve

FILE = """
default_target = "here"
[database]
pool_max = 7
[targets.here.database]
dsn = "postgresql://me:one@here/db"
[targets.there.database]
dsn = "postgresql://me:t%40wo@there/db"
connect_timeout_s = 9.0
[targets.nowhere]
word = "EMPTY"
"""


def test_a_copy_may_read_from_the_other_targets(tmp_path: Path) -> None:
    paths = resolve(str(tmp_path))
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.write_text(FILE)
    found = load(paths, {}, {}).settings
    assert found.database.dsn.reveal().endswith("@here/db")
    assert list(found.others) == ["there"]
    there = found.others["there"]
    assert (there.dsn.reveal(), there.pool_max, there.connect_timeout_s) == ("postgresql://me:t%40wo@there/db", 7, 9.0)
    assert list(load(paths, {}, {"target": "there"}).settings.others) == ["here"]


def test_their_passwords_are_masked_in_logs_and_shown_nowhere(tmp_path: Path) -> None:
    paths = resolve(str(tmp_path))
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.write_text(FILE)
    found = load(paths, {}, {}).settings
    assert {"t%40wo", "t@wo"} <= set(secrets_of(found))
    assert "t%40wo" not in repr(found)
    assert not any(key.startswith("others") for key, _ in walk(found))
