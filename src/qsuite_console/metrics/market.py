"""The questions of the market screen. Each answers from one short read-only transaction, or from one MGET.

The session that prices are compared with comes from the platform's calendar, or the computed one where it has none;
crypto pairs (BTC/USD) trade round the clock, in UTC days.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec.structs import replace

from qsuite_console.cache.answers import Lives, bars_of, fills_of
from qsuite_console.cache.prices import read_prices
from qsuite_console.db.calendar import read_sessions
from qsuite_console.db.market import LEVELS, MarketReader, reading
from qsuite_console.engine.parameters import decode
from qsuite_console.model import calendar
from qsuite_console.model.errors import ConsoleError, InvalidParameters
from qsuite_console.model.market import Bars, Depth, HourVolume, Position, Positions, Session, Volatility, Watch
from qsuite_console.model.markets import STOCKS
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.workers import Services

CACHE_BUDGET_S: Final = 1.0
MINUTES: Final[Mapping[str, int]] = {"1Min": 1, "5Min": 5, "15Min": 15, "1Hour": 60}
SESSIONS_A_YEAR, DAYS_A_YEAR = 252, 365
# what is dear to compute is computed once for all who look; never older than a screen's own period of asking
MOVERS: Final = Lives(memory_s=2.0, shared_s=4.0)
CANDLES: Final = Lives(memory_s=1.0, shared_s=2.0)
POSITIONS: Final = Lives(memory_s=10.0, shared_s=10.0)
VOLATILITY: Final = Lives(memory_s=30.0, shared_s=30.0)
_MARGIN_DAYS: Final = 14  # more calendar days than the longest closure
Symbol = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


class WatchParameters(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the watch list."""

    text: Annotated[str, msgspec.Meta(max_length=40)] = ""
    after: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 200
    order: Literal["symbol", "gainers", "losers"] = "symbol"
    trend: Annotated[int, msgspec.Meta(ge=0, le=120)] = 24


class BarsParameters(msgspec.Struct, frozen=True, kw_only=True):
    """The newest candles of a symbol."""

    symbol: Symbol
    timeframe: Literal["1Min", "5Min", "15Min", "1Hour", "1Day"] = "1Min"
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 60


class DepthParameters(msgspec.Struct, frozen=True, kw_only=True):
    """The best levels of a symbol's book."""

    symbol: Symbol
    levels: Annotated[int, msgspec.Meta(ge=1, le=100)] = LEVELS


class PositionsParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Of all users in a symbol, or of one user in all symbols; ``fresh``: not one that is kept."""

    symbol: Annotated[str, msgspec.Meta(max_length=40)] = ""
    user: Annotated[int, msgspec.Meta(ge=0)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50
    fresh: bool = False


class VolatilityParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Over how many returns; volume is of the last 24 hours, or of the last session where those are empty.

    ``fresh``: not an answer that is kept.
    """

    symbol: Symbol
    returns: Annotated[int, msgspec.Meta(ge=10, le=756)] = 30
    fresh: bool = False


class _Movers(msgspec.Struct, frozen=True):
    """Symbols by what they gained or lost."""

    symbols: tuple[str, ...]


class _Probe:
    """What the questions share. A probe is asked with strings or numbers; unknown names are refused."""

    timeout_s = 4.0

    def __init__(self, services: Services) -> None:
        self._services = services

    def _reading(self, label: str) -> Any:
        services = self._services
        return reading(services.database, services.settings.tables, label, self.timeout_s - 0.5)

    async def _sessions(self, reader: MarketReader, count: int, now: datetime) -> list[Session]:
        """Return the last ``count`` sessions that had opened at ``now``, oldest first."""
        end = now.astimezone(UTC).date()
        start = end - timedelta(days=count * 3 // 2 + _MARGIN_DAYS)
        stored = await read_sessions(reader.connection, reader.tables, start, end)
        known = {session.day: session for session in (*calendar.sessions(start, end), *stored)}
        return [session for _, session in sorted(known.items()) if session.open_at <= now][-count:]


class WatchProbe(_Probe):
    """Answers ``market.watch``: prices of the database and of the cache, side by side.

    Prices are read anew each time, since the cache is judged by them; only the ranking of all symbols is kept.
    """

    name = "market.watch"

    async def ask(self, parameters: Mapping[str, Any]) -> Watch:
        """Return a page of quotes; a cache that does not answer is named in it. Raises DatabaseError."""
        wanted: WatchParameters = decode(WatchParameters, parameters)
        clock, text = self._services.clock, wanted.text.strip().upper()
        now, begun = clock.now(), clock.monotonic()
        symbols: Sequence[str] = () if wanted.order == "symbol" else await self._movers(wanted, text)
        async with self._reading("market watch") as reader:
            session = (await self._sessions(reader, 1, now))[-1]
            if wanted.order == "symbol":
                symbols = await reader.symbols(text, after=wanted.after, limit=wanted.limit)
            total = await reader.symbols_total(text)
            quotes = await reader.quotes(symbols, session, now, trend=wanted.trend)
        problem = ""
        try:
            async with asyncio.timeout(CACHE_BUDGET_S):
                cached = await read_prices(self._services.cache, symbols)
        except ConsoleError as error:
            cached, problem = {}, clean(error.message, 200)
        except TimeoutError:
            cached, problem = {}, "the cache does not answer"
        return Watch(
            at=now,
            session_open=session.open_at,
            quotes=tuple(
                replace(quote, cached=cached[quote.symbol].price, cached_at=cached[quote.symbol].at)
                if quote.symbol in cached
                else quote
                for quote in quotes
            ),
            symbols_total=total,
            cache_problem=problem,
            cost_s=clock.monotonic() - begun,
        )

    async def _movers(self, wanted: WatchParameters, text: str) -> Sequence[str]:
        async def load() -> _Movers:
            now, is_rising = self._services.clock.now(), wanted.order == "gainers"
            async with self._reading("market movers") as reader:
                session = (await self._sessions(reader, 1, now))[-1]
                found = await reader.movers(text, session, now, is_rising=is_rising, limit=wanted.limit)
            return _Movers(tuple(found))

        asked = {"order": wanted.order, "text": text, "limit": wanted.limit}
        answers = self._services.answers
        found = await answers.ask("market.movers", _Movers, load, asked, about=bars_of(), lives=MOVERS)
        return found.symbols


class BarsProbe(_Probe):
    """Answers ``market.bars``: minutes put together to candles, days as the provider made them."""

    name = "market.bars"

    async def ask(self, parameters: Mapping[str, Any]) -> Bars:
        """Return the newest candles, oldest first; raises DatabaseError."""
        wanted: BarsParameters = decode(BarsParameters, parameters)
        symbol = symbol_of(wanted.symbol)

        async def load() -> Bars:
            return await self._read(symbol, wanted.timeframe, wanted.limit)

        asked = {"symbol": symbol, "timeframe": wanted.timeframe, "limit": wanted.limit}
        answers = self._services.answers
        return await answers.ask(self.name, Bars, load, asked, about=bars_of(symbol), lives=CANDLES)

    async def _read(self, symbol: str, timeframe: str, limit: int) -> Bars:
        async with self._reading("market bars") as reader:
            if timeframe == "1Day":
                found = await reader.daily_bars(symbol, limit)
            else:
                found = await reader.bars(symbol, limit, minutes=MINUTES[timeframe])
        return Bars(symbol=symbol, timeframe=timeframe, bars=tuple(found))


class DepthProbe(_Probe):
    """Answers ``market.depth``."""

    name = "market.depth"

    async def ask(self, parameters: Mapping[str, Any]) -> Depth:
        """Return the platform's own resting orders; raises DatabaseError."""
        wanted: DepthParameters = decode(DepthParameters, parameters)
        async with self._reading("market depth") as reader:
            found: Depth = await reader.depth(wanted.symbol.strip().upper(), wanted.levels)
        return found


class PositionsProbe(_Probe):
    """Answers ``market.positions``."""

    name = "market.positions"
    timeout_s = 8.0

    async def ask(self, parameters: Mapping[str, Any]) -> Positions:
        """Return the largest open positions; raises InvalidParameters, DatabaseError."""
        wanted: PositionsParameters = decode(PositionsParameters, parameters)
        symbol = wanted.symbol.strip().upper()
        if bool(symbol) == bool(wanted.user):
            raise InvalidParameters({"symbol": "name a symbol or a user"})

        async def load() -> Positions:
            return await self._folded(symbol, wanted.user, wanted.limit)

        answers, about = self._services.answers, fills_of(symbol)
        if wanted.fresh:
            await answers.forget(about[-1])
        return await answers.ask(
            self.name,
            Positions,
            load,
            {"symbol": symbol, "user": wanted.user, "limit": wanted.limit},
            about=about,
            lives=POSITIONS,
        )

    async def _folded(self, symbol: str, user: int, limit: int) -> Positions:
        async with self._reading("market positions") as reader:
            found = await (reader.positions_in(symbol) if symbol else reader.positions_of(user))
            largest = sorted((p for p in found if p.net), key=lambda p: (-abs(p.net), p.owner))[:limit]
            if symbol and await reader.connection.fetchval("SELECT to_regclass('auth_user') IS NOT NULL"):
                names = await reader.user_names([int(p.owner) for p in largest])
                largest = [replace(p, owner=names.get(p.owner, p.owner)) for p in largest]
        return _summed(symbol or f"user {user}", found, largest)


class VolatilityProbe(_Probe):
    """Answers ``market.volatility``."""

    name = "market.volatility"

    async def ask(self, parameters: Mapping[str, Any]) -> Volatility:
        """Return the annualised figures and the volume by hour; raises DatabaseError."""
        wanted: VolatilityParameters = decode(VolatilityParameters, parameters)
        symbol, returns = wanted.symbol.strip().upper(), wanted.returns

        async def load() -> Volatility:
            return await self._computed(symbol, returns)

        asked, about, answers = {"symbol": symbol, "returns": returns}, bars_of(symbol), self._services.answers
        if wanted.fresh:
            await answers.forget(about[-1])
        return await answers.ask(self.name, Volatility, load, asked, about=about, lives=VOLATILITY)

    async def _computed(self, symbol: str, returns: int) -> Volatility:
        now, is_crypto = self._services.clock.now(), "/" in symbol
        async with self._reading("market volatility") as reader:
            sessions = utc_days(now, returns + 1)
            if not is_crypto:
                opened = await self._sessions(reader, returns + 2, now)
                sessions = [s for s in opened if s.close_at <= now][-returns - 1 :]
            figures = await reader.volatility(symbol, sessions, DAYS_A_YEAR if is_crypto else SESSIONS_A_YEAR)
            hours, window = await reader.volume_by_hour(now - timedelta(hours=24), now, symbol), "last 24 h"
            if not hours and not is_crypto:
                last = sessions[-1]
                hours = await reader.volume_by_hour(last.open_at, last.close_at, symbol)
                window = f"session {last.day}"
        return _with_hours(figures, hours, window)


def symbol_of(text: str, name: str = "symbol") -> str:
    """Return a symbol as it is kept; raises InvalidParameters, for the parameter ``name``, for what is none."""
    symbol = text.strip().upper()
    if not STOCKS.symbol.fullmatch(symbol):
        raise InvalidParameters({name: f"“{clean(text, 20)}” is no symbol"})
    return symbol


def utc_days(now: datetime, count: int) -> list[Session]:
    """Return the last ``count`` completed UTC days as sessions, oldest first."""
    midnight = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
    days = [midnight - timedelta(days=back) for back in range(count, 0, -1)]
    return [Session(day=day.date(), open_at=day, close_at=day + timedelta(days=1)) for day in days]


def _summed(subject: str, found: Sequence[Position], largest: Sequence[Position]) -> Positions:
    return Positions(
        subject=subject,
        positions=tuple(largest),
        open_total=sum(1 for p in found if p.net),
        long=sum((p.net for p in found if p.net > 0), Decimal(0)),
        short=-sum((p.net for p in found if p.net < 0), Decimal(0)),
        realised=sum((p.realised for p in found), Decimal(0)),
    )


def _with_hours(figures: Volatility, hours: Sequence[HourVolume], window: str) -> Volatility:
    return replace(figures, hours=tuple(hours), window=window if hours else "")
