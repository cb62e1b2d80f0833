"""What ``init`` gathers and writes; secrets are refused on the command line and the file is private."""

from __future__ import annotations

import io
import stat
from pathlib import Path
from typing import Any

import pytest

from qsuite_console.cli import init as init_module
from qsuite_console.cli.init import CACHE, DATABASE, KEY, SECRET, gather, write
from qsuite_console.model.errors import ConsoleError, UsageProblem

FLAGS: dict[str, Any] = {
    "database_url": None, "redis_url": None, "key_id": None, "data_url": None, "trading_url": None,
    "stdin": False, "yes": True, "no_test": True, "force": False, "is_json": False,
}  # fmt: skip


def test_flags_beat_stdin_and_stdin_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "# mine\nexport DATABASE_URL='postgresql://stdin/x'\nREDIS_URL=redis://stdin:1/0\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    environ = {"DATABASE_URL": "postgresql://env/x", "APCA_API_KEY_ID": "K", "APCA_API_SECRET_KEY": "S"}
    answers = gather(environ, {**FLAGS, "stdin": True, "redis_url": "redis://flag:1/0"})
    assert answers.values[DATABASE].reveal() == "postgresql://stdin/x"
    assert answers.values[CACHE].reveal() == "redis://flag:1/0"
    assert answers.values[KEY].reveal() == "K"
    assert answers.settings().provider.secret_key.reveal() == "S"


@pytest.mark.parametrize(
    ("flag", "url"),
    [
        ("database_url", "postgresql://u:hunter2@h/d"),
        ("database_url", "postgresql://h/d?password=hunter2"),
        ("redis_url", "redis://:hunter2@h"),
    ],
)
def test_a_password_on_the_command_line_is_refused_without_showing_it(flag: str, url: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        gather({}, {**FLAGS, flag: url})
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_stdin_lines_that_are_something_else_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("DATABASE_URL=postgresql://h/d\nPASSWORD=hunter2\n"))
    with pytest.raises(UsageProblem, match="stdin line 2") as caught:
        gather({}, {**FLAGS, "stdin": True})
    assert "hunter2" not in caught.value.message


def test_the_file_is_private_whole_and_the_old_one_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    write(file, "one\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    write(file, "two\n")
    assert file.read_text() == "two\n"
    assert (tmp_path / "config.toml.bak").read_text() == "one\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml", "config.toml.bak"]


def test_a_directory_that_is_gone_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConsoleError, match="can't be written"):
        write(tmp_path / "gone" / "config.toml", "x")


def test_a_password_that_is_asked_for_is_escaped_into_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    given = iter(["postgresql://console@db-1:5433/q", "p@ss/w:rd", "", ""])
    monkeypatch.setattr(init_module.click, "prompt", lambda *_args, **_kwargs: next(given))
    answers = gather({}, FLAGS)
    init_module._ask(answers)
    assert answers.values[DATABASE].reveal() == "postgresql://console:p%40ss%2Fw%3Ard@db-1:5433/q"
    assert SECRET not in answers.values
