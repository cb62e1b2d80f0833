"""Rows that were fetched once and are gone: the ledger is made to say so, and the plan fetches them like any gap.

Somebody may delete rows, restore an older copy or drop a partition; a ledger that goes on claiming them would leave
every later run unverified and nothing would ever fetch them again. Where rows are missing is found by session, so
that one lost day does not cost years of requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from qsuite_console.db import bars, ledger
from qsuite_console.db.ledger import Deficit
from qsuite_console.model.timeframes import is_intraday
from qsuite_console.workers.backfill.planner import Period, Timeline, make_periods
from qsuite_console.workers.backfill.universe import stored_sessions

if TYPE_CHECKING:
    import asyncpg

    from qsuite_console.config.settings import TableSettings
    from qsuite_console.workers.backfill.survey import Survey

_PAIRS_LIMIT: Final = 20_000  # (symbol, session) counts of intraday rows; beyond, whole entries are fetched again
_INSTANT: Final = timedelta(seconds=1)


async def disown(
    connection: asyncpg.Connection, tables: TableSettings, made: Survey, timeframe: str, deficits: Sequence[Deficit]
) -> None:
    """Take the sessions that lack rows off the ledger's entries behind ``deficits``."""
    low, high = min(item.low for item in deficits), max(item.high for item in deficits)
    start, end = made.market.day_of(low), made.market.day_of(high - _INSTANT)
    sessions = await stored_sessions(connection, tables, made.market, start, end)
    timeline = Timeline(make_periods(timeframe, start, end, sessions, made.market))
    rows = await _count(connection, made, timeframe, timeline, deficits)
    for item in deficits:
        parts = sound_parts(item, timeline.periods, rows.get(item.symbol, {}))
        await ledger.narrow(connection, made.destination, tables.coverage, (timeframe, made.ledger_name), item, parts)


def sound_parts(
    deficit: Deficit, periods: Sequence[Period], rows: Mapping[int, int]
) -> list[tuple[datetime, datetime]]:
    """Return the parts of a deficit's period that hold all their bars; ``rows``: index of a period -> rows in it.

    Where the sessions with too few rows do not explain what is missing (bars outside regular hours), none is sound.
    """
    own = [i for i, p in enumerate(periods) if deficit.low <= p.at and p.own_high <= deficit.high]
    short = {i: periods[i].bars - rows.get(i, 0) for i in own if rows.get(i, 0) < periods[i].bars}
    if sum(short.values()) < deficit.fetched - deficit.present:
        return []
    parts: list[tuple[datetime, datetime]] = []
    previous = -1
    for i in own:
        if i in short:
            continue
        low = deficit.low if i == own[0] else periods[i].at
        high = deficit.high if i == own[-1] else periods[i].own_high
        if parts and previous == i - 1:
            low, _ = parts.pop()
        parts.append((low, high))
        previous = i
    return parts


async def _count(
    connection: asyncpg.Connection, made: Survey, timeframe: str, timeline: Timeline, deficits: Sequence[Deficit]
) -> Mapping[str, Mapping[int, int]]:
    """Return symbol -> index of a period -> rows in it; empty where there would be too much to count."""
    symbols, periods = sorted({item.symbol for item in deficits}), timeline.periods
    if not periods:
        return {}
    if not is_intraday(timeframe):
        window = (periods[0].low, periods[-1].high)
        times = await bars.times_present(connection, made.destination, timeframe, symbols, window)
        labelled = {symbol: {timeline.index_of(at) for at in found} for symbol, found in times.items()}
        return {symbol: {i: 1 for i in indexes if i is not None} for symbol, indexes in labelled.items()}
    if len(symbols) * len(periods) > _PAIRS_LIMIT:
        return {}
    windows = [(period.low, period.high) for period in periods]
    index_of = {period.low: i for i, period in enumerate(periods)}
    found: dict[str, Mapping[int, int]] = {}
    for symbol in symbols:
        counts = await bars.session_counts(connection, made.destination, timeframe, symbol, windows)
        found[symbol] = {index_of[at]: count for at, count in counts.items()}
    return found
