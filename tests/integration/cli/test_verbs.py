"""Verbs on jobs, queues and settings, with and without an engine, as a shell sees them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from integration.cli.conftest import Console


def test_version_and_help(console: Console) -> None:
    assert console.run("--version").stdout.startswith("qsuite-console ")
    for arguments in (
        ("--help",),
        ("jobs", "--help"),
        ("jobs", "list", "--help"),
        ("run", "test.count", "--help"),
        ("init", "-h"),
    ):
        done = console.run(*arguments)
        assert done.returncode == 0
        assert "Examples:" in done.stdout


def test_jobs_are_listed_shown_logged_retried_and_deleted_without_an_engine(console: Console) -> None:
    for steps in ("1", "2", "3"):
        assert console.run("run", "test.count", "--steps", steps).returncode == 0
    assert console.run("run", "test.count", "--ending", "bad").returncode == 1
    page = console.json("jobs", "list", "--limit", "2")
    assert [job["id"] for job in page["jobs"]] == [4, 3]
    rest = console.json("jobs", "list", "--before", str(page["next_before"]))
    assert [job["id"] for job in rest["jobs"]] == [2, 1]
    assert [job["id"] for job in console.json("jobs", "list", "--state", "failed")["jobs"]] == [4]
    text = console.run("jobs", "list").stdout
    assert "count to 3" in text
    assert "it ended badly" in text
    detail = console.json("jobs", "show", "3")
    assert detail["result"]["steps"] == 3
    assert "count to 3" in console.run("jobs", "show", "3").stdout
    assert "step 3" in console.run("jobs", "logs", "3").stdout
    lines = console.json("jobs", "logs", "3")
    assert all(line["message"] and line["job_id"] == 3 for line in lines)
    assert len(lines) > 1
    followed = console.run("jobs", "logs", "3", "--json", "--follow").stdout.splitlines()
    assert [json.loads(line) for line in followed] == lines, "followed, one object a line"
    (retried,) = console.json("jobs", "retry", "4")
    assert retried["is_done"]
    assert console.json("jobs", "show", "4")["job"]["state"] == "queued"
    results = console.json("jobs", "delete", "1-2", "4", code=1)
    assert [result["is_done"] for result in results] == [True, True, False]
    assert [job["id"] for job in console.json("jobs", "list")["jobs"]] == [4, 3]


def test_an_empty_history_is_no_error(console: Console) -> None:
    assert console.json("jobs", "list") == {"jobs": [], "next_before": None}
    assert console.json("status")["is_running"] is False
    assert console.run("stats").returncode == 0
    assert not (console.home / "state" / "history.sqlite").exists()


def test_logs_are_followed_to_the_end(console: Console) -> None:
    gate = console.home / "gate"
    child = console.start("run", "test.count", "--steps", "9", "--until", str(gate), "--step-s", "0.05")
    console.wait_for_job("running")
    follower = console.start("jobs", "logs", "1", "--follow")
    assert follower.stdout is not None
    first = [follower.stdout.readline() for _ in range(3)]
    gate.touch()
    everything = "".join(first) + follower.stdout.read()
    child.communicate(timeout=60)
    assert (child.returncode, follower.wait(60)) == (0, 0)
    assert all(f"step {n}\n" in everything for n in (1, 8, 9)), everything


def test_queues_are_paused_and_resized_for_good(console: Console) -> None:
    assert {queue["name"] for queue in console.json("queues")} >= {"general", "execution", "maintenance"}
    (paused,) = console.json("queues", "pause", "maintenance")
    assert paused["is_paused"]
    assert console.json("queues", "resize", "general", "9")[0]["concurrency"] == 9
    found = {queue["name"]: queue for queue in console.json("queues", "list")}
    assert found["maintenance"]["is_paused"]
    assert found["general"]["concurrency"] == 9
    assert console.run("queues", "pause", "nowhere").returncode == 2
    assert console.json("queues", "resume", "maintenance")[0]["is_paused"] is False


def test_read_only_refuses_what_changes_data_and_nothing_else(console: Console) -> None:
    assert console.run("--read-only", "run", "test.count", "--steps", "1").returncode == 0
    assert console.run("--read-only", "jobs", "list").returncode == 0
    for verb in (("db", "init"), ("run", "backfill", "--symbols", "A", "--start", "2025-01-02", "--end", "2025-01-03")):
        refused = console.run("--read-only", *verb)
        assert refused.returncode == 1
        assert "read-only" in refused.stderr.splitlines()[-2]


def test_a_reader_that_leaves_ends_it_quietly(console: Console) -> None:
    child = console.start("man")
    assert child.stdout is not None
    child.stdout.close()
    assert child.stderr is not None
    err = child.stderr.read()
    assert child.wait(60) in (141, 0)
    assert err == ""


def test_a_full_disk_is_one_line(console: Console) -> None:
    with Path("/dev/full").open("w") as full:
        child = console.start("config", "show", stdout=full)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 1
    assert err.splitlines()[0] == "error: the output: can't be written: No space left on device"


def test_a_home_that_cant_be_used_is_one_line(console: Console, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = console.run("--home", str(tmp_path / "file" / "x"), "jobs", "list")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 2


def test_settings_are_shown_with_their_origin_and_without_secrets(console: Console) -> None:
    done = console.run("config", "show", "--origin", DATABASE_URL="postgresql://u:hunter2@h/d")
    assert "env DATABASE_URL" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr
    document = console.json("config", "show")
    assert document["settings"]["engine.queues"]["execution"] == 4
    assert document["origins"]["database.dsn"] == "default"
    assert console.run("config", "path").stdout.strip() == str(console.home / "config" / "config.toml")


def test_a_broken_configuration_names_file_and_line_everywhere(console: Console) -> None:
    file = console.home / "config" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("[databse]\n\n[cache]\ntimeout_s = 'x'\n")
    done = console.run("jobs", "list")
    assert done.returncode == 2
    assert f"{file}:1: databse: unknown key; did you mean database?" in done.stderr
    checks = console.json("doctor", code=1)["checks"]
    failed = [check["what"] for check in checks if check["verdict"] == "fail"]
    assert any(f"{file}:4: cache.timeout_s" in what for what in failed)


def test_completion_and_manual(console: Console) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_QSUITE_CONSOLE_COMPLETE" in console.run("completion", shell).stdout
    done = console.run(_QSUITE_CONSOLE_COMPLETE="bash_complete", COMP_WORDS="qsuite-console jobs ca", COMP_CWORD="2")
    assert "cancel" in done.stdout
    page = console.run("man").stdout
    assert page.startswith(".TH QSUITE")
    assert all(word in page for word in ("jobs cancel", ".SH EXIT STATUS", "\\-\\-headless"))


def test_completion_in_bash_serves_the_short_name_too(console: Console) -> None:
    script = console.run("completion", "bash").stdout
    for name in ("qsuite-console", "qsuite"):
        asked = f'{script}\nCOMP_WORDS=({name} jo); COMP_CWORD=1; "$(complete -p {name} | cut -d" " -f5)" {name}\n'
        shell = subprocess.run(
            ["bash", "-c", asked + 'echo "${COMPREPLY[@]}"'],
            env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert shell.stdout == "jobs\n", shell.stderr


def test_closed_streams_are_no_failure_and_nothing_gets_their_numbers(console: Console) -> None:
    for closed, said in ((">&-", "no jobs\n"), ("<&- >&- 2>&-", "")):
        shell = subprocess.run(
            ["bash", "-c", f'"$0" jobs list {closed}', str(Path(sys.executable).with_name("qsuite-console"))],
            env={**os.environ, "QSUITE_CONSOLE_HOME": str(console.home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (shell.returncode, shell.stdout, shell.stderr) == (0, "", said)


def test_the_console_refuses_what_is_no_terminal(console: Console) -> None:
    done = console.run()
    assert done.returncode == 2
    assert "--headless" in done.stderr


def test_an_unexpected_failure_is_one_line_with_the_log(console: Console, plugin_path: Path) -> None:
    script = (
        "import qsuite_console.cli.configuration as c, sys\n"
        "def broken(*a, **k): raise KeyError('boom')\n"
        "c.walk = broken\n"
        "from qsuite_console.cli.main import run\n"
        "sys.exit(run(['config', 'show']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=console.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 70
    assert "Traceback" not in done.stderr
    assert "unexpected KeyError" in done.stderr
    log = console.home / "log" / "console.log"
    assert str(log) in done.stderr
    assert "Traceback" in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_headless_ends_cleanly_and_who_waited_for_a_job_goes_on_with_it(console: Console, number: int) -> None:
    console.home.joinpath("config").mkdir(parents=True)
    console.home.joinpath("config", "config.toml").write_text("[engine]\ndrain_s = 0.5\n")
    service = console.start("--headless")
    console.wait_for_engine()
    runner = console.start("run", "test.count", "--until", "/nowhere/to/be/seen")
    console.wait_for_job("running", saved=True)
    os.kill(service.pid, number)
    _, err = service.communicate(timeout=60)
    assert service.returncode == 0, err
    console.wait_for(lambda: console.wait_for_engine().pid == runner.pid, "the runner taking over")
    runner.send_signal(signal.SIGINT)
    runner.communicate(timeout=60)
    assert runner.returncode == 130
    assert console.json("jobs", "show", "1")["job"]["state"] == "cancelled"
