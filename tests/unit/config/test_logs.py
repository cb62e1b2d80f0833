"""The log file: private, rotating, with the job's id, without secrets or terminal escapes."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from qsuite_console import logs


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield tmp_path / "log" / "console.log"
    for handler in list(root.handlers):
        if handler not in before:
            root.removeHandler(handler)
            handler.close()
    root.setLevel(level)


def test_the_file_is_private_and_names_the_job(log_file: Path) -> None:
    logs.configure(log_file)
    token = logs.current_job.set((12, "ab12"))
    logging.getLogger("some.where").warning("page %d", 3)
    logs.current_job.reset(token)
    assert stat.S_IMODE(log_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(log_file.parent.stat().st_mode) == 0o700
    assert log_file.read_text().rstrip().endswith("WARNING some.where job=12 correlation=ab12 page 3")


def test_secrets_are_masked_in_message_arguments_and_traceback(log_file: Path) -> None:
    logs.configure(log_file, secrets=["hunter2secret", "hunter2", ""])
    try:
        raise ValueError("refused hunter2 here")
    except ValueError:
        logging.getLogger("x").exception("connecting as %s", "hunter2secret")
    text = log_file.read_text()
    assert "hunter" not in text
    assert "connecting as ••••••\n" in text
    assert "refused •••••• here" in text


def test_escape_sequences_are_shown_not_stored(log_file: Path) -> None:
    logs.configure(log_file)
    logging.getLogger("x").error("title \x1b]0;pwned\x07 and\nsecond line")
    text = log_file.read_text()
    assert "\x1b" not in text
    assert text.count("\n") == 1


def test_json_lines_hold_the_fields(log_file: Path) -> None:
    logs.configure(log_file, is_json=True, secrets=["hunter2"])
    logging.getLogger("x").info("hello", extra={"job_id": 7, "rows": 12, "dsn": "hunter2"})
    record = json.loads(log_file.read_text())
    assert (record["job_id"], record["rows"], record["level"], record["message"]) == (7, 12, "INFO", "hello")
    assert record["dsn"] == logs.MASK


def test_configuring_again_replaces_and_rotation_stays_private(log_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_BYTES", 2000)
    logs.configure(log_file)
    logs.configure(log_file)
    for number in range(60):
        logging.getLogger("x").info("line %d %s", number, "y" * 60)
    files = sorted(log_file.parent.iterdir())
    assert len(files) > 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert "".join(file.read_text() for file in files).count("line 59 ") == 1


def test_a_directory_that_cant_be_written_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], log_file: Path
) -> None:
    (tmp_path / "file").write_text("")
    logs.configure(tmp_path / "file" / "log" / "console.log", on_stderr=True)
    assert "no log file" in capsys.readouterr().err


def test_the_newest_lines_are_kept_in_memory(log_file: Path) -> None:
    logs.configure(log_file)
    log = logging.getLogger("qsuite_console.providers.alpaca")
    log.info("the first")
    before = logs.TAIL.lines(1)[-1].number
    for number in range(logs.TAIL_LINES + 10):
        log.info("line %d", number)
    kept = logs.TAIL.lines(10 * logs.TAIL_LINES)
    assert len(kept) == logs.TAIL_LINES
    assert kept[-1].message == f"providers.alpaca: line {logs.TAIL_LINES + 9}"
    assert kept[-1].number == before + logs.TAIL_LINES + 10
    assert logs.TAIL.file == str(log_file)


def test_what_is_kept_has_no_secret_and_no_escape(log_file: Path) -> None:
    logs.configure(log_file, secrets=["hidden-word"])
    log = logging.getLogger("qsuite_console.providers.alpaca")
    log.warning("the key hidden-word is refused\x1b[2J", extra={"job_id": 12})
    try:
        raise ValueError("hidden-word again")
    except ValueError:
        log.exception("odd")
    refused, odd = logs.TAIL.lines(2)
    assert (refused.level, refused.job_id) == ("WARNING", 12)
    assert logs.MASK in refused.message
    assert "ValueError" in odd.message
    assert not any("hidden-word" in line.message or "\x1b" in line.message for line in (refused, odd))
