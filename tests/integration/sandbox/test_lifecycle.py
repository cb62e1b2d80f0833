"""A sandbox's life: nothing outlives it, whatever was killed, and what it had made is there the next time."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
import msgspec
import pytest

from fakes.stopwatch import Stopwatch
from qsuite_console.model.errors import ConsoleError
from qsuite_console.sandbox import processes, record, supervisor
from qsuite_console.sandbox.lifecycle import Sandbox, SandboxFailed, SandboxOptions

SMALL = SandboxOptions(symbols=25, sessions=2, anchor="2026-11-20")
VARIABLES = {
    "DATABASE_URL",
    "REDIS_URL",
    "APCA_API_DATA_URL",
    "APCA_API_BASE_URL",
    "APCA_API_KEY_ID",
    "APCA_API_SECRET_KEY",
}


@pytest.fixture
def directory():
    path = Path(tempfile.mkdtemp(prefix="qsuite-sandbox-"))
    yield path / "box"
    Sandbox(path / "box").stop()
    shutil.rmtree(path)


def identities(directory):
    known = record.read(directory)
    assert known is not None
    assert known.supervisor is not None
    return [known.supervisor.process, *(server.process for server in known.servers)]


def wait_until(is_so, limit_s=60.0):
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def fetch(url, statement):
    async def ask():
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(ask())


def attached(directory, options=SMALL):
    """Start a console stand-in that holds a sandbox, in a process that can be killed."""
    code = (
        "import sys, msgspec; from pathlib import Path; from qsuite_console.sandbox.lifecycle import *\n"
        "box = Sandbox(Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=SandboxOptions))\n"
        "box.start(); print('ready', flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", code, str(directory), msgspec.json.encode(options).decode()]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"ready\n"
    return child


def kill(child):
    child.kill()
    child.wait()
    child.stdin.close()
    child.stdout.close()


def test_start_use_and_stop_leave_no_process(directory):
    lines = []
    box = Sandbox(directory, SMALL, report=lines.append)
    environment = box.start()
    assert set(environment) == VARIABLES
    assert box.is_new
    assert any(line.startswith("sample data") for line in lines)
    assert fetch(environment["DATABASE_URL"], "SELECT count(*) FROM market_data_ticker") == 25
    assert stat.S_IMODE((directory / "sandbox.json").stat().st_mode) == 0o600
    status = box.status()
    assert [server.name for server in status.servers] == ["supervisor", "postgresql", "valkey", "exchange"]
    assert all(server.is_alive for server in status.servers)
    assert status.servers[1].data_bytes > 10_000_000
    alive = identities(directory)
    for server in status.servers:  # no password where every user of the machine can read it
        command = processes.command_line(server.pid)
        assert not any(environment["DATABASE_URL"].split(":")[2].split("@")[0] in part for part in command.split())
    assert box.stop()
    assert not any(map(processes.is_alive, alive))
    assert not box.status().is_running
    assert not list(directory.rglob("*.sock")) + list(directory.rglob("postmaster.pid"))
    with pytest.raises(SandboxFailed, match="no sandbox runs"):
        box.environment()
    assert not box.stop()


def test_a_later_start_reuses_data_ports_and_keys(directory):
    first = Sandbox(directory, SMALL)
    before = first.start()
    fetch(before["DATABASE_URL"], "CREATE TABLE mine AS SELECT 1")
    first.stop()
    lines = []
    second = Sandbox(directory, SandboxOptions(symbols=300, traffic=False), report=lines.append)
    after = second.start()
    assert not second.is_new
    assert {k: v for k, v in before.items() if "KEY" in k} == {k: v for k, v in after.items() if "KEY" in k}
    assert fetch(after["DATABASE_URL"], "SELECT count(*) FROM mine") == 1
    assert fetch(after["DATABASE_URL"], "SELECT count(*) FROM market_data_ticker") == 25
    assert any("keeping the directory's 25 symbols" in line for line in lines)
    assert second.status().options.symbols == 25
    second.stop()
    third = Sandbox(directory, SandboxOptions(symbols=20, sessions=2, fresh=True))
    fresh = third.start()
    assert third.is_new
    assert fetch(fresh["DATABASE_URL"], "SELECT to_regclass('mine') IS NULL")
    assert fetch(fresh["DATABASE_URL"], "SELECT count(*) FROM market_data_ticker") == 20
    assert fresh["APCA_API_SECRET_KEY"] != before["APCA_API_SECRET_KEY"]


def test_killing_the_console_takes_everything_with_it(directory):
    console = attached(directory)
    alive = identities(directory)
    kill(console)
    for process in alive:
        wait_until(lambda p=process: not processes.is_alive(p))
    assert not record.is_locked(directory)


def test_killing_the_supervisor_takes_the_servers_with_it_and_the_next_start_works(directory):
    box = Sandbox(directory, SMALL)
    box.start()
    alive = identities(directory)
    os.kill(alive[0].pid, signal.SIGKILL)
    for process in alive[1:]:
        wait_until(lambda p=process: not processes.is_alive(p))
    box.stop()
    again = Sandbox(directory, SMALL)
    environment = again.start()
    assert fetch(environment["DATABASE_URL"], "SELECT count(*) FROM market_data_ticker") == 25


def test_what_a_killed_sandbox_left_is_ended_by_stop_but_a_reused_pid_is_not(directory):
    directory.mkdir()
    stray = subprocess.Popen(["sleep", "60"])
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        mine = processes.identify(stray.pid)
        other = processes.ProcessIdentity(bystander.pid, "1")  # its pid, but another process
        record.write(
            directory,
            record.SandboxRecord(
                options=SMALL,
                postgres_password="x",
                valkey_password="x",
                key_id="x",
                secret_key="x",
                is_ready=True,
                servers=(
                    record.ServerRecord(name="valkey", process=mine, port=1, started_at=0.0),
                    record.ServerRecord(name="postgresql", process=other, port=2, started_at=0.0),
                ),
            ),
        )
        assert Sandbox(directory).stop()
        assert not processes.is_alive(mine)
        assert bystander.poll() is None
        assert not Sandbox(directory).stop()
    finally:
        for child in (stray, bystander):
            child.kill()
            child.wait()


def test_a_detached_sandbox_outlives_its_starter_and_is_joined_by_the_next(directory):
    options = SandboxOptions(symbols=20, sessions=2, detached=True)
    console = attached(directory, options)
    alive = identities(directory)
    kill(console)
    lines = []
    joined = Sandbox(directory, SMALL, report=lines.append)
    environment = joined.start()
    assert joined.is_shared
    assert "runs in" in lines[-1]
    assert fetch(environment["DATABASE_URL"], "SELECT 1") == 1
    assert not joined.stop()  # it belongs to someone else
    assert all(map(processes.is_alive, alive))
    with pytest.raises(SandboxFailed, match="a sandbox runs in") as refused:
        Sandbox(directory, SandboxOptions(fresh=True)).start()
    assert "sandbox stop" in refused.value.hint
    assert Sandbox(directory).stop()
    assert not any(map(processes.is_alive, alive))


def test_a_start_that_was_killed_half_way_is_done_again(directory):
    directory.mkdir()
    (directory / "postgres.new").mkdir()
    (directory / "postgres.new" / "PG_VERSION").write_text("18\n")
    child = subprocess.Popen(
        [sys.executable, "-m", "qsuite_console.sandbox.supervisor", str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    child.stdin.write(b'{"symbols": 25}\n')
    child.stdin.flush()
    for line in child.stdout:
        if json.loads(line)["text"].startswith("loading"):
            break
    kill(child)
    for server in record.read(directory).servers:
        wait_until(lambda p=server.process: not processes.is_alive(p))
    box = Sandbox(directory, SMALL)
    environment = box.start()
    assert fetch(environment["DATABASE_URL"], "SELECT count(*) FROM market_data_ticker") == 25
    assert not (directory / "postgres.new").exists()


def test_a_start_that_is_told_to_stop_while_it_loads_stops_at_once(directory):
    directory.mkdir()
    child = subprocess.Popen(
        [sys.executable, "-m", "qsuite_console.sandbox.supervisor", str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    child.stdin.write(b'{"symbols": 5000}\n')  # half a minute's work
    child.stdin.flush()
    messages = (json.loads(line) for line in child.stdout)
    assert any(message["text"].startswith("loading") for message in messages)
    with Stopwatch() as taken:
        child.send_signal(signal.SIGTERM)
        *_, last = messages
        assert (last["kind"], last["text"]) == ("failed", "stopped while it was starting")
        assert child.wait(30) == 1
    assert taken.seconds < 15
    kill(child)
    known = record.read(directory)
    assert not known.is_seeded
    assert not any(processes.is_alive(server.process) for server in known.servers)


def test_a_server_that_dies_is_started_again_on_its_port(directory):
    environment = Sandbox(directory, SandboxOptions(symbols=20, sessions=2, detached=True)).start()
    known = record.read(directory)
    for name in ("postgresql", "valkey"):
        before = known.server(name)  # right after the start: what was committed must be there again
        os.kill(before.process.pid, signal.SIGKILL)
        wait_until(lambda n=name, b=before: record.read(directory).server(n).process != b.process)
        assert record.read(directory).server(name).port == before.port
    newest = "SELECT max(created_at) FROM execution_engine_order"
    seen = fetch(environment["DATABASE_URL"], newest)
    wait_until(lambda: fetch(environment["DATABASE_URL"], newest) > seen)  # and the traffic goes on


def test_a_directory_of_something_else_is_left_alone(directory):
    directory.mkdir()
    (directory / "thesis.txt").write_text("years of work")
    with pytest.raises(SandboxFailed, match=r"is not a sandbox: it holds thesis\.txt"):
        Sandbox(directory, SandboxOptions(fresh=True)).start()
    (directory / "thesis.txt").unlink()
    target = directory / "file"
    target.write_text("")
    with pytest.raises(SandboxFailed, match="can't be made or used"):
        Sandbox(target).start()
    target.unlink()


def test_a_directory_that_can_t_be_one_is_a_line_for_every_question(directory):
    directory.parent.joinpath("file").write_text("")
    box = Sandbox(directory.parent / "file")
    for ask in (box.start, box.stop, box.status, box.environment):
        with pytest.raises(ConsoleError, match=r"can't be made or used|is not a directory"):
            ask()
    with pytest.raises(SandboxFailed, match="has unprintable characters"):
        Sandbox(directory.parent / "a\nb").start()


def test_any_other_name_serves(directory):
    odd = directory.parent / 'it\'s "a" $HOME \\ é;'
    environment = Sandbox(odd, SandboxOptions(symbols=5, sessions=1, traffic=False)).start()
    try:
        assert fetch(environment["DATABASE_URL"], "SELECT count(*) FROM market_data_ticker") == 5
    finally:
        assert Sandbox(odd).stop()
    with pytest.raises(SandboxFailed) as refused:
        Sandbox(odd).environment()
    assert shlex.split(refused.value.hint.partition(": ")[2])[-1] == str(odd)


def test_a_full_disk_is_named_before_anything_is_made(directory, monkeypatch):
    free = shutil.disk_usage("/")._replace(free=100_000_000)
    monkeypatch.setattr(supervisor.shutil, "disk_usage", lambda _: free)
    directory.mkdir()
    with pytest.raises(ConsoleError, match=r"needs 235 MB of disk, 100 MB are free"):
        supervisor.Supervisor(directory, SandboxOptions())
    assert not list(directory.iterdir())
    assert supervisor.Supervisor(directory, SandboxOptions(symbols=50))
