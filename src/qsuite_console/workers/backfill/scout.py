"""Finds out what a run is up against: symbols, calendar, what is stored. Shared by the plan and the run.

One per process: the provider's limit and its list of instruments belong to the key, not to a job.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING

from qsuite_console.cache.shared_limit import SharedLimit
from qsuite_console.engine.ratelimit import RateLimiter
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.markets import MARKETS
from qsuite_console.workers.backfill.parameters import (
    BackfillParameters,
    destination_kind,
    market_for,
    profile_of,
    resolve_range,
)
from qsuite_console.workers.backfill.survey import Request, Survey, survey
from qsuite_console.workers.backfill.universe import AssetList, Universe, resolve_sessions, resolve_universe

if TYPE_CHECKING:
    from qsuite_console.workers import Services

_log = logging.getLogger(__name__)


class Scout:
    """Answers for one provider key and one platform."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._assets = {name: AssetList(market.asset_class) for name, market in MARKETS.items()}
        self._limiter: RateLimiter | None = None

    @property
    def limiter(self) -> RateLimiter:
        """Return the key's rate limiter, shared through Redis where there is one."""
        if self._limiter is None:
            services = self.services
            provider = services.settings.provider
            shared = None
            if services.settings.cache.url:
                shared = SharedLimit(services.cache, provider.key_id.reveal() or provider.data_url)
            self._limiter = RateLimiter(provider.rate_limit, services.clock, shared=shared, on_note=_log.warning)
        return self._limiter

    async def survey(
        self, parameters: BackfillParameters, refresh_since: datetime | None
    ) -> tuple[Universe, Survey, Request]:
        """Return symbols, plan and the resolved request; raises InvalidParameters for what can't be done."""
        services = self.services
        tables, clock = services.settings.tables, services.clock
        kind = destination_kind(parameters.table, tables)
        if kind is None:
            raise InvalidParameters({"table": "unknown table"})
        market = market_for(parameters)
        provider = services.provider()
        universe = await resolve_universe(
            parameters,
            database=services.database,
            tables=tables,
            provider=provider,
            assets=self._assets[market.name],
            now=clock.monotonic(),
        )
        if not universe.symbols:
            unknown = ", ".join(universe.unknown[:5])
            why = f"the provider knows none of them: {unknown}" if unknown else "there are no symbols to fetch"
            raise InvalidParameters({"symbols": why})
        start, end = resolve_range(parameters, clock)
        sessions, warnings = await resolve_sessions(
            start, end, market, database=services.database, tables=tables, provider=provider, now=clock.now()
        )
        universe.warnings += warnings
        request = Request(
            parameters=parameters,
            start=start,
            end=end,
            symbols=universe.symbols,
            sessions=sessions,
            profile=profile_of(parameters.profile, services.settings.backfill),
            now=clock.now(),
            refresh_since=refresh_since,
            market=market,
        )
        async with services.database.session("backfill plan") as connection:
            made = await survey(connection, request, tables, kind)
        return universe, made, request
