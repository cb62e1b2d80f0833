"""What a sandbox directory says about itself: who supervises it, which servers run, their passwords and ports.

The lock file's flock is the truth about whether a supervisor lives; the record only tells where things are. Both are
readable by their owner alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from qsuite_console.model.errors import ConsoleError
from qsuite_console.sandbox.processes import ProcessIdentity

RECORD: Final = "sandbox.json"
LOCK: Final = "sandbox.lock"
DATABASE: Final = "qsuite"
_POLL_S: Final = 0.05


class SandboxOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a sandbox is to be like. Universe and seed of a directory that has data already stay as they are."""

    symbols: int = 500
    sessions: int = 26  # of minute bars, the newest at once, the others by the backfill of ``seed.deeper_history``
    traffic: bool = True
    fresh: bool = False  # wipe the directory first
    latency_ms: float = 0.0
    fail_rate: float = 0.0
    bad_rate: float = 0.0
    rate_limit: int = 200
    seed: int = 42
    anchor: str | None = None  # newest session of the data, "2026-11-20"; None is the last completed one
    detached: bool = False  # outlive the process that starts it


class ServerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A server that was started and where it listens."""

    name: str
    process: ProcessIdentity
    port: int
    started_at: float  # seconds since the epoch


class SandboxRecord(msgspec.Struct, kw_only=True):
    """Everything that must be known to use or end a sandbox."""

    options: SandboxOptions
    postgres_password: str
    valkey_password: str
    key_id: str
    secret_key: str
    is_seeded: bool = False
    is_ready: bool = False
    supervisor: ServerRecord | None = None  # its port is the exchange's
    servers: tuple[ServerRecord, ...] = ()

    def server(self, name: str) -> ServerRecord | None:
        """Return the server of this name."""
        return next((server for server in self.servers if server.name == name), None)


class RecordFailed(ConsoleError):
    """What a directory says about its sandbox can't be read."""


def read(directory: Path) -> SandboxRecord | None:
    """Return the directory's record, None when there is none or it is damaged; raises RecordFailed."""
    try:
        with _explained(directory):
            return msgspec.json.decode((directory / RECORD).read_bytes(), type=SandboxRecord)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


@contextlib.contextmanager
def _explained(directory: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        what = "is not a directory" if isinstance(error, NotADirectoryError) else f"can't be used: {error.strerror}"
        raise RecordFailed(f"{directory} {what}", hint="give the sandbox's own directory with --dir") from error


def write(directory: Path, record: SandboxRecord) -> None:
    """Replace the directory's record as a whole."""
    unfinished = directory / (RECORD + ".new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(record)))
    unfinished.replace(directory / RECORD)


@contextlib.contextmanager
def lock(directory: Path, *, wait_s: float = 0.0) -> Iterator[bool]:
    """Hold the directory's lock for the block; yields False when another process keeps it for ``wait_s`` seconds.

    Raises RecordFailed.
    """
    with _explained(directory):
        handle = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield _take(handle, time.monotonic() + wait_s)
    finally:
        os.close(handle)


def _take(handle: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        else:
            return True


def note_owner(directory: Path, process: ProcessIdentity) -> None:
    """Write into the lock file who holds it."""
    (directory / LOCK).write_bytes(msgspec.json.encode(process))


def owner(directory: Path) -> ProcessIdentity | None:
    """Return the process that last held the lock."""
    try:
        return msgspec.json.decode((directory / LOCK).read_bytes(), type=ProcessIdentity)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def is_locked(directory: Path) -> bool:
    """Tell whether a supervisor holds the directory now."""
    with _explained(directory):
        if not (directory / LOCK).exists():
            return False
    with lock(directory) as is_mine:
        return not is_mine


def environment(record: SandboxRecord) -> dict[str, str]:
    """Return the variables that point any program at the sandbox."""
    ports = {server.name: server.port for server in record.servers}
    exchange = f"http://127.0.0.1:{ports['exchange']}"
    return {
        "DATABASE_URL": f"postgresql://qsuite:{record.postgres_password}@127.0.0.1:{ports['postgresql']}/{DATABASE}",
        "REDIS_URL": f"redis://:{record.valkey_password}@127.0.0.1:{ports['valkey']}/0",
        "APCA_API_DATA_URL": exchange,
        "APCA_API_BASE_URL": exchange,
        "APCA_API_KEY_ID": record.key_id,
        "APCA_API_SECRET_KEY": record.secret_key,
    }
