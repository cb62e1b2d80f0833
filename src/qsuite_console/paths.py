"""Where files live. ``QSUITE_CONSOLE_HOME=DIR`` moves all of it under DIR; importing this touches nothing."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

APP: Final = "qsuite-console"
HOME_VARIABLE: Final = "QSUITE_CONSOLE_HOME"
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

    def ensure(self) -> Paths:
        """Create the directories, readable by their owner only."""
        for path in (self.config, self.state, self.data, self.cache, self.log):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self


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
