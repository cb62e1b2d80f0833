"""Questions about the market, each one statement over the key of the bars: the cost follows what is asked about.

Positions are the exception: moving average cost depends on the order of fills, which no plain aggregate can follow, so
fills are streamed in that order and folded here, a few thousand at a time.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Final, Literal

import asyncpg

from qsuite_console.config.settings import TableSettings
from qsuite_console.db import queries
from qsuite_console.db.database import Database
from qsuite_console.db.schema import quote_table
from qsuite_console.model import calendar
from qsuite_console.model.market import Bar, Depth, HourVolume, Level, Position, Quote, Session, Volatility

Side = Literal["BUY", "SELL"]
LEVELS: Final = 10
# stands for the table of daily bars on a platform that has none
_NO_DAYS: Final = """(SELECT NULL::text AS symbol, NULL::text AS timeframe, NULL::timestamptz AS "timestamp",
    NULL::numeric AS open, NULL::numeric AS high, NULL::numeric AS low, NULL::numeric AS close,
    NULL::numeric AS volume WHERE false)"""
_HAS_TABLE: Final = "SELECT to_regclass($1) IS NOT NULL"
_PREFETCH: Final = 2000
_DIGITS: Final = 50  # of precision while averages are folded
_LOCK_MS: Final = 250  # a question never queues behind a migration


class MarketReader:
    """Asks on one connection, inside one read-only transaction; made by ``reading``."""

    def __init__(
        self, connection: asyncpg.Connection, tables: TableSettings, version: int, *, has_days: bool = True
    ) -> None:
        self.connection = connection
        self.tables = tables
        self._version = version
        self._names = {
            "tickers": quote_table(tables.tickers),
            "market_data": quote_table(tables.market_data),
            "price_ticks": quote_table(tables.price_ticks) if has_days else _NO_DAYS,
        }

    async def _fetch(self, name: str, *arguments: object) -> list[asyncpg.Record]:
        found: list[asyncpg.Record] = await self.connection.fetch(self.sql(name), *arguments)
        return found

    def sql(self, name: str) -> str:
        """Return the text of a query with the configured tables in it."""
        text = queries.load(name, self._version or None)
        for table, quoted in self._names.items():
            text = text.replace(f"{{{{{table}}}}}", quoted)
        return text

    async def symbols(self, text: str, *, after: str, limit: int) -> list[str]:
        """Return the active symbols that begin with ``text``, in their order, behind ``after``."""
        return [row["symbol"] for row in await self._fetch("market_symbols", text, after, limit)]

    async def symbols_total(self, text: str) -> int:
        """Return how many active symbols begin with ``text``."""
        return int(await self.connection.fetchval(self.sql("market_symbols_count"), text))

    async def latest_prices(self, symbols: Sequence[str]) -> dict[str, tuple[Decimal, datetime]]:
        """Return symbol -> close and start of its newest bar."""
        rows = await self._fetch("latest_prices", list(symbols))
        return {row["symbol"]: (row["close"], row["timestamp"]) for row in rows}

    async def movers(self, text: str, session: Session, now: datetime, *, is_rising: bool, limit: int) -> list[str]:
        """Return the symbols that gained (or lost) most since the close before ``session``."""
        day = calendar.midnight(session.day)
        rows = await self._fetch("movers", text, session.open_at, now, day, 1 if is_rising else -1, limit)
        return [row["symbol"] for row in rows]

    async def quotes(self, symbols: Sequence[str], session: Session, now: datetime, *, trend: int) -> list[Quote]:
        """Return a quote for every symbol, in the order given, with up to ``trend`` recent closes."""
        wanted, day = list(symbols), calendar.midnight(session.day)
        rows = await self._fetch("price_changes", wanted, session.open_at, now, day)
        prices = {row["symbol"]: row for row in rows}
        trends = {}
        if trend:
            trends = {row["symbol"]: tuple(row["closes"]) for row in await self._fetch("recent_closes", wanted, trend)}
        found = []
        for symbol in wanted:
            row = prices.get(symbol)
            found.append(
                Quote(symbol=symbol)
                if row is None
                else Quote(
                    symbol=symbol,
                    price=row["last"],
                    priced_at=row["timestamp"],
                    previous_close=row["previous_close"],
                    trend=trends.get(symbol, ()),
                )
            )
        return found

    async def bars(self, symbol: str, limit: int, *, minutes: int = 1) -> list[Bar]:
        """Return the last ``limit`` bars of so many minutes, oldest first; minutes without a trade have none."""
        if minutes == 1:
            rows = await self._fetch("ohlcv_last", symbol, limit)
        else:
            rows = await self._fetch("ohlcv_buckets", symbol, minutes * limit, 60 * minutes, limit)
        return [_bar(row) for row in reversed(rows)]

    async def daily_bars(self, symbol: str, limit: int) -> list[Bar]:
        """Return the last ``limit`` daily bars, oldest first."""
        return [_bar(row) for row in reversed(await self._fetch("ohlcv_days", symbol, limit))]

    async def depth(self, symbol: str, levels: int = LEVELS) -> Depth:
        """Return the best ``levels`` of each side."""
        sides: dict[str, list[Level]] = {"bid": [], "ask": []}
        for row in await self._fetch("order_book", symbol, levels):
            level = Level(price=row["price"], quantity=row["quantity"], orders=row["orders"])
            sides[row["side"]].append(level)
        return Depth(symbol=symbol, bids=tuple(sides["bid"]), asks=tuple(sides["ask"]))

    async def positions_in(self, symbol: str) -> list[Position]:
        """Return what every user has made of a symbol, closed positions too; owners are user ids."""
        return await self._fold("fills_of_symbol", symbol)

    async def positions_of(self, user: int) -> list[Position]:
        """Return what a user has made of every symbol, closed positions too; owners are symbols."""
        return await self._fold("fills_of_user", user)

    async def _fold(self, name: str, subject: object) -> list[Position]:
        found: list[Position] = []
        fold, owner = Fold(), None
        async for row in self.connection.cursor(self.sql(name), subject, prefetch=_PREFETCH):
            if row["owner"] != owner:
                if owner is not None:
                    found.append(fold.position(str(owner)))
                fold, owner = Fold(), row["owner"]
            fold.add(row["side"], row["quantity"], row["price"])
        if owner is not None:
            found.append(fold.position(str(owner)))
        return found

    async def user_names(self, ids: Sequence[int]) -> dict[str, str]:
        """Return user id -> name."""
        return {str(row["id"]): row["username"] for row in await self._fetch("user_names", list(ids))}

    async def volume_by_hour(self, start: datetime, end: datetime, symbol: str | None = None) -> list[HourVolume]:
        """Return the volume in [start, end) by UTC hour and symbol (of one symbol, if named), newest hour first."""
        if symbol is None:
            rows = await self._fetch("volume_by_hour", start, end)
        else:
            rows = await self._fetch("volume_by_hour_of", start, end, symbol)
        return [HourVolume(**dict(row)) for row in rows]

    async def volatility(self, symbol: str, sessions: Sequence[Session], a_year: int) -> Volatility:
        """Return deviation and mean of the log returns between these sessions' closes, of a year of ``a_year``."""
        opens, closes = [s.open_at for s in sessions], [s.close_at for s in sessions]
        row = await self.connection.fetchrow(self.sql("volatility"), symbol, opens, closes, float(a_year))
        return Volatility(symbol=symbol, **dict(row))


@contextlib.asynccontextmanager
async def reading(
    database: Database, tables: TableSettings, label: str, budget_s: float, *, needs_days: bool = True
) -> AsyncIterator[MarketReader]:
    """Lend a reader whose statements the server ends by itself; raises DatabaseError.

    ``needs_days`` False: it asks nothing of daily bars, so that nobody need look whether there are any.
    """
    async with database.session(label, budget_s) as connection, connection.transaction(readonly=True):
        limit_ms = max(100, int(900 * budget_s))
        await connection.execute(f"SET LOCAL statement_timeout = {limit_ms}; SET LOCAL lock_timeout = {_LOCK_MS}")
        has_days = needs_days and await connection.fetchval(_HAS_TABLE, quote_table(tables.price_ticks))
        yield MarketReader(connection, tables, database.version, has_days=has_days)


class Fold:
    """A position by moving average cost: adding to it moves the average, reducing realises, turning starts anew."""

    def __init__(self) -> None:
        self.net = self.average_cost = self.realised = Decimal(0)

    def add(self, side: Side, quantity: Decimal, price: Decimal) -> None:
        """Take the next fill, in order of execution."""
        with localcontext(prec=_DIGITS):
            signed = quantity if side == "BUY" else -quantity
            if self.net * signed >= 0:
                held = abs(self.net)
                self.average_cost = (held * self.average_cost + quantity * price) / (held + quantity)
            else:
                closed = min(quantity, abs(self.net))
                gain = price - self.average_cost
                self.realised += closed * (gain if self.net > 0 else -gain)
                if quantity > closed:
                    self.average_cost = price
                elif quantity == abs(self.net):
                    self.average_cost = Decimal(0)
            self.net += signed

    def position(self, owner: str) -> Position:
        """Return it as it stands, money to six decimals."""
        money = Decimal("0.000001")
        with localcontext(prec=_DIGITS):
            average, realised = self.average_cost.quantize(money), self.realised.quantize(money)
        return Position(owner=owner, net=self.net, average_cost=average, realised=realised)


def _bar(row: asyncpg.Record) -> Bar:
    return Bar(at=row["timestamp"], **{name: row[name] for name in ("open", "high", "low", "close", "volume")})
