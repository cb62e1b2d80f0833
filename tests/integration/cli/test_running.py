"""``run`` in real processes: results, exit codes, cancelling, draining, being killed, a second process beside it."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from integration.cli.conftest import Console

KEYS = ["duration_s", "error", "job_id", "kind", "result", "state"]
LONG = ("run", "test.count", "--until", "/nowhere/to/be/seen")


def test_the_result_is_json_on_stdout_and_progress_on_stderr(console: Console) -> None:
    done = console.run("run", "test.count", "--steps", "3", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert sorted(answer) == KEYS
    assert (answer["state"], answer["result"], answer["error"]) == ("succeeded", {"steps": 3, "began_at": 0}, None)
    assert answer["duration_s"] >= 0.06
    assert "count to 3" in done.stderr
    assert "step 2" in done.stderr
    assert "\x1b" not in done.stderr + done.stdout


def test_without_json_the_result_is_a_table(console: Console) -> None:
    done = console.run("run", "test.count", "--steps", "2")
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["steps     2", "began_at  0"]
    assert "succeeded in" in done.stderr


def test_a_job_that_fails_ends_with_1_and_one_line(console: Console) -> None:
    done = console.run("run", "test.count", "--ending", "bad", "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["state"] == "failed"
    assert "it ended badly" in answer["error"]
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "it ended badly" in errors[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "test.count", "--steps", "many"), ("--steps", "whole number")),
        (("run", "test.count", "--ending", "ugly"), ("--ending", "good")),
        (("run", "test.count", "--stepz", "3"), ("--stepz", "--steps")),
        (("run", "nothing"), ("nothing", "test.count")),
        (("run", "test.count", "--queue", "nowhere"), ("nowhere",)),
        (("jobs", "show", "99"), ("99",)),
        (("jobs", "cancel", "x"), ("'x'",)),
        (("--target", "prod", "jobs", "list"), ("--target", "prod")),
        (("--log-level", "loud", "jobs", "list"), ("--log-level", "LOUD")),
        (("jbos",), ("did you mean jobs",)),
    ],
)
def test_wrong_usage_ends_with_2_and_says_where(
    console: Console, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    done = console.run(*arguments)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    first = done.stderr.splitlines()[0]
    assert first.startswith("error: ")
    assert all(word in done.stderr for word in words), done.stderr


def test_dry_run_prints_the_plan_and_makes_no_job(console: Console) -> None:
    done = console.run("run", "test.count", "--steps", "7", "--dry-run")
    assert (done.returncode, done.stdout.splitlines()) == (0, ["plan: count to 7", "  steps  7  (one by one)"])
    plan = console.json("run", "test.count", "--steps", "7", "--dry-run")
    assert plan["figures"] == {"steps": 7}
    assert console.json("jobs", "list") == {"jobs": [], "next_before": None}


def test_ctrl_c_cancels_and_keeps_the_checkpoint(console: Console) -> None:
    child = console.start(*LONG, "--json")
    console.wait_for_job("running", saved=True)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert json.loads(out)["state"] == "cancelled"
    detail = console.json("jobs", "show", "1")
    assert detail["job"]["state"] == "cancelled"
    assert detail["checkpoint"]["done"] >= 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_same_command_resumes_what_was_drained_or_killed(console: Console, number: int, tmp_path: Path) -> None:
    console.home.joinpath("config").mkdir(parents=True)
    console.home.joinpath("config", "config.toml").write_text("[engine]\ndrain_s = 0.5\n")
    command = ("run", "test.count", "--steps", "5", "--until", str(tmp_path / "gate"), "--json")
    child = console.start(*command)
    console.wait_for_job("running", saved=True)
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    if number == signal.SIGTERM:
        assert child.returncode == 143, err
        assert json.loads(out)["state"] == "interrupted"
        console.wait_for_job("interrupted")
    (tmp_path / "gate").touch()
    again = console.run(*command)
    assert again.returncode == 0, again.stderr
    answer = json.loads(again.stdout)
    assert (answer["job_id"], answer["state"]) == (1, "succeeded")
    assert answer["result"]["began_at"] >= 1
    assert "resuming job 1 from its checkpoint" in again.stderr
    assert len(console.peek()) == 1


def test_another_process_sees_and_cancels_it(console: Console) -> None:
    child = console.start(*LONG, "--json")
    console.wait_for_job("running", saved=True)
    status = console.json("status")
    assert status["is_running"] is True
    assert [each["id"] for each in status["running"]] == [1]
    (result,) = console.json("jobs", "cancel", "1")
    assert result["is_done"] is True
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    assert json.loads(out)["state"] == "cancelled"


def test_a_second_run_is_handed_to_the_process_that_runs_the_engine(console: Console) -> None:
    child = console.start(*LONG)
    console.wait_for_job("running")
    second = console.run("run", "test.count", "--steps", "2", "--json")
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout)["job_id"] == 2
    assert f"pid {child.pid}" in second.stderr
    joined = console.start(*LONG, "--json")
    assert joined.stderr is not None
    assert "joining job 1" in joined.stderr.readline()
    joined.send_signal(signal.SIGTERM)
    out, _ = joined.communicate(timeout=60)
    assert joined.returncode == 143
    assert json.loads(out)["state"] == "running"
    assert child.poll() is None
    console.wait_for_job("running")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_job_goes_on_here_when_the_engine_that_ran_it_ends(console: Console, number: int, tmp_path: Path) -> None:
    console.home.joinpath("config").mkdir(parents=True)
    console.home.joinpath("config", "config.toml").write_text("[engine]\ndrain_s = 0.5\n")
    host = console.start(*LONG)
    console.wait_for_job("running")
    guest = console.start("run", "test.count", "--until", str(tmp_path / "gate"), "--json")
    console.wait_for_job("running", 2, saved=True)
    host.send_signal(number)
    host.communicate(timeout=60)
    console.wait_for(lambda: console.wait_for_engine().pid == guest.pid, "the guest taking over")
    (tmp_path / "gate").touch()
    out, err = guest.communicate(timeout=60)
    assert guest.returncode == 0, err
    answer = json.loads(out)
    assert (answer["job_id"], answer["state"]) == (2, "succeeded")
    assert "going on here" in err
    assert answer["result"]["began_at"] >= 1
    console.wait_for_job("interrupted")


def test_many_at_once_on_an_empty_history_all_succeed(console: Console) -> None:
    children = [console.start("run", "test.count", "--note", str(number), "--json") for number in range(4)]
    answers = []
    for child in children:
        out, err = child.communicate(timeout=90)
        assert child.returncode == 0, err
        answers.append(json.loads(out))
    assert sorted(answer["job_id"] for answer in answers) == [1, 2, 3, 4]
    assert {answer["state"] for answer in answers} == {"succeeded"}


def test_a_terminal_gets_a_bar_on_stderr_and_a_clean_stdout(console: Console) -> None:
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "qsuite_console", "run", "test.count", "--steps", "20", "--step-s", "0.05", "--json"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**console.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
    )
    os.close(theirs)
    seen = b""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                seen += os.read(ours, 65_536)
            except OSError:
                break
    assert child.stdout is not None
    answer = json.loads(child.stdout.read())
    child.stdout.close()
    assert child.wait(60) == 0
    os.close(ours)
    assert answer["state"] == "succeeded"
    text = seen.decode()
    assert "█" in text
    assert 2 <= text.count("\x1b[2K") <= 40
    assert "20 steps" in text
