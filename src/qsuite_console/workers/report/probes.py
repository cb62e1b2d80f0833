"""The probes ``reports.list``, ``reports.preview`` and ``reports.content``: what was made and is still there, for
screens and the socket, also those of another machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from qsuite_console.engine.parameters import decode
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.reports import ReportList, ReportPart, ReportPreview
from qsuite_console.reports.storage import Storage

if TYPE_CHECKING:
    from qsuite_console.workers import Services

PART: Final = 256 * 1024  # bytes of a file at a time


class ListParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Reports whose title, name, target or file holds ``text``."""

    text: str = ""


class PreviewParameters(msgspec.Struct, frozen=True, kw_only=True):
    """One report, by its file."""

    file: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class ContentParameters(PreviewParameters, frozen=True, kw_only=True):
    """A part of one report's file."""

    offset: Annotated[int, msgspec.Meta(ge=0)] = 0
    length: Annotated[int, msgspec.Meta(ge=1, le=PART)] = PART


class _Probe:
    timeout_s = 5.0

    def __init__(self, services: Services) -> None:
        self._services = services

    def _storage(self) -> Storage:
        if self._services.paths is None:
            raise ConsoleError("no reports are kept here", hint="a console or a headless engine keeps them")
        return Storage(self._services.paths)


class ListProbe(_Probe):
    """Answers ``reports.list``."""

    name = "reports.list"

    async def ask(self, parameters: Mapping[str, Any]) -> ReportList:
        """Return the reports that are there, newest first."""
        wanted = decode(ListParameters, parameters)
        clock, storage, text = self._services.clock, self._storage(), wanted.text.strip().lower()
        begun = clock.monotonic()
        found = await asyncio.to_thread(storage.reports)
        return ReportList(
            at=clock.now(),
            reports=tuple(r for r in found if text in f"{r.title} {r.name} {r.target} {r.file}".lower()),
            directory=str(storage.directory),
            bytes=await asyncio.to_thread(storage.size),
            limit=self._services.settings.reports.total_mb * 1024 * 1024,
            cost_ms=round(1000 * (clock.monotonic() - begun), 1),
        )


class PreviewProbe(_Probe):
    """Answers ``reports.preview``."""

    name = "reports.preview"

    async def ask(self, parameters: Mapping[str, Any]) -> ReportPreview:
        """Return one report as plain text; raises NotFound."""
        wanted = decode(PreviewParameters, parameters)
        clock, storage = self._services.clock, self._storage()
        begun = clock.monotonic()
        report = await asyncio.to_thread(storage.find, wanted.file)
        lines = await asyncio.to_thread(storage.preview, report)
        cost_ms = round(1000 * (clock.monotonic() - begun), 1)
        return ReportPreview(at=clock.now(), report=report, lines=lines, cost_ms=cost_ms)


class ContentProbe(_Probe):
    """Answers ``reports.content``: a file is fetched part by part, until one is empty."""

    name = "reports.content"

    async def ask(self, parameters: Mapping[str, Any]) -> ReportPart:
        """Return a part of one report's file; raises NotFound."""
        wanted = decode(ContentParameters, parameters)
        storage = self._storage()
        report = await asyncio.to_thread(storage.find, wanted.file)
        data, size = await asyncio.to_thread(storage.read, report, wanted.offset, wanted.length)
        return ReportPart(at=self._services.clock.now(), report=report, offset=wanted.offset, data=data, size=size)
