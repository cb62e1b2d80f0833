"""A reserve of disk space held as a file: on a full disk even deletes fail, unless something can be given back."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from qsuite_console.model.errors import HistoryUnavailable

SIZE: Final = 1 << 20


class Ballast:
    """One file beside the history, present while there is room for it."""

    def __init__(self, path: Path, size: int = SIZE) -> None:
        self._path = path
        self._size = size

    def restore(self) -> None:
        """Take the reserve (again); raises HistoryUnavailable when there is no room."""
        try:
            if self._path.exists() and self._path.stat().st_size >= self._size:
                return
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._size)
            finally:
                os.close(descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):  # half a reserve is none; where it can't go either, the next try sees it
                self._path.unlink(missing_ok=True)
            raise HistoryUnavailable(
                f"the history in {self._path.parent} has no room: {error.strerror}",
                hint="free some space; the engine goes on by itself",
            ) from error

    def release(self) -> bool:
        """Give the reserve back; False when it was gone already."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
