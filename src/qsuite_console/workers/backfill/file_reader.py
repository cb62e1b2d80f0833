"""Reads files chunk by chunk for the pipeline: judged in a thread, partitions made ready, emptiness probed, handed on.

Where to go on is part of every page and committed with its rows, so a killed run repeats and loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from qsuite_console.db import bars
from qsuite_console.db.bar_writer import PageWrite
from qsuite_console.db.ledger import ChainState, Refused
from qsuite_console.db.partitions import prepare_months
from qsuite_console.model.text import clean
from qsuite_console.providers.files import FileEntry
from qsuite_console.providers.judging import FilePage, Judge
from qsuite_console.providers.records import Chunk
from qsuite_console.workers.backfill.chain import Chain
from qsuite_console.workers.backfill.encode import Encoded
from qsuite_console.workers.backfill.fetch import ChainDone, ChainFailed, FetchCounts, PageReady
from qsuite_console.workers.backfill.file_rows import Hulls, refusals

if TYPE_CHECKING:
    import logging

    from qsuite_console.db.bars import Destination
    from qsuite_console.db.database import Database

CHAIN: Final = "files"
_QUEUE_PAGES: Final = 2
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Place(msgspec.Struct, kw_only=True):
    """Where the next chunk begins, and what was left out before it; the checkpoint's token."""

    file: int = 0
    offset: int = 0
    number: int = 0
    filtered: int = 0
    unknown: dict[str, int] = {}


@dataclass(slots=True)
class Progress:
    """What was read so far over all attempts."""

    place: Place = field(default_factory=Place)
    symbols: dict[str, None] = field(default_factory=dict)
    low: datetime | None = None
    high: datetime | None = None
    pages: int = 0
    rows: int = 0

    def add(self, page: FilePage) -> None:
        """Count a page."""
        self.pages += 1
        self.rows += page.count
        self.place.filtered += page.filtered
        for symbol, count in page.unknown.items():
            self.place.unknown[symbol] = self.place.unknown.get(symbol, 0) + count
        for symbol, (low, high, _) in page.spans.items():
            self.symbols[symbol] = None
            self.low = low if self.low is None else min(low, self.low)
            self.high = high if self.high is None else max(high, self.high)

    def state(self) -> ChainState:
        """Return the checkpoint."""
        token = msgspec.json.encode(self.place).decode()
        bounds = (self.low or _EPOCH, self.high or _EPOCH)
        return ChainState(CHAIN, tuple(self.symbols), *bounds, token, self.pages, self.rows, False)

    @classmethod
    def restore(cls, state: ChainState) -> Progress:
        """Return what a checkpoint says."""
        place = msgspec.json.decode(state.page_token, type=Place)
        low, high = (state.low, state.high) if state.symbols else (None, None)
        return cls(place, dict.fromkeys(state.symbols), low, high, state.pages, state.bars)


class FileReader:
    """The pipeline's feed for files; made for one attempt, on one loop."""

    def __init__(
        self,
        files: Sequence[FileEntry],
        judge: Judge,
        progress: Progress,
        destination: Destination,
        timeframe: str,
        database: Database,
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
    ) -> None:
        self.counts = FetchCounts()
        self.ready: asyncio.Queue[PageReady | ChainFailed | ChainDone] = asyncio.Queue(_QUEUE_PAGES)
        self.warnings: list[str] = []
        self.progress = progress
        self._files, self._judge = files, judge
        self._destination, self._timeframe = destination, timeframe
        self._database, self._log = database, log
        self._hulls = Hulls()
        self._months: set[date] = set()
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="backfill-file")

    def start(self) -> None:
        """Begin to read."""
        place = self.progress.place
        self.counts.bytes = sum(entry.size for entry in self._files[: place.file]) + place.offset
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Stop reading and wait for it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def adapt(self, service_s: float) -> None:
        """Do nothing: the queue alone sets the pace."""

    async def _work(self) -> None:
        try:
            await self._read_all()
        except Exception as error:  # handed to the job, which ends with it
            await self.ready.put(ChainFailed(None, error))

    async def _read_all(self) -> None:
        place = self.progress.place
        before = self.counts.bytes - place.offset
        while place.file < len(self._files):
            entry = self._files[place.file]
            chunks = entry.open().chunks(place.offset, place.number)
            while (found := await self._next(chunks, entry)) is not None:
                chunk, page = found
                place.offset, place.number = chunk.offset, chunk.number
                self.counts.bytes = before + min(entry.size, chunk.offset)
                if chunk.records:
                    await self._hand_on(page, refusals(page, clean(entry.path.name, 100)))
            if not await asyncio.to_thread(entry.is_unchanged):
                self._warn(f"{clean(entry.path.name, 200)} was changed while it was read; run it once more")
            before += entry.size
            self.counts.bytes = before
            place.file, place.offset, place.number = place.file + 1, 0, 0
        await self._hand_on(FilePage(), (), is_last=True)

    async def _next(self, chunks: Iterator[Chunk], entry: FileEntry) -> tuple[Chunk, FilePage] | None:
        def step() -> tuple[Chunk, FilePage] | None:
            chunk = next(chunks, None)
            return None if chunk is None else (chunk, self._judge.judge(chunk.records))

        return await asyncio.get_running_loop().run_in_executor(self._thread, step)

    async def _hand_on(self, page: FilePage, refused: Sequence[Refused], *, is_last: bool = False) -> None:
        is_straight = await self._prepare(page) if page.count else True
        self.progress.add(page)
        write = PageWrite(
            rows=page.rows,
            count=page.count,
            is_straight=is_straight,
            covered=self._hulls.cover(page.spans),
            chain=None if is_last else self.progress.state(),
            chain_name=CHAIN,
            refused=refused,
        )
        encoded = Encoded(count=page.count, refused=list(refused))
        symbols = tuple(self.progress.symbols)
        chain = Chain(CHAIN, symbols, self.progress.low or _EPOCH, self.progress.high or _EPOCH, is_straight)
        await self.ready.put(PageReady(chain, write, encoded))

    async def _prepare(self, page: FilePage) -> bool:
        """Make partitions for new months; return whether the table holds nothing where the page goes."""
        months = page.months - self._months
        windows = [(symbol, 0, low, high) for symbol, (low, high, _) in page.spans.items()]
        async with self._database.session("backfill file") as connection:
            created, warnings = await prepare_months(connection, self._destination, months)
            hits = await bars.windows_with_rows(connection, self._destination, self._timeframe, windows)
        if created:
            self._log.info("created %d monthly partitions", len(created))
        for warning in warnings:
            self._warn(warning)
        self._months |= months
        return not hits

    def _warn(self, warning: str) -> None:
        self._log.warning("%s", warning)
        self.warnings.append(warning)
