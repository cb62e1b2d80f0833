"""What the cache is warmed with, read set by set: one statement a family, whatever the number of keys.

Positions depend on the order of all fills of a user, so they are streamed in that order and folded user by user;
asking which users have traded since the last time costs what has been traded since then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final

import asyncpg

from qsuite_console.db.market import LEVELS, Fold, MarketReader
from qsuite_console.model.cached import BookEntry, Holding, MarketEntry, PositionsEntry, PriceEntry
from qsuite_console.model.market import Level, Session

_PREFETCH: Final = 2000


class WarmingReader:
    """Asks on the connection of a ``MarketReader``; ``symbols`` None means every active one."""

    def __init__(self, market: MarketReader) -> None:
        self._market = market

    async def prices(self, symbols: Sequence[str] | None) -> list[PriceEntry]:
        """Return the newest price of every symbol that has one."""
        rows = await self._fetch("warm_prices", symbols)
        return [PriceEntry(symbol=row["symbol"], price=row["close"], timestamp=row["timestamp"]) for row in rows]

    async def market_data(
        self, symbols: Sequence[str] | None, session: Session, *, most: int | None = None
    ) -> list[MarketEntry]:
        """Return the newest bar of the ``most`` traded symbols (None: of all), with the close before ``session``."""
        rows = await self._fetch("warm_market_data", symbols, session.open_at, most)
        return [MarketEntry(**dict(row)) for row in rows]

    async def order_books(self, symbols: Sequence[str] | None, now: datetime, levels: int = LEVELS) -> list[BookEntry]:
        """Return the best ``levels`` of each side of every symbol with a resting order."""
        books: dict[str, tuple[list[Level], list[Level]]] = {}
        for row in await self._fetch("warm_order_books", symbols, levels):
            sides = books.setdefault(row["symbol"], ([], []))
            level = Level(price=row["price"], quantity=row["quantity"], orders=row["orders"])
            sides[row["side"] == "ask"].append(level)
        return [
            BookEntry(
                symbol=symbol,
                timestamp=now,
                bids=tuple(sorted(bids, key=lambda level: level.price, reverse=True)),
                asks=tuple(sorted(asks, key=lambda level: level.price)),
            )
            for symbol, (bids, asks) in books.items()
        ]

    async def active_users(self, since: datetime) -> list[int]:
        """Return the users who ordered or logged in since then."""
        return [row["id"] for row in await self._fetch("warm_users", since)]

    async def expected_prices(self, most: int) -> list[str]:
        """Return the active symbols whose price can be warmed, the first ``most`` of them."""
        return [row["symbol"] for row in await self._fetch("warm_expected_prices", most)]

    async def expected_books(self, most: int) -> list[str]:
        """Return the active symbols with a resting order, the first ``most`` of them."""
        return [row["symbol"] for row in await self._fetch("warm_expected_books", most)]

    async def newest_fill(self) -> int:
        """Return the id of the newest execution, 0 when there is none."""
        return int(await self._market.connection.fetchval(self._market.sql("warm_newest_fill")))

    async def users_with_fills(self, after: int, until: int) -> set[int]:
        """Return the users of the executions numbered above ``after``, up to ``until``."""
        return {row["id"] for row in await self._fetch("warm_users_with_fills", after, until)}

    async def positions(self, users: Sequence[int], now: datetime) -> AsyncIterator[PositionsEntry]:
        """Yield the open positions of each user, by user; one without a fill has none. Constant memory."""
        waiting = sorted(users)
        folds: dict[str, Fold] = {}
        owner: int | None = None
        connection, sql = self._market.connection, self._market.sql("warm_fills")
        async for row in connection.cursor(sql, waiting, prefetch=_PREFETCH):
            if row["owner"] != owner:
                if owner is not None:
                    yield _positions(owner, folds, now)
                    waiting.remove(owner)
                owner, folds = row["owner"], {}
            folds.setdefault(row["symbol"], Fold()).add(row["side"], row["quantity"], row["price"])
        if owner is not None:
            yield _positions(owner, folds, now)
            waiting.remove(owner)
        for user in waiting:
            yield PositionsEntry(user=user, timestamp=now)

    async def _fetch(self, name: str, *arguments: object) -> list[asyncpg.Record]:
        wanted = [list(each) if isinstance(each, list | tuple) else each for each in arguments]
        found: list[asyncpg.Record] = await self._market.connection.fetch(self._market.sql(name), *wanted)
        return found


def _positions(user: int, folds: dict[str, Fold], now: datetime) -> PositionsEntry:
    held = []
    for symbol, fold in sorted(folds.items()):
        position = fold.position(symbol)
        if position.net:
            held.append(
                Holding(symbol=symbol, net=position.net, average_cost=position.average_cost, realised=position.realised)
            )
    return PositionsEntry(user=user, timestamp=now, positions=tuple(held))
