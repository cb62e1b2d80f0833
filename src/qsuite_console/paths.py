"""Where files live. ``QSUITE_CONSOLE_HOME=DIR`` moves all of it under DIR; importing this touches nothing.

Each target has a state directory of its own (history, queues, locks, socket): a job of one platform must never be
resumed on another. The main one keeps the place it would have alone, and a note there says whose it is.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

import platformdirs

APP: Final = "qsuite-console"
HOME_VARIABLE: Final = "QSUITE_CONSOLE_HOME"
_NAME_LIMIT: Final = 80
_SOCKET_PATH_LIMIT: Final = 100  # sun_path holds 108 bytes on Linux, 104 on macOS


@dataclass(frozen=True, slots=True)
class Paths:
    """The directories of one instance; none exists until ``ensure``."""

    config: Path
    state: Path
    data: Path
    cache: Path
    log: Path

    @property
    def config_file(self) -> Path:
        """Return the TOML configuration file."""
        return self.config / "config.toml"

    @property
    def history(self) -> Path:
        """Return the SQLite file of jobs; telemetry and lock files lie beside it."""
        return self.state / "history.sqlite"

    @property
    def log_file(self) -> Path:
        """Return the rotating log file."""
        return self.log / "console.log"

    @property
    def sandbox(self) -> Path:
        """Return the default directory of the sandbox."""
        return self.data / "sandbox"

    @property
    def socket(self) -> Path:
        """Return the engine's Unix socket; a short stand-in where the state directory's path is too long for one."""
        path = self.state / "engine.sock"
        if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
            return path
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"{APP}-{os.getuid()}" / f"{digest}.sock"

    def of_target(self, name: str, *, is_named: bool, is_main: bool) -> Paths:
        """Return the directories of a target; the state directory itself for whoever was the first to own it.

        ``is_named``: it is one of several in the configuration; ``is_main``: it is the one taken when none is named.
        A main target claims the unclaimed state directory, for good: another one becoming the main one later finds
        its own history, not this one's.
        """
        note = self.state / "target"
        owner = _read_name(note)
        if not is_named:
            return self if owner is None else self._within(f"%{_directory_name(name)}")  # no named one's: see quote
        if owner is None and is_main:
            owner = _claim(note, name)
        return self if owner == name else self._within(_directory_name(name))

    def _within(self, directory: str) -> Paths:
        return replace(self, state=self.state / "targets" / directory)

    def ensure(self) -> Paths:
        """Create the directories, readable by their owner only."""
        for path in (self.config, self.state, self.data, self.cache, self.log):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self


def _read_name(note: Path) -> str | None:
    try:
        return note.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def _claim(note: Path, name: str) -> str:
    """Write whose directory it is and return that: another process may have been faster."""
    try:
        write_whole(note, f"{name}\n", is_forced=False)
    except FileExistsError:
        return _read_name(note) or name
    except OSError:  # nothing can be written here: no engine can start either, only look
        return name
    return name


def _directory_name(name: str) -> str:
    """Return a directory's name that is another one for each target, whatever characters its name has."""
    quoted = quote(name, safe="").replace(".", "%2E")
    if len(quoted) <= _NAME_LIMIT:
        return quoted
    return f"{quoted[:_NAME_LIMIT]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def resolve(home: str | None = None) -> Paths:
    """Return the directories for ``home``, else $QSUITE_CONSOLE_HOME, else the platform's own."""
    root = home or os.environ.get(HOME_VARIABLE)
    if root:
        base = Path(root).expanduser().absolute()
        return Paths(base / "config", base / "state", base / "data", base / "cache", base / "log")
    dirs = platformdirs.PlatformDirs(APP, appauthor=False)
    return Paths(
        dirs.user_config_path, dirs.user_state_path, dirs.user_data_path, dirs.user_cache_path, dirs.user_log_path
    )


def write_whole(path: Path, content: str | bytes, *, is_forced: bool) -> None:
    """Write a file of mode 0600 of which a reader never sees half; raises FileExistsError unless forced, OSError."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        if is_forced:
            Path(temporary).replace(path)
        else:
            os.link(temporary, path)  # unlike a move it fails when somebody made the file meanwhile
    finally:
        Path(temporary).unlink(missing_ok=True)
