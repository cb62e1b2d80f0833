"""The embedded PostgreSQL and Valkey, driven by their binaries so that their whole life is ours.

Both listen on 127.0.0.1 with a generated password and nowhere else: no socket files to leave behind. A data directory
is made under another name and renamed when it is whole, so a start that was killed half-way is simply done again.
"""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from qsuite_console.model.text import clean
from qsuite_console.sandbox import binaries, privileges, processes
from qsuite_console.sandbox.binaries import ServerFailed
from qsuite_console.sandbox.processes import ProcessIdentity

POSTGRES_USER: Final = "qsuite"
_START_S: Final = 30.0
_POLL_S: Final = 0.01
_PORT_TRIES: Final = 3
# Commits reach the operating system, so a killed server loses none; a power cut may cost the directory (--fresh).
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "fsync": "off",
    "full_page_writes": "off",
    "checkpoint_timeout": "15min",
    "track_io_timing": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "autovacuum_naptime": "15s",
}


@dataclass(slots=True, kw_only=True)
class Server:
    """One running server; ``stop`` ends it for certain."""

    name: str
    process: ProcessIdentity
    port: int
    url: str = field(repr=False)
    _stop: tuple[tuple[signal.Signals, float], ...]

    def stop(self) -> None:
        """End the server, politely first."""
        processes.end(self.process, self._stop)

    @property
    def is_alive(self) -> bool:
        """Tell whether the server's process still runs."""
        return processes.is_alive(self.process)


# Fast shutdown, then immediate, then none at all.
POSTGRES_STOP: Final = ((signal.SIGINT, 8.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0))
VALKEY_STOP: Final = ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0))


def start_postgres(
    directory: Path, *, password: str, port: int = 0, ends_with_us: bool = True, settings: Iterable[str] = ()
) -> Server:
    """Start PostgreSQL on ``directory``/postgres, made first if need be; returns when it takes connections.

    ``port`` 0, or one that is taken, gives a free one. ``settings`` are more "name=value" pairs. ``ends_with_us``: it
    is told to stop when the calling thread's process dies. Raises ServerFailed.
    """
    programs = binaries.postgres_programs()
    data = directory / "postgres"
    if not (data / "PG_VERSION").exists():
        _create_cluster(programs, data, password)
    _end_stray(data)
    chosen = [*(f"{name}={value}" for name, value in _SETTINGS.items()), *settings]
    log = directory / "postgres.log"
    last: ServerFailed | None = None
    for _ in range(_PORT_TRIES):
        number = port if port and is_free(port) else free_port()
        argv = [str(programs / "postgres"), "-D", str(data), "-p", str(number)]
        argv += [part for setting in chosen for part in ("-c", setting)]
        ends_with = signal.SIGINT if ends_with_us else None
        child = _spawn(argv, log, paths=(programs / "postgres", data / "base"), is_server=True, ends_with=ends_with)
        try:
            identity = _wait_ready(child, "PostgreSQL", log, functools.partial(_is_postgres_ready, data, child.pid))
        except ServerFailed as error:
            last = error
            continue
        url = f"postgresql://{POSTGRES_USER}:{password}@127.0.0.1:{number}/postgres"
        return Server(name="PostgreSQL", process=identity, port=number, url=url, _stop=POSTGRES_STOP)
    assert last is not None
    raise last


def start_valkey(directory: Path, *, password: str, port: int = 0, ends_with_us: bool = True) -> Server:
    """Start Valkey with its files in ``directory``; returns when it answers. Nothing is kept over a restart."""
    program = binaries.valkey_program()
    log = directory / "valkey.log"
    last: ServerFailed | None = None
    for _ in range(_PORT_TRIES):
        number = port if port and is_free(port) else free_port()
        lines = (
            f"port {number}",
            "bind 127.0.0.1",
            f"requirepass {password}",
            "daemonize no",
            'save ""',
            "appendonly no",
            f"dir {_quoted(directory)}",
            "maxmemory 256mb",
            "maxmemory-policy allkeys-lru",
            "latency-monitor-threshold 100",
        )
        ends_with = signal.SIGTERM if ends_with_us else None
        child = _spawn(
            [str(program), "-"], log, paths=(), is_server=False, ends_with=ends_with, feed="\n".join(lines) + "\n"
        )
        try:
            identity = _wait_ready(child, "Valkey", log, functools.partial(_is_valkey_ready, number, password))
        except ServerFailed as error:
            last = error
            continue
        url = f"redis://:{password}@127.0.0.1:{number}/0"
        return Server(name="Valkey", process=identity, port=number, url=url, _stop=VALKEY_STOP)
    assert last is not None
    raise last


def _quoted(path: Path) -> str:
    """Return a path as one word of Valkey's configuration, whatever characters it has."""
    plain = set(range(32, 127)) - set(b'"\\')
    return '"' + "".join(chr(byte) if byte in plain else f"\\x{byte:02x}" for byte in os.fsencode(path)) + '"'


def make_password() -> str:
    """Return a new random password that needs no quoting in a URL."""
    return secrets.token_hex(16)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _create_cluster(programs: Path, data: Path, password: str) -> None:
    """Make a data directory beside its final place and rename it there when it is whole."""
    unfinished, secret = data.with_name("postgres.new"), data.with_name("postgres.password")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.rmtree(data, ignore_errors=True)
    try:
        unfinished.mkdir(mode=0o700, parents=True)
        secret.unlink(missing_ok=True)
        secret.touch(mode=0o600)
        secret.write_text(password + "\n", encoding="ascii")
        for path in (unfinished, secret):
            privileges.give_away(path)
    except OSError as error:
        raise ServerFailed(f"PostgreSQL's data directory {data} could not be made: {error.strerror}") from error
    argv = [str(programs / "initdb"), "-D", str(unfinished), "-U", POSTGRES_USER, f"--pwfile={secret}"]
    argv += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
    log = data.with_name("initdb.log")
    try:
        child = _spawn(
            argv, log, paths=(programs / "initdb", unfinished / "base"), is_server=True, ends_with=signal.SIGKILL
        )
        if child.wait() != 0:
            raise ServerFailed(f"PostgreSQL's data directory {data} could not be made: {_last_line(log)}")
        unfinished.rename(data)
    finally:
        secret.unlink(missing_ok=True)
    log.unlink(missing_ok=True)


def _end_stray(data: Path) -> None:
    """Stop a server that an earlier console, killed, has left on this directory, and remove its mark."""
    mark = data / "postmaster.pid"
    try:
        pid = int(mark.read_text(encoding="utf-8").partition("\n")[0])
    except (FileNotFoundError, ValueError):
        pid = 0
    stray = processes.identify(pid) if pid > 0 else None
    if (
        stray is not None
        and str(data) in processes.command_line(pid)
        and not processes.end(stray, ((signal.SIGINT, 3.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0)))
    ):
        raise ServerFailed(f"another PostgreSQL (pid {pid}) runs on {data} and does not stop")
    mark.unlink(missing_ok=True)


def _spawn(
    argv: Sequence[str],
    log: Path,
    *,
    paths: tuple[Path, ...],
    is_server: bool,
    ends_with: signal.Signals | None,
    feed: str = "",
) -> subprocess.Popen[bytes]:
    """Start a program in its own session with a clean environment, its output in ``log``, ``feed`` on its stdin."""
    prepare = privileges.prepare_child(paths=paths, is_server=is_server, ends_with=ends_with)
    with log.open("wb") as output:
        try:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,
                preexec_fn=prepare,
                cwd="/",
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ServerFailed(f"{argv[0]} could not be started: {error}", hint=_reach_hint(paths)) from error
    if feed:
        assert child.stdin is not None
        with child.stdin as pipe:
            pipe.write(feed.encode())
    return child


def _reach_hint(paths: tuple[Path, ...]) -> str:
    blocked = privileges.unreachable(paths)
    if blocked is None:
        return "install the package again: pip install --force-reinstall 'qsuite-console[sandbox]'"
    return f"for root PostgreSQL runs as {privileges.USER}, who can't search {blocked}: use a --dir elsewhere"


def _wait_ready(child: subprocess.Popen[bytes], name: str, log: Path, is_ready: Callable[[], bool]) -> ProcessIdentity:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise ServerFailed(f"{name} stopped at its start (status {child.returncode}): {_last_line(log)}")
        if is_ready():
            identity = processes.identify(child.pid)
            if identity is not None:
                return identity
        time.sleep(_POLL_S)
    child.kill()
    child.wait()
    raise ServerFailed(f"{name} was not ready within {_START_S:g} s: {_last_line(log)}")


def _is_postgres_ready(data: Path, pid: int) -> bool:
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _is_valkey_ready(port: int, password: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5) as link:
            link.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while b"\r\n+PONG" not in answer:
                part = link.recv(64)
                if not part:
                    return False
                answer += part
            return True
    except OSError:
        return False


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    telling = [line for line in lines if "FATAL" in line or "error" in line.lower()]
    return clean((telling or lines or ["no message"])[-1], 300)
