"""Local files as a source: found, checked, read once from end to end, stored like fetched pages, verified.

Files say what there is, not what there should be: no gaps are planned, and the ledger keeps their rows under a name of
their own, so that the provider is still asked for what a file left out.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import msgspec

from qsuite_console.db import bars, ledger
from qsuite_console.db.bar_writer import Target
from qsuite_console.db.bars import Destination
from qsuite_console.engine.ports import JobContext
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.kinds import Plan
from qsuite_console.providers.errors import FileProblem
from qsuite_console.providers.files import FileEntry, find_files
from qsuite_console.providers.judging import Judge
from qsuite_console.workers.backfill import file_words as words
from qsuite_console.workers.backfill.describe import verdict
from qsuite_console.workers.backfill.file_reader import CHAIN, FileReader, Progress
from qsuite_console.workers.backfill.parameters import BackfillParameters, destination_kind, is_keyword
from qsuite_console.workers.backfill.pipeline import Pipeline, Totals
from qsuite_console.workers.backfill.scales import rounding_notes
from qsuite_console.workers.backfill.universe import named_symbols
from qsuite_console.workers.backfill.verify import verify

if TYPE_CHECKING:
    import asyncpg

    from qsuite_console.workers import Services


@dataclass(frozen=True, slots=True)
class Look:
    """What a run is up against."""

    files: Sequence[FileEntry]
    destination: Destination
    ledger_name: str
    plan_id: str
    symbols: frozenset[str] | None  # None: all that the files hold
    owners: Mapping[str, int] | None  # symbol -> ticker, where rows carry its number
    progress: Progress
    warnings: Sequence[str]


class FileSource:
    """CSV, JSON lines and Parquet files of this machine."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def plan(self, parameters: BackfillParameters) -> Plan:
        """Return the files, their size and where the rows would go; checks every file's header."""
        look = await self._look(parameters)
        return words.describe_plan(parameters, look)

    async def run(self, context: JobContext, parameters: BackfillParameters) -> Mapping[str, Any]:
        """Read, store, verify; return the result."""
        started = time.monotonic()
        context.progress(0, message="planning", figures={"phase": "plan"})
        coverage = self._services.settings.tables.coverage
        async with self._services.database.session("backfill tables") as connection:
            await ledger.create_console_tables(connection, coverage)
        look = await self._look(parameters)
        for warning in look.warnings:
            context.log.warning("%s", warning)
        if look.progress.pages:
            context.log.info("continuing behind %d chunks that are stored", look.progress.pages)
        plan_s = time.monotonic() - started
        context.log.info("%s", words.plan_line(look))
        totals, reader = await self._fill(context, parameters, look)
        context.progress(reader.counts.bytes, message="verifying", figures={"phase": "verify"})
        started = time.monotonic()
        progress, names = reader.progress, (parameters.timeframe, look.ledger_name)
        checked = None
        if progress.low is not None and progress.high is not None:
            period, symbols = (progress.low, progress.high), sorted(progress.symbols)
            checked = await verify(self._services.database, look.destination, coverage, names, symbols, period)
            context.log.info("%s", verdict(checked))
        durations = {"plan_s": plan_s, "fetch_s": totals.fetch_s, "verify_s": time.monotonic() - started}
        return words.describe_result(totals, look, reader, checked, durations)

    async def _fill(self, context: JobContext, parameters: BackfillParameters, look: Look) -> tuple[Totals, FileReader]:
        database, tables = self._services.database, self._services.settings.tables
        judge = Judge(
            parameters.timeframe,
            (parameters.start, parameters.end),
            look.destination.columns,
            look.destination.scales,
            owners=look.owners,
            symbols=look.symbols,
            now=self._services.clock.now(),
        )
        reader = FileReader(
            look.files, judge, look.progress, look.destination, parameters.timeframe, database, context.log
        )
        target = Target(
            destination=look.destination,
            coverage=tables.coverage,
            timeframe=parameters.timeframe,
            ledger_name=look.ledger_name,
            rivals=(),
            plan=look.plan_id,
            job_id=context.job_id,
            owners={str(number): symbol for symbol, number in (look.owners or {}).items()},
            origin=ledger.FILE,
        )
        totals = _restored(context.checkpoint)
        size = sum(entry.size for entry in look.files)

        def report(note: str) -> None:
            figures = words.gauge(totals, reader)
            context.progress(reader.counts.bytes, max(size, 1), unit="bytes", message=note, figures=figures)

        pipeline = Pipeline(self._services, reader, target, context, totals, report)
        reader.start()
        try:
            await pipeline.run(1)
        finally:
            await reader.stop()
            pipeline.take_counts()
            await context.save({"totals": asdict(totals)})
        return totals, reader

    async def _look(self, parameters: BackfillParameters) -> Look:
        """Find files and destination; raises InvalidParameters for a file that can't be taken."""
        try:
            files = await asyncio.to_thread(find_files, parameters.path.strip())
            for entry in files:
                await asyncio.to_thread(entry.open().check)
        except FileProblem as error:
            raise InvalidParameters({"path": error.message}, hint=error.hint) from error
        named = [] if is_keyword(parameters.symbols) else await asyncio.to_thread(named_symbols, parameters)
        symbols = frozenset(named) or None
        tables = self._services.settings.tables
        kind = destination_kind(parameters.table, tables)
        if kind is None:
            raise InvalidParameters({"table": "unknown table"})
        async with self._services.database.session("backfill plan") as connection:
            destination = await bars.inspect(connection, kind, tables)
            name = ledger.ledger_name(destination, parameters.timeframe, adjustment="raw", feed=ledger.FILE)
            plan_id = _plan_id(parameters, files, destination, symbols)
            owners = await self._owners(connection) if kind == "market_data" else None
            progress = await _progress(connection, plan_id)
        notes = rounding_notes(destination)
        return Look(files, destination, name, plan_id, symbols, owners, progress, notes)

    async def _owners(self, connection: asyncpg.Connection) -> dict[str, int]:
        tables = self._services.settings.tables
        stocks = await bars.ticker_symbols(connection, tables, active=False)
        crypto = await bars.ticker_symbols(connection, tables, active=False, crypto=True)
        return await bars.ticker_ids(connection, tables, [*stocks, *crypto])


async def _progress(connection: asyncpg.Connection, plan_id: str) -> Progress:
    """Return where an interrupted run over the same files stood."""
    if await connection.fetchval("SELECT to_regclass('qsuite_console.backfill_chain') IS NULL"):
        return Progress()
    chains = {chain.chain: chain for chain in await ledger.read_chains(connection, plan_id)}
    return Progress.restore(chains[CHAIN]) if CHAIN in chains else Progress()


def _plan_id(
    parameters: BackfillParameters, files: Sequence[FileEntry], destination: Destination, symbols: frozenset[str] | None
) -> str:
    """Return what two runs must have in common to go on where the other one stopped: above all the files' content."""
    parts = (
        destination.table,
        parameters.timeframe,
        parameters.start.isoformat(),
        parameters.end.isoformat() if parameters.end else "",
        sorted(symbols or ()),
        [entry.identity for entry in files],
    )
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:24]


def _restored(checkpoint: Mapping[str, Any] | None) -> Totals:
    known = {item.name for item in fields(Totals)}
    kept = dict((checkpoint or {}).get("totals") or {})
    return Totals(**{name: value for name, value in kept.items() if name in known})
