"""Fills pending orders on paper, where the target allows it: claim, price, fill, all or nothing for each batch.

Market prices come from the cache, else from the newest bar, which is then cached after the transaction: the price of a
fill, with its slippage, never gets there. Any number of these jobs may run at once, in any number of processes. Which
orders are filled only the database knows; the checkpoint keeps the sums that the result has to tell.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from qsuite_console.cache import keys
from qsuite_console.cache.errors import CacheError
from qsuite_console.cache.prices import read_prices
from qsuite_console.cache.writer import write_keys
from qsuite_console.db.orders import PRICE_LIMIT, Desk, Fill, OpenOrder, create_tries, split_by_price
from qsuite_console.engine.ports import JobContext, JobKind, Permanent
from qsuite_console.model.cached import PriceEntry
from qsuite_console.model.kinds import Plan, PlanLine

if TYPE_CHECKING:
    from qsuite_console.workers import Services

BATCH: Final = 500
_BUDGET_S: Final = 30.0
_NAP_S: Final = 0.5  # between two looks whether the job shall stop
_STEPS: Final = 20  # places a decade of seconds
_SHORTEST_S: Final = 0.001
_NO_PRICE: Final = "no price in the cache and no bar in the database"
_REFUSAL: Final = "paper execution is not allowed on this target"
_HINT: Final = "set target.paper_execution = true, only where nobody trades with these orders for real"


class SettleParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders, and how patiently."""

    limit_orders: Annotated[
        bool, msgspec.Meta(title="Limit orders", description="fill limit orders too that the market has reached")
    ] = False
    max_orders: Annotated[
        int, msgspec.Meta(title="At most", description="orders looked at by one run", ge=1, le=10_000_000)
    ] = 100_000
    max_tries: Annotated[
        int, msgspec.Meta(title="Tries", description="looks for a price until an order is rejected", ge=1, le=20)
    ] = 5
    wait: Annotated[
        bool,
        msgspec.Meta(
            title="Wait for prices",
            description="look again after 2, 4, 8 … s for those without a price, until each is filled or rejected",
        ),
    ] = True


class Totals(msgspec.Struct, kw_only=True):
    """What a job has done, over all of its attempts."""

    claimed: int = 0
    filled: int = 0
    rejected: int = 0
    put_off: int = 0
    resting: int = 0
    from_cache: int = 0
    from_database: int = 0
    quantity: Decimal = Decimal(0)
    notional: Decimal = Decimal(0)
    commission: Decimal = Decimal(0)
    latencies: dict[str, int] = {}  # place on a logarithmic scale -> fills
    longest_s: float = 0.0
    duration_s: float = 0.0

    def add(self, orders: Sequence[OpenOrder], fills: Sequence[Fill], at: datetime) -> None:
        """Count a batch that is committed."""
        self.claimed += len(orders)
        self.filled += len(fills)
        for fill in fills:
            quantity = fill.order.open_quantity
            self.quantity += quantity
            self.notional += quantity * fill.price
            self.commission += fill.commission
            waited_s = max(0.0, (at - fill.order.created_at).total_seconds())
            self.longest_s = max(self.longest_s, waited_s)
            place = str(round(_STEPS * math.log10(max(waited_s, _SHORTEST_S))))
            self.latencies[place] = self.latencies.get(place, 0) + 1

    def figures(self) -> dict[str, float | str]:
        """Return what is shown beside the progress."""
        return {"filled": self.filled, "rejected": self.rejected, "put_off": self.put_off}

    def latency_s(self, share: float) -> float | None:
        """Return the seconds from the order to its fill that this share of the fills did not exceed, within 6 %."""
        left = share * self.filled
        for place in sorted(map(int, self.latencies)):
            left -= self.latencies[str(place)]
            if left <= 0:
                return round(min(10 ** (place / _STEPS), self.longest_s), 3)
        return None


class Settle:
    """``orders.settle``."""

    kind = JobKind(
        name="orders.settle",
        title="Settle orders",
        description="Fill pending orders on paper at the market price, with slippage and commission.",
        parameters=SettleParameters,
        queue="execution",
        soft_limit_s=1800.0,
        hard_limit_s=1860.0,
    )

    def __init__(self, services: Services) -> None:
        self._services = services

    def title(self, parameters: SettleParameters) -> str:
        """Return the line by which people recognise the job."""
        return f"settle pending market{' and limit' if parameters.limit_orders else ''} orders on paper"

    async def plan(self, parameters: SettleParameters) -> Plan:
        """Return how many orders are due; changes nothing. Raises DatabaseError."""
        services, now = self._services, self._services.clock.now()
        async with services.database.session("orders plan", _BUDGET_S) as connection:
            due = await connection.fetchval(
                "SELECT count(*) FROM execution_engine_order WHERE status IN ('PENDING', 'PARTIALLY_FILLED') "
                "AND order_type = ANY ($1::text[])",
                list(_types(parameters)),
            )
        is_allowed = services.settings.target.paper_execution
        return Plan(
            kind=self.kind.name,
            title=self.title(parameters),
            lines=(PlanLine(label="pending orders", value=f"{due:,}", note=f"at {now:%H:%M:%S} UTC"),),
            warnings=() if is_allowed else (f"{_REFUSAL}: {_HINT}",),
            figures={"orders": due, "is_allowed": is_allowed},
            is_noop=not due,
        )

    async def run(self, context: JobContext, parameters: SettleParameters) -> Mapping[str, Any]:
        """Fill what can be filled; raises Permanent where it is forbidden, DatabaseError."""
        if not self._services.settings.target.paper_execution:
            raise Permanent(_REFUSAL, hint=_HINT)
        totals = msgspec.convert(dict(context.checkpoint or {}), Totals)
        async with self._services.database.session("orders tables", _BUDGET_S) as connection:
            await create_tries(connection)
        await self._pass(context, parameters, totals)
        while totals.claimed < parameters.max_orders and await self._await_due(context, parameters, totals):
            await self._pass(context, parameters, totals, is_first=False)
        if totals.put_off and not parameters.wait:
            context.log.warning("%d orders wait for a price: %s", totals.put_off, _NO_PRICE)
        return _result(totals)

    async def _pass(
        self, context: JobContext, parameters: SettleParameters, totals: Totals, *, is_first: bool = True
    ) -> None:
        """Go once over the orders that are due, batch by batch; after the first pass over those tried before only."""
        after: int | None = 0
        while after is not None and totals.claimed < parameters.max_orders:
            await context.breathe()
            began = time.monotonic()
            limit = min(BATCH, parameters.max_orders - totals.claimed)
            after = await self._batch(context, parameters, (after, limit, is_first), totals)
            totals.duration_s += time.monotonic() - began
            await context.save(msgspec.to_builtins(totals))
            context.progress(totals.claimed, unit="orders", figures=totals.figures())

    async def _await_due(self, context: JobContext, parameters: SettleParameters, totals: Totals) -> bool:
        """Wait until an order without a price is due again; False where none waits, or that is not wanted."""
        due = await self._next_due(parameters) if parameters.wait else None
        if due is None:
            return False
        message = f"some orders have no price, looking again at {due:%H:%M:%S} UTC"
        context.progress(totals.claimed, unit="orders", message=message, figures=totals.figures())
        left_s = _NAP_S  # also for one that is overdue: another worker has it
        while left_s > 0:
            await context.breathe()
            await asyncio.sleep(min(left_s, _NAP_S))
            left_s = (due - self._services.clock.now()).total_seconds()
        return True

    async def _next_due(self, parameters: SettleParameters) -> datetime | None:
        async with self._services.database.session("orders due", _BUDGET_S) as connection:
            return await Desk(connection, self._services.settings.tables).next_due(_types(parameters))

    async def _batch(
        self, context: JobContext, parameters: SettleParameters, part: tuple[int, int, bool], totals: Totals
    ) -> int | None:
        """Settle a batch of ``part`` (above this id, how many, also those never tried): all of it or nothing.

        Returns the id that it ended with, None when nothing was due.
        """
        services = self._services
        label = f"orders.settle/{context.job_id}"
        async with services.database.session(label, _BUDGET_S) as connection, connection.transaction():
            desk, now = Desk(connection, services.settings.tables), services.clock.now()
            orders = await desk.claim(*part, now, _types(parameters))
            if not orders:
                return None
            symbols = sorted({order.symbol for order in orders})
            cached = await self._cached(context, symbols)
            stored = await desk.prices([symbol for symbol in symbols if symbol not in cached])
            prices = cached | {symbol: price for symbol, (price, _) in stored.items()}
            fills, resting, priceless = split_by_price(orders, prices)
            hopeless = [order for order in priceless if order.tries + 1 >= parameters.max_tries]
            waiting = [order for order in priceless if order.tries + 1 < parameters.max_tries]
            await desk.fill(fills, now)
            await desk.forget_tries([*(fill.order for fill in fills), *resting])
            await desk.put_off(waiting, now, _NO_PRICE)
            await desk.reject(hopeless, now)
        # Only now is any of it true.
        totals.add(orders, fills, now)
        totals.resting += len(resting)
        totals.put_off += len(waiting)
        totals.rejected += len(hopeless)
        totals.from_cache += sum(fill.order.symbol in cached for fill in fills)
        totals.from_database += sum(fill.order.symbol in stored for fill in fills)
        await services.answers.fills_changed({fill.order.symbol for fill in fills})
        await self._remember(context, stored)
        return orders[-1].id

    async def _cached(self, context: JobContext, symbols: Sequence[str]) -> dict[str, Decimal]:
        """Return what the cache knows; without a cache the database is asked for everything."""
        try:
            found = await read_prices(self._services.cache, symbols)
        except CacheError as error:
            context.log.warning("prices come from the database: %s", error.message)
            return {}
        return {symbol: cached.price for symbol, cached in found.items() if cached.price < PRICE_LIMIT}

    async def _remember(self, context: JobContext, stored: Mapping[str, tuple[Decimal, datetime]]) -> None:
        """Cache the market prices that had to be read."""
        if not stored or not self._services.cache.is_configured:
            return
        entries = [
            (keys.PRICE.key(symbol), keys.encode(PriceEntry(symbol=symbol, price=price, timestamp=at)))
            for symbol, (price, at) in stored.items()
        ]
        try:
            await write_keys(self._services.cache, entries, life_s=keys.PRICE.warmed_ttl_s)
        except CacheError as error:
            context.log.warning("prices are not cached: %s", error.message)


def _types(parameters: SettleParameters) -> tuple[str, ...]:
    return ("MARKET", "LIMIT") if parameters.limit_orders else ("MARKET",)


def _result(totals: Totals) -> Mapping[str, Any]:
    duration_s = totals.duration_s
    return {
        "orders": totals.claimed,
        "filled": totals.filled,
        "rejected": totals.rejected,
        "put_off": totals.put_off,
        "resting": totals.resting,
        "quantity": str(totals.quantity),
        "notional": str(totals.notional),
        "commission": str(totals.commission),
        "from_cache": totals.from_cache,
        "from_database": totals.from_database,
        "latency_s": {
            "p50": totals.latency_s(0.5),
            "p95": totals.latency_s(0.95),
            "max": round(totals.longest_s, 3) if totals.filled else None,
        },
        "duration_s": round(duration_s, 3),
        "orders_per_s": round(totals.claimed / duration_s) if duration_s > 0 else 0,
    }
