"""The file that goes along with a notice: a report, read when it is sent, so that no delivery carries a copy in the
history. What is gone by then is said, and not tried again.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from qsuite_console.model import units
from qsuite_console.model.deliveries import Delivery
from qsuite_console.model.errors import Conflict, ConsoleError
from qsuite_console.model.reports import ReportInfo
from qsuite_console.notify.notices import REPORT
from qsuite_console.reports.storage import Storage

MOST: Final = 10 * 1024 * 1024  # bytes of a file that is sent: what mail servers and receivers of webhooks take
MEDIA: Final[Mapping[str, str]] = {
    "pdf": "application/pdf",
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
}


class Enclosed(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it is sent."""

    name: str
    media_type: str
    content: bytes
    path: Path

    def within(self, body: str) -> bytes:
        """Return the JSON of a notice with the file in it, as ``data.content`` in base64."""
        told: dict[str, Any] = msgspec.json.decode(body)
        told["data"] |= {"media_type": self.media_type, "content": base64.b64encode(self.content).decode()}
        return msgspec.json.encode(told)


class Enclosures:
    """Finds them. Without a storage there is none to find."""

    def __init__(self, storage: Storage | None = None) -> None:
        self._storage = storage

    def report(self, file: str) -> ReportInfo:
        """Return a report that may be sent; raises NotFound, Conflict for one that is too large."""
        if self._storage is None:
            raise ConsoleError("no reports are kept here", hint="a console or a headless engine keeps them")
        found = self._storage.find(file)
        if found.bytes > MOST:
            raise Conflict(
                f"{found.file} has {units.size(found.bytes)}; at most {units.size(MOST)} are sent",
                hint="ask for less of it, or tell people where it is",
            )
        return found

    async def of(self, delivery: Delivery) -> Enclosed | None:
        """Return what goes along, None where nothing does; raises ConsoleError where it is gone."""
        if delivery.event != REPORT:
            return None
        return await asyncio.to_thread(self._read, delivery.subject)

    def _read(self, file: str) -> Enclosed:
        found = self.report(file)
        path = Path(found.path)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConsoleError(f"the report {file} can't be read: {error.strerror}") from error
        return Enclosed(name=found.file, media_type=MEDIA[found.format], content=content, path=path)
