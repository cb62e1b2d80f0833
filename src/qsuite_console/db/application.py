"""Reads the platform's pulse from its own tables: orders, bars, how old the newest bar is.

Each question is asked by itself, in a short transaction, so that a missing table or privilege costs one figure and
not the others, and says which. A server that can't be reached at all is raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from qsuite_console.config.settings import TableSettings
from qsuite_console.db import queries
from qsuite_console.db.database import Database
from qsuite_console.db.errors import (
    DatabaseBusy,
    DatabaseError,
    DatabaseRefused,
    DatabaseRejected,
    DatabaseSchemaMismatch,
    DatabaseSlow,
)
from qsuite_console.db.schema import quote_table

BOUND: Final = 100_000  # orders counted at most
STATEMENT_S: Final = 5.5  # beyond the critical response time: it shall be seen
_LOCK_MS: Final = 250
_MISSING: Final = (
    "42P01",
    "42703",
    "3F000",
)
_ORDERS: Final = "execution_engine_order"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What was found; None where it could not be read: ``unread`` then says why, by figure."""

    orders_hour: int | None = None
    orders_minute: int | None = None
    pending: int | None = None
    bars_hour: int | None = None
    newest_bar: datetime | None = None  # start of the minute
    unread: Mapping[str, str] = field(default_factory=dict)


async def read_pulse(database: Database, tables: TableSettings) -> Pulse:
    """Return the pulse; raises DatabaseError when the server does not answer at all."""
    asking = _Asking(database, tables)
    orders = await asking.row("orders", "application_orders", _ORDERS, BOUND + 1)
    resting = await asking.row("pending", "application_resting", _ORDERS, BOUND + 1)
    bars = await asking.row("bars", "application_bars", f"{tables.tickers} or {tables.market_data}")
    newest = None if bars is None else bars["newest"]
    if bars is not None and newest is None:
        last = await asking.row("newest bar", "application_newest", tables.market_data)
        newest = None if last is None else last["newest"]
    return Pulse(
        orders_hour=None if orders is None else orders["hour"],
        orders_minute=None if orders is None else orders["minute"],
        pending=None if orders is None or resting is None else orders["waiting"] + resting["resting"],
        bars_hour=None if bars is None else bars["hour"],
        newest_bar=newest,
        unread=asking.unread,
    )


class _Asking:
    def __init__(self, database: Database, tables: TableSettings) -> None:
        self.unread: dict[str, str] = {}
        self._database = database
        self._tables = tables

    async def row(self, what: str, name: str, table: str, *arguments: object) -> Mapping[str, Any] | None:
        """Return the single row of a question, or None and note why there is none."""
        text = queries.load(name)
        for placeholder in ("tickers", "market_data"):
            text = text.replace(f"{{{{{placeholder}}}}}", quote_table(getattr(self._tables, placeholder)))
        limits = f"SET LOCAL statement_timeout = {int(STATEMENT_S * 1000)}; SET LOCAL lock_timeout = {_LOCK_MS}"
        try:
            async with (
                self._database.session("application", STATEMENT_S + 0.5) as connection,
                connection.transaction(readonly=True),
            ):
                await connection.execute(limits)
                return dict(await connection.fetchrow(text, *arguments))
        except (DatabaseBusy, DatabaseRefused, DatabaseRejected, DatabaseSchemaMismatch, DatabaseSlow) as error:
            if not error.sqlstate:
                raise
            self.unread[what] = _why(error, table)
            return None


def _why(error: DatabaseError, table: str) -> str:
    if error.sqlstate in _MISSING:
        return f"no {table}" if error.sqlstate != "42703" else f"{table} has other columns"
    if error.sqlstate == "42501":
        return f"grant SELECT on {table}"
    if error.sqlstate == "57014":
        return f"took over {STATEMENT_S:g} s"
    if error.sqlstate == "55P03":
        return f"{table} is locked"
    return error.message
