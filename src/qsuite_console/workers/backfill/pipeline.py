"""Stores what the fetcher brings: one transaction a page, in order per chain, while the next pages are on their way.

The job's own task is the only writer and the only one that breathes, so pausing and cancelling have one place. What
is in memory is bounded by the fetcher's queue.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from qsuite_console.db.bar_writer import Stored, Target, store_page
from qsuite_console.db.errors import DatabaseError, DatabaseFull
from qsuite_console.workers.backfill.fetch import ChainDone, ChainFailed, FetchCounts, PageReady

if TYPE_CHECKING:
    from qsuite_console.engine.ports import JobContext
    from qsuite_console.workers import Services

_PATIENCE_S: Final = 1.0
_STORE_TRIES: Final = 7
_STORE_DELAY_S: Final = 0.25
_SLOW: Final = 5.0  # a page this many times slower per row than the best ones: the database is under pressure
_REST_S: Final = 2.0
_SMALL_PAGE: Final = 500  # rows; fewer say nothing about the database's speed


@dataclass(slots=True)
class Totals:
    """What one job has done over all its attempts; kept in the checkpoint."""

    requests: int = 0
    rows_fetched: int = 0
    rows_written: int = 0
    quarantined: int = 0
    http_429: int = 0
    retries: int = 0
    bytes: int = 0
    waited_s: float = 0.0
    fetch_s: float = 0.0


@dataclass(slots=True)
class Failures:
    """Chains that could not be finished, with the reason; the others were."""

    errors: list[Exception] = field(default_factory=list)
    symbols: list[str] = field(default_factory=list)


class Feed(Protocol):
    """Where pages come from: the provider or files. Every chain ends with its last page, ChainDone or ChainFailed."""

    @property
    def ready(self) -> asyncio.Queue[PageReady | ChainFailed | ChainDone]:
        """Return the bounded queue of pages to store."""

    @property
    def counts(self) -> FetchCounts:
        """Return what was counted so far."""

    async def adapt(self, service_s: float) -> None:
        """Learn how long storing a page takes."""


class Pipeline:
    """One attempt's fetching and storing."""

    def __init__(
        self,
        services: Services,
        fetcher: Feed,
        target: Target,
        context: JobContext,
        totals: Totals,
        report: Callable[[str], None],
    ) -> None:
        self.failures = Failures()
        self.totals = totals
        self.symbols_done: set[str] = set()
        self._database, self._answers, self._fetcher = services.database, services.answers, fetcher
        self._target, self._context, self._report = target, context, report
        self._counted = (0, 0, 0, 0, 0.0)
        self._best_row_s: float | None = None
        self._page_s = 0.05
        self._note = ""

    @property
    def invalid_symbols(self) -> list[str]:
        """Return the symbols that the provider called invalid."""
        return list(dict.fromkeys(self._fetcher.counts.invalid))

    async def run(self, chains: int) -> None:
        """Store pages until ``chains`` chains have ended; raises what ends the whole job."""
        started = time.monotonic()
        before = self.totals.fetch_s
        ended = 0
        while ended < chains:
            item = await self._next()
            if isinstance(item, ChainFailed):
                if item.chain is None:
                    raise item.error
                self.failures.errors.append(item.error)
                self.failures.symbols.extend(item.chain.symbols)
                self._context.log.warning("a request failed: %s", item.error)
                ended += 1
            elif isinstance(item, ChainDone):
                ended += 1
            else:
                await self._store(item)
                ended += item.write.chain is None
            self.totals.fetch_s = before + time.monotonic() - started
            self.take_counts()
            self._report(self._note)
            await self._context.breathe()

    async def _next(self) -> PageReady | ChainFailed | ChainDone:
        """Return what the feed brings; while it brings nothing, say why and stay open to pause, cancel and drain."""
        getting = asyncio.ensure_future(self._fetcher.ready.get())
        said = ""
        try:
            while not (await asyncio.wait({getting}, timeout=_PATIENCE_S))[0]:
                trouble = self._fetcher.counts.trouble
                if trouble and trouble != said:
                    self._context.log.warning("waiting: %s; requests are tried again", trouble)
                said = trouble or said
                self.take_counts()
                self._report(f"waiting: {trouble}" if trouble else self._note)
                await self._context.breathe()
            return getting.result()
        finally:
            getting.cancel()

    async def _store(self, item: PageReady) -> None:
        started = time.monotonic()
        stored = await self._store_until_done(item)
        spent = time.monotonic() - started
        self.totals.rows_fetched += item.encoded.count + len(item.encoded.refused)
        self.totals.rows_written += stored.written
        self.totals.quarantined += len(item.write.refused) + len(stored.refused)
        for refused in [*item.write.refused, *stored.refused][:3]:
            self._context.log.warning("bar refused: %s %s: %s", refused.symbol, refused.at, refused.reason)
        if item.write.chain is None:
            self.symbols_done.update(item.chain.symbols)
        if stored.written:
            await self._answers.bars_changed(item.chain.symbols)
        self._page_s = 0.7 * self._page_s + 0.3 * spent
        await self._fetcher.adapt(self._page_s)
        await self._be_considerate(item.encoded.count, spent)

    async def _store_until_done(self, item: PageReady) -> Stored:
        """Store a page; a database that is away for a moment is waited for, the page stays in memory."""
        for number in range(1, _STORE_TRIES + 1):
            try:
                async with self._database.session(f"backfill/{self._context.job_id}") as connection:
                    return await store_page(connection, self._target, item.write)
            except DatabaseError as error:
                if not error.is_transient or isinstance(error, DatabaseFull) or number == _STORE_TRIES:
                    raise
                self.totals.retries += 1
                self._context.log.warning("a page waits: %s", error.message)
                self._report(f"waiting: {error.message}")
                await asyncio.sleep(_STORE_DELAY_S * 2 ** (number - 1))
                await self._context.breathe()
        raise AssertionError("unreachable: the last try returns or raises")

    async def _be_considerate(self, rows: int, spent: float) -> None:
        """Rest between pages while the database is much slower than it has shown it can be."""
        if rows < _SMALL_PAGE:
            return
        each = spent / rows
        if self._best_row_s is None or each < self._best_row_s:
            self._best_row_s = each
        if each <= self._best_row_s * _SLOW or spent < 0.5:
            self._note = ""
            return
        self._note = f"going easy: the database takes {spent:.1f} s a page"
        self._report(self._note)
        await asyncio.sleep(min(_REST_S, spent))

    def take_counts(self) -> None:
        """Add what the fetcher counted since the last call."""
        counts = self._fetcher.counts
        now = (counts.requests, counts.http_429, counts.retries, counts.bytes, counts.waited_s)
        old = self._counted
        self.totals.requests += now[0] - old[0]
        self.totals.http_429 += now[1] - old[1]
        self.totals.retries += now[2] - old[2]
        self.totals.bytes += now[3] - old[3]
        self.totals.waited_s += now[4] - old[4]
        self._counted = now
