"""Records that a caller brings itself, as a source like a file, and a run that nobody watches: for Python and HTTP."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from qsuite_console.providers.records import SHORT, Chunk, Record

NAME: Final = "records"
_SHOWN: Final = 500


class Unwatched:
    """A context of a run that nobody watches, pauses or resumes."""

    job_id = 0
    attempt = 1
    correlation_id = "ingest_records"
    origin = ""
    checkpoint: Mapping[str, Any] | None = None
    log = logging.getLogger(__name__)

    def progress(self, done: float, total: float | None = None, **said: Any) -> None:
        """Tell nobody."""

    async def save(self, checkpoint: Mapping[str, Any]) -> None:
        """Keep nothing: a caller that is cut starts again, which changes nothing that is stored."""

    async def breathe(self) -> None:
        """Go on."""


@dataclass
class GivenRecords:
    """The caller's records, numbered from 1 in their order; read once, unless they are a list."""

    records: Iterable[Mapping[str, Any]]
    name: str = NAME
    size: int = 0
    identity: str = NAME

    def chunks(self, offset: int, number: int, size: int = 0) -> Iterator[Chunk]:
        """Yield all records; there is nowhere else to begin."""
        found: list[Record] = []
        for count, record in enumerate(self.records, start=1):
            found.append(_numbered(count, record))
            if len(found) >= size:
                yield Chunk(found, count, count)
                found = []
        if found:
            yield Chunk(found, found[-1].number, found[-1].number)


def _numbered(number: int, record: Any) -> Record:
    if not isinstance(record, Mapping):
        return Record(number, {}, str(record)[:_SHOWN], "the record is not a mapping of names to values")
    return Record(number, {SHORT.get(name, name): value for name, value in record.items()}, "")
