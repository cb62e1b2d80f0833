"""Lists the symbols whose newest bar is old, in batches: a run that was cut goes on with the batch it was at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec

from qsuite_console.db.schema import quote_table
from qsuite_console.engine.ports import JobContext, JobKind, Permanent
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.workers import Services

BATCH = 100


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run is asked for; flags, form fields and validation are made from it."""

    symbols: Annotated[
        list[str], msgspec.Meta(title="Symbols", description="empty: every active one", examples=["AAPL,MSFT"])
    ] = []
    days: Annotated[int, msgspec.Meta(title="Days", description="older than this many days", ge=1, le=3650)] = 5


class StaleWorker:
    """Made once by the console, with what it may use; ``run`` is called for every attempt."""

    kind = JobKind(
        name="ticks.stale",
        title="Stale symbols",
        description="List the symbols whose newest bar is old.",
        parameters=Parameters,
        queue="analytics",
        changes_data=False,  # it only reads: allowed on a read-only target, without a confirmation
    )

    def __init__(self, services: Services) -> None:
        self._services = services

    def title(self, parameters: Parameters) -> str:
        """Return the line by which people recognise the job."""
        whose = f" of {len(parameters.symbols)} symbols" if parameters.symbols else ""
        return f"bars{whose} older than {parameters.days} days"

    def check(self, parameters: Parameters) -> Mapping[str, str]:
        """Return what is wrong beyond types, by field; asked while somebody types."""
        odd = [symbol for symbol in parameters.symbols if not symbol.strip()]
        return {"symbols": "a symbol is empty"} if odd else {}

    async def plan(self, parameters: Parameters) -> Plan:
        """Return what a run would do; looks, changes nothing."""
        symbols = await self._symbols(parameters)
        lines = (
            PlanLine(label="symbols", value=str(len(symbols)), note=f"{-(-len(symbols) // BATCH)} questions"),
            PlanLine(label="stale before", value=f"{self._oldest(parameters):%Y-%m-%d %H:%M} UTC"),
        )
        return Plan(
            kind=self.kind.name, title=self.title(parameters), lines=lines,
            figures={"symbols": len(symbols)}, is_noop=not symbols,
        )  # fmt: skip

    async def run(self, context: JobContext, parameters: Parameters) -> Mapping[str, Any]:
        """Look, batch by batch; an attempt after this one, perhaps in another process, begins with its checkpoint."""
        kept = context.checkpoint or {}
        symbols: list[str] = list(kept.get("symbols") or await self._symbols(parameters))
        stale: dict[str, str | None] = dict(kept.get("stale") or {})
        done = int(kept.get("done", 0))
        if not symbols:
            raise Permanent("no symbol is active", hint="name some: --symbols AAPL,MSFT")
        while done < len(symbols):
            batch = symbols[done : done + BATCH]
            for symbol, newest in await self._newest(batch):
                if newest is None or newest < self._oldest(parameters):
                    context.log.info("%s: %s", symbol, newest or "no bar at all")
                    stale[symbol] = None if newest is None else newest.isoformat()
            done += len(batch)
            await context.save({"symbols": symbols, "stale": stale, "done": done})
            context.progress(done, len(symbols), unit="symbols", figures={"stale": len(stale)})
            await context.breathe()  # pause, cancel and drain happen here
        return {"stale": stale, "checked": len(symbols), "days": parameters.days}

    def _oldest(self, parameters: Parameters) -> datetime:
        return self._services.clock.now() - timedelta(days=parameters.days)

    async def _symbols(self, parameters: Parameters) -> list[str]:
        if parameters.symbols:
            return list(dict.fromkeys(symbol.strip().upper() for symbol in parameters.symbols))
        table = quote_table(self._services.settings.tables.tickers)
        async with self._services.database.session("ticks.stale") as connection:
            rows = await connection.fetch(f"SELECT symbol FROM {table} WHERE is_active ORDER BY symbol")
        return [row["symbol"] for row in rows]

    async def _newest(self, symbols: Sequence[str]) -> list[tuple[str, datetime | None]]:
        table = quote_table(self._services.settings.tables.price_ticks)
        async with self._services.database.session("ticks.stale") as connection:
            rows = await connection.fetch(
                f"SELECT s.symbol, (SELECT max(timestamp) FROM {table} t WHERE t.symbol = s.symbol) AS newest"
                " FROM unnest($1::text[]) WITH ORDINALITY s (symbol, number) ORDER BY s.number",
                list(symbols),
            )
        return [(row["symbol"], row["newest"]) for row in rows]
