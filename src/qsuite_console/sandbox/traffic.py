"""Steady synthetic trading: orders, fills, bars, pipeline runs and cache keys, a little every half second.

Two loops, one for each server, so that one that is down doesn't silence the other; each goes on when its server is
back. While the exchange is closed, bars are invented around the last close so that no panel goes still; while it is
open they are the sample exchange's own.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from qsuite_console.cache.client import Cache
from qsuite_console.db.database import Database
from qsuite_console.model import calendar
from qsuite_console.model.errors import ConsoleError
from qsuite_console.sandbox.market import LABEL, Market, all_sessions
from qsuite_console.sandbox.minutes import Bar
from qsuite_console.sandbox.statements import load
from qsuite_console.sandbox.universe import Instrument

if TYPE_CHECKING:
    import asyncpg

_log = logging.getLogger(__name__)
_TICK_S: Final = 0.5
_RUN_TICKS: Final = 6
_LEFT_TICKS: Final = 600
_RETRY_S: Final = 2.0
_POPULAR: Final = 40
_TRADERS: Final = 200
_OPEN_ORDERS: Final = 400
_RUNS: Final = 5
_BUDGET_S: Final = 5.0
_PRICE_S, _BOOK_S, _POSITION_S = 10, 5, 300  # how long the platform keeps such keys


class Traffic:
    """Makes traffic until it is cancelled."""

    def __init__(self, database: Database, cache: Cache, market: Market, seed: int) -> None:
        self._database = database
        self._cache = cache
        self._market = market
        self._random = random.Random(f"traffic/{seed}")
        today = calendar.last_completed(datetime.now(UTC)).day
        listed = [i for i in market.instruments if i.delisted is None and (i.listed is None or i.listed <= today)]
        self._popular = listed[:_POPULAR]
        self._prices = self._closes()
        self._orders: deque[int] = deque()
        self._runs: deque[int] = deque()
        self._ticks = 0
        self._minute = datetime.now(UTC).replace(second=0, microsecond=0)

    async def run(self) -> None:
        """Keep both servers busy for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep("PostgreSQL", self._trade))
            group.create_task(self._keep("Valkey", self._use_cache))

    async def _keep(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        is_down, task = False, asyncio.current_task()
        assert task is not None
        # The cache's driver can swallow a cancellation that arrives as a write completes (wait_for before Python 3.12).
        while not task.cancelling():
            try:
                await work()
                if is_down:
                    _log.info("traffic on %s goes on", what)
                is_down = False
            except Exception as error:  # the loop must live, whatever went wrong in one turn
                if not is_down:
                    unexpected = None if isinstance(error, ConsoleError) else error
                    _log.warning("traffic on %s waits: %s", what, error, exc_info=unexpected)
                is_down = True
                self._orders.clear()  # what was under way may be lost: begin anew
                self._runs.clear()
            await asyncio.sleep(_RETRY_S if is_down else _TICK_S)

    async def _trade(self) -> None:
        """Do half a second of what trading does in the database."""
        self._ticks += 1
        dice = self._random
        for number, price in self._prices.items():
            self._prices[number] = max(1.0, price * (1 + dice.gauss(0, 0.0002)))
        async with self._database.session("traffic", _BUDGET_S) as connection:
            statements = load("traffic")
            placed = await connection.fetch(statements["place orders"], *self._new_orders(dice.randint(1, 3)))
            self._orders.extend(row["id"] for row in placed)
            filled = [self._orders.popleft() for _ in range(min(len(self._orders) // 8, 3))]
            if filled:
                prices = [self._prices[dice.choice(self._popular).number] for _ in filled]
                await connection.execute(statements["fill orders"], filled, prices)
            if len(self._orders) > _OPEN_ORDERS or (self._orders and self._ticks % 7 == 0):
                await connection.execute(statements["cancel orders"], [self._orders.popleft()])
            if self._ticks % _RUN_TICKS == 0:
                await self._run_pipelines(connection)
            minute = datetime.now(UTC).replace(second=0, microsecond=0)
            if minute > self._minute:
                ended, self._minute = self._minute, minute
                await connection.execute(statements["add bars"], *self._bars(ended))

    async def _run_pipelines(self, connection: asyncpg.Connection) -> None:
        dice, statements = self._random, load("traffic")
        if self._ticks % _LEFT_TICKS == _RUN_TICKS:  # what a sandbox that was stopped has left running
            await connection.execute(statements["end left runs"])
        if self._runs and (len(self._runs) >= _RUNS or dice.random() < 0.3):
            state = dice.choices(["success", "failed", "cancelled"], [93, 5, 2])[0]
            await connection.execute(statements["finish runs"], [self._runs.popleft()], [state])
        if len(self._runs) < _RUNS and dice.random() < 0.5:
            self._runs.append(await connection.fetchval(statements["start run"], dice.randrange(1 << 31)))

    async def _use_cache(self) -> None:
        """Do half a second of what trading does in the cache: writes with their usual life, reads that hit and miss."""
        dice = self._random
        async with self._cache.guard() as client:
            pipeline = client.pipeline(transaction=False)
            now = datetime.now(UTC).isoformat()
            for instrument in dice.sample(self._popular, min(8, len(self._popular))):
                price = self._prices[instrument.number]
                value = {"price": f"{price:.4f}", "bid": f"{price - 0.01:.2f}", "ask": f"{price + 0.01:.2f}", "at": now}
                pipeline.set(f"price:{instrument.symbol}", msgspec.json.encode(value), ex=_PRICE_S)
            for instrument in dice.sample(self._popular, min(3, len(self._popular))):
                pipeline.set(f"order_book:{instrument.symbol}", self._book(instrument), ex=_BOOK_S)
            trader = dice.randint(1, _TRADERS)
            held = {dice.choice(self._popular).symbol: str(10 * dice.randint(-20, 50)) for _ in range(4)}
            pipeline.set(f"positions:{trader}", msgspec.json.encode(held), ex=_POSITION_S)
            for _ in range(30):  # popular symbols are mostly there, others never
                everyone = self._popular if dice.random() < 0.93 else self._market.instruments
                pipeline.get(f"price:{dice.choice(everyone).symbol}")
            pipeline.get(f"positions:{dice.randint(1, _TRADERS)}")
            await pipeline.execute()

    def _new_orders(self, count: int) -> tuple[list[int], list[int], list[str], list[str], list[int], list[float]]:
        dice = self._random
        chosen = [dice.choice(self._popular) for _ in range(count)]
        sides = [dice.choice(["BUY", "SELL"]) for _ in chosen]
        offsets = [(-0.01 if side == "BUY" else 0.01) * dice.random() for side in sides]
        return (
            [1 + int(_TRADERS * dice.random() ** 1.5) for _ in chosen],
            [i.number for i in chosen],
            sides,
            [dice.choices(["LIMIT", "MARKET"], [3, 1])[0] for _ in chosen],
            [10 * dice.randint(1, 100) for _ in chosen],
            [self._prices[i.number] * (1 + offset) for i, offset in zip(chosen, offsets, strict=True)],
        )

    def _book(self, instrument: Instrument) -> bytes:
        price = self._prices[instrument.number]
        bids = [[f"{price - 0.01 * (n + 1):.2f}", 100 * self._random.randint(1, 40)] for n in range(10)]
        asks = [[f"{price + 0.01 * (n + 1):.2f}", 100 * self._random.randint(1, 40)] for n in range(10)]
        return msgspec.json.encode({"bids": bids, "asks": asks})

    def _bars(self, minute: datetime) -> list[list[object]]:
        """Return the columns of the popular shares' bars of the minute that has just ended."""
        rows = [(i.number, bar) for i in self._popular if (bar := self._bar(i, minute)) is not None]
        prices = [[Decimal(str(getattr(bar, name))) for _, bar in rows] for name in ("o", "h", "low", "c")]
        volumes: list[object] = [Decimal(bar.v) for _, bar in rows]
        return [[number for number, _ in rows], [minute for _ in rows], *map(list[object], prices), volumes]

    def _bar(self, instrument: Instrument, minute: datetime) -> Bar | None:
        session = calendar.session(calendar.trading_day(minute))
        label = minute.strftime(LABEL)
        if session is not None and session.open_at <= minute < session.close_at:
            found = self._market.minutes(instrument, all_sessions()[1].index(session.day))
            return next((bar for bar in found if bar.t == label), None)
        close = round(self._prices[instrument.number], 2)
        opened = round(close * (1 + self._random.gauss(0, 0.0004)), 2)
        high, low = round(max(opened, close) + 0.02, 2), round(min(opened, close) - 0.02, 2)
        return Bar(close, high, low, 5, opened, label, self._random.randint(50, 900), close)

    def _closes(self) -> dict[int, float]:
        index = all_sessions()[1].index(calendar.last_completed(datetime.now(UTC)).day)
        return {i.number: self._market.daily(i, index, index + 1)[0].c for i in self._popular}
