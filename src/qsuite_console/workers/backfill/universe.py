"""Which symbols and which sessions: asked from the platform and the provider, each with a way to go on without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qsuite_console.db.bars import has_table, ticker_symbols
from qsuite_console.db.calendar import read_sessions, write_sessions
from qsuite_console.db.errors import DatabaseError
from qsuite_console.model import calendar
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.market import Session
from qsuite_console.model.markets import STOCKS, Market
from qsuite_console.model.text import clean
from qsuite_console.providers.errors import ProviderError, ProviderUnauthorized
from qsuite_console.workers.backfill.parameters import (
    ACTIVE,
    BackfillParameters,
    describe_bad,
    is_keyword,
    market_for,
    split_symbols,
)
from qsuite_console.workers.backfill.persist import persist

if TYPE_CHECKING:
    import asyncpg

    from qsuite_console.config.settings import TableSettings
    from qsuite_console.db.database import Database
    from qsuite_console.providers.alpaca import AlpacaClient, Asset

_FILE_LIMIT: Final = 4 * 1024 * 1024  # bytes of a symbols file
_ASSETS_S: Final = 3600.0


@dataclass(slots=True)
class Universe:
    """Symbols to fetch, and those that are not and why."""

    symbols: list[str]
    unknown: list[str] = field(default_factory=list)  # well formed, but the provider does not list them
    warnings: list[str] = field(default_factory=list)


class AssetList:
    """The provider's instruments, kept for an hour: the list is long and rarely changes."""

    def __init__(self, asset_class: str) -> None:
        self._asset_class = asset_class
        self._assets: dict[str, Asset] = {}
        self._fetched_at: float | None = None

    async def get(self, provider: AlpacaClient, now: float) -> dict[str, Asset]:
        """Return symbol -> asset; ``now`` is monotonic. Raises ProviderError."""
        if self._fetched_at is None or now - self._fetched_at > _ASSETS_S:
            found = await persist(lambda: provider.assets(asset_class=self._asset_class))
            self._assets = {asset.symbol: asset for asset in found}
            self._fetched_at = now
        return self._assets


def read_symbols_file(path_text: str, market: Market = STOCKS) -> tuple[list[str], list[str]]:
    """Return (symbols, bad entries) of a file with one symbol a line, # for comments; raises InvalidParameters."""
    path = Path(path_text).expanduser()
    try:
        if not path.is_file() and path.exists() and not path.is_dir():  # a pipe or a device may never end
            raise InvalidParameters({"symbols_file": f"{clean(path_text, 200)} is not a file"})
        if path.stat().st_size > _FILE_LIMIT:
            raise InvalidParameters({"symbols_file": f"{clean(path_text, 200)} is larger than 4 MiB"})
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidParameters({"symbols_file": f"{clean(path_text, 200)} is not a text file"}) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InvalidParameters({"symbols_file": f"{clean(path_text, 200)} can't be read: {reason}"}) from error
    return split_symbols("\n".join(line.partition("#")[0] for line in text.splitlines()), market)


def named_symbols(parameters: BackfillParameters) -> list[str]:
    """Return the symbols that the parameters name, of the list and of the file; raises InvalidParameters."""
    market = market_for(parameters)
    good, _ = split_symbols("" if is_keyword(parameters.symbols) else parameters.symbols, market)
    if parameters.symbols_file.strip():
        more, bad = read_symbols_file(parameters.symbols_file.strip(), market)
        if bad:
            raise InvalidParameters({"symbols_file": describe_bad(bad, market)})
        good = list(dict.fromkeys([*good, *more]))
        if not good:
            raise InvalidParameters({"symbols_file": f"{clean(parameters.symbols_file, 200)} names no symbol"})
    return good


async def resolve_universe(
    parameters: BackfillParameters,
    *,
    database: Database,
    tables: TableSettings,
    provider: AlpacaClient,
    assets: AssetList,
    now: float,
) -> Universe:
    """Return what to fetch. ``all`` and ``active`` are the platform's tickers, or the provider's without any."""
    listed: dict[str, Asset] | None = None
    warnings: list[str] = []
    try:
        listed = await assets.get(provider, now)
    except ProviderUnauthorized:
        raise
    except ProviderError as error:
        warnings.append(f"unknown symbols can't be told: {error.message}")
    if is_keyword(parameters.symbols) and not parameters.symbols_file.strip():
        is_active = parameters.symbols.strip().lower() == ACTIVE
        async with database.session("backfill plan") as connection:
            symbols = await ticker_symbols(connection, tables, active=is_active, crypto=parameters.source == "crypto")
            is_there = bool(symbols) or await has_table(connection, tables.tickers)
        why = f"{tables.tickers} holds no tickers" if is_there else no_tickers_table(tables)
        if not symbols and listed is None:
            warnings.append(f"{why}, and the provider's list can't be had")
        elif not symbols and listed is not None:
            symbols = sorted(a.symbol for a in listed.values() if a.status == "active" and a.tradable)
            warnings.append(f"{why}: the provider's {len(symbols):,} symbols are taken")
    else:
        symbols = named_symbols(parameters)
    if not listed:
        return Universe(symbols, warnings=warnings)
    unknown = [symbol for symbol in symbols if symbol not in listed]
    return Universe([symbol for symbol in symbols if symbol in listed], unknown, warnings)


async def resolve_sessions(
    start: date,
    end: date,
    market: Market,
    *,
    database: Database,
    tables: TableSettings,
    provider: AlpacaClient,
    now: datetime,
) -> tuple[list[Session], list[str]]:
    """Return (sessions, warnings): stored ones where they span the range, else the provider's (stored), else computed.

    A future the provider may still change is not trusted: only the range up to ``now`` is ever asked.
    """
    end = min(end, market.day_of(now))
    if not market.has_exchange_calendar:
        return list(market.computed_sessions(start, end)), []
    async with database.session("backfill calendar") as connection:
        stored = await read_sessions(connection, tables, start, end)
    if _spans(stored, start, end):
        return stored, []
    try:
        fetched = list(await persist(lambda: provider.calendar(start, end)))
    except ProviderError as error:
        computed = calendar.sessions(start, end)
        return computed, [f"the calendar is computed: {error.message}"]
    if not fetched and calendar.sessions(start, end):
        return calendar.sessions(start, end), ["the provider's calendar is empty: it is computed instead"]
    warnings: list[str] = []
    try:
        async with database.session("backfill calendar") as connection:
            await write_sessions(connection, tables, fetched)
    except DatabaseError as error:
        if error.is_transient:
            raise
        warnings.append(f"the calendar could not be stored: {error.message}")
    return fetched, warnings


async def stored_sessions(
    connection: asyncpg.Connection, tables: TableSettings, market: Market, start: date, end: date
) -> Sequence[Session]:
    """Return the sessions by the rules, with the hours that the platform's calendar knows better; asks nobody else."""
    computed = market.computed_sessions(start, end)
    if not market.has_exchange_calendar:
        return computed
    stored = {session.day: session for session in await read_sessions(connection, tables, start, end)}
    return [stored.get(session.day, session) for session in computed]


def no_tickers_table(tables: TableSettings) -> str:
    """Say that the configured table of tickers is not there, and which setting names it."""
    return f"there is no table {tables.tickers} (setting tables.tickers; `qsuite-console db init` creates it)"


def _spans(stored: Sequence[Session], start: date, end: date) -> bool:
    """Return whether every session that the rules expect is stored; an unscheduled closure asks the provider anew."""
    days = {session.day for session in stored}
    return bool(days) and all(session.day in days for session in calendar.sessions(start, end))
