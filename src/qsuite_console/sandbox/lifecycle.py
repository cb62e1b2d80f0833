"""Starting and stopping a sandbox from outside: a supervisor process of its own does the work and dies last.

Attached, the supervisor ends when our end of its standard input closes, so a killed console takes everything with it;
detached it runs until it is told to stop. Whatever a killed supervisor left is cleaned up by the next start or stop.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.text import clean
from qsuite_console.sandbox import processes, record
from qsuite_console.sandbox.record import SandboxOptions, SandboxRecord, ServerRecord
from qsuite_console.sandbox.servers import POSTGRES_STOP, VALKEY_STOP

__all__ = ["Sandbox", "SandboxFailed", "SandboxOptions", "SandboxStatus", "ServerStatus"]

_STOP: Final = ((signal.SIGTERM, 25.0), (signal.SIGKILL, 5.0))
_STEPS: Final = {"postgresql": POSTGRES_STOP, "valkey": VALKEY_STOP}
_OURS: Final = ("sandbox.json", "sandbox.json.new", "postgres.log", "valkey.log", "initdb.log", "supervisor.log")
_DIRECTORIES: Final = ("postgres", "postgres.new")
CONSOLE_HOME: Final = "console"  # what a console opened on the sandbox keeps there
Report = Callable[[str], None]


class SandboxFailed(ConsoleError):
    """The sandbox could not be started, found or stopped."""


class Message(msgspec.Struct, kw_only=True):
    """One line from the supervisor while it starts: ``kind`` is progress, ready, running or failed."""

    kind: str
    text: str = ""
    hint: str = ""


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the sandbox. ``data_bytes`` is what it keeps on disk, None where it keeps nothing."""

    name: str
    pid: int
    port: int
    is_alive: bool
    uptime_s: float
    data_bytes: int | None = None


class SandboxStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A sandbox as ``sandbox status`` shows it."""

    directory: str
    is_running: bool
    is_seeded: bool = False
    options: SandboxOptions | None = None
    servers: tuple[ServerStatus, ...] = ()


def _silent(_: str) -> None:
    return None


class Sandbox:
    """The sandbox of one directory. ``report`` gets a line for each step of a start."""

    def __init__(self, directory: Path, options: SandboxOptions | None = None, report: Report = _silent) -> None:
        self.directory = Path(directory).expanduser().absolute()
        self.options = options or SandboxOptions()
        self.is_shared = False  # start() found it running and left it so
        self.is_new = False  # start() made its data
        self._report = report
        self._supervisor: subprocess.Popen[bytes] | None = None

    def start(self) -> dict[str, str]:
        """Start everything, or join what runs already; return the environment. Raises SandboxFailed."""
        self._make_directory()
        self.is_new = not (self._known() or self._blank()).is_seeded or self.options.fresh
        with (self.directory / "supervisor.log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "qsuite_console.sandbox.supervisor", str(self.directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # libpq's variables describe the caller's platform, not this one.
                env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
                start_new_session=True,
                cwd="/",
            )
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(msgspec.json.encode(self.options) + b"\n")
            child.stdin.flush()
            last = self._follow(child)
        except BaseException:
            child.stdin.close()  # attached or not yet ready: it stops by itself
            raise
        if last.kind in {"failed", "running"}:
            child.stdin.close()
            child.wait()
            if last.kind == "failed":
                raise SandboxFailed(last.text, hint=last.hint)
            self.is_shared, self.is_new = True, False
            self._report(last.text)
            return self.environment()
        child.stdout.close()
        if self.options.detached:
            child.stdin.close()
        self._supervisor = child
        return self.environment()

    def stop(self) -> bool:
        """Stop the sandbox and everything a killed one has left; one that ``start`` only joined is left alone.

        Returns whether anything was stopped. Raises SandboxFailed when a process does not end.
        """
        if self.is_shared or not self.directory.exists():
            return False
        found = False
        if record.is_locked(self.directory):
            holder = record.owner(self.directory)
            if holder is not None:
                found = True
                if not processes.end(holder, _STOP):
                    raise SandboxFailed(f"the sandbox's supervisor (pid {holder.pid}) does not end")
        if self._supervisor is not None:
            self._supervisor.wait()
            if self._supervisor.stdin is not None:
                self._supervisor.stdin.close()
            self._supervisor = None
        return clean_up(self.directory) or found

    def status(self) -> SandboxStatus:
        """Return what runs, since when and how large it is."""
        known = self._known()
        is_running = self.directory.exists() and record.is_locked(self.directory)
        if known is None:
            return SandboxStatus(directory=str(self.directory), is_running=is_running)
        everything = (*((known.supervisor,) if known.supervisor else ()), *(known.servers if is_running else ()))
        return SandboxStatus(
            directory=str(self.directory),
            is_running=is_running,
            is_seeded=known.is_seeded,
            options=known.options,
            servers=tuple(self._describe(server) for server in everything),
        )

    def environment(self) -> dict[str, str]:
        """Return DATABASE_URL, REDIS_URL and the provider's variables of the running sandbox; raises SandboxFailed."""
        known = self._known()
        if known is None or not known.is_ready or not record.is_locked(self.directory):
            raise SandboxFailed(
                f"no sandbox runs in {self.directory}",
                hint=f"start it: qsuite-console sandbox start --dir {shlex.quote(str(self.directory))}",
            )
        return record.environment(known)

    def _follow(self, child: subprocess.Popen[bytes]) -> Message:
        """Report progress until the supervisor is ready, has failed, or says that another one runs."""
        assert child.stdout is not None
        for line in child.stdout:
            message = msgspec.json.decode(line, type=Message)
            if message.kind != "progress":
                return message
            self._report(message.text)
        status = child.wait()
        log = self.directory / "supervisor.log"
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
        why = clean(lines[-1], 300) if lines else f"status {status}"
        return Message(kind="failed", text=f"the sandbox's supervisor ended at its start: {why}", hint=f"see {log}")

    def _make_directory(self) -> None:
        if (shown := clean(str(self.directory), 4096)) != str(self.directory):
            raise SandboxFailed(f"the directory {shown} has unprintable characters", hint="choose another with --dir")
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            # For root PostgreSQL runs as another user, who must be able to pass through.
            self.directory.chmod(0o711 if os.geteuid() == 0 else 0o700)
        except OSError as error:
            raise SandboxFailed(
                f"the directory {self.directory} can't be made or used: {error.strerror}",
                hint="choose another one with --dir",
            ) from error
        ours = {*_OURS, *_DIRECTORIES, record.LOCK, CONSOLE_HOME}
        strangers = {path.name for path in self.directory.iterdir()} - ours
        if strangers and self._known() is None:
            raise SandboxFailed(
                f"{self.directory} is not a sandbox: it holds {clean(sorted(strangers)[0], 80)}",
                hint="choose an empty or new directory with --dir",
            )

    def _known(self) -> SandboxRecord | None:
        return record.read(self.directory)

    def _blank(self) -> SandboxRecord:
        return SandboxRecord(options=self.options, postgres_password="", valkey_password="", key_id="", secret_key="")

    def _describe(self, server: ServerRecord) -> ServerStatus:
        is_alive = processes.is_alive(server.process)
        return ServerStatus(
            name=server.name,
            pid=server.process.pid,
            port=server.port,
            is_alive=is_alive,
            uptime_s=max(0.0, time.time() - server.started_at) if is_alive else 0.0,
            data_bytes=_size(self.directory / "postgres") if server.name == "postgresql" else None,
        )


def clean_up(directory: Path) -> bool:
    """End what a dead supervisor has left in the directory; tell whether there was anything."""
    with record.lock(directory) as is_mine:
        return is_mine and end_servers(directory)


def end_servers(directory: Path) -> bool:
    """End the recorded servers that are still the same processes; the directory's lock must be held.

    Returns whether any was running. Raises SandboxFailed when one does not end.
    """
    known = record.read(directory)
    if known is None:
        return False
    left = [server for server in known.servers if server.name in _STEPS and processes.is_alive(server.process)]
    for server in left:
        if not processes.end(server.process, _STEPS[server.name]):
            raise SandboxFailed(f"the sandbox's {server.name} (pid {server.process.pid}) does not end")
    if known.is_ready or known.supervisor:
        known.is_ready, known.supervisor = False, None  # the servers stay listed: their ports are taken again
        record.write(directory, known)
    return bool(left)


def wipe(directory: Path) -> None:
    """Remove everything a sandbox keeps in its directory; its lock must be held."""
    for name in _DIRECTORIES:
        shutil.rmtree(directory / name, ignore_errors=True)
    for name in _OURS:
        if name != "supervisor.log":  # open: it is the caller's own
            (directory / name).unlink(missing_ok=True)


def _size(directory: Path) -> int | None:
    total = 0
    try:
        for path in directory.rglob("*"):
            try:
                total += path.lstat().st_size
            except FileNotFoundError:  # servers remove files while we look
                continue
    except OSError:
        return None
    return total
