"""The coverage map: which months of which symbols are there. From the ledger, plus cheap probes where it is silent.

Only the page that is being looked at is asked about, through the key; the cost does not grow with the table.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from qsuite_console.db import bars, ledger
from qsuite_console.db.bars import Destination
from qsuite_console.db.ledger import Covered
from qsuite_console.db.schema import quote_table
from qsuite_console.engine.parameters import decode
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.market import CellState, CoverageCell, CoverageMap, CoverageRow
from qsuite_console.model.markets import MARKETS, Market, market_of
from qsuite_console.model.timeframes import Timeframe, align, is_intraday
from qsuite_console.workers.backfill.parameters import destination_kind
from qsuite_console.workers.backfill.planner import Period, Timeline, make_periods
from qsuite_console.workers.backfill.universe import stored_sessions

if TYPE_CHECKING:
    import asyncpg

    from qsuite_console.workers import Services

MONTHS_LIMIT: Final = 60
_PROBES_LIMIT: Final = 5_000
_MONTH: Final = r"^\d{4}-(0[1-9]|1[0-2])$"


class CoverageParameters(msgspec.Struct, frozen=True, kw_only=True):
    """A window of the map; months are "2025-03"."""

    table: str = "price_ticks"
    timeframe: Timeframe = "1Day"
    start: Annotated[str, msgspec.Meta(pattern=_MONTH)]
    end: Annotated[str, msgspec.Meta(pattern=_MONTH)]
    after: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 200
    text: str = ""


class CoverageProbe:
    """Answers ``backfill.coverage`` with a CoverageMap."""

    name = "backfill.coverage"
    timeout_s = 10.0

    def __init__(self, services: Services) -> None:
        self._services = services

    async def ask(self, parameters: Mapping[str, Any]) -> CoverageMap:
        """Return the symbols behind ``after`` with one cell per month; raises InvalidParameters, DatabaseError."""
        given = {name: value for name, value in parameters.items() if value is not None}
        wanted: CoverageParameters = decode(CoverageParameters, given)
        tables = self._services.settings.tables
        kind = destination_kind(wanted.table, tables)
        months = _months(wanted.start, wanted.end)
        if kind is None or not 0 < len(months) <= MONTHS_LIMIT:
            problem = "unknown table" if kind is None else f"ask for 1 to {MONTHS_LIMIT} months"
            raise InvalidParameters({"table" if kind is None else "end": problem})
        async with self._services.database.session("coverage map", self.timeout_s - 1) as connection:
            symbols, total = await bars.symbols_page(
                connection, tables, after=wanted.after.upper(), text=wanted.text.strip().upper(), limit=wanted.limit
            )
            destination = await bars.inspect(connection, kind, tables)
            rows: dict[str, CoverageRow] = {}
            for market in MARKETS.values():
                own = [symbol for symbol in symbols if market_of(symbol) is market]
                if own:
                    periods = await self._periods(connection, wanted, months, market)
                    found = await self._rows(connection, destination, wanted, own, _Frame(periods, months))
                    rows |= {row.symbol: row for row in found}
        return CoverageMap(
            table=wanted.table,
            timeframe=wanted.timeframe,
            months=tuple(months),
            rows=tuple(rows[symbol] for symbol in symbols),
            symbols_total=total,
            next_after=symbols[-1] if len(symbols) == wanted.limit else None,
        )

    async def _periods(
        self, connection: asyncpg.Connection, wanted: CoverageParameters, months: Sequence[str], market: Market
    ) -> list[Period]:
        first = date.fromisoformat(f"{months[0]}-01")
        following = date.fromisoformat(f"{months[-1]}-01") + timedelta(days=32)
        last = min(following.replace(day=1) - timedelta(days=1), market.last_day(self._services.clock.now()))
        start, end = align(wanted.timeframe, first, last)
        if end < start:
            return []
        sessions = await stored_sessions(connection, self._services.settings.tables, market, start, end)
        return make_periods(wanted.timeframe, start, end, sessions, market)

    async def _rows(
        self,
        connection: asyncpg.Connection,
        destination: Destination,
        wanted: CoverageParameters,
        symbols: Sequence[str],
        frame: _Frame,
    ) -> list[CoverageRow]:
        known: dict[str, list[Covered]] = defaultdict(list)
        tables, periods = self._services.settings.tables, frame.timeline.periods
        has_ledger = not await connection.fetchval("SELECT to_regclass($1) IS NULL", quote_table(tables.coverage))
        if periods and has_ledger:
            name = ledger.ledger_name(destination, wanted.timeframe, adjustment="raw", feed="")
            window = (periods[0].low, periods[-1].high)
            for item in await ledger.read_ledger(connection, tables.coverage, name, symbols, window):
                known[item.symbol].append(item)
        now = self._services.clock.now()
        missing = await asyncio.to_thread(frame.missing, symbols, known, now)
        stored = await _stored(connection, destination, wanted.timeframe, frame, missing)
        is_whole = not is_intraday(wanted.timeframe)
        return await asyncio.to_thread(
            lambda: [
                CoverageRow(
                    symbol=symbol, cells=frame.cells(missing[symbol], stored[symbol], known[symbol], is_whole=is_whole)
                )
                for symbol in symbols
            ]
        )


class _Frame:
    """The months and periods of the window, with what all rows have in common counted once."""

    def __init__(self, periods: Sequence[Period], months: Sequence[str]) -> None:
        self.timeline = Timeline(periods)
        self.months = months
        self.month_of = [period.label.strftime("%Y-%m") for period in periods]
        self._expected = Counter(self.month_of)
        self._closes: dict[str, list[datetime]] = defaultdict(list)
        for month, period in zip(self.month_of, periods, strict=True):
            self._closes[month].append(period.close_at)

    def missing(
        self, symbols: Sequence[str], known: Mapping[str, Sequence[Covered]], now: datetime
    ) -> dict[str, list[int]]:
        """Return symbol -> indexes of the periods that the ledger does not cover."""
        return {
            symbol: [
                index
                for first, last in self.timeline.missing(known.get(symbol, ()), now)
                for index in range(first, last + 1)
            ]
            for symbol in symbols
        }

    def cells(
        self, missing: Sequence[int], stored: set[int], covered: Sequence[Covered], *, is_whole: bool
    ) -> tuple[CoverageCell, ...]:
        """Return a symbol's cells; ``is_whole``: a stored row completes its period (days and longer)."""
        open_: Counter[str] = Counter()  # neither fetched nor stored
        loose: Counter[str] = Counter()  # stored in part, by others
        for index in missing:
            if index not in stored:
                open_[self.month_of[index]] += 1
            elif not is_whole:
                loose[self.month_of[index]] += 1
        barren = [item for item in covered if item.bars == 0]
        cells = []
        for month in self.months:
            total = self._expected[month]
            present = total - open_[month]
            if total == 0 or (present == total and self._is_barren(month, barren)):
                state = CellState.NONE
            elif present == 0:
                state = CellState.GAP
            elif present < total or loose[month]:
                state = CellState.PARTIAL
            else:
                state = CellState.COMPLETE
            cells.append(CoverageCell(month=month, state=state, present=present, expected=total))
        return tuple(cells)

    def _is_barren(self, month: str, barren: Sequence[Covered]) -> bool:
        """Return whether the provider was asked for the whole month and had nothing in all that it was asked for."""
        closes = self._closes[month]
        return any(item.low <= closes[0] and item.high >= closes[-1] for item in barren)


async def _stored(
    connection: asyncpg.Connection,
    destination: Destination,
    timeframe: str,
    frame: _Frame,
    missing: Mapping[str, Sequence[int]],
) -> dict[str, set[int]]:
    """Return symbol -> the periods without a ledger entry that hold rows all the same.

    Days and longer are read, one short range a symbol. Intraday rows are too many to read: months are probed first,
    then the sessions of months that hold something.
    """
    found: dict[str, set[int]] = defaultdict(set)
    silent = {symbol: indexes for symbol, indexes in missing.items() if indexes}
    if not silent:
        return found
    periods = frame.timeline.periods
    if not is_intraday(timeframe):
        first = min(indexes[0] for indexes in silent.values())
        last = max(indexes[-1] for indexes in silent.values())
        window = (periods[first].low, periods[last].high)
        times = await bars.times_present(connection, destination, timeframe, list(silent), window)
        for symbol, present in times.items():
            labelled = (frame.timeline.index_of(at) for at in present)
            found[symbol] = {index for index in labelled if index is not None}
        return found
    by_month: dict[tuple[str, str], list[int]] = defaultdict(list)
    for symbol, indexes in silent.items():
        for index in indexes:
            by_month[symbol, frame.month_of[index]].append(index)
    wide = [(symbol, own[0], periods[own[0]].low, periods[own[-1]].high) for (symbol, _), own in by_month.items()]
    hits = await bars.windows_with_rows(connection, destination, timeframe, wide)
    sessions = [
        (symbol, index, periods[index].low, periods[index].high)
        for (symbol, _), own in by_month.items()
        if (symbol, own[0]) in hits
        for index in own
    ]
    narrow = hits  # too many to look at one by one: each month with rows shows at least one session
    if len(sessions) <= _PROBES_LIMIT:
        narrow = await bars.windows_with_rows(connection, destination, timeframe, sessions)
    for symbol, index in narrow:
        found[symbol].add(index)
    return found


def _months(start: str, end: str) -> list[str]:
    first = int(start[:4]) * 12 + int(start[5:]) - 1
    last = int(end[:4]) * 12 + int(end[5:]) - 1
    return [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in range(first, min(last, first + MONTHS_LIMIT) + 1)]
