"""Several targets in one configuration: switched with the keys, each with jobs of its own, side by side."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration.cli.conftest import Console
from integration.cli.terminal import Terminal

NEVER = "/nowhere/to/be/seen"


@pytest.fixture
def configured(console: Console, database_dsn: str, empty_database_dsn: str) -> Console:
    """Targets on two databases: one to work on, one of production that is only looked at, one that is wrong."""
    config = console.home / "config"
    config.mkdir(parents=True)
    file = config / "config.toml"
    file.write_text(f"""
default_target = "lab"
[engine]
drain_s = 3.0
[targets.lab]
word = "LABORATORY"
database.dsn = "{database_dsn}"
[targets.market]
word = "PRODUCTION"
colour = "error"
read_only = true
database.dsn = "{empty_database_dsn}"
[targets.wrong]
database.pool_min = 50
""")
    file.chmod(0o600)
    return console


def state_of(console: Console, target: str, job_id: int = 1) -> str:
    state: str = console.json("--target", target, "jobs", "show", str(job_id))["job"]["state"]
    return state


def top(terminal: Terminal) -> str:
    return terminal.text.splitlines()[0]


def command(terminal: Terminal, line: str) -> None:
    """Type a command once its line is there."""
    terminal.press(b":")
    terminal.see("Show Overview")
    terminal.press(line.encode())
    terminal.see(f":{line}")
    terminal.press(b"\r")


def start_endless_job(console: Console, *options: str) -> None:
    """Leave a job to the engine that runs: it goes on when the command that asked for it is gone."""
    runner = console.start(*options, "run", "test.count", "--steps", "7", "--until", NEVER)
    target = options[1] if options else "lab"

    def is_running() -> bool:
        shown = console.run("--target", target, "jobs", "show", "1", "--json")
        return shown.returncode == 0 and '"running"' in shown.stdout

    console.wait_for(is_running, "the job")
    runner.kill()
    runner.communicate(timeout=60)


def test_the_target_is_switched_with_the_keys_and_back(
    configured: Console, open_terminal: Callable[..., Terminal]
) -> None:
    terminal = open_terminal()
    terminal.see("LABORATORY")
    start_endless_job(configured)
    terminal.see("count to 7")
    terminal.press(b"@")
    terminal.see("you are here")
    terminal.see("wrong")
    terminal.press(b"j")
    terminal.press(b"\r")
    terminal.see("Leave lab for market?")
    terminal.see("1 job is running on lab.")
    terminal.press(b"y")
    assert terminal.pump(lambda: "PRODUCTION market" in top(terminal)), terminal.text
    assert "read-only" in top(terminal)
    terminal.press(b"2")
    assert terminal.pump(lambda: "count to 7" not in terminal.text), terminal.text
    terminal.see("Filter")
    assert configured.json("--target", "market", "jobs", "list")["jobs"] == []
    assert f"pid {terminal.pid}" in configured.json("--target", "market", "status")["owner"]
    configured.wait_for(lambda: state_of(configured, "lab") == "interrupted", "the job of lab saving its work")
    command(terminal, "target lab")
    assert terminal.pump(lambda: "LABORATORY" in top(terminal)), terminal.text
    configured.wait_for(lambda: state_of(configured, "lab") == "running", "the job of lab going on")
    terminal.see("count to 7")
    assert state_of(configured, "lab") == "running"
    terminal.press(b"\x11")  # ctrl+q
    terminal.see("Drain and quit")
    terminal.press(b"n")
    assert terminal.wait() == 0
    assert configured.json("--target", "market", "jobs", "list")["jobs"] == []


def test_what_cannot_be_opened_leaves_the_operator_where_they_are(
    configured: Console, open_terminal: Callable[..., Terminal]
) -> None:
    holder = configured.start("--target", "market", "--headless", stderr=-3)
    configured.wait_for(
        lambda: configured.json("--target", "market", "status", code=0)["is_running"], "the engine of market"
    )
    holder.send_signal(signal.SIGSTOP)
    try:
        terminal = open_terminal()
        terminal.see("LABORATORY")
        for name, words in (("market", f"pid {holder.pid}"), ("wrong", "pool_min"), ("nosuch", "no target nosuch")):
            command(terminal, f"target {name}")
            terminal.see(f"{name} can't be opened")
            assert terminal.pump(lambda words=words: words in " ".join(terminal.text.split())), terminal.text  # type: ignore[misc]
            assert terminal.pump(lambda: "still on lab" in " ".join(terminal.text.split())), terminal.text
            assert "LABORATORY" in top(terminal)
        assert f"pid {terminal.pid}" in configured.json("status")["owner"]
        terminal.press(b"\x11")
        assert terminal.wait() == 0
    finally:
        holder.send_signal(signal.SIGCONT)
    holder.send_signal(signal.SIGTERM)
    assert holder.wait(60) == 0


def test_a_target_that_another_process_runs_is_attached_to(
    configured: Console, open_terminal: Callable[..., Terminal]
) -> None:
    holder = configured.start("--target", "market", "--headless", stderr=-3)
    configured.wait_for(
        lambda: configured.json("--target", "market", "status", code=0)["is_running"], "the engine of market"
    )
    terminal = open_terminal()
    terminal.see("LABORATORY")
    command(terminal, "target market")
    assert terminal.pump(lambda: "PRODUCTION market" in top(terminal)), terminal.text
    terminal.see(f"pid {holder.pid}")
    assert configured.json("status")["is_running"] is False, "lab was left"
    terminal.press(b"\x11")
    assert terminal.wait() == 0
    assert configured.json("--target", "market", "status")["is_running"] is True
    holder.send_signal(signal.SIGTERM)
    assert holder.wait(60) == 0


def test_two_engines_side_by_side_have_nothing_in_common(configured: Console) -> None:
    engines = {
        name: configured.start("--target", name, *options, "--headless", stderr=-3)
        for name, options in (("lab", ()), ("market", ()))
    }
    for name in engines:
        configured.wait_for(
            lambda name=name: configured.run("--target", name, "status").returncode == 0,  # type: ignore[misc]
            f"the engine of {name}",
        )
    for name in engines:
        start_endless_job(configured, "--target", name)
    owners = {name: configured.json("--target", name, "status")["owner"] for name in engines}
    assert owners == {name: f"pid {child.pid}" for name, child in engines.items()}
    engines["lab"].send_signal(signal.SIGTERM)
    assert engines["lab"].wait(60) == 0
    assert (state_of(configured, "lab"), state_of(configured, "market")) == ("interrupted", "running")
    logs: list[Any] = [
        line for line in configured.run("--target", "market", "jobs", "logs", "1").stdout.splitlines() if "step" in line
    ]
    assert len(logs) == len(set(logs))
    engines["market"].send_signal(signal.SIGTERM)
    assert engines["market"].wait(60) == 0
    home = configured.home / "state"
    assert (home / "history.sqlite").exists()
    assert (home / "targets" / "market" / "history.sqlite").exists()


def test_the_main_target_keeps_its_place_when_another_becomes_the_main_one(configured: Console) -> None:
    ran = ("run", "test.count", "--steps", "1", "--json")
    assert configured.run(*ran).returncode == 0
    file: Path = configured.home / "config" / "config.toml"
    file.write_text(file.read_text().replace('default_target = "lab"', 'default_target = "market"'))
    assert configured.json("jobs", "list")["jobs"] == []
    assert [job["id"] for job in configured.json("--target", "lab", "jobs", "list")["jobs"]] == [1]
    file.write_text(file.read_text().replace('default_target = "market"\n', ""))
    assert configured.json("jobs", "list")["jobs"] == [], "no target named: neither one's history"
    assert [each.name for each in (configured.home / "state" / "targets").iterdir()]
