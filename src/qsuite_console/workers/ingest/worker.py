"""The worker of ``ingest``: finds and checks the files, lets the intake take them, tells what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from qsuite_console.engine.ports import JobContext, JobKind
from qsuite_console.model import units
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.model.text import clean
from qsuite_console.providers.errors import FileProblem
from qsuite_console.providers.files import FileEntry, find_files
from qsuite_console.providers.records import Chunk
from qsuite_console.workers.ingest.counts import Counts
from qsuite_console.workers.ingest.intake import CHUNK, Intake, Source, identity_of, look
from qsuite_console.workers.ingest.parameters import IngestParameters, check
from qsuite_console.workers.ingest.rejects import RejectsFile

if TYPE_CHECKING:
    from qsuite_console.workers import Services


@dataclass(frozen=True)
class FileRecords:
    """A file as a source of records."""

    entry: FileEntry
    name: str
    size: int
    identity: str

    def chunks(self, offset: int, number: int, size: int = 0) -> Iterator[Chunk]:
        """Yield what follows ``offset`` and record ``number``; raises FileProblem."""
        return self.entry.open().chunks(offset, number, size)


class IngestWorker:
    """``ingest``: good records are kept, bad ones named."""

    kind = JobKind(
        name="ingest",
        title="Ingest",
        description="Store records of bars from CSV, JSONL or Parquet files; name each bad one with line and reason.",
        parameters=IngestParameters,
        queue="data_processing",
        soft_limit_s=24 * 3600.0,
        hard_limit_s=25 * 3600.0,
    )

    def __init__(self, services: Services) -> None:
        self._services = services

    def title(self, parameters: IngestParameters) -> str:
        """Return the line by which people recognise the job."""
        strict = ", strict" if parameters.strict else ""
        return f"ingest {clean(parameters.path, 100)} {parameters.timeframe} into {clean(parameters.table, 60)}{strict}"

    def check(self, parameters: IngestParameters) -> Mapping[str, str]:
        """Return field name -> problem; pure."""
        return check(parameters, self._services.settings.tables)

    async def plan(self, parameters: IngestParameters) -> Plan:
        """Return files, size and destination; reads headers only. Raises InvalidParameters, DatabaseError."""
        problems = self.check(parameters)
        if problems:
            raise InvalidParameters(dict(problems))
        sources = await _find(parameters)
        table = await look(self._services, parameters)
        size = sum(source.size for source in sources)
        known = "no list of symbols: all are taken" if table.owners is None else f"{units.count(len(table.owners))}"
        others = "made" if parameters.create_symbols else "reported and rejected"
        lines = (
            PlanLine(label="files", value=units.count(len(sources)), note=clean(sources[0].name, 100)),
            PlanLine(label="size", value=units.size(size), note=f"in chunks of {CHUNK:,} records"),
            PlanLine(label="table", value=table.destination.table, note=f"{parameters.timeframe} bars"),
            PlanLine(label="known symbols", value=known, note=f"others are {others}"),
            PlanLine(
                label="bad records",
                value="refuse all" if parameters.strict else "are named",
                note="nothing is written then" if parameters.strict else "good ones are stored",
            ),
        )
        figures = {"files": len(sources), "bytes": size, "table": table.destination.table}
        return Plan(kind=self.kind.name, title=self.title(parameters), lines=lines, figures=figures, is_noop=not size)

    async def run(self, context: JobContext, parameters: IngestParameters) -> Mapping[str, Any]:
        """Store the records; raises InvalidParameters, DatabaseError, CacheError."""
        paths = self._services.paths
        rejects = RejectsFile(None if paths is None else paths.state / "rejects" / f"ingest-{context.job_id}.jsonl")
        problems = self.check(parameters)
        if problems:
            raise InvalidParameters(dict(problems))
        sources = await _find(parameters)
        return await take(self._services, context, parameters, sources, rejects)


async def take(
    services: Services,
    context: JobContext,
    parameters: IngestParameters,
    sources: Sequence[Source],
    rejects: RejectsFile,
) -> dict[str, Any]:
    """Store what the sources hold, from the context's checkpoint on, and return the result."""
    identity = identity_of(sources, parameters)
    counts = msgspec.convert(dict(context.checkpoint or {}), Counts)
    if counts.identity != identity:
        if counts.records:
            context.log.warning("the files have changed since the last attempt: begun anew")
        counts = Counts(identity=identity)
    elif counts.records:
        context.log.info("continuing behind %d records that are stored", counts.records)
    table = await look(services, parameters)
    intake = Intake(services, parameters, context, table, sources, counts, rejects)
    await intake.run()
    counts = intake.counts
    for line in counts.named:
        context.log.warning("%s", line)
    if counts.unknown and not parameters.create_symbols:
        named = ", ".join(f"{symbol} ({count:,})" for symbol, count in list(counts.unknown.items())[:10])
        context.log.warning("unknown symbols: %s; create symbols makes tickers of them", named)
    return counts.result(table.destination.table, parameters.timeframe, len(sources), rejects.shown)


async def _find(parameters: IngestParameters) -> list[FileRecords]:
    """Return the files, each opened once; raises InvalidParameters for one that can't be taken."""
    try:
        entries = await asyncio.to_thread(find_files, parameters.path.strip())
        for entry in entries:
            await asyncio.to_thread(entry.open().check)
    except FileProblem as error:
        raise InvalidParameters({"path": error.message}, hint=error.hint) from error
    return [FileRecords(entry, clean(entry.path.name, 100), entry.size, entry.identity) for entry in entries]
