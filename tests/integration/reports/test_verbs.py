"""``report`` and ``reports`` as a shell sees them: made, copied, listed, shown, removed; refused in one line."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from qsuite_console.paths import resolve


@pytest.fixture
def environ(database_dsn: str, tmp_path: Path) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PG", "QSUITE", "DISPLAY", "WAY"))
    }
    return {**kept, "DATABASE_URL": database_dsn, "QSUITE_CONSOLE_HOME": str(tmp_path / "home")}


def run(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "qsuite_console", *arguments],
        env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip


def test_a_report_from_making_to_removing(environ: dict[str, str], tmp_path: Path) -> None:
    copy = tmp_path / "out.html"
    query = "SELECT n AS number, '<b>' AS mark FROM generate_series(1, 3) n"
    made = run(environ, "report", "custom", "--query", query, "--export", str(copy))
    assert made.returncode == 0, made.stderr
    assert "rows          3" in made.stdout.replace("rows  3", "rows          3")
    assert f"copied to {copy}" in made.stderr
    assert "&lt;b&gt;" in copy.read_text()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    again = run(environ, "report", "custom", "--query", query, "--export", str(copy))
    assert (again.returncode, "exists" in again.stderr) == (1, True)

    listed = json.loads(run(environ, "reports", "list", "--json").stdout)
    (found,) = listed["reports"]
    assert (found["format"], found["job_id"], found["bytes"]) == ("html", 1, copy.stat().st_size)
    shown = run(environ, "reports", "show", "last")
    assert shown.stdout.startswith("Report\n======")
    opened = run(environ, "reports", "open", found["file"][:6])
    assert opened.stdout.strip() == found["path"]
    assert "no desktop" in opened.stderr
    as_json = json.loads(run(environ, "reports", "open", "last", "--json").stdout)
    assert as_json == {"report": found["file"], "path": found["path"], "is_opened": False}
    target = tmp_path / "folder"
    target.mkdir()
    exported = json.loads(run(environ, "reports", "export", "last", str(target), "--json").stdout)
    assert exported == {
        "report": found["file"],
        "path": str(target / found["file"]),
        "bytes": found["bytes"],
    }
    assert (target / found["file"]).read_bytes() == copy.read_bytes()
    assert run(environ, "reports", "remove", "last").returncode == 0
    assert json.loads(run(environ, "reports", "list", "--json").stdout)["reports"] == []
    assert not Path(found["path"]).exists()


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("report", "custom"), 2, "--query"),
        (("report", "--export", "/nowhere/x.pdf"), 2, "no such directory"),
        (("report", "--export", "x.doc"), 2, "no such format"),
        (("report", "--format", "csv", "--export", "x.pdf"), 2, "is no csv file"),
        (("report", "--zone", "Mars"), 2, "no time zone"),
        (("reports", "show", "none"), 2, "there is no report"),
        (("reports", "remove"), 2, "no report is named"),
        (("run", "report", "--name", "custom", "--query", "DROP TABLE x", "--dry-run"), 2, "begins with 'DROP'"),
    ],
)
def test_what_cant_be_is_refused_in_a_line(
    environ: dict[str, str], arguments: tuple[str, ...], code: int, word: str
) -> None:
    done = run(environ, *arguments)
    assert done.returncode == code, done.stderr
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_plan_tells_when_it_will_be_ready_and_where(environ: dict[str, str]) -> None:
    plan = json.loads(run(environ, "run", "report", "--name", "market", "--dry-run", "--json").stdout)
    assert plan["figures"]["estimated_s"] > 0
    assert plan["figures"]["directory"].startswith(environ["QSUITE_CONSOLE_HOME"])


def test_reports_are_sent_and_jobs_told_without_an_engine(environ: dict[str, str], tmp_path: Path) -> None:
    told, program = tmp_path / "told", tmp_path / "take"
    config = resolve(str(tmp_path / "home")).ensure().config_file
    program.write_text(f'#!/bin/sh\ncat >> {told}\necho " $QSUITE_FILE" >> {told}\n')
    program.chmod(0o700)
    config.write_text(f'[notify.press]\ncommand = ["{program}"]\nevents = ["alert.fired"]\n')
    config.chmod(0o600)
    made = run(environ, "run", "report", "--name", "jobs", "--format", "csv", "--send", "press", "--tell", "press")
    assert made.returncode == 0, made.stderr
    sent = run(environ, "reports", "send", "last", "press", "--yes", "--json")
    assert (sent.returncode, json.loads(sent.stdout)["is_done"]) == (0, True), sent.stderr
    asked = run(environ, "reports", "send", "last", "press")
    assert (asked.returncode, "--yes" in asked.stderr) == (2, True)
    again = run(environ, "jobs", "tell", "1", "press", "--yes")
    assert (again.returncode, "delivered in" in again.stdout) == (0, True), again.stderr
    # Whatever a verb had no time left to deliver, the next one has.
    bodies, files = zip(*(line.rsplit(" ", 1) for line in lines(told)), strict=True)
    assert sorted(json.loads(body)["type"] for body in bodies) == ["job.succeeded", "report.sent", "report.sent"]
    assert sorted(Path(file).name[:5] for file in files) == ["", "jobs-", "jobs-"]
    assert len(lines(told)) == 3, "what was told of the job is not told twice"
    nobody = run(environ, "run", "report", "--name", "jobs", "--tell", "nobody")
    assert (nobody.returncode, "under the name nobody" in nobody.stderr) == (2, True), nobody.stderr
    audited = run(environ, "audit", "--json")
    assert "reports.send" in audited.stdout


def lines(told: Path) -> list[str]:
    return told.read_text().splitlines()
