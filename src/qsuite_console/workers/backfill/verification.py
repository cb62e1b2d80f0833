"""The probe ``backfill.verification``: what the ledger says was fetched, held against rows counted anew.

The same comparison as at the end of a run, over any months, for a report or whoever doubts the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from qsuite_console.db import bars, ledger
from qsuite_console.db.schema import quote_table
from qsuite_console.engine.parameters import decode
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.markets import MARKETS
from qsuite_console.model.timeframes import Timeframe
from qsuite_console.model.verification import Shortfall, SymbolRows, Verified
from qsuite_console.workers.backfill.parameters import destination_kind

if TYPE_CHECKING:
    from qsuite_console.workers import Services

_MONTH: Final = r"^\d{4}-(0[1-9]|1[0-2])$"
_LISTED: Final = 1000


class VerificationParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Whole months, "2025-03", of the symbols that begin with ``text``."""

    table: str = "price_ticks"
    timeframe: Timeframe = "1Day"
    start: Annotated[str, msgspec.Meta(pattern=_MONTH)]
    end: Annotated[str, msgspec.Meta(pattern=_MONTH)]
    limit: Annotated[int, msgspec.Meta(ge=1, le=2000)] = 500
    text: str = ""


class VerificationProbe:
    """Answers ``backfill.verification`` with a Verified."""

    name = "backfill.verification"
    timeout_s = 60.0

    def __init__(self, services: Services) -> None:
        self._services = services

    async def ask(self, parameters: Mapping[str, Any]) -> Verified:
        """Count and compare; raises InvalidParameters, DatabaseError."""
        wanted: VerificationParameters = decode(VerificationParameters, parameters)
        services, tables = self._services, self._services.settings.tables
        begun, kind = services.clock.monotonic(), destination_kind(wanted.table, tables)
        if kind is None or wanted.end < wanted.start:
            raise InvalidParameters({"table": "unknown table"} if kind is None else {"end": "is before the start"})
        first = date.fromisoformat(f"{wanted.start}-01")
        following = (date.fromisoformat(f"{wanted.end}-01") + timedelta(days=32)).replace(day=1)
        low, high = MARKETS["crypto"].day_bounds(first, following - timedelta(days=1))
        async with services.database.session("backfill verification", self.timeout_s - 5) as connection:
            symbols, total = await bars.symbols_page(
                connection, tables, after="", text=wanted.text.strip().upper(), limit=wanted.limit
            )
            destination = await bars.inspect(connection, kind, tables)
            has_ledger = not await connection.fetchval("SELECT to_regclass($1) IS NULL", quote_table(tables.coverage))
            counts = await bars.count_rows(connection, destination, wanted.timeframe, symbols, (low, high))
            deficits: list[ledger.Deficit] = []
            if has_ledger:
                names = (wanted.timeframe, ledger.ledger_name(destination, wanted.timeframe, adjustment="raw", feed=""))
                deficits = await ledger.find_deficits(
                    connection, destination, tables.coverage, names, symbols, (low, high)
                )
        missing: Counter[str] = Counter()
        for item in deficits:
            missing[item.symbol] += item.fetched - item.present
        return Verified(
            at=services.clock.now(),
            table=destination.table,
            timeframe=wanted.timeframe,
            low=low,
            high=high,
            symbols=tuple(SymbolRows(symbol=s, rows=counts.get(s, 0), missing=missing[s]) for s in symbols),
            symbols_total=total,
            shortfalls=tuple(
                Shortfall(
                    symbol=item.symbol,
                    low=item.low,
                    high=item.high,
                    fetched=item.fetched,
                    present=item.present,
                    fetched_at=item.fetched_at,
                )
                for item in deficits[:_LISTED]
            ),
            has_ledger=has_ledger,
            cost_ms=round(1000 * (services.clock.monotonic() - begun), 1),
        )
