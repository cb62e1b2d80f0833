"""Ingest from Python, without an engine or a history: records of the caller's own making into a platform's table.

    result = await ingest_records(records, database_url="postgresql://…", timeframe="1Min")

The same judgement, chunks and figures as the job's; what the job keeps in files is in the answer here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from qsuite_console.cache.client import Cache
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings, DatabaseSettings, Settings, TableSettings
from qsuite_console.db.database import Database
from qsuite_console.db.panels import PanelReader
from qsuite_console.db.pooler import PoolerConsole
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.providers.alpaca import AlpacaClient
from qsuite_console.providers.records import SHORT, Chunk, Record
from qsuite_console.workers import Services
from qsuite_console.workers.ingest.parameters import IngestParameters, check
from qsuite_console.workers.ingest.rejects import RejectsFile
from qsuite_console.workers.ingest.worker import take

_NAME: Final = "records"


class _Context:
    """A run that nobody watches, pauses or resumes."""

    job_id = 0
    attempt = 1
    correlation_id = "ingest_records"
    checkpoint: Mapping[str, Any] | None = None
    log = logging.getLogger(__name__)

    def progress(self, done: float, total: float | None = None, **said: Any) -> None:
        """Tell nobody."""

    async def save(self, checkpoint: Mapping[str, Any]) -> None:
        """Keep nothing: a caller that is cut starts again, which changes nothing that is stored."""

    async def breathe(self) -> None:
        """Go on."""


@dataclass
class _Given:
    """The caller's records, numbered from 1 in their order; read once, unless they are a list."""

    records: Iterable[Mapping[str, Any]]
    name: str = _NAME
    size: int = 0
    identity: str = _NAME

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


async def ingest_records(
    records: Iterable[Mapping[str, Any]],
    *,
    database_url: str,
    cache_url: str = "",
    timeframe: str = "1Min",
    table: str = "price_ticks",
    strict: bool = False,
    create_symbols: bool = False,
) -> dict[str, Any]:
    """Store ``records`` (symbol, timestamp, open, high, low, close, volume) and return the figures of the job's result.

    ``records`` may be a generator of any length; ``strict`` reads them twice and makes a list of it. Raises
    InvalidParameters, Permanent for bad records of a strict run, DatabaseError, CacheError.
    """
    asked = {"path": _NAME, "timeframe": timeframe, "table": table, "strict": strict, "create_symbols": create_symbols}
    try:
        parameters = msgspec.convert(asked, IngestParameters)
    except msgspec.ValidationError as error:
        raise InvalidParameters({"records": str(error)}) from error
    problems = check(parameters, TableSettings())
    if problems:
        raise InvalidParameters(problems)
    settings = Settings(
        database=DatabaseSettings(dsn=Secret(database_url), pool_min=0), cache=CacheSettings(url=Secret(cache_url))
    )
    database, cache, clock = Database(settings.database), Cache(settings.cache), SystemClock()
    panels, pooler = PanelReader(settings.database, clock), PoolerConsole(settings)
    services = Services(
        settings=settings,
        clock=clock,
        database=database,
        cache=cache,
        provider=lambda: AlpacaClient(settings.provider),
        panels=panels,
        pooler=pooler,
    )
    try:
        given = _Given(list(records) if strict else records)
        return await take(services, _Context(), parameters, [given], RejectsFile(None))
    finally:
        for each in (panels, pooler, cache, database):
            await each.close()


def _numbered(number: int, record: Any) -> Record:
    if not isinstance(record, Mapping):
        return Record(number, {}, str(record)[:500], "the record is not a mapping of names to values")
    return Record(number, {SHORT.get(name, name): value for name, value in record.items()}, "")
