"""An engine that outlives its console: handed over to the background, attached to again, taken back, ended."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from integration.cli.conftest import Console
from integration.cli.terminal import Terminal
from qsuite_console.cli import background
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.main import cli
from qsuite_console.model.errors import ConsoleError
from qsuite_console.sandbox.servers import free_port

NEVER = "/nowhere/to/be/seen"


@pytest.fixture(autouse=True)
def nothing_stays(console: Console) -> Iterator[None]:
    """End what a test has left in the background."""
    yield
    console.run("stop")


def owner_of(console: Console) -> int:
    return int(console.json("status")["owner"].split()[1])


def start_endless_job(console: Console) -> None:
    """Leave a job to the engine that runs: it goes on when the command that asked for it is gone."""
    runner = console.start("run", "test.count", "--steps", "7", "--until", NEVER)
    console.wait_for_job("running", saved=True)
    runner.kill()
    runner.communicate(timeout=60)


def test_the_engine_moves_to_the_background_and_back_and_its_job_goes_on(
    console: Console, open_terminal: Callable[..., Terminal]
) -> None:
    first = open_terminal()
    first.see("Screens")
    start_endless_job(console)
    first.see("count to 7")
    first.press(b"&")
    first.see("1 job saves its work and go")
    first.press(b"y")
    first.see("runs the engine now; 1 job goes on")
    background = owner_of(console)
    assert background != first.pid
    first.see(f"engine: pid {background}")
    console.wait_for_job("running", saved=True)
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert owner_of(console) == background

    second = open_terminal("attach")
    second.see(f"engine: pid {background}")
    second.see("count to 7")
    second.press(b":")
    second.see("Show Overview")
    second.press(b"foreground\r")
    second.see("Run the engine in this console?")
    second.press(b"y")
    second.see("This console runs the engine now; 1 job goes on")
    assert owner_of(console) == second.pid
    console.wait_for_job("running", saved=True)

    second.press(b"q")
    second.see("1 job is running")
    second.press(b"b")
    assert second.wait() == 0
    assert b"runs the engine in the background" in second.raw
    assert owner_of(console) not in (second.pid, background)
    console.wait_for_job("running", saved=True)
    shown = console.json("jobs", "show", "1")
    assert shown["job"]["rescues"] == 0  # drained each time, never found dead
    assert shown["checkpoint"]["done"] > 7

    assert console.run("stop").returncode == 0
    assert console.json("status")["is_running"] is False
    console.wait_for_job("interrupted")
    refused = console.run("stop")
    assert refused.returncode == 1
    assert "no engine answers" in refused.stderr


def test_a_console_is_neither_stopped_nor_taken_over(console: Console, open_terminal: Callable[..., Terminal]) -> None:
    first = open_terminal()
    first.see("Screens")
    refused = console.run("stop")
    assert refused.returncode == 1
    assert f"pid {first.pid} is no engine without a screen (console)" in refused.stderr
    second = open_terminal("attach")
    second.see(f"engine: pid {first.pid}")
    second.press(b":")
    second.see("Show Overview")
    second.press(b"foreground\r")
    second.see("quit that console")
    second.press(b"&")
    second.see("it goes on when")


def test_attaching_says_in_a_line_what_keeps_it_from_it(
    console: Console, open_terminal: Callable[..., Terminal]
) -> None:
    token = console.home / "token"
    token.parent.mkdir(parents=True)
    token.write_text("A" * 40)
    port = free_port()
    lines = {
        ("attach",): "no engine runs for default: nothing answers on",
        ("attach", "nosuch"): "no target 'nosuch'",
        (
            "attach",
            f"http://127.0.0.1:{port}",
            "--token-file",
            str(token),
        ): f"no engine answers on http://127.0.0.1:{port}",
        ("attach", "ftp://example.org"): "must start with https:// or http://",
        ("attach", "http://u:p@127.0.0.1:1"): "must not hold a user name or password",
        ("attach", "http://127.0.0.1:1", "--token-file", "/nowhere"): "/nowhere: can't be read",
    }
    for arguments, words in lines.items():
        terminal = open_terminal(*arguments)
        assert terminal.wait() in (1, 2)
        assert words in " ".join(terminal.raw.decode().replace("\r\n", "\n").split()), terminal.raw
        assert b"Traceback" not in terminal.raw


@pytest.fixture
def configured(console: Console) -> Console:
    """An engine that also listens over TCP, and a target that has it as its own."""
    config, port = console.home / "config", free_port()
    config.mkdir(parents=True)
    token = console.home / "token"
    token.write_text("t" * 44 + "\n")
    token.chmod(0o600)
    url = f'engine_url = "http://127.0.0.1:{port}"'
    (config / "config.toml").write_text(
        f'[api]\nlisten = "127.0.0.1:{port}"\n'
        f'[tokens.ops]\ntoken = "file:{token}"\nscope = "operate"\n'
        f'[targets.far]\n{url}\nengine_token = "file:{token}"\n'
        f'[targets.stranger]\n{url}\nengine_token = "{"x" * 44}"\n'
        '[targets.here]\nword = "HERE"\n'
    )
    (config / "config.toml").chmod(0o600)
    return console


def test_the_verbs_and_the_console_of_a_target_use_its_engine_elsewhere(
    configured: Console, open_terminal: Callable[..., Terminal]
) -> None:
    owner = configured.start("--target", "here", "--headless", stderr=-3)
    configured.wait_for(lambda: configured.json("--target", "here", "status")["is_running"], "the engine")
    done = configured.run("--target", "far", "run", "test.count", "--steps", "2", "--json")
    assert done.returncode == 0, done.stderr
    copy = configured.home / "jobs.csv"
    made = configured.run("--target", "far", "report", "jobs", "--export", str(copy))
    assert made.returncode == 0, made.stderr
    assert "test.count" in copy.read_text()

    def far(*arguments: str) -> Any:
        answer = CliRunner(env=configured.environ).invoke(cli, ["--target", "far", *arguments, "--json"])
        assert answer.exit_code == 0, answer
        return json.loads(answer.stdout)

    assert [job["title"] for job in far("jobs", "list")["jobs"]][1:] == ["count to 2"]
    assert [line["origin"] for line in far("audit")["lines"]]
    assert far("status")["is_running"]
    assert far("schedules", "list")["schedules"]
    [report] = far("reports", "list")["reports"]
    assert far("reports", "show", "last")["report"] == report
    with pytest.raises(ConsoleError, match="is on the machine of http://"):
        cli.main(["--home", str(configured.home), "--target", "far", "reports", "open", "last"], standalone_mode=False)
    assert not any(configured.home.glob("state/targets/far/*.sqlite"))  # nothing of it is kept here
    refused = configured.run("--target", "stranger", "jobs", "list")
    assert refused.returncode == 1
    assert "token" in refused.stderr.splitlines()[0]

    terminal = open_terminal("attach", "far")
    terminal.see(f"engine: pid {owner.pid} at 127.0.0.1")
    terminal.see("count to 2")
    owner.send_signal(signal.SIGTERM)
    assert owner.wait(60) == 0
    terminal.see("the engine ended")
    gone = configured.run("--target", "far", "jobs", "list")
    assert gone.returncode == 1
    assert "no engine answers on http://127.0.0.1" in gone.stderr
    following = configured.start("--target", "here", "--headless", stderr=-3)
    terminal.see(f"engine: pid {following.pid} at 127.0.0.1")
    assert terminal.pump(lambda: "the engine ended" not in terminal.text)
    terminal.press(b"q")
    assert terminal.wait() == 0


def test_a_start_that_fails_in_the_background_is_told_in_its_own_words(console: Console) -> None:
    config = console.home / "config"
    config.mkdir(parents=True)
    invocation = Invocation(home=str(console.home), environ=console.environ)
    assert not invocation.loaded.targets
    (config / "config.toml").write_text("[engine]\nnonsense = 1\n")
    with pytest.raises(ConsoleError, match=r"did not start in the background: error: .*nonsense"):
        background.start(invocation)
