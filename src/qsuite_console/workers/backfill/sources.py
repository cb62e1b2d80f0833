"""Where bars come from, behind one protocol: the worker knows no source by name, and a new one is one row there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from qsuite_console.engine.ports import JobContext
from qsuite_console.model.kinds import Plan
from qsuite_console.workers.backfill import describe as words
from qsuite_console.workers.backfill.parameters import BackfillParameters
from qsuite_console.workers.backfill.run import Run
from qsuite_console.workers.backfill.scout import Scout


class Source(Protocol):
    """What can be planned and run with checked parameters; both raise ConsoleError."""

    async def plan(self, parameters: BackfillParameters) -> Plan:
        """Return what a run would do; reads only."""

    async def run(self, context: JobContext, parameters: BackfillParameters) -> Mapping[str, Any]:
        """Store the bars and return the job's result."""


class ProviderSource:
    """Stocks and crypto of the provider: gaps are planned, fetched at its limit and verified."""

    def __init__(self, scout: Scout) -> None:
        self._scout = scout

    async def plan(self, parameters: BackfillParameters) -> Plan:
        """Return requests, rows and time that the gaps take."""
        universe, made, request = await self._scout.survey(parameters, None)
        limit = self._scout.limiter.window.limit
        return words.describe_plan(request, universe, made, limit=limit)

    async def run(self, context: JobContext, parameters: BackfillParameters) -> Mapping[str, Any]:
        """Fetch what is missing."""
        return await Run(self._scout, context, parameters).run()
