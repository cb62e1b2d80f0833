"""Fills a fresh platform: calendar, tickers, recent bars with a true ledger, orders, pipelines.

Bars come from the same market as the sample exchange's, so fetching them again changes nothing. Everything is written
in one transaction: a start that was killed half-way finds an empty database and begins again.

Left out or damaged on purpose, for coverage maps and detectors (by ticker number): % 7 = 3 the second month of daily
bars, % 11 = 5 the second half of the third, % 13 = 8 the last; % 100 = 17 one day the ledger says was fetched; % 25 = 3
45 minutes of the newest session. One staged row in 50 comes twice, a third of them with another close.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from qsuite_console.config.settings import TableSettings
from qsuite_console.db.schema import create_schema, ensure_months
from qsuite_console.model import calendar
from qsuite_console.sandbox.market import Bar, Market, all_sessions
from qsuite_console.sandbox.statements import load
from qsuite_console.sandbox.universe import Instrument

if TYPE_CHECKING:
    import asyncpg

_DAILY_MONTHS: Final = 4
_FIRST_DAILY: Final = date(2026, 1, 1)  # daily bars before it are left for a backfill to fetch
_DAY: Final = timedelta(days=1)
_HOLE: Final = range(100, 145)  # minutes
MINUTE_LEDGER: Final = "1Min|marketdata"  # the ledger's names of what was fetched into which table
DAILY_LEDGER: Final = "1Day"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedOptions:
    """``anchor``: the newest session; None takes the last completed one and "now" as the newest instant."""

    sessions: int = 26
    anchor: date | None = None


@dataclass(frozen=True, slots=True)
class _Month:
    """A stretch of sessions [start, stop) within one month, by index."""

    first: date
    start: int
    stop: int


async def is_seeded(connection: asyncpg.Connection) -> bool:
    """Tell whether the database holds the platform's data already."""
    if await connection.fetchval("SELECT to_regclass('market_data_ticker') IS NULL"):
        return False
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM market_data_ticker)"))


async def seed(connection: asyncpg.Connection, market: Market, options: SeedOptions, *, now: datetime) -> None:
    """Create the platform's tables and fill them, all or nothing. ``now`` is aware."""
    anchor = anchor_session(options, now)
    newest = now if options.anchor is None else calendar.sessions(anchor, anchor)[0].close_at
    async with connection.transaction():
        await create_schema(connection, TableSettings())
        # What is written here is consistent by construction; checking each row's foreign key would double the time.
        await connection.execute("SET LOCAL session_replication_role = replica")
        await _seed_reference(connection, market, anchor)
        await _seed_bars(connection, market, anchor)
        await ensure_months(connection, "task_runs_partitioned", newest.date() - timedelta(days=40), newest.date())
        for statement in load("seed").values():
            used = max((n for n in (1, 2, 3) if f"${n}" in statement), default=0)
            await connection.execute(statement, *(newest, market.seed, len(market.instruments))[:used])
        await connection.execute("DROP TABLE pg_temp.level; DROP FUNCTION pg_temp.u")
    await connection.execute("ANALYZE")


def anchor_session(options: SeedOptions, now: datetime) -> date:
    """Return the newest session of the data."""
    return calendar.last_completed(now).day if options.anchor is None else options.anchor


def deeper_history(options: SeedOptions, *, now: datetime | None = None) -> dict[str, Any]:
    """Return the backfill (kind and parameters of a submission) that completes the minute bars of all sessions."""
    anchor = anchor_session(options, now or datetime.now(UTC))
    found = calendar.sessions(anchor - timedelta(days=60 + 2 * options.sessions), anchor)[-options.sessions :]
    return {
        "kind": "backfill",
        "parameters": {
            "symbols": "active",
            "timeframe": "1Min",
            "start": found[0].day.isoformat(),
            "end": anchor.isoformat(),
            "table": "market_data_marketdata",
        },
    }


async def _seed_reference(connection: asyncpg.Connection, market: Market, anchor: date) -> None:
    sessions = calendar.sessions(date(anchor.year - 2, 1, 1), date(anchor.year + 1, 12, 31))
    await connection.copy_records_to_table(
        "market_calendar",
        columns=["session_date", "open_at", "close_at", "early_close"],
        records=[(s.day, s.open_at, s.close_at, s.is_early_close) for s in sessions],
    )
    await connection.copy_records_to_table(
        "market_data_ticker",
        columns=["id", "symbol", "name", "is_active"],
        records=[(i.number, i.symbol, i.name, _is_listed(i, anchor)) for i in market.instruments],
    )
    index = all_sessions()[1].index(anchor)
    levels = [(i.number, market.daily(i, index, index + 1)[0].c) for i in market.instruments if _is_listed(i, anchor)]
    await connection.execute("CREATE TEMPORARY TABLE level (place bigint PRIMARY KEY, ticker_id bigint, price numeric)")
    await connection.execute(
        "INSERT INTO pg_temp.level SELECT n, id, round(price::numeric, 2)"
        " FROM unnest($1::bigint[], $2::float8[]) WITH ORDINALITY AS x (id, price, n)",
        [number for number, _ in levels],
        [price for _, price in levels],
    )


async def _seed_bars(connection: asyncpg.Connection, market: Market, anchor: date) -> None:
    ledger: list[tuple[str, str, datetime, datetime, int]] = []
    months = _months(anchor)
    await ensure_months(connection, "price_ticks", months[0].first, anchor)
    await connection.copy_to_table(
        "price_ticks",
        columns=["symbol", "timeframe", "timestamp", "open", "high", "low", "close", "volume", "trade_count", "vwap"],
        source=_chunks(_daily_rows(market, months, ledger)),
    )
    await connection.copy_to_table(
        "market_data_marketdata",
        columns=["ticker_id", "timestamp", "open", "high", "low", "close", "volume"],
        source=_chunks(_minute_rows(market, anchor, ledger)),
    )
    await connection.execute(
        "INSERT INTO backfill_coverage (symbol, timeframe, period, bars) SELECT s, f, tstzrange(a, b), n"
        " FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::int[]) AS x (s, f, a, b, n)",
        *map(list, zip(*ledger, strict=True)),
    )


def _daily_rows(market: Market, months: Sequence[_Month], ledger: list[Any]) -> Iterator[str]:
    """Yield the lines of daily bars, and note in ``ledger`` what they cover."""
    days = all_sessions()[1]
    for instrument in market.instruments:
        for start, stop in _stretches(instrument, months):
            bars = market.daily(instrument, *_traded(instrument, start, stop))
            covered = calendar.midnight(days[start]), calendar.midnight(days[stop - 1] + _DAY)
            ledger.append((instrument.symbol, DAILY_LEDGER, *covered, len(bars)))
            if instrument.number % 100 == 17 and len(bars) > 5:
                del bars[4]
            for b in bars:
                yield f"{instrument.symbol}\t1Day\t{b.t}\t{b.o}\t{b.h}\t{b.low}\t{b.c}\t{b.v}\t{b.n}\t{b.vw:.4f}\n"


def _minute_rows(market: Market, anchor: date, ledger: list[Any]) -> Iterator[str]:
    """Yield the lines of the anchor session's minute bars, and note in ``ledger`` what they cover."""
    sessions, days, _ = all_sessions()
    index = days.index(anchor)
    opened = sessions[index].open_at
    low, high = calendar.midnight(anchor), calendar.midnight(anchor + _DAY)
    hole = opened + timedelta(minutes=_HOLE.start), opened + timedelta(minutes=_HOLE.stop)
    for instrument in market.instruments:
        bars: Sequence[Bar] = market.minutes(instrument, index) if _is_listed(instrument, anchor) else ()
        stretches = [(low, hole[0]), (hole[1], high)] if instrument.number % 25 == 3 else [(low, high)]
        for start, stop in stretches:
            first, last = (at.strftime("%Y-%m-%dT%H:%M:%SZ") for at in (start, stop))
            kept = [b for b in bars if first <= b.t < last]
            ledger.append((instrument.symbol, MINUTE_LEDGER, start, stop, len(kept)))
            for b in kept:
                yield f"{instrument.number}\t{b.t}\t{b.o}\t{b.h}\t{b.low}\t{b.c}\t{b.v}\n"


def _months(anchor: date) -> list[_Month]:
    """Return the months of daily bars up to the anchor session, none of them before 2026."""
    days = all_sessions()[1]
    stop = days.index(anchor) + 1
    starts: dict[date, int] = {}
    for index in range(stop - 23 * _DAILY_MONTHS - 10, stop):
        starts.setdefault(days[index].replace(day=1), index)
    chosen = [month for month in sorted(starts)[-_DAILY_MONTHS:] if month >= _FIRST_DAILY] or [anchor.replace(day=1)]
    ends = [*(starts[month] for month in chosen[1:]), stop]
    return [_Month(month, starts[month], end) for month, end in zip(chosen, ends, strict=True)]


def _stretches(instrument: Instrument, months: Sequence[_Month]) -> list[tuple[int, int]]:
    """Return the runs of sessions [start, stop) that are stored, with the instrument's planted gaps left out."""
    pieces: list[tuple[int, int]] = []
    for place, month in enumerate(months):
        start, stop = month.start, month.stop
        if (place, instrument.number % 7) == (1, 3) or (place, instrument.number % 13) == (_DAILY_MONTHS - 1, 8):
            continue
        if (place, instrument.number % 11) == (2, 5):
            stop = (start + stop) // 2
        if pieces and pieces[-1][1] == start:
            pieces[-1] = (pieces[-1][0], stop)
        else:
            pieces.append((start, stop))
    return pieces


def _traded(instrument: Instrument, start: int, stop: int) -> tuple[int, int]:
    """Return the part of the sessions [start, stop) in which the instrument was listed."""
    days = all_sessions()[1]
    while start < stop and not _is_listed(instrument, days[start]):
        start += 1
    while stop > start and not _is_listed(instrument, days[stop - 1]):
        stop -= 1
    return start, stop


def _is_listed(instrument: Instrument, day: date) -> bool:
    begun = instrument.listed is None or day >= instrument.listed
    return begun and (instrument.delisted is None or day < instrument.delisted)


async def _chunks(lines: Iterator[str]) -> AsyncIterator[bytes]:
    """Yield lines in pieces large enough that the driver's overhead vanishes."""
    piece: list[str] = []
    for line in lines:
        piece.append(line)
        if len(piece) >= 2000:
            yield "".join(piece).encode()
            piece.clear()
    yield "".join(piece).encode()
