"""Orders filled on paper: claimed so that no two workers hold one, filled with their executions in one transaction.

A claim lasts as long as its transaction: whoever dies leaves its orders as they were. Orders without a price wait in a
table of the console's own until they are tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Final

import asyncpg

from qsuite_console.config.settings import TableSettings
from qsuite_console.db.queries import load
from qsuite_console.db.schema import quote_table

SLIPPAGE: Final = Decimal("0.0001")  # of the price, against the order
COMMISSION: Final = Decimal("0.005")  # per share
PRICE_LIMIT: Final = Decimal(10) ** 11  # a fill's price must fit its column, whatever somebody has put into the cache
_MONEY: Final = Decimal("0.000001")
_DIGITS: Final = 50
_LOCK: Final = 0x7153_4F72_6472


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """A claimed order. ``price`` is its limit, None for a market order."""

    id: int
    symbol: str
    side: str
    order_type: str
    quantity: Decimal
    filled_quantity: Decimal
    avg_fill_price: Decimal | None
    price: Decimal | None
    created_at: datetime
    tries: int

    @property
    def open_quantity(self) -> Decimal:
        """Return what is still to be filled."""
        return self.quantity - self.filled_quantity


@dataclass(frozen=True, slots=True)
class Fill:
    """What one order is filled with, and the average price of all its fills."""

    order: OpenOrder
    price: Decimal
    commission: Decimal
    average: Decimal


def fill_of(order: OpenOrder, market: Decimal) -> Fill | None:
    """Return the fill of an order at a market price; None for a limit order that the market has not reached."""
    is_buy = order.side == "BUY"
    with localcontext(prec=_DIGITS):
        if order.price is not None and (market > order.price if is_buy else market < order.price):
            return None
        price = _money(market * (1 + SLIPPAGE if is_buy else 1 - SLIPPAGE))
        if order.price is not None:  # never worse than its limit
            price = min(price, order.price) if is_buy else max(price, order.price)
        spent = order.filled_quantity * (order.avg_fill_price or 0) + order.open_quantity * price
        return Fill(order, price, _money(order.open_quantity * COMMISSION), _money(spent / order.quantity))


async def create_tries(connection: asyncpg.Connection) -> None:
    """Create the console's table of tries where it is missing."""
    if await connection.fetchval("SELECT to_regclass('qsuite_console.order_tries') IS NOT NULL"):
        return
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute("SET LOCAL client_min_messages = warning")
        await connection.execute("CREATE SCHEMA IF NOT EXISTS qsuite_console")
        await connection.execute(load("order_tries"))


class Desk:
    """Claims and settles on one connection, inside one transaction."""

    def __init__(self, connection: asyncpg.Connection, tables: TableSettings) -> None:
        self._connection = connection
        self._names = {"tickers": quote_table(tables.tickers), "market_data": quote_table(tables.market_data)}

    async def claim(
        self, after: int, limit: int, with_new: bool, now: datetime, types: Sequence[str]
    ) -> list[OpenOrder]:
        """Return up to ``limit`` due orders with ids above ``after`` that nobody else holds.

        ``with_new``: also those that were never tried before.
        """
        rows = await self._connection.fetch(self._sql("orders_claim"), after, limit, now, list(types), with_new)
        return [OpenOrder(**dict(row)) for row in rows]

    async def next_due(self, types: Sequence[str]) -> datetime | None:
        """Return when the first of the orders that wait for a price is tried again, None where none waits."""
        due: datetime | None = await self._connection.fetchval(self._sql("orders_due"), list(types))
        return due

    async def prices(self, symbols: Sequence[str]) -> dict[str, tuple[Decimal, datetime]]:
        """Return symbol -> newest close and the start of its bar."""
        rows = await self._connection.fetch(self._sql("orders_prices"), list(symbols))
        return {row["symbol"]: (row["close"], row["timestamp"]) for row in rows}

    async def fill(self, fills: Sequence[Fill], at: datetime) -> None:
        """Write the executions and mark their orders as filled."""
        if not fills:
            return
        ids = [fill.order.id for fill in fills]
        await self._connection.execute(
            self._sql("orders_execute"),
            ids,
            [fill.order.open_quantity for fill in fills],
            [fill.price for fill in fills],
            [fill.commission for fill in fills],
            at,
        )
        await self._connection.execute(self._sql("orders_filled"), ids, [fill.average for fill in fills], at)

    async def put_off(self, orders: Sequence[OpenOrder], now: datetime, reason: str) -> None:
        """Try these again in 2, 4, 8 … seconds."""
        if orders:
            tries = [order.tries + 1 for order in orders]
            times = [now + timedelta(seconds=2**number) for number in tries]
            await self._connection.execute(
                self._sql("orders_put_off"), [order.id for order in orders], tries, times, reason
            )

    async def reject(self, orders: Sequence[OpenOrder], now: datetime) -> None:
        """Give these up."""
        if orders:
            ids = [order.id for order in orders]
            await self._connection.execute(self._sql("orders_rejected"), ids, now)
            await self.forget_tries(orders)

    async def forget_tries(self, orders: Sequence[OpenOrder]) -> None:
        """Drop what is known of these orders' tries: they wait for no price any more."""
        ids = [order.id for order in orders if order.tries]
        if ids:
            await self._connection.execute(self._sql("orders_forget_tries"), ids)

    def _sql(self, name: str) -> str:
        text = load(name)
        for table, quoted in self._names.items():
            text = text.replace(f"{{{{{table}}}}}", quoted)
        return text


def split_by_price(
    orders: Sequence[OpenOrder], prices: Mapping[str, Decimal]
) -> tuple[list[Fill], list[OpenOrder], list[OpenOrder]]:
    """Return (fills, orders whose limit the market has not reached, orders without a price)."""
    fills: list[Fill] = []
    resting: list[OpenOrder] = []
    priceless: list[OpenOrder] = []
    for order in orders:
        market = prices.get(order.symbol)
        if market is None:
            priceless.append(order)
            continue
        fill = fill_of(order, market)
        if fill is None:
            resting.append(order)
        else:
            fills.append(fill)
    return fills, resting, priceless


def _money(value: Decimal) -> Decimal:
    return value.quantize(_MONEY, rounding=ROUND_HALF_EVEN)
