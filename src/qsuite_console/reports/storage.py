"""Reports as files: whole or not at all, readable by their owner only, gone when they expire.

Beside each lies NAME.about with what a list shows and a preview; a file without one was never finished and is litter.
Nothing here knows an engine: the command line lists and removes reports beside whoever renders them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from qsuite_console.model import units
from qsuite_console.model.errors import ConsoleError, NotFound
from qsuite_console.model.reports import ReportInfo
from qsuite_console.model.text import clean
from qsuite_console.paths import Paths

ABOUT: Final = ".about"
FORMATS: Final = ("pdf", "html", "json", "csv")
_FILE: Final = re.compile(r"[a-z][a-z0-9-]{0,80}\.(pdf|html|json|csv)")
_PREVIEWED: Final = 4000  # lines of a preview that are kept
_UNFINISHED_S: Final = 86_400.0  # after that nobody writes to it any more


class TooLarge(ConsoleError):
    """A report is larger than one may be, or all of them together are."""


class Unkept(ConsoleError):
    """The disk refuses the file."""

    is_transient = True
    after_s = 30.0


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that belongs to a report, with its size in bytes."""

    path: Path
    size: int


class _About(msgspec.Struct, frozen=True, kw_only=True):
    """What lies beside a report."""

    report: ReportInfo
    preview: tuple[str, ...] = ()


class Storage:
    """The directory of reports; made when the first one is written."""

    def __init__(self, paths: Paths) -> None:
        self.directory = paths.data / "reports"

    def reports(self) -> list[ReportInfo]:
        """Return every finished report, newest first; what can't be read is none."""
        found = [about.report for about in map(self._read, self._names()) if about is not None]
        return sorted(found, key=lambda report: (report.created_at, report.file), reverse=True)

    def find(self, file: str) -> ReportInfo:
        """Return one report by the name of its file, or by as much of it as no other has; raises NotFound."""
        if _FILE.fullmatch(file) and (self.directory / file).is_file() and (about := self._read(file)) is not None:
            return about.report  # the usual case costs two files, however many there are
        known = self.reports()
        fitting = [report for report in known if report.file == file] or [
            report for report in known if file and report.file.startswith(file)
        ]
        if file == "last" and known:
            fitting = known[:1]
        if len(fitting) != 1:
            why = f"{len(fitting)} reports begin with" if fitting else "there is no report"
            raise NotFound(f"{why} {clean(file, 100)!r}", hint="qsuite-console reports list shows what there is")
        return fitting[0]

    def preview(self, report: ReportInfo) -> tuple[str, ...]:
        """Return the report as plain text; raises NotFound when it has gone meanwhile."""
        about = self._read(report.file)
        if about is None:
            raise NotFound(f"the report {report.file} is gone", hint="it was removed, or it expired")
        return about.preview

    def read(self, report: ReportInfo, offset: int, length: int) -> tuple[bytes, int]:
        """Return up to ``length`` bytes from ``offset``, and the file's size; raises NotFound when it has gone."""
        _check_name(report.file)
        try:
            with (self.directory / report.file).open("rb") as file:
                file.seek(offset)
                return file.read(length), os.fstat(file.fileno()).st_size
        except OSError as error:
            why = "it was removed, or it expired" if isinstance(error, FileNotFoundError) else str(error.strerror)
            raise NotFound(f"the report {report.file} can't be read", hint=why) from error

    def keep(self, report: ReportInfo, pieces: Iterable[bytes], preview: Sequence[str]) -> ReportInfo:
        """Write a report, whole and on disk, then what makes it listed; returns it with its path. Raises Unkept."""
        _check_name(report.file)
        kept = msgspec.structs.replace(report, path=str(self.directory / report.file))
        lines = tuple(clean(line, 400) for line in preview[:_PREVIEWED])
        try:
            self._write(report.file, pieces)
            self._write(f"{report.file}{ABOUT}", [msgspec.json.encode(_About(report=kept, preview=lines))])
        except OSError as error:
            raise Unkept(
                f"the report can't be written to {self.directory}: {error.strerror}",
                hint="make room, or check the owner and permissions of that directory",
            ) from error
        return kept

    def _write(self, name: str, pieces: Iterable[bytes]) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=self.directory)  # 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.directory / name)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def remove(self, file: str) -> int:
        """Remove a report and return its bytes; a second time is no failure. Raises OSError."""
        _check_name(file)
        path = self.directory / file
        size = 0
        with contextlib.suppress(FileNotFoundError):
            size = path.lstat().st_size
        (self.directory / f"{file}{ABOUT}").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        return size

    def size(self) -> int:
        """Return the bytes of all that lies in the directory."""
        return sum(stored.size for stored in self._files())

    def expired(self, now: datetime) -> list[Stored]:
        """Return the files that may go: of reports past their day, and what was left unfinished a day ago."""
        ended = {report.file for report in self.reports() if report.expires_at <= now}
        whole = {report.file for report in self.reports()} - ended
        found = []
        for stored in self._files():
            file = stored.path.name.removesuffix(ABOUT)
            if file in whole:
                continue
            age_s = now.timestamp() - _modified(stored.path)
            if file in ended or age_s > _UNFINISHED_S:
                found.append(stored)
        return found

    def remove_expired(self, now: datetime) -> list[Stored]:
        """Remove what may go and return what went; what can't be removed stays."""
        gone = []
        for stored in self.expired(now):
            with contextlib.suppress(OSError):
                stored.path.unlink(missing_ok=True)
                gone.append(stored)
        return gone

    def make_room(self, now: datetime, limit: int) -> None:
        """Remove what has expired; raises TooLarge when what is left takes all the room there is."""
        if self.size() >= limit:
            self.remove_expired(now)
        if (taken := self.size()) >= limit:
            raise TooLarge(
                f"the reports take {units.size(taken)} of {units.size(limit)}",
                hint="remove some: qsuite-console reports list, reports remove; or raise reports.total_mb",
            )

    def _names(self) -> list[str]:
        return [stored.path.name for stored in self._files() if _FILE.fullmatch(stored.path.name)]

    def _files(self) -> list[Stored]:
        try:
            entries = sorted(self.directory.iterdir())
        except OSError:  # not made yet
            return []
        found = []
        for path in entries:
            with contextlib.suppress(FileNotFoundError):  # somebody else removed it
                if path.is_file() and not path.is_symlink():
                    found.append(Stored(path, path.lstat().st_size))
        return found

    def _read(self, file: str) -> _About | None:
        try:
            about = msgspec.json.decode((self.directory / f"{file}{ABOUT}").read_bytes(), type=_About)
        except (OSError, msgspec.MsgspecError):
            return None
        path = self.directory / file
        return msgspec.structs.replace(about, report=msgspec.structs.replace(about.report, file=file, path=str(path)))


def file_name(name: str, format_: str, *, target: str, job_id: int) -> str:
    """Return a file's name: the same for every attempt of a job, another one for any other job of any target.

    ``target`` and job: whatever tells the job from those of other histories.
    """
    mark = hashlib.sha256(f"{target}\0{job_id}".encode()).hexdigest()[:8]
    return f"{name}-{job_id}-{mark}.{format_}"


def too_large(limit: int) -> TooLarge:
    """Return the error of a report beyond ``limit`` bytes."""
    return TooLarge(
        f"the report is larger than {units.size(limit)}",
        hint="ask for less of it, or raise reports.max_mb in the configuration",
    )


def _check_name(file: str) -> None:
    if _FILE.fullmatch(file) is None:
        raise NotFound(f"{clean(file, 100)!r} is no report's name", hint="qsuite-console reports list shows them")


def _modified(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0
