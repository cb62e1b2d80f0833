"""A target's reports as verbs see them: files of this machine, or those of an engine elsewhere, over its Control."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from qsuite_console.cli.connect import running_engine
from qsuite_console.cli.invocation import Invocation
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.reports import ReportInfo, ReportList, ReportPart, ReportPreview
from qsuite_console.reports.storage import Storage

T = TypeVar("T", bound=msgspec.Struct)
_MIB: Final = 1024 * 1024


class Shelf:
    """Lists, finds and fetches; a report is named by its file, its beginning, or "last"."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._storage = Storage(invocation.paths) if invocation.engine is None else None

    @property
    def where(self) -> str:
        """Return the other machine's address, "" for this one."""
        return "" if self._invocation.engine is None else self._invocation.engine.where

    def list(self) -> ReportList:
        """Return the reports that are there, newest first."""
        if self._storage is None:
            return self._ask("reports.list", {}, ReportList)
        return ReportList(
            at=datetime.now(UTC),
            reports=tuple(self._storage.reports()),
            directory=str(self._storage.directory),
            bytes=self._storage.size(),
            limit=self._invocation.loaded.settings.reports.total_mb * _MIB,
        )

    def find(self, report: str) -> ReportInfo:
        """Return one; raises NotFound."""
        if self._storage is None:
            return self._ask("reports.content", {"file": report, "length": 1}, ReportPart).report
        return self._storage.find(report)

    def preview(self, report: str) -> ReportPreview:
        """Return one as plain text; raises NotFound."""
        if self._storage is None:
            return self._ask("reports.preview", {"file": report}, ReportPreview)
        found = self._storage.find(report)
        return ReportPreview(at=datetime.now(UTC), report=found, lines=self._storage.preview(found))

    @contextmanager
    def file(self, found: ReportInfo) -> Iterator[Path]:
        """Yield the report's file: its own, or a copy that is gone afterwards."""
        if self._storage is not None:
            yield Path(found.path)
            return
        with tempfile.TemporaryDirectory(prefix="qsuite-console-") as directory:
            path = Path(directory) / "report"
            with path.open("wb") as file:
                for part in self._parts(found):
                    file.write(part)
            yield path

    def remove_expired(self, now: datetime) -> tuple[str, ...]:
        """Remove what has expired from this machine's directory; return the files. Elsewhere the engine does it."""
        if self._storage is None:
            return ()
        return tuple(stored.path.name for stored in self._storage.remove_expired(now))

    def _parts(self, found: ReportInfo) -> Iterator[bytes]:
        sent = 0
        while True:
            part = self._ask("reports.content", {"file": found.file, "offset": sent}, ReportPart)
            if part.report.created_at != found.created_at:
                raise ConsoleError(f"{found.file} was made anew while it was fetched", hint="fetch it again")
            sent += len(part.data)
            yield part.data
            if not part.data or sent >= part.size:
                return

    def _ask(self, probe: str, asked: Mapping[str, Any], kind: type[T]) -> T:
        with ExitStack() as stack:
            engine = running_engine(self._invocation, stack)
            assert engine is not None  # one that is elsewhere answers, or this has raised
            answer = asyncio.run(engine.ask(probe, asked))
            assert isinstance(answer, kind)
            return answer
