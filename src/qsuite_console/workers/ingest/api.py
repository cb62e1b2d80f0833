"""Ingest from Python, without an engine or a history: records of the caller's own making into a platform's table.

    result = await ingest_records(records, database_url="postgresql://…", timeframe="1Min")

The same judgement, chunks and figures as the job's; what the job keeps in files is in the answer here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

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
from qsuite_console.workers import Services
from qsuite_console.workers.ingest.given import NAME, GivenRecords, Unwatched
from qsuite_console.workers.ingest.parameters import IngestParameters, check
from qsuite_console.workers.ingest.rejects import RejectsFile
from qsuite_console.workers.ingest.worker import take


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
    asked = {"path": NAME, "timeframe": timeframe, "table": table, "strict": strict, "create_symbols": create_symbols}
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
        given = GivenRecords(list(records) if strict else records)
        return await take(services, Unwatched(), parameters, [given], RejectsFile(None))
    finally:
        for each in (panels, pooler, cache, database):
            await each.close()
