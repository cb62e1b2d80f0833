"""The backfill as the engine sees it: check, plan, run. The steps themselves are in the modules beside it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from qsuite_console.db.locks import lock_key, try_lock
from qsuite_console.engine.ports import JobContext, JobKind
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.kinds import Plan
from qsuite_console.model.text import clean
from qsuite_console.workers.backfill import describe as words
from qsuite_console.workers.backfill.file_source import FileSource
from qsuite_console.workers.backfill.parameters import BackfillParameters, check, destination_kind
from qsuite_console.workers.backfill.scout import Scout
from qsuite_console.workers.backfill.sources import ProviderSource, Source

if TYPE_CHECKING:
    from qsuite_console.db.database import Database
    from qsuite_console.workers import Services

_LOCK_POLL_S: Final = 0.5


class BackfillWorker:
    """Made once; holds what all runs share: the rate limiter of the key and the provider's list of instruments."""

    kind = JobKind(
        name="backfill",
        title="Backfill",
        description="Fetch the bars that are missing, at the provider's limit, or load them from files; verify them.",
        parameters=BackfillParameters,
        queue="data_processing",
        soft_limit_s=24 * 3600.0,
        hard_limit_s=25 * 3600.0,
    )

    def __init__(self, services: Services) -> None:
        self._services = services
        provider = ProviderSource(Scout(services))
        self._sources: Mapping[str, Source] = {
            "stocks": provider,
            "crypto": provider,
            "file": FileSource(services),
        }

    def title(self, parameters: BackfillParameters) -> str:
        """Return the line by which people recognise the job."""
        return words.title(parameters)

    def check(self, parameters: BackfillParameters) -> Mapping[str, str]:
        """Return field name -> problem; pure."""
        return check(parameters, self._services.settings.tables, self._services.clock)

    async def plan(self, parameters: BackfillParameters) -> Plan:
        """Return what a run would do; reads only."""
        problems = self.check(parameters)
        if problems:
            raise InvalidParameters(dict(problems))
        return await self._sources[parameters.source].plan(parameters)

    async def run(self, context: JobContext, parameters: BackfillParameters) -> Mapping[str, Any]:
        """Do it and return the result of D7."""
        problems = self.check(parameters)
        if problems:
            raise InvalidParameters(dict(problems))
        async with self._alone(context, parameters):
            return await self._sources[parameters.source].run(context, parameters)

    @contextlib.asynccontextmanager
    async def _alone(self, context: JobContext, parameters: BackfillParameters) -> AsyncIterator[None]:
        """Hold the advisory lock of (table, timeframe), waiting for whoever has it: two consoles never fill one gap."""
        database: Database = self._services.database
        if database.settings.pgbouncer or database.settings.pool_max < 2:
            context.log.warning("no advisory lock: it needs a connection of its own without transaction pooling")
            yield
            return
        key = lock_key(
            "backfill", destination_kind(parameters.table, self._services.settings.tables) or "", parameters.timeframe
        )
        async with database.session(f"backfill/{context.job_id} lock") as connection:
            told = ""
            while (holder := await try_lock(connection, key)) is not None:
                if holder != told:
                    context.log.info("waiting for %s, which fills the same table", clean(holder, 100))
                    told = holder
                context.progress(0, message=f"waiting for {clean(holder, 100)}", figures={"phase": "plan"})
                await asyncio.sleep(_LOCK_POLL_S)
                await context.breathe()
            yield
