"""Files that are whole or not there: made beside their place under a name of the job's own, then put there at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from qsuite_console.model.errors import ConsoleError, InvalidParameters
from qsuite_console.model.text import clean

T = TypeVar("T")


class OutputProblem(ConsoleError):
    """A file can't be written now: room may be made, a mount may come back."""

    is_transient = True
    after_s = 10.0


class Place:
    """Where a file shall be, and what it is while it is made. Methods block: call them in a thread."""

    def __init__(self, path: str, job_id: int, *, overwrite: bool) -> None:
        self.path = Path(path)
        self.part = self.path.with_name(f".{self.path.name}.{job_id}.part")
        self._overwrite = overwrite

    def check(self) -> None:
        """Raise InvalidParameters where the file can't be made; changes nothing."""
        shown = clean(self.path, 300)
        if self.path.is_dir():
            raise InvalidParameters({"to": f"{shown} is a directory; name a file in it"})
        if self.path.exists() and not self._overwrite:
            raise InvalidParameters({"to": f"{shown} is there already"}, hint="overwrite replaces it at the end")
        parent = self.path.parent
        if not parent.is_dir():
            raise InvalidParameters({"to": f"there is no directory {clean(parent, 300)}"})
        if not os.access(parent, os.W_OK | os.X_OK):
            raise InvalidParameters({"to": f"{clean(parent, 300)} can't be written to"})

    def free(self) -> int:
        """Return the bytes that are free where the file shall be."""
        return shutil.disk_usage(self.path.parent).free

    def put(self, made: Path) -> None:
        """Give a finished file its name; what had it before is replaced."""
        made.replace(self.path)
        sync_directory(self.path.parent)


def sync_directory(path: Path) -> None:
    """Make names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def guarded(path: Path, work: Callable[[], T]) -> T:
    """Do something with a file; raises OutputProblem for what the system refuses."""
    try:
        return work()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise OutputProblem(
            f"{clean(path, 300)} can't be written: {why}", hint="make room or mend the mount; it goes on from there"
        ) from error
