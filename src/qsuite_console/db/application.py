"""Reads the platform's pulse from its own tables: orders, bars, how old the newest bar is, how its pipelines run.

Each question is asked by itself, in a savepoint, so that a missing table or privilege costs one figure and
not the others, and says which. A server that can't be reached at all is raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import asyncpg

from qsuite_console.config.settings import DatabaseSettings, TableSettings
from qsuite_console.db import queries
from qsuite_console.db.monitoring import Limits, WatchingConnection
from qsuite_console.db.schema import quote_table
from qsuite_console.model.clock import Clock

BOUND: Final = 100_000  # orders counted at most
STATEMENT_S: Final = 5.5  # beyond the critical response time: it shall be seen
_LOCK_MS: Final = 250
_BUDGET_S: Final = 3 * STATEMENT_S + 1.0
_REASONS: Final[Mapping[str, str]] = {
    "42P01": "no {table}",
    "3F000": "no {table}",
    "42703": "{table} has other columns",
    "42501": "grant SELECT on {table}",
    "57014": "took over {limit:g} s",
    "55P03": "{table} is locked",
}
_ORDERS: Final = "execution_engine_order"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What was found; None where it could not be read: ``unread`` then says why, by figure."""

    orders_hour: int | None = None
    orders_minute: int | None = None
    pending: int | None = None
    bars_hour: int | None = None
    newest_bar: datetime | None = None  # start of the minute
    runs_ended: int | None = None  # of pipelines, in the last hour
    runs_failed: int | None = None
    oldest_run: datetime | None = None  # since when the oldest run goes on; None: none does
    unread: Mapping[str, str] = field(default_factory=dict)


class ApplicationLimits(Limits):
    """Without a search path of ours: the platform's tables are where its own role finds them."""

    __slots__ = ()

    @property
    def session(self) -> dict[str, str]:
        """Return the parameters a connection starts with."""
        return {name: value for name, value in super().session.items() if name != "search_path"}

    @property
    def transaction(self) -> str:
        """Return the statements that set the same for one transaction."""
        return "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in self.session.items() if "read" not in name)


class PulseReader:
    """Asks on a connection of its own, named ``<application>/application``: one transaction a reading."""

    def __init__(self, settings: DatabaseSettings, tables: TableSettings, clock: Clock) -> None:
        limits = ApplicationLimits(statement_ms=int(STATEMENT_S * 1000), lock_ms=_LOCK_MS)
        self._watch = WatchingConnection(settings, clock, role="application", limits=limits, patience_s=_BUDGET_S)
        self._tables = tables

    @property
    def is_configured(self) -> bool:
        """Tell whether a server was named."""
        return self._watch.is_configured

    async def read(self) -> Pulse:
        """Return the pulse; raises DatabaseError when the server does not answer at all."""
        return await self._watch.run(self._read, _BUDGET_S)

    async def close(self) -> None:
        """Cut the connection."""
        await self._watch.close()

    async def _read(self, connection: asyncpg.Connection) -> Pulse:
        async with connection.transaction(readonly=True):
            return await _pulse(_Asking(connection, self._tables))


async def _pulse(asking: _Asking) -> Pulse:
    tables = asking.tables
    orders = await asking.row("orders", "application_orders", _ORDERS, BOUND + 1)
    resting = await asking.row("pending", "application_resting", _ORDERS, BOUND + 1)
    bars = await asking.row("bars", "application_bars", f"{tables.tickers} or {tables.market_data}")
    newest = None if bars is None else bars["newest"]
    if bars is not None and newest is None:
        last = await asking.row("newest bar", "application_newest", tables.market_data)
        newest = None if last is None else last["newest"]
    runs = await asking.row("runs", "application_runs", tables.pipeline_runs, BOUND + 1)
    return Pulse(
        orders_hour=None if orders is None else orders["hour"],
        orders_minute=None if orders is None else orders["minute"],
        pending=None if orders is None or resting is None else orders["waiting"] + resting["resting"],
        bars_hour=None if bars is None else bars["hour"],
        newest_bar=newest,
        runs_ended=None if runs is None else runs["ended"],
        runs_failed=None if runs is None else runs["failed"],
        oldest_run=None if runs is None else runs["oldest"],
        unread=asking.unread,
    )


class _Asking:
    def __init__(self, connection: asyncpg.Connection, tables: TableSettings) -> None:
        self.unread: dict[str, str] = {}
        self.tables = tables
        self._connection = connection

    async def row(self, what: str, name: str, table: str, *arguments: object) -> Mapping[str, Any] | None:
        """Return the single row of a question, or None and note why there is none; each in a savepoint."""
        text = queries.load(name)
        for placeholder in ("tickers", "market_data", "pipeline_runs"):
            text = text.replace(f"{{{{{placeholder}}}}}", quote_table(getattr(self.tables, placeholder)))
        try:
            async with self._connection.transaction():
                return dict(await self._connection.fetchrow(text, *arguments))
        except asyncpg.PostgresError as error:
            why = _why(error.sqlstate or "", table)
            if not why:
                raise
            self.unread[what] = why
            return None


def _why(sqlstate: str, table: str) -> str:
    """Return why a figure is missing, "" for what concerns the whole server."""
    return _REASONS.get(sqlstate, "").format(table=table, limit=STATEMENT_S)
