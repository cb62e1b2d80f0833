"""The bad records of one run as JSON lines, mode 0600: source, record, symbol, reason and what was there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from qsuite_console.model.text import clean
from qsuite_console.providers.errors import FileProblem
from qsuite_console.providers.judging import Rejected


class RejectsFile:
    """Made with the first bad record; without a ``path`` nothing is kept. Methods block: call them in a thread."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @property
    def shown(self) -> str:
        """Return the file's path, "" without one."""
        return "" if self._path is None else str(self._path)

    def cut(self, size: int) -> None:
        """Drop what was written behind the last checkpoint; raises FileProblem."""
        try:
            if self._path is not None and self._path.exists():
                os.truncate(self._path, size)
        except OSError as error:
            raise self._problem(error) from error

    def append(self, name: str, found: Sequence[Rejected]) -> int:
        """Write bad records of the source ``name`` and return the file's size; raises FileProblem."""
        if self._path is None or not found:
            return 0
        lines = [
            msgspec.json.encode(
                {"file": name, "record": bad.number, "symbol": bad.symbol, "reason": bad.reason, "raw": bad.raw}
            )
            for bad in found
        ]
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(b"\n".join(lines) + b"\n")
                return file.tell()
        except OSError as error:
            raise self._problem(error) from error

    def _problem(self, error: OSError) -> FileProblem:
        why = error.strerror or type(error).__name__
        return FileProblem(
            f"{clean(self.shown, 300)} can't be written: {why}", hint="make room there and retry the job"
        )
