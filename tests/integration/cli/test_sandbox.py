"""``sandbox`` as a shell sees it: detached with ``env`` for other programs, and ending with everything it started."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from integration.cli.conftest import Console

SMALL = ("--symbols", "8", "--sessions", "2")
NAMES = {
    "DATABASE_URL",
    "REDIS_URL",
    "APCA_API_DATA_URL",
    "APCA_API_BASE_URL",
    "APCA_API_KEY_ID",
    "APCA_API_SECRET_KEY",
}


def processes_in(directory: Path) -> list[int]:
    """Return the processes whose command line or working directory names the sandbox's directory."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        if any(str(directory) in word for word in process.info["cmdline"] or ()):
            found.append(process.info["pid"])
    return found


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory, console: Console) -> Any:
    """A directory with characters that a shell would act on; whatever runs in it is stopped at the end."""
    path = tmp_path_factory.mktemp("s") / "it's $HOME"
    for parent in path.parents[:3]:
        parent.chmod(0o711)  # PostgreSQL runs as another user where the tests run as root
    yield path
    console.run("sandbox", "stop", "--dir", str(path))
    assert processes_in(path) == []


@pytest.mark.xdist_group("sandbox")
def test_detached_start_env_use_status_and_stop(console: Console, directory: Path) -> None:
    where = ("--dir", str(directory))
    assert console.run("sandbox", "env", *where).returncode == 1
    started = console.run("sandbox", "start", *where, *SMALL)
    assert started.returncode == 0, started.stderr
    text = console.run("sandbox", "env", *where).stdout
    assert {line.partition("=")[0] for line in text.splitlines()} == NAMES
    shell = subprocess.run(
        ["bash", "-c", 'set -a; eval "$1"; exec env -0', "-", text], capture_output=True, text=True, check=True
    )
    environ = dict(item.split("=", 1) for item in shell.stdout.split("\0") if "=" in item)
    assert {name: environ[name] for name in NAMES} == console.json("sandbox", "env", *where)
    assert shlex.split(text) == [
        f"{name}={environ[name]}" for name in (line.split("=")[0] for line in text.splitlines())
    ]
    console.environ.update({name: environ[name] for name in NAMES})
    assert console.json("doctor")["ok"] is True
    options = ("--symbols", "all", "--start", "2025-01-02", "--end", "2025-03-31")
    first = json.loads(console.run("run", "backfill", *options, "--json").stdout)
    assert first["state"] == "succeeded"
    assert first["result"]["verified"] is True
    assert first["result"]["rows_written"] > 0
    again = json.loads(console.run("run", "backfill", *options, "--json").stdout)
    assert (again["result"]["rows_written"], again["result"]["requests"]) == (0, 0)
    assert console.json("sandbox", "status", *where)["is_running"] is True
    assert console.json("sandbox", "start", *where, *SMALL)["was_running"] is True
    assert console.json("sandbox", "stop", *where)["stopped"] is True
    assert console.json("sandbox", "status", *where, code=1)["is_running"] is False
    assert processes_in(directory) == []


@pytest.mark.xdist_group("sandbox")
def test_headless_on_the_sandbox_ends_with_everything_also_when_killed(console: Console, directory: Path) -> None:
    del console.environ["QSUITE_CONSOLE_HOME"]
    arguments = ("sandbox", "--headless", "--dir", str(directory), *SMALL)
    inside = Console(directory / "console", {**console.environ, "QSUITE_CONSOLE_HOME": str(directory / "console")})
    service = console.start(*arguments, stderr=subprocess.DEVNULL)
    assert inside.wait_for_engine().pid == service.pid
    target = inside.json("status")["target"]
    assert (target["word"], target["colour"]) == ("SANDBOX", "success")
    inside.wait_for(
        lambda: any(job["origin"] == "sandbox" for job in inside.json("jobs", "list")["jobs"]), "the history's loading"
    )
    service.kill()
    service.wait(60)
    inside.wait_for(lambda: not processes_in(directory), "the end of all processes", 40)
    second = console.start(*arguments, stderr=subprocess.DEVNULL)
    inside.wait_for(lambda: inside.wait_for_engine().pid == second.pid, "an engine")
    second.send_signal(signal.SIGTERM)
    assert second.wait(60) == 0
    inside.wait_for(lambda: not processes_in(directory), "the end of all processes", 20)
    inside.close()


def test_wrong_use_is_refused(console: Console, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    for arguments in (
        ("sandbox", "start", "--dir", str(tmp_path / "full")),
        ("--target", "prod", "sandbox", "status"),
        ("sandbox", "--fresh", "start"),
        ("sandbox", "start", "--fail-rate", "2"),
        ("sandbox",),
    ):
        done = console.run(*arguments)
        assert done.returncode in (1, 2), arguments
        assert done.stderr.startswith("error: ")
    assert (tmp_path / "full" / "thesis.txt").read_text() == "precious"
