"""Takes sources chunk by chunk into the table: the next chunks are judged in a thread while this one is stored.

A chunk is one transaction and afterwards a checkpoint, so a killed run repeats at most one chunk; repeated rows are
merged and change nothing. A strict run is judged to its end first and then stored in a single transaction.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import msgspec

from qsuite_console.cache import keys, sweep
from qsuite_console.cache.errors import CacheError
from qsuite_console.db import bars, ledger
from qsuite_console.db.bar_writer import Stored, Target, store_rows
from qsuite_console.db.bars import Destination
from qsuite_console.db.partitions import prepare_months
from qsuite_console.engine.ports import JobContext, Permanent
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.providers.judging import FilePage, Judge, Rejected
from qsuite_console.providers.records import Chunk
from qsuite_console.workers.ingest.counts import Counts
from qsuite_console.workers.ingest.parameters import IngestParameters, destination_kind
from qsuite_console.workers.ingest.rejects import RejectsFile

if TYPE_CHECKING:
    import asyncpg

    from qsuite_console.workers import Services

T = TypeVar("T")
CHUNK: Final = 5_000
_AHEAD: Final = 3  # chunks judged while one is stored: neither side waits for a slow moment of the other
_FIRST: Final = date(1900, 1, 1)
_KEYS_AT_ONCE: Final = 1_000
_FAMILIES: Final = (keys.PRICE, keys.MARKET_DATA)


class Source(Protocol):
    """Records in order."""

    @property
    def name(self) -> str:
        """Return how people know it: a file's name."""
        ...

    @property
    def size(self) -> int:
        """Return its length, in the unit of its chunks' offsets."""
        ...

    @property
    def identity(self) -> str:
        """Return what changes with the content."""
        ...

    def chunks(self, offset: int, number: int, size: int = 0) -> Iterator[Chunk]:
        """Yield what follows ``offset`` and record ``number``, ``size`` records a chunk."""
        ...


@dataclass(frozen=True, slots=True)
class Table:
    """The destination, and symbol -> first column of its rows (None: the platform has no list of symbols)."""

    destination: Destination
    owners: dict[str, int | str] | None


async def look(services: Services, parameters: IngestParameters) -> Table:
    """Return the destination as it is; raises InvalidParameters, DatabaseError."""
    tables = services.settings.tables
    kind = destination_kind(parameters.table, tables)
    if kind is None:
        raise InvalidParameters({"table": "unknown table"})
    async with services.database.session("ingest plan") as connection:
        destination = await bars.inspect(connection, kind, tables)
        if not await bars.has_table(connection, tables.tickers):
            return Table(destination, None)
        symbols = [
            *await bars.ticker_symbols(connection, tables, active=False),
            *await bars.ticker_symbols(connection, tables, active=False, crypto=True),
        ]
        if kind == "price_ticks":
            return Table(destination, {symbol: symbol for symbol in symbols})
        return Table(destination, dict(await bars.ticker_ids(connection, tables, symbols)))


def identity_of(sources: Sequence[Source], parameters: IngestParameters) -> str:
    """Return what two attempts must have in common for one to go on where the other stopped."""
    parts = msgspec.json.encode([parameters, [source.identity for source in sources]])
    return hashlib.sha256(parts).hexdigest()[:24]


class Intake:
    """One attempt; ``counts`` is where it begins and what it came to."""

    def __init__(
        self,
        services: Services,
        parameters: IngestParameters,
        context: JobContext,
        table: Table,
        sources: Sequence[Source],
        counts: Counts,
        rejects: RejectsFile,
    ) -> None:
        self.counts = counts
        self._services, self._parameters, self._context = services, parameters, context
        self._table, self._sources, self._rejects = table, sources, rejects
        self._months: set[date] = set()
        self._is_repeat = (
            bool(counts.records) or context.attempt > 1
        )  # the chunk after the checkpoint may have been stored already
        self._total = max(1, sum(source.size for source in sources))
        self._before = 0
        self._began = time.monotonic()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ingest")
        self._target = Target(
            destination=table.destination,
            coverage="",
            timeframe=parameters.timeframe,
            ledger_name="",
            rivals=(),
            plan="",
            job_id=context.job_id,
            owners={str(owner): symbol for symbol, owner in (table.owners or {}).items()},
            origin=ledger.FILE,
        )
        self._judge = self._make_judge(table.owners)

    async def run(self) -> None:
        """Store all that is left; raises Permanent for bad records of a strict run, DatabaseError, CacheError."""
        try:
            if not self.counts.is_stored:
                await asyncio.to_thread(self._rejects.cut, self.counts.rejects_size)
                await (self._run_strict() if self._parameters.strict else self._run_chunks())
            await self._forget(is_last=True)
            await self._save()
        finally:
            self._thread.shutdown(wait=True, cancel_futures=True)

    async def _run_chunks(self) -> None:
        counts, label = self.counts, f"ingest/{self._context.job_id}"
        self._before = sum(source.size for source in self._sources[: counts.source])
        async with self._services.database.session(label) as connection:
            async for source, chunk, page in self._pages(self._judge):
                admitted = await self._admit(connection, chunk, page)
                await self._prepare(connection, admitted.months)
                async with connection.transaction():
                    stored = await self._store(connection, admitted)
                await self._count(source, chunk, admitted, stored)
                await self._forget()
                await self._save()
                await self._context.breathe()
        counts.is_stored = True

    async def _run_strict(self) -> None:
        """Judge everything; then store everything, in one transaction."""
        months: set[date] = set()
        judge = self._make_judge(None) if self._parameters.create_symbols else self._judge
        async for source, chunk, page in self._pages(judge):
            self.counts.records += len(chunk.records)
            await self._reject(source, page.rejected)
            self.counts.miss(page.unknown)
            months |= page.months
            self._tell(chunk, "checking")
            await self._context.breathe()
        self._refuse_bad()
        self.counts, self._before = Counts(identity=self.counts.identity), 0
        label = f"ingest/{self._context.job_id}"
        async with self._services.database.session(label) as connection:
            await self._prepare(connection, months)
            async with connection.transaction():
                async for source, chunk, page in self._pages(self._judge):
                    page = await self._admit(connection, chunk, page)
                    stored = await self._store(connection, page)
                    await self._count(source, chunk, page, stored)
                    self._refuse_bad()
        self.counts.is_stored = True
        await self._save()

    def _refuse_bad(self) -> None:
        counts = self.counts
        if counts.rejected:
            named = "; ".join(counts.named[:3]) + ("; …" if counts.rejected > 3 else "")
            where = f"all of them: {self._rejects.shown}; " if self._rejects.shown else ""
            raise Permanent(
                f"strict: {counts.rejected:,} of {counts.records:,} records are bad, nothing was written: {named}",
                hint=f"{where}correct them, or leave strict out to keep the good ones",
            )

    async def _pages(self, judge: Judge) -> AsyncIterator[tuple[Source, Chunk, FilePage]]:
        """Yield judged chunks from the place of the counts on; the place moves as they are taken."""
        counts = self.counts
        while counts.source < len(self._sources):
            source = self._sources[counts.source]
            chunks = source.chunks(counts.offset, counts.number, CHUNK)

            def step(chunks: Iterator[Chunk] = chunks) -> tuple[Chunk, FilePage] | None:
                chunk = next(chunks, None)
                return None if chunk is None else (chunk, judge.judge(chunk.records))

            coming = deque(self._later(step) for _ in range(_AHEAD))
            while (found := await coming.popleft()) is not None:
                coming.append(self._later(step))
                chunk, page = found
                counts.offset, counts.number = chunk.offset, chunk.number
                yield source, chunk, page
            await asyncio.gather(*coming)  # nothing comes behind the end
            self._before += source.size
            counts.source, counts.offset, counts.number = counts.source + 1, 0, 0

    def _later(self, step: Callable[[], T]) -> asyncio.Future[T]:
        """Do a step in the thread; what fails there is heard of where it is waited for, or not at all."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, step)
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        return future

    async def _admit(self, connection: asyncpg.Connection, chunk: Chunk, page: FilePage) -> FilePage:
        """Make tickers of unknown symbols where that was asked for, and judge the chunk anew."""
        owners = self._table.owners
        if owners is None or not page.unknown or not self._parameters.create_symbols:
            return page
        fresh = sorted(symbol for symbol in page.unknown if symbol not in owners)
        if fresh:
            tables = self._services.settings.tables
            await bars.add_tickers(connection, tables, fresh)
            made = await bars.ticker_ids(connection, tables, fresh)
            is_named = self._table.destination.kind == "price_ticks"
            owners.update({symbol: symbol if is_named else number for symbol, number in made.items()})
            self.counts.new_symbols += sorted(made)
            self._context.log.info("%d tickers made: %s", len(made), ", ".join(sorted(made)[:10]))
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._judge.judge, chunk.records)

    async def _prepare(self, connection: asyncpg.Connection, months: set[date]) -> None:
        missing = months - self._months
        if missing:
            created, warnings = await prepare_months(connection, self._table.destination, missing)
            if created:
                self._context.log.info("created %d monthly partitions", len(created))
            for warning in warnings:
                self._context.log.warning("%s", warning)
            self._months |= missing

    async def _store(self, connection: asyncpg.Connection, page: FilePage) -> Stored:
        stored = Stored()
        if page.count:
            windows = [(symbol, 0, low, high) for symbol, (low, high, _) in page.spans.items()]
            timeframe = self._parameters.timeframe
            hits = await bars.windows_with_rows(connection, self._table.destination, timeframe, windows)
            stored.was_straight = not hits
            await store_rows(connection, self._target, page.rows, stored)
        return stored

    async def _count(self, source: Source, chunk: Chunk, page: FilePage, stored: Stored) -> None:
        """Count a stored chunk, name what was rejected by us or by the table."""
        counts = self.counts
        counts.records += len(chunk.records)
        counts.created += stored.created
        counts.updated += stored.written - stored.created
        counts.unchanged += page.count - stored.written - len(stored.refused)
        rejected = list(page.rejected)
        if stored.refused:
            places = {line[:1000]: at for at, line in zip(page.numbers, page.rows.decode().split("\n"), strict=False)}
            rejected += [Rejected(places[bad.raw], bad.symbol, bad.reason, bad.raw) for bad in stored.refused]
        await self._reject(source, rejected)
        counts.miss(page.unknown)
        if stored.written or self._is_repeat:
            counts.stale = sorted({*counts.stale, *page.spans})
        self._is_repeat = False
        self._tell(chunk, "storing")

    async def _reject(self, source: Source, rejected: Sequence[Rejected]) -> None:
        if rejected:
            self.counts.reject(source.name if len(self._sources) > 1 else "", rejected)
            self.counts.rejects_size = await asyncio.to_thread(self._rejects.append, source.name, rejected)

    async def _forget(self, *, is_last: bool = False) -> None:
        """Remove the cached prices of symbols whose rows were stored; a cache that is away is tried until the end."""
        cache, counts = self._services.cache, self.counts
        await self._services.answers.bars_changed(counts.stale)
        if not cache.is_configured:
            counts.stale = []
            return
        names = [family.key(symbol).encode() for symbol in counts.stale for family in _FAMILIES]
        try:
            for first in range(0, len(names), _KEYS_AT_ONCE):
                counts.keys_removed += await sweep.remove(cache, names[first : first + _KEYS_AT_ONCE])
        except CacheError as error:
            if is_last:
                await self._save()
                raise
            self._context.log.debug("cached prices are removed later: %s", error.message)
        else:
            counts.stale = []

    async def _save(self) -> None:
        now = time.monotonic()
        self.counts.elapsed_s += now - self._began
        self._began = now
        await self._context.save(msgspec.to_builtins(self.counts))

    def _tell(self, chunk: Chunk, message: str) -> None:
        done = min(self._total, self._before + chunk.offset)
        figures: Mapping[str, float | str] = self.counts.figures()
        self._context.progress(done, self._total, unit="bytes", message=message, figures=figures)

    def _make_judge(self, owners: Mapping[str, int | str] | None) -> Judge:
        destination = self._table.destination
        return Judge(
            self._parameters.timeframe,
            (_FIRST, None),
            destination.columns,
            destination.scales,
            owners=owners,
            symbols=None,
            now=self._services.clock.now(),
            rejects_unknown=True,
        )
