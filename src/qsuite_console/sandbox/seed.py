"""Fills a fresh platform: calendar, tickers, recent bars with a true ledger, orders, pipelines.

Bars come from the same market as the sample exchange's, so fetching them again changes nothing. Everything is written
in one transaction: a start that was killed half-way finds an empty database and begins again.

Orders, runs and the like go in first: while the server writes them, the bars are still being made. One staged row in
50 comes twice, a third of them with another close.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from qsuite_console.config.settings import TableSettings
from qsuite_console.db.errors import is_unique_violation
from qsuite_console.db.schema import create_schema, ensure_months
from qsuite_console.model import calendar
from qsuite_console.sandbox.harvest import Harvest, is_listed
from qsuite_console.sandbox.market import Market
from qsuite_console.sandbox.statements import load

if TYPE_CHECKING:
    import asyncpg

_NEEDS_BARS: Final = ("staging with duplicates",)  # steps that read what was loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedOptions:
    """``anchor``: the newest session; None takes the last completed one and "now" as the newest instant."""

    sessions: int = 26
    anchor: date | None = None


async def is_seeded(connection: asyncpg.Connection) -> bool:
    """Tell whether the database holds the platform's data already."""
    if await connection.fetchval("SELECT to_regclass('market_data_ticker') IS NULL"):
        return False
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM market_data_ticker)"))


async def seed(
    connection: asyncpg.Connection,
    market: Market,
    options: SeedOptions,
    *,
    now: datetime,
    harvest: Harvest | None = None,
) -> None:
    """Create the platform's tables and fill them, all or nothing. ``now`` is aware.

    ``harvest``: the market's bars up to the anchor session, begun earlier.
    """
    anchor = harvest.anchor if harvest else anchor_session(options, now)
    newest = now if options.anchor is None else calendar.sessions(anchor, anchor)[0].close_at
    bars = harvest or Harvest(market, anchor)
    try:
        async with connection.transaction():
            await create_schema(connection, TableSettings())
            # What is written here is consistent by construction; checking each foreign key would double the time.
            await connection.execute("SET LOCAL session_replication_role = replica")
            await _seed_reference(connection, market, anchor)
            await _seed_levels(connection, await asyncio.wrap_future(bars.levels))
            await ensure_months(connection, "task_runs_partitioned", newest.date() - timedelta(days=40), newest.date())
            steps = dict(load("seed"))
            later = [steps.pop(name) for name in _NEEDS_BARS]
            arguments = (newest, market.seed, len(market.instruments))
            for statement in steps.values():
                await _run(connection, statement, arguments)
            await _seed_bars(connection, bars)
            for statement in later:
                await _run(connection, statement, arguments)
            await connection.execute("DROP TABLE pg_temp.level; DROP FUNCTION pg_temp.u")
    finally:
        bars.close()


async def plant_troubles(connection: asyncpg.Connection) -> None:
    """Make what an operator should find: late vacuum, bad indexes, a sequence near its end; once, after ``seed``."""
    if await connection.fetchval("SELECT to_regclass('legacy_audit') IS NOT NULL"):
        return
    for statement in load("troubles").values():
        try:
            await connection.execute(statement)
        except Exception as error:
            if not is_unique_violation(error):  # that one leaves its index behind, unfit for use
                raise


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
        records=[(i.number, i.symbol, i.name, is_listed(i, anchor)) for i in market.instruments],
    )


async def _seed_levels(connection: asyncpg.Connection, levels: Sequence[tuple[int, float]]) -> None:
    await connection.execute("CREATE TEMPORARY TABLE level (place bigint PRIMARY KEY, ticker_id bigint, price numeric)")
    await connection.execute(
        "INSERT INTO pg_temp.level SELECT n, id, round(price::numeric, 2)"
        " FROM unnest($1::bigint[], $2::float8[]) WITH ORDINALITY AS x (id, price, n)",
        [number for number, _ in levels],
        [price for _, price in levels],
    )


async def _run(connection: asyncpg.Connection, statement: str, arguments: tuple[Any, ...]) -> None:
    used = max((n for n in (1, 2, 3) if f"${n}" in statement), default=0)
    await connection.execute(statement, *arguments[:used])


async def _seed_bars(connection: asyncpg.Connection, bars: Harvest) -> None:
    await ensure_months(connection, "price_ticks", bars.first_day, bars.anchor)
    await connection.copy_to_table(
        "price_ticks",
        columns=["symbol", "timeframe", "timestamp", "open", "high", "low", "close", "volume", "trade_count", "vwap"],
        source=bars.daily(),
    )
    await connection.copy_to_table(
        "market_data_marketdata",
        columns=["ticker_id", "timestamp", "open", "high", "low", "close", "volume"],
        source=bars.minutes(),
    )
    await connection.execute(
        "INSERT INTO backfill_coverage (symbol, timeframe, period, bars) SELECT s, f, tstzrange(a, b), n"
        " FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::int[]) AS x (s, f, a, b, n)",
        *map(list, zip(*bars.ledger, strict=True)),
    )
