"""Fetches chains page by page under the rate limit, with as many requests at once as latency calls for.

Retries stay here: 5xx, broken answers and lost connections with full jitter, 429 by waiting for the reset. A symbol
the provider calls invalid is dropped from its request and reported; the others go on.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING, Final

from qsuite_console.db.bar_writer import PageWrite
from qsuite_console.engine.ratelimit import RateLimiter
from qsuite_console.model.quota import Quota
from qsuite_console.model.timeframes import Grid
from qsuite_console.providers.errors import (
    InvalidSymbol,
    ProviderError,
    ProviderRefused,
    ProviderThrottled,
    ProviderUnavailable,
)
from qsuite_console.workers.backfill.chain import Chain, PeriodEnds
from qsuite_console.workers.backfill.encode import Encoded, Layout, encode_page
from qsuite_console.workers.backfill.scales import make_fit

if TYPE_CHECKING:
    from qsuite_console.providers.alpaca import AlpacaClient
    from qsuite_console.providers.session import Reply
    from qsuite_console.workers.backfill.parameters import BackfillParameters, Profile
    from qsuite_console.workers.backfill.survey import Survey

QUEUE_PAGES: Final = 3  # pages fetched and not yet stored, whatever the range: what bounds memory
MAX_CONCURRENT: Final = 12
_START_CONCURRENT: Final = 4
_TRIES: Final = 9  # of one page; at 20 % failures one in two million pages uses them up
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.25, 20.0
_BAD_TOKEN: Final = (400, 404, 422)


@dataclass(slots=True)
class FetchCounts:
    """Running totals of one attempt."""

    requests: int = 0
    http_429: int = 0
    retries: int = 0
    bytes: int = 0
    waited_s: float = 0.0
    latency_s: float | None = None  # smoothed
    invalid: list[str] = field(default_factory=list)
    trouble: str = ""  # why no answer comes at present


@dataclass(frozen=True, slots=True)
class PageReady:
    """A page to be stored."""

    chain: Chain
    write: PageWrite
    encoded: Encoded


@dataclass(frozen=True, slots=True)
class ChainFailed:
    """A chain that can't go on, or (``chain`` None) the reason why nothing can."""

    chain: Chain | None
    error: Exception


@dataclass(frozen=True, slots=True)
class ChainDone:
    """A chain that ended without another page (all its symbols were refused)."""

    chain: Chain


class Fetcher:
    """Feeds ``ready`` from a list of chains; made for one attempt, on one loop."""

    def __init__(
        self,
        provider: AlpacaClient,
        limiter: RateLimiter,
        parameters: BackfillParameters,
        profile: Profile,
        made: Survey,
    ) -> None:
        self.counts = FetchCounts()
        self.ready: asyncio.Queue[PageReady | ChainFailed | ChainDone] = asyncio.Queue(QUEUE_PAGES)
        self.active: dict[str, Chain] = {}
        self.target = profile.concurrent or _START_CONCURRENT
        self._provider, self._limiter = provider, limiter
        self._parameters, self._profile = parameters, profile
        self._made, self._ends = made, PeriodEnds(parameters.timeframe, made.periods)
        self._fit = make_fit(made.destination) if made.market.is_fractional else None
        self._chains: deque[Chain] = deque()
        self._grids: dict[tuple[datetime, datetime], Grid] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._room = asyncio.Condition()
        self._again = asyncio.Lock()
        self._decoder = ThreadPoolExecutor(1, thread_name_prefix="backfill-decode")

    def start(self, chains: list[Chain]) -> None:
        """Begin to fetch; results appear in ``ready``, one ChainDone, ChainFailed or last page per chain."""
        self._chains.extend(chains)
        count = min(len(chains), self._profile.concurrent or MAX_CONCURRENT)
        self._tasks = [asyncio.create_task(self._work(number)) for number in range(count)]

    async def stop(self) -> None:
        """Cancel whatever is under way and wait until it is gone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._decoder.shutdown(wait=False, cancel_futures=True)

    async def adapt(self, service_s: float) -> None:
        """Set how many requests run at once from how long one takes and how long storing a page takes."""
        if self._profile.concurrent is not None or self.counts.latency_s is None:
            return
        target = min(MAX_CONCURRENT, max(2, ceil(self.counts.latency_s / max(0.01, service_s)) + 1))
        if target != self.target:
            async with self._room:
                self.target = target
                self._room.notify_all()

    async def _work(self, number: int) -> None:
        while self._chains:
            async with self._room:
                await self._room.wait_for(lambda: number < self.target or not self._chains)
            if not self._chains:
                return
            chain = self._chains.popleft()
            self.active[chain.name] = chain
            try:
                await self._run(chain)
            except Exception as error:  # handed to the job, which ends it or goes on with the other chains
                is_everything = not isinstance(error, ProviderError) or error.status in (401, 403)
                await self.ready.put(ChainFailed(None if is_everything else chain, error))
            finally:
                self.active.pop(chain.name, None)
                async with self._room:
                    self._room.notify_all()

    async def _run(self, chain: Chain) -> None:
        """Fetch all pages of a chain."""
        while chain.symbols:
            try:
                encoded = await self._page(chain)
            except InvalidSymbol as error:
                rest = [symbol for symbol in chain.symbols if symbol != error.symbol]
                if len(rest) == len(chain.symbols):
                    raise
                self.counts.invalid.append(error.symbol)
                chain.restart(rest)
                continue
            except ProviderRefused as error:
                if chain.page_token is None or error.status not in _BAD_TOKEN:
                    raise
                chain.restart(chain.symbols)  # the token is of no more use: once more from the first page
                continue
            write = chain.accept(encoded, self._ends)
            await self.ready.put(PageReady(chain, write, encoded))
            if write.chain is None:
                return
            if self._profile.delay_s:
                await asyncio.sleep(self._profile.delay_s)
        await self.ready.put(ChainDone(chain))

    async def _page(self, chain: Chain) -> Encoded:
        """Return the next page, decoded off the loop; failures that may pass are tried again."""
        failures, is_late = 0, False
        while True:
            try:
                reply = await self._alone(chain) if is_late else await self._request(chain)
                self.counts.trouble = ""
                self.counts.bytes += len(reply.body)
                layout, loop = self._layout(chain), asyncio.get_running_loop()
                return await loop.run_in_executor(self._decoder, encode_page, reply.body, layout, dict(chain.last))
            except ProviderThrottled:
                self.counts.http_429 += 1
            except ProviderUnavailable as error:
                failures += 1
                is_late = isinstance(error.__cause__, TimeoutError)
                if failures >= _TRIES:
                    raise ProviderUnavailable(
                        f"{error.message}, {failures} times in a row", hint=error.hint, status=error.status
                    ) from error
                self.counts.retries += 1
                self.counts.trouble = error.message
                delay_s = random.uniform(0, min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2**failures))
                self.counts.waited_s += delay_s
                await asyncio.sleep(delay_s)

    async def _alone(self, chain: Chain) -> Reply:
        """Ask again for what did not come in time, one page at a time: the provider may be able to do no more."""
        async with self._again:
            return await self._request(chain)

    async def _request(self, chain: Chain) -> Reply:
        permit = await self._limiter.admit()
        self.counts.waited_s += permit.waited_s
        self.counts.requests += 1
        status, quota = None, Quota()
        try:
            reply = await self._provider.bars(chain.query(self._parameters, self._made.market), chain.page_token)
            status, quota = reply.status, reply.quota
        except ProviderError as error:
            status, quota = error.status, error.quota
            raise
        finally:
            await self._limiter.settle(permit, status, quota)
        known = self.counts.latency_s
        self.counts.latency_s = reply.latency_s if known is None else 0.7 * known + 0.3 * reply.latency_s
        return reply

    def _layout(self, chain: Chain) -> Layout:
        bounds = (chain.low, chain.high)
        grid = self._grids.get(bounds)
        if grid is None:
            grid = self._grids[bounds] = Grid(self._parameters.timeframe, *bounds, self._made.market)
        wanted = {symbol: self._made.prefixes[symbol] for symbol in chain.symbols}
        columns = self._made.destination.columns
        return Layout(wanted, grid, "trade_count" in columns, "vwap" in columns, self._fit)
