"""Fills the cache before anybody asks: prices, market data, order books, positions.

Each kind is one set-based read and pipelined writes, never a query or a round trip per key. Keys that the cache
refuses are counted and named while the rest is written; a cache or database that is away is waited for by the
engine's retries. A job that ran before is its own checkpoint: what it wrote is simply written again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import msgspec

from qsuite_console.cache import keys
from qsuite_console.cache.keys import KeyFamily
from qsuite_console.cache.writer import Written, write_keys
from qsuite_console.db.calendar import read_sessions
from qsuite_console.db.market import MarketReader, reading
from qsuite_console.db.warming import WarmingReader
from qsuite_console.engine.ports import JobContext, JobKind, Retryable
from qsuite_console.model import calendar, units
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.model.market import Session
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.workers import Services

Entry = tuple[str, bytes]
Read = AsyncIterator[tuple[list[Entry], datetime | None]]  # keys with values, and the oldest instant they are of
BUDGET_S: Final = 60.0
PLAN_S: Final = 10.0
MOST: Final = 100_000  # symbols a plan counts
ACTIVE: Final = "active"
POPULAR: Final = "popular"
_USERS_A_PIPELINE: Final = 50
_MARGIN: Final = timedelta(days=14)  # longer than any closure of the exchange
_Period = Annotated[
    float,
    msgspec.Meta(
        title="Every",
        description="seconds until you warm this again, as by a timer, 0 for once; keys outlive three periods",
        ge=0,
        le=86_400,
    ),
]
_Symbols = Annotated[
    str,
    msgspec.Meta(
        title="Symbols", description="AAPL,MSFT or active: every active one", examples=["active"], max_length=100_000
    ),
]


class PricesParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Whose newest price is warmed."""

    symbols: _Symbols = ACTIVE
    period_s: _Period = 0.0


class MarketDataParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Whose newest bar is warmed."""

    symbols: Annotated[
        str,
        msgspec.Meta(
            title="Symbols",
            description="AAPL,MSFT, or active: every active one, or popular: the most traded",
            examples=["popular"],
            max_length=100_000,
        ),
    ] = POPULAR
    most: Annotated[int, msgspec.Meta(title="Most", description="how many of the popular ones", ge=1, le=100_000)] = 100
    period_s: _Period = 0.0


class BooksParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Whose resting orders are warmed."""

    symbols: _Symbols = ACTIVE
    levels: Annotated[int, msgspec.Meta(title="Levels", description="price levels a side", ge=1, le=100)] = 10
    period_s: _Period = 0.0


class PositionsParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Whose positions are warmed."""

    active_days: Annotated[
        int, msgspec.Meta(title="Active within", description="days since a user's last order or login", ge=1, le=3650)
    ] = 7
    period_s: _Period = 0.0


class _WarmWorker:
    """What the kinds share; made once."""

    FAMILY: ClassVar[KeyFamily]
    kind: ClassVar[JobKind]

    def __init__(self, services: Services) -> None:
        self._services = services

    def title(self, parameters: Any) -> str:
        """Return the line by which people recognise the job."""
        return f"warm {self.FAMILY.name.replace('_', ' ')} of {_whose(parameters)}"

    def check(self, parameters: Any) -> Mapping[str, str]:
        """Return field name -> problem; pure."""
        if hasattr(parameters, "symbols") and not parameters.symbols.strip(" ,"):
            return {"symbols": "name symbols, or active for all of them"}
        return {}

    async def plan(self, parameters: Any) -> Plan:
        """Return how many keys a run would write, and whether both servers answer; reads only."""
        services, life = self._services, self.FAMILY.life_s(parameters.period_s)
        (count, no_database), no_cache = await asyncio.gather(self._count(parameters), self._no_cache())
        expected = "not known" if count is None else units.count(count)
        lines = (
            PlanLine(label="keys", value=expected, note=_whose(parameters)),
            PlanLine(label="named", value=self.FAMILY.key(f"{{{self.FAMILY.subject}}}")),
            PlanLine(label="life", value=units.span(life), note="± 10 %, so that they do not expire together"),
            PlanLine(label="database", value=services.database.where, note="no answer" if no_database else "answers"),
            PlanLine(
                label="cache",
                value=services.cache.where or "not configured",
                note="no answer" if no_cache else "answers",
            ),
        )
        return Plan(
            kind=self.kind.name,
            title=self.title(parameters),
            lines=lines,
            warnings=tuple(problem for problem in (no_database, no_cache) if problem),
            figures={"family": self.FAMILY.name, "life_s": life, "keys": count},
            is_noop=count == 0,
        )

    async def _count(self, parameters: Any) -> tuple[int | None, str]:
        """Return how many keys would be written, or None and why that is not known."""
        services = self._services
        try:
            async with reading(services.database, services.settings.tables, f"{self.kind.name} plan", PLAN_S) as market:
                return await self._expected(WarmingReader(market), parameters), ""
        except ConsoleError as error:
            return None, _told(error)

    async def _no_cache(self) -> str:
        """Return why the cache can't be written, "" when it answers."""
        try:
            await self._services.cache.ping()
        except ConsoleError as error:
            return _told(error)
        return ""

    async def _expected(self, warming: WarmingReader, parameters: Any) -> int:
        """Return how many keys there are to write."""
        named = _named(parameters.symbols)
        return len(await (warming.expected_prices(MOST) if named is None else warming.prices(named)))

    async def run(self, context: JobContext, parameters: Any) -> Mapping[str, Any]:
        """Read, write, count; raises DatabaseError, CacheError, Retryable where the cache refuses every key."""
        services, life_s = self._services, self.FAMILY.life_s(parameters.period_s)
        whole, written, oldest, wrote_s = time.monotonic(), Written(), None, 0.0
        settings = services.settings
        async with reading(services.database, settings.tables, f"{self.kind.name}/{context.job_id}", BUDGET_S) as found:
            async for entries, of in self._read(WarmingReader(found), found, parameters):
                started = time.monotonic()
                part = await write_keys(services.cache, entries, life_s=life_s)
                wrote_s += time.monotonic() - started
                _add(written, part)
                oldest = of if oldest is None or (of is not None and of < oldest) else oldest
                figures = {"keys": written.keys, "bytes": written.size, "failed": written.failed}
                context.progress(written.keys + written.failed, unit="keys", figures=figures)
        if written.failed:
            first = "; ".join(f"{clean(key, 80)}: {reason}" for key, reason in written.refused)
            context.log.warning("%d keys of %s were refused: %s", written.failed, self.FAMILY.name, first)
            if not written.keys:
                raise Retryable(f"the cache refused every key: {first}", after_s=5.0)
        missing = self._missing(parameters, written)
        for line in missing:
            context.log.warning("%s", line)
        return {
            "family": self.FAMILY.name,
            "keys": written.keys,
            "bytes": written.size,
            "failed": written.failed,
            "refused": [{"key": clean(key, 200), "reason": reason} for key, reason in written.refused],
            "life_s": life_s,
            "oldest": None if oldest is None else oldest.isoformat(),
            "duration_s": round(time.monotonic() - whole, 4),
            "write_s": round(wrote_s, 4),
            "keys_per_s": round(written.keys / wrote_s) if wrote_s else 0,
        }

    def _missing(self, parameters: Any, written: Written) -> Sequence[str]:
        """Return a line where less was found than was asked for by name."""
        named = _named(getattr(parameters, "symbols", ""))
        found = written.keys + written.failed
        if named is None or found >= len(named):
            return ()
        return (f"{len(named) - found} of {len(named)} symbols have nothing to warm in the database",)

    def _read(self, warming: WarmingReader, market: MarketReader, parameters: Any) -> Read:
        raise NotImplementedError

    def _entries(self, found: Sequence[Any]) -> tuple[list[Entry], datetime | None]:
        subject = self.FAMILY.subject
        entries = [(self.FAMILY.key(getattr(each, subject)), keys.encode(each)) for each in found]
        return entries, min((each.timestamp for each in found), default=None)


def _kind(name: str, title: str, description: str, parameters: type[msgspec.Struct]) -> JobKind:
    return JobKind(
        name=name,
        title=title,
        description=description,
        parameters=parameters,
        queue="general",
        soft_limit_s=300.0,
        hard_limit_s=330.0,
    )


class WarmPrices(_WarmWorker):
    """``price:SYMBOL``: the close of the newest bar."""

    FAMILY = keys.PRICE
    kind = _kind("warm.prices", "Warm prices", "Write the newest price of every symbol to the cache.", PricesParameters)

    async def _read(self, warming: WarmingReader, market: MarketReader, parameters: PricesParameters) -> Read:
        yield self._entries(await warming.prices(_named(parameters.symbols)))


class WarmMarketData(_WarmWorker):
    """``market_data:SYMBOL``: the newest bar with the close before the session."""

    FAMILY = keys.MARKET_DATA
    kind = _kind(
        "warm.market-data",
        "Warm market data",
        "Write the newest bar and the previous close of popular symbols to the cache.",
        MarketDataParameters,
    )

    async def _expected(self, warming: WarmingReader, parameters: MarketDataParameters) -> int:
        found = await super()._expected(warming, parameters)
        return min(found, parameters.most) if parameters.symbols.strip().lower() == POPULAR else found

    async def _read(self, warming: WarmingReader, market: MarketReader, parameters: MarketDataParameters) -> Read:
        session = await _session(market, self._services.clock.now())
        most = parameters.most if parameters.symbols.strip().lower() == POPULAR else None
        yield self._entries(await warming.market_data(_named(parameters.symbols), session, most=most))


class WarmOrderBooks(_WarmWorker):
    """``order_book:SYMBOL``: the platform's own resting orders."""

    FAMILY = keys.ORDER_BOOK
    kind = _kind(
        "warm.order-books",
        "Warm order books",
        "Write the best levels of the platform's resting orders to the cache.",
        BooksParameters,
    )

    async def _expected(self, warming: WarmingReader, parameters: BooksParameters) -> int:
        named = _named(parameters.symbols)
        if named is None:
            return len(await warming.expected_books(MOST))
        return len(await warming.order_books(named, self._services.clock.now(), 1))

    async def _read(self, warming: WarmingReader, market: MarketReader, parameters: BooksParameters) -> Read:
        now = self._services.clock.now()
        yield self._entries(await warming.order_books(_named(parameters.symbols), now, parameters.levels))


class WarmPositions(_WarmWorker):
    """``positions:USER``: folded anew only for users who have traded since the last run of this process."""

    FAMILY = keys.POSITIONS
    kind = _kind(
        "warm.positions",
        "Warm positions",
        "Write the open positions of recently active users to the cache.",
        PositionsParameters,
    )

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._known: dict[int, Entry] = {}  # user -> what was written, as of execution ``_until``
        self._until = 0

    async def _expected(self, warming: WarmingReader, parameters: PositionsParameters) -> int:
        since = self._services.clock.now() - timedelta(days=parameters.active_days)
        return len(await warming.active_users(since))

    async def _read(self, warming: WarmingReader, market: MarketReader, parameters: PositionsParameters) -> Read:
        now = self._services.clock.now()
        users = await warming.active_users(now - timedelta(days=parameters.active_days))
        newest = await warming.newest_fill()
        if newest < self._until:  # another or a restored database: nothing that is known holds
            self._known, self._until = {}, 0
        traded = await warming.users_with_fills(self._until, newest) if self._known else set()
        self._known = {user: entry for user, entry in self._known.items() if user in users and user not in traded}
        self._until = newest
        kept = list(self._known.values())
        if kept:
            yield kept, None
        stale = [user for user in users if user not in self._known]
        folded: list[Entry] = []
        async for entry in warming.positions(stale, now):
            pair = (self.FAMILY.key(entry.user), keys.encode(entry))
            self._known[entry.user] = pair
            folded.append(pair)
            if len(folded) == _USERS_A_PIPELINE:
                yield folded, now
                folded = []
        if folded:
            yield folded, now


async def _session(market: MarketReader, now: datetime) -> Session:
    """Return the newest session that has opened, by the platform's calendar or the computed one."""
    end = now.astimezone(UTC).date()
    stored = await read_sessions(market.connection, market.tables, end - _MARGIN, end)
    known = {session.day: session for session in (*calendar.sessions(end - _MARGIN, end), *stored)}
    return [session for _, session in sorted(known.items()) if session.open_at <= now][-1]


def _named(symbols: str) -> list[str] | None:
    """Return the symbols named, None for a word that stands for many."""
    if symbols.strip().lower() in (ACTIVE, POPULAR):
        return None
    return list(dict.fromkeys(part.strip().upper() for part in symbols.split(",") if part.strip()))


def _whose(parameters: Any) -> str:
    if isinstance(parameters, PositionsParameters):
        return f"users active within {parameters.active_days} days"
    named = _named(parameters.symbols)
    if named is None:
        is_popular = parameters.symbols.strip().lower() == POPULAR
        return f"the {parameters.most} most traded symbols" if is_popular else "every active symbol"
    text = ", ".join(named[:4])
    return clean(f"{text} and {len(named) - 4} more" if len(named) > 4 else text, 120)


def _told(error: ConsoleError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _add(total: Written, part: Written) -> None:
    total.keys += part.keys
    total.size += part.size
    total.failed += part.failed
    total.refused = [*total.refused, *part.refused][:5]
