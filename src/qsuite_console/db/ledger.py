"""What was fetched (the ledger), what is being fetched (page chains) and what was refused (quarantine).

The ledger belongs to the platform's tables; chains and quarantine are the console's own, in schema qsuite_console.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from qsuite_console.db.bars import SYMBOLS_A_QUERY, Destination
from qsuite_console.db.queries import load
from qsuite_console.db.schema import quote_table

FILE: Final = "file"  # in the ledger's name of rows that came from local files
_SCHEMA_LOCK: Final = 0x7153_7569_7466  # all who create the console's own tables


@dataclass(frozen=True, slots=True)
class Covered:
    """A period of one symbol that was fetched, [low, high), with the bars the provider had in it."""

    symbol: str
    low: datetime
    high: datetime
    bars: int
    fetched_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ChainState:
    """A request whose pages are not all stored yet; ``page_token`` asks for the next one."""

    chain: str
    symbols: tuple[str, ...]
    low: datetime
    high: datetime
    page_token: str
    pages: int
    bars: int
    is_straight: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """A bar that was not stored, and why."""

    symbol: str
    at: datetime | None
    reason: str
    raw: str


@dataclass(frozen=True, slots=True)
class Deficit:
    """A fetched period that holds fewer rows than were fetched."""

    symbol: str
    low: datetime
    high: datetime
    fetched: int
    present: int
    fetched_at: datetime


async def create_console_tables(connection: asyncpg.Connection, coverage: str) -> None:
    """Create the console's own tables and the ledger where they are missing; idempotent."""
    names = ["qsuite_console.backfill_chain", "qsuite_console.quarantine", quote_table(coverage)]
    if not await connection.fetchval("SELECT bool_or(to_regclass(n) IS NULL) FROM unnest($1::text[]) n", names):
        return  # no DDL, no lock and no privilege needed on every later run
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _SCHEMA_LOCK)
        await connection.execute("SET LOCAL client_min_messages = warning")
        if await connection.fetchval("SELECT to_regnamespace('qsuite_console') IS NULL"):
            await connection.execute("CREATE SCHEMA qsuite_console")
        await connection.execute(load("console_tables").replace("{{ledger}}", quote_table(coverage)))


def ledger_name(destination: Destination, timeframe: str, *, adjustment: str, feed: str) -> str:
    """Return how the ledger names bars of this kind: ``1Day``, or with what sets them apart: ``1Day|split|iex``."""
    parts = [timeframe]
    if destination.kind != "price_ticks":
        parts.append("marketdata")
    if adjustment != "raw":
        parts.append(adjustment)
    if feed not in ("", "sip"):
        parts.append(feed)
    return "|".join(parts)


def rivals(name: str, known: Sequence[str], destination: Destination, timeframe: str) -> list[str]:
    """Return the other names in the ledger whose rows lie in the same place as ``name``'s.

    Files claim nothing about completeness: their rows count as rows of others do, and are not replaced.
    """
    mark = "marketdata"
    same = [o for o in known if o.split("|")[0] == timeframe and o != name and FILE not in o.split("|")]
    return [other for other in same if (mark in other.split("|")) == (destination.kind != "price_ticks")]


async def read_ledger(
    connection: asyncpg.Connection, coverage: str, name: str, symbols: Sequence[str], period: tuple[datetime, datetime]
) -> list[Covered]:
    """Return what was fetched of ``symbols`` and touches the period, by symbol and time."""
    sql = load("ledger_read").replace("{{ledger}}", quote_table(coverage))
    rows = await connection.fetch(sql, name, list(symbols), *period)
    return [Covered(row["symbol"], row["low"], row["high"], row["bars"], row["fetched_at"]) for row in rows]


async def ledger_names(connection: asyncpg.Connection, coverage: str, timeframe: str) -> list[str]:
    """Return the names under which the ledger knows bars of a timeframe."""
    sql = load("ledger_names").replace("{{ledger}}", quote_table(coverage))
    return [row["timeframe"] for row in await connection.fetch(sql, timeframe)]


async def extend_ledger(
    connection: asyncpg.Connection,
    destination: Destination,
    coverage: str,
    names: tuple[str, str],
    covered: Sequence[Covered],
) -> None:
    """Add what a page covered; ``names`` is (timeframe of the rows, the ledger's name for it). One entry a symbol."""
    if covered:
        query = "ledger_extend_loosely" if FILE in names[1].split("|") else "ledger_extend"
        await connection.execute(
            destination.render(load(query), coverage),
            names[0],
            [item.symbol for item in covered],
            [item.low for item in covered],
            [item.high for item in covered],
            [item.bars for item in covered],
            names[1],
        )


async def forget(
    connection: asyncpg.Connection, coverage: str, names: Sequence[str], covered: Sequence[Covered]
) -> None:
    """Drop what the ledger says under ``names`` about the periods of ``covered``: their rows were overwritten."""
    if names and covered:
        await connection.execute(
            load("ledger_forget").replace("{{ledger}}", quote_table(coverage)),
            list(names),
            [item.symbol for item in covered],
            [item.low for item in covered],
            [item.high for item in covered],
        )


async def find_deficits(
    connection: asyncpg.Connection,
    destination: Destination,
    coverage: str,
    names: tuple[str, str],
    symbols: Sequence[str],
    period: tuple[datetime, datetime],
) -> list[Deficit]:
    """Return the fetched periods, touching ``period``, that hold fewer rows than were fetched."""
    sql = destination.render(load("ledger_deficits"), coverage)
    found: list[Deficit] = []
    for first in range(0, len(symbols), SYMBOLS_A_QUERY):
        part = list(symbols[first : first + SYMBOLS_A_QUERY])
        for row in await connection.fetch(sql, names[0], part, *period, names[1]):
            bounds = (row["symbol"], row["low"], row["high"])
            found.append(Deficit(*bounds, row["fetched"], row["present"], row["fetched_at"]))
    return found


async def narrow(
    connection: asyncpg.Connection,
    destination: Destination,
    coverage: str,
    names: tuple[str, str],
    deficit: Deficit,
    parts: Sequence[tuple[datetime, datetime]],
) -> None:
    """Let the entry of a deficit stand for no more than ``parts`` of its period, with the rows that are there."""
    async with connection.transaction():
        gone = Covered(deficit.symbol, deficit.low, deficit.high, 0)
        await forget(connection, coverage, [names[1]], [gone])
        await connection.execute(
            destination.render(load("ledger_add_counted"), coverage),
            names[0],
            deficit.symbol,
            [low for low, _ in parts],
            [high for _, high in parts],
            deficit.fetched_at,
            names[1],
        )


async def read_chains(connection: asyncpg.Connection, plan: str) -> list[ChainState]:
    """Return the chains of ``plan`` that were interrupted; chains nobody came back to are pruned."""
    await connection.execute(load("chains_prune"))
    rows = await connection.fetch(load("chains_read"), plan)
    return [
        ChainState(
            row["chain"],
            tuple(row["symbols"]),
            row["low"],
            row["high"],
            row["page_token"],
            row["pages"],
            row["bars"],
            row["is_straight"],
        )
        for row in rows
    ]


async def write_chain(connection: asyncpg.Connection, plan: str, state: ChainState, job_id: int) -> None:
    """Keep where the next page of a chain begins."""
    await connection.execute(
        load("chain_write"),
        plan,
        state.chain,
        list(state.symbols),
        state.low,
        state.high,
        state.page_token,
        state.pages,
        state.bars,
        state.is_straight,
        job_id,
    )


async def forget_chain(connection: asyncpg.Connection, plan: str, chain: str) -> None:
    """Remove a chain whose last page is stored, or whose token is of no more use."""
    await connection.execute(load("chain_forget"), plan, chain)


async def quarantine(
    connection: asyncpg.Connection, table: str, timeframe: str, refused: Sequence[Refused], job_id: int
) -> None:
    """Keep refused bars with their reason; the same bar is kept once, however often it is fetched."""
    if refused:
        await connection.execute(
            load("quarantine_write"),
            job_id,
            table,
            timeframe,
            [item.symbol for item in refused],
            [item.at for item in refused],
            [item.reason for item in refused],
            [item.raw for item in refused],
            [_digest(table, timeframe, item) for item in refused],
        )


def _digest(table: str, timeframe: str, item: Refused) -> str:
    text = "\x1f".join((table, timeframe, item.symbol, item.reason, item.raw))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
