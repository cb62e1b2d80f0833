"""Tables of bars: which columns a platform's table has, and questions about what it holds.

An existing platform's table is adopted as it is; only what an idempotent write can't do without is required.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

import asyncpg

from qsuite_console.config.settings import TableSettings
from qsuite_console.db.errors import DatabaseSchemaMismatch
from qsuite_console.db.queries import load
from qsuite_console.db.schema import quote_table

Kind = Literal["price_ticks", "market_data"]
PRICES: Final = ("open", "high", "low", "close", "volume")
_OPTIONAL: Final = ("trade_count", "vwap")
_ORIGIN: Final = "source"  # who sent the row; its default names the provider
_STAMPS: Final = ("ingested_at", "updated_at")  # set to now() when a row changes
SYMBOLS_A_QUERY: Final = 50  # keeps each question short, whatever a symbol holds


@dataclass(frozen=True, slots=True)
class Destination:
    """A table that takes bars. ``columns`` is the order in which rows are sent."""

    kind: Kind
    table: str  # as configured, unquoted
    tickers: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    stamp: str | None
    is_partitioned: bool
    scales: Mapping[str, int] = field(default_factory=dict)  # column -> decimals it keeps, where it is bounded
    origin: str | None = None  # the column that names who sent the row

    @property
    def quoted(self) -> str:
        """Return the table as a quoted SQL identifier."""
        return quote_table(self.table)

    @property
    def has_timeframe(self) -> bool:
        """Return whether rows carry their timeframe."""
        return "timeframe" in self.columns

    def render(self, sql: str, coverage: str = "") -> str:
        """Fill a query's {{table}}, {{ledger}} and {{of_symbol}} (the rows of symbol ``s.symbol``, timeframe $1)."""
        if self.kind == "price_ticks":
            owned = "b.symbol = s.symbol"
        else:
            owned = f"b.ticker_id = (SELECT t.id FROM {quote_table(self.tickers)} t WHERE t.symbol = s.symbol)"
        # $1 stays used where the table has no such column: PostgreSQL must know every parameter's type.
        owned += " AND b.timeframe = $1" if self.has_timeframe else " AND $1::text IS NOT NULL"
        filled = sql.replace("{{table}}", self.quoted).replace("{{of_symbol}}", owned)
        return filled.replace("{{ledger}}", quote_table(coverage)) if coverage else filled


async def inspect(connection: asyncpg.Connection, kind: Kind, tables: TableSettings) -> Destination:
    """Return what the table of ``kind`` looks like; raises DatabaseSchemaMismatch when bars can't be kept in it."""
    table = tables.price_ticks if kind == "price_ticks" else tables.market_data
    rows = await connection.fetch(load("bar_table_columns"), quote_table(table))
    if not rows:
        raise DatabaseSchemaMismatch(f"there is no table {table}", hint="run `qsuite-console db init`")
    found = {row["name"]: row for row in rows}
    owner = "symbol" if kind == "price_ticks" else "ticker_id"
    key = (owner, "timeframe", "timestamp") if "timeframe" in found else (owner, "timestamp")
    wanted = (*key, *PRICES)
    missing = [name for name in wanted if name not in found]
    if kind == "price_ticks" and "timeframe" not in found:
        missing.append("timeframe")
    if missing:
        raise DatabaseSchemaMismatch(
            f"{table} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            hint="name another table in the configuration, or add what is missing",
        )
    columns = (*wanted, *(name for name in _OPTIONAL if name in found))
    stuck = [name for name, row in found.items() if name not in columns and row["needs_value"]]
    if stuck:
        raise DatabaseSchemaMismatch(
            f"{table} demands a value for {', '.join(stuck)}, which bars do not have", hint="give the column a default"
        )
    await _require_key(connection, table, key)
    stamp = next((name for name in _STAMPS if name in found), None)
    scales = {name: found[name]["scale"] for name in columns if found[name]["scale"] is not None}
    origin = _ORIGIN if _ORIGIN in found and found[_ORIGIN]["is_defaulted_text"] else None
    return Destination(kind, table, tables.tickers, key, columns, stamp, rows[0]["is_partitioned"], scales, origin)


async def _require_key(connection: asyncpg.Connection, table: str, key: Sequence[str]) -> None:
    keys = await connection.fetch(load("bar_table_keys"), quote_table(table))
    if not any(set(row["columns"]) == set(key) for row in keys):
        raise DatabaseSchemaMismatch(
            f"{table} has no unique key on ({', '.join(key)})",
            hint="add it: without it a backfill can't be repeated safely",
        )


async def has_table(connection: asyncpg.Connection, table: str) -> bool:
    """Return whether a table of that name exists (and may be seen)."""
    return bool(await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", quote_table(table)))


async def ticker_ids(connection: asyncpg.Connection, tables: TableSettings, symbols: Sequence[str]) -> dict[str, int]:
    """Return symbol -> ticker id for those of ``symbols`` that the platform knows."""
    sql = load("ticker_ids").replace("{{tickers}}", quote_table(tables.tickers))
    return {row["symbol"]: row["id"] for row in await connection.fetch(sql, list(symbols))}


async def add_tickers(connection: asyncpg.Connection, tables: TableSettings, symbols: Sequence[str]) -> None:
    """Make tickers of ``symbols``, pairs with a slash as crypto where the platform tells; those there are stay."""
    table = quote_table(tables.tickers)
    has_class = await connection.fetchval(load("ticker_has_class"), table)
    sql = load("ticker_add_classed" if has_class else "ticker_add").replace("{{tickers}}", table)
    await connection.execute(sql, sorted(symbols))


async def ticker_symbols(
    connection: asyncpg.Connection, tables: TableSettings, *, active: bool, crypto: bool = False
) -> list[str]:
    """Return the platform's stocks or crypto pairs in order, all or the active ones; empty without a tickers table."""
    if not await has_table(connection, tables.tickers):
        return []
    sql = load("ticker_symbols_active" if active else "ticker_symbols")
    rows = await connection.fetch(sql.replace("{{tickers}}", quote_table(tables.tickers)), crypto)
    return [row["symbol"] for row in rows]


async def count_rows(
    connection: asyncpg.Connection,
    destination: Destination,
    timeframe: str,
    symbols: Sequence[str],
    period: tuple[datetime, datetime],
) -> dict[str, int]:
    """Return symbol -> rows in [from, to); every symbol is asked through the key, so the cost is what is counted."""
    sql = destination.render(load("bars_count"))
    found: dict[str, int] = {}
    for first in range(0, len(symbols), SYMBOLS_A_QUERY):
        part = list(symbols[first : first + SYMBOLS_A_QUERY])
        found |= {row["symbol"]: row["bars"] for row in await connection.fetch(sql, timeframe, part, *period)}
    return found


async def has_rows(
    connection: asyncpg.Connection,
    destination: Destination,
    timeframe: str,
    symbols: Sequence[str],
    period: tuple[datetime, datetime],
) -> set[str]:
    """Return the symbols with at least one row in [from, to)."""
    sql = destination.render(load("bars_exist"))
    found: set[str] = set()
    for first in range(0, len(symbols), SYMBOLS_A_QUERY):
        part = list(symbols[first : first + SYMBOLS_A_QUERY])
        found |= {row["symbol"] for row in await connection.fetch(sql, timeframe, part, *period)}
    return found


async def times_present(
    connection: asyncpg.Connection,
    destination: Destination,
    timeframe: str,
    symbols: Sequence[str],
    period: tuple[datetime, datetime],
) -> dict[str, set[datetime]]:
    """Return symbol -> the timestamps it has; meant for daily and longer bars."""
    sql = destination.render(load("bars_times"))
    found: dict[str, set[datetime]] = {}
    for first in range(0, len(symbols), SYMBOLS_A_QUERY):
        part = list(symbols[first : first + SYMBOLS_A_QUERY])
        for row in await connection.fetch(sql, timeframe, part, *period):
            found[row["symbol"]] = set(row["times"] or ())
    return found


async def session_counts(
    connection: asyncpg.Connection,
    destination: Destination,
    timeframe: str,
    symbol: str,
    windows: Sequence[tuple[datetime, datetime]],
) -> Mapping[datetime, int]:
    """Return window start -> rows of ``symbol`` in it, for intraday bars."""
    sql = destination.render(load("bars_in_windows"))
    rows = await connection.fetch(sql, timeframe, symbol, [w[0] for w in windows], [w[1] for w in windows])
    return {row["low"]: row["bars"] for row in rows}


async def windows_with_rows(
    connection: asyncpg.Connection,
    destination: Destination,
    timeframe: str,
    pairs: Sequence[tuple[str, int, datetime, datetime]],
) -> set[tuple[str, int]]:
    """Return which (symbol, number) of ``pairs`` (symbol, number, from, to) hold a row."""
    sql = destination.render(load("bars_by_window"))
    columns = [list(column) for column in zip(*pairs, strict=True)] if pairs else [[], [], [], []]
    return {(row["symbol"], row["number"]) for row in await connection.fetch(sql, timeframe, *columns)}


async def symbols_page(
    connection: asyncpg.Connection, tables: TableSettings, *, after: str, text: str, limit: int
) -> tuple[list[str], int]:
    """Return the symbols behind ``after`` that begin with ``text``, and how many there are in all.

    They are the platform's tickers, or those the ledger knows where there are none.
    """
    for kind, table in (("", tables.tickers), ("ledger_", tables.coverage)):
        if await connection.fetchval("SELECT to_regclass($1) IS NULL", quote_table(table)):
            continue
        mark = "{{ledger}}" if kind else "{{tickers}}"
        total = await connection.fetchval(load(f"{kind}symbols_total").replace(mark, quote_table(table)), text)
        if total or text:
            page = load(f"{kind}symbols_page").replace(mark, quote_table(table))
            return [row["symbol"] for row in await connection.fetch(page, after, text, limit)], total
    return [], 0
