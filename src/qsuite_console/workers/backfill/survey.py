"""Looks before it leaps: what is there, what is missing, which requests fill it. Reads only.

The ledger is the truth about what was fetched (a minute without a trade is no gap); rows that others loaded count
where they complete a period; chains that were interrupted are continued, not planned again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from qsuite_console.db import bars, ledger
from qsuite_console.db.bars import Destination
from qsuite_console.db.ledger import ChainState, Covered
from qsuite_console.db.schema import quote_table
from qsuite_console.model.markets import STOCKS, Market
from qsuite_console.model.timeframes import is_intraday
from qsuite_console.workers.backfill.parameters import BackfillParameters, Profile
from qsuite_console.workers.backfill.planner import Batch, Period, Timeline, make_batches, make_periods
from qsuite_console.workers.backfill.scales import rounding_notes

if TYPE_CHECKING:
    import asyncpg

    from qsuite_console.config.settings import TableSettings
    from qsuite_console.model.market import Session

_PAIRS_LIMIT: Final = 20_000  # (symbol, session) counts of rows without a ledger entry; beyond, they are fetched again


@dataclass(frozen=True, slots=True)
class Request:
    """What a survey is about; everything is resolved."""

    parameters: BackfillParameters
    start: date
    end: date
    symbols: Sequence[str]
    sessions: Sequence[Session]
    profile: Profile
    now: datetime
    refresh_since: datetime | None = None
    market: Market = STOCKS


@dataclass(slots=True)
class Survey:
    """What is there and what is to be done."""

    destination: Destination
    plan_id: str
    ledger_name: str
    rivals: list[str]
    periods: list[Period]
    symbols: list[str]
    skipped: list[str]  # the destination can't hold them
    owners: dict[str, str]  # first column -> symbol, where that is not the symbol
    prefixes: dict[str, str]
    low: datetime
    high: datetime
    market: Market
    batches: list[Batch] = field(default_factory=list)
    chains: list[ChainState] = field(default_factory=list)
    covered: dict[str, list[Covered]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """Return how many bar requests are expected, resumed chains included."""
        return sum(batch.pages for batch in self.batches) + sum(self.remaining_pages(c) for c in self.chains)

    @property
    def symbols_to_fetch(self) -> set[str]:
        """Return the symbols of which something is asked."""
        batched = {symbol for batch in self.batches for symbol in batch.symbols}
        return batched | {symbol for chain in self.chains for symbol in chain.symbols}

    @property
    def bars(self) -> int:
        """Return how many bars are expected to come."""
        return sum(batch.bars for batch in self.batches) + sum(self.remaining_bars(c) for c in self.chains)

    def remaining_bars(self, chain: ChainState) -> int:
        """Return the bars that an interrupted chain still has to fetch."""
        return max(0, self.bars_between(chain.low, chain.high) * len(chain.symbols) - chain.bars)

    def remaining_pages(self, chain: ChainState) -> int:
        """Return the pages that an interrupted chain still has to fetch."""
        return max(1, -(-self.remaining_bars(chain) // 10_000))

    def bars_between(self, low: datetime, high: datetime) -> int:
        """Return the bars one symbol is expected to have in [low, high)."""
        return sum(period.bars for period in self.periods if period.low >= low and period.high <= high)

    @property
    def months(self) -> list[date]:
        """Return the first days of the UTC months that rows will fall into."""
        found: set[date] = set()
        for low, high in [(b.low, b.high) for b in self.batches] + [(c.low, c.high) for c in self.chains]:
            month = low.astimezone(UTC).date().replace(day=1)
            while month <= high.astimezone(UTC).date():
                found.add(month)
                month = date(month.year + month.month // 12, month.month % 12 + 1, 1)
        return sorted(found)


async def survey(connection: asyncpg.Connection, request: Request, tables: TableSettings, kind: bars.Kind) -> Survey:
    """Return the plan for a request; only reads, so that a dry run needs no more than SELECT."""
    destination = await bars.inspect(connection, kind, tables)
    made = await _begin(connection, request, tables, destination)
    has_ledger = not await connection.fetchval("SELECT to_regclass($1) IS NULL", quote_table(tables.coverage))
    period = (made.low, made.high)
    if has_ledger:
        for item in await ledger.read_ledger(connection, tables.coverage, made.ledger_name, made.symbols, period):
            made.covered.setdefault(item.symbol, []).append(item)
        known = await ledger.ledger_names(connection, tables.coverage, request.parameters.timeframe)
        made.rivals = ledger.rivals(made.ledger_name, known, destination, request.parameters.timeframe)
        if made.rivals:
            made.warnings.append(f"bars loaded as {', '.join(made.rivals)} in the same place are replaced")
    if request.market.is_fractional:
        made.warnings += rounding_notes(destination)
    if await connection.fetchval("SELECT to_regclass('qsuite_console.backfill_chain') IS NOT NULL"):
        made.chains = await ledger.read_chains(connection, made.plan_id)
    gaps = await asyncio.to_thread(_find_gaps, made, request)
    timeframe = request.parameters.timeframe
    occupied = await bars.has_rows(connection, destination, timeframe, sorted(gaps), period) if gaps else set()
    if occupied and not request.parameters.refresh and not made.rivals:
        # Only where the ledger knows nothing: what it holds as missing is to be fetched, rows or not.
        foreign = {symbol for symbol in occupied if not _is_ledgered(made, symbol)}
        gaps = await _less_present(connection, made, request, gaps, foreign)
    is_overwriting = request.parameters.refresh or bool(made.rivals)
    touched = {symbol for symbol in occupied if is_overwriting or not _is_ledgered(made, symbol)}
    made.batches = await asyncio.to_thread(make_batches, made.periods, gaps, touched, request.profile.batch_size)
    return made


async def _begin(
    connection: asyncpg.Connection, request: Request, tables: TableSettings, destination: Destination
) -> Survey:
    parameters = request.parameters
    low, high = request.market.day_bounds(request.start, request.end)
    symbols, skipped, owners, prefixes = list(request.symbols), [], {}, {}
    frame = f"{parameters.timeframe}\t" if destination.has_timeframe else ""
    if destination.kind == "market_data":
        ids = await bars.ticker_ids(connection, tables, symbols)
        skipped = [symbol for symbol in symbols if symbol not in ids]
        symbols = [symbol for symbol in symbols if symbol in ids]
        owners = {str(number): symbol for symbol, number in ids.items()}
        prefixes = {symbol: f"{ids[symbol]}\t{frame}" for symbol in symbols}
    else:
        prefixes = {symbol: f"{symbol}\t{frame}" for symbol in symbols}
    adjustment = parameters.adjustment if request.market.has_adjustments else "raw"
    name = ledger.ledger_name(destination, parameters.timeframe, adjustment=adjustment, feed=parameters.feed)
    return Survey(
        destination=destination,
        plan_id=plan_id(request, destination, name),
        ledger_name=name,
        rivals=[],
        periods=make_periods(parameters.timeframe, request.start, request.end, request.sessions, request.market),
        symbols=sorted(symbols),
        skipped=skipped,
        owners=owners,
        prefixes=prefixes,
        low=low,
        high=high,
        market=request.market,
    )


def plan_id(request: Request, destination: Destination, ledger_name: str) -> str:
    """Return what two runs must have in common to continue each other's chains."""
    parts = (
        destination.table,
        ledger_name,
        request.start.isoformat(),
        request.end.isoformat(),
        request.parameters.symbols.strip().upper(),
        request.parameters.symbols_file,
        str(request.parameters.refresh),
        request.market.name,
    )
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:24]


def _find_gaps(made: Survey, request: Request) -> dict[str, list[tuple[int, int]]]:
    underway: dict[str, list[Covered]] = defaultdict(list)
    wanted = set(made.symbols)
    made.chains = [chain for chain in made.chains if wanted.issuperset(chain.symbols)]
    for chain in made.chains:
        for symbol in chain.symbols:
            underway[symbol].append(Covered(symbol, chain.low, chain.high, 0))
    gaps: dict[str, list[tuple[int, int]]] = {}
    timeline = Timeline(made.periods)
    for symbol in made.symbols:
        known = made.covered.get(symbol, [])
        if request.parameters.refresh:
            since = request.refresh_since
            known = [k for k in known if since is not None and k.fetched_at is not None and k.fetched_at >= since]
        runs = timeline.missing([*known, *underway.get(symbol, ())], request.now)
        if runs:
            gaps[symbol] = runs
    return gaps


def _is_ledgered(made: Survey, symbol: str) -> bool:
    """Return whether all rows of the symbol are accounted for by the ledger, so that its gaps are empty."""
    return bool(made.covered.get(symbol))


async def _less_present(
    connection: asyncpg.Connection,
    made: Survey,
    request: Request,
    gaps: Mapping[str, list[tuple[int, int]]],
    occupied: set[str],
) -> dict[str, list[tuple[int, int]]]:
    """Take off the periods that rows without a ledger entry complete."""
    found: dict[str, list[tuple[int, int]]] = {s: runs for s, runs in gaps.items() if s not in occupied}
    present = await _present(connection, made, request, {s: gaps[s] for s in sorted(occupied & set(gaps))})
    for symbol, indexes in present.items():
        missing = [i for first, last in gaps[symbol] for i in range(first, last + 1) if i not in indexes]
        runs: list[tuple[int, int]] = []
        for index in missing:
            if runs and runs[-1][1] == index - 1:
                runs[-1] = (runs[-1][0], index)
            else:
                runs.append((index, index))
        if runs:
            found[symbol] = runs
    return found


async def _present(
    connection: asyncpg.Connection, made: Survey, request: Request, gaps: Mapping[str, list[tuple[int, int]]]
) -> dict[str, set[int]]:
    timeframe, destination = request.parameters.timeframe, made.destination
    settled = {i for i, period in enumerate(made.periods) if period.close_at <= request.now}
    if not is_intraday(timeframe):
        times = await bars.times_present(connection, destination, timeframe, list(gaps), (made.low, made.high))
        timeline = Timeline(made.periods)
        indexes_of = {s: {timeline.index_of(at) for at in times.get(s, ())} for s in gaps}
        return {s: {i for i in indexes if i is not None} & settled for s, indexes in indexes_of.items()}
    pairs = sum(last - first + 1 for runs in gaps.values() for first, last in runs)
    if pairs > _PAIRS_LIMIT:
        made.warnings.append("rows loaded by others are too many to count: their periods are fetched again")
        return {symbol: set() for symbol in gaps}
    found: dict[str, set[int]] = {}
    for symbol, runs in gaps.items():
        indexes = [i for first, last in runs for i in range(first, last + 1)]
        windows = [(made.periods[i].low, made.periods[i].high) for i in indexes]
        counts = await bars.session_counts(connection, destination, timeframe, symbol, windows)
        found[symbol] = {i for i in indexes if counts.get(made.periods[i].low, 0) >= made.periods[i].bars} & settled
    return found
