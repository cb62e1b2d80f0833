"""One process owns a history: an flock that the kernel drops with the process, and a note of who holds it."""

from __future__ import annotations

import fcntl
import json
import math
import os
import socket
import time
from datetime import datetime
from pathlib import Path

from qsuite_console.model.errors import HistoryOwned, HistoryUnavailable
from qsuite_console.model.text import clean


def lock_path(history: Path) -> Path:
    """Return the lock file that belongs to a history file."""
    return history.with_name(history.name + ".lock")


class HistoryLock:
    """Held from construction to ``release``; raises HistoryOwned while another process holds it."""

    def __init__(self, history: Path, *, now: datetime) -> None:
        path = lock_path(history)
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HistoryUnavailable(
                f"the history in {history.parent} can't be written: {error.strerror}",
                hint="check the directory's owner and permissions, or set QSUITE_CONSOLE_HOME",
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            owner = describe_owner(history) or "another process"
            raise HistoryOwned(
                f"the history {history} is in use by {owner}",
                owner=owner,
                hint="attach to it, stop it, or use another QSUITE_CONSOLE_HOME",
            ) from error
        note = {"pid": os.getpid(), "host": socket.gethostname(), "since": now.isoformat(timespec="seconds")}
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(note).encode(), 0)

    def release(self) -> None:
        """Let go; the file stays, so that no two processes ever lock different inodes of one name."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def silent_owner(history: Path) -> str:
    """Return who holds the lock now, "" for nobody; for when no engine answers.

    The lock is tried only while the process that took it last still lives: whoever starts just now is not disturbed.
    """
    owner = describe_owner(history)
    try:
        os.kill(int(owner.partition(" on ")[0].removeprefix("pid ")), 0)
        descriptor = os.open(lock_path(history), os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        return owner
    except (OSError, ValueError):
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return owner
    finally:
        os.close(descriptor)
    return ""


def owned_for_s(history: Path) -> float:
    """Return for how many seconds the lock's last owner has had it, by the file's own time; infinity if unknown."""
    try:
        age_s = time.time() - lock_path(history).stat().st_mtime
    except OSError:
        return math.inf
    return age_s if age_s >= 0 else math.inf


def describe_owner(history: Path) -> str:
    """Return who last took the lock, "pid 4711 on db-1, since 2026-11-22T09:12:00+00:00", or "" if unknown."""
    try:
        note = json.loads(lock_path(history).read_text())
        return clean(f"pid {note['pid']} on {note['host']}, since {note['since']}", 200)
    except (OSError, ValueError, KeyError, TypeError):
        return ""
