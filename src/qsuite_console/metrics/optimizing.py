"""The question ``optimize``: what would put the platform in shape, gathered from everything that can be looked at.

Only reads. What can't be read is named and costs only its own steps: a cache that is away keeps no table from care.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec

from qsuite_console.db import partition_care as care
from qsuite_console.db.index_care import IndexReader, Standing
from qsuite_console.db.monitoring import is_named
from qsuite_console.engine.parameters import decode
from qsuite_console.metrics.advice.steps import MONTHS_AHEAD, Horizon, steps_of
from qsuite_console.metrics.analysis import analyze
from qsuite_console.metrics.warmth import WarmthProbe
from qsuite_console.model.advice import Unread
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.optimizing import Optimization, numbered
from qsuite_console.model.runs import Prunable
from qsuite_console.model.warmth import Warmth

if TYPE_CHECKING:
    from qsuite_console.workers import Services

T = TypeVar("T")
_BUDGET_S: Final = 30.0


class OptimizeParameters(msgspec.Struct, frozen=True, kw_only=True):
    """How long rates are taken."""

    interval_s: Annotated[float, msgspec.Meta(ge=0.2, le=30)] = 2.0


class OptimizeProbe:
    """Answers ``optimize``."""

    name = "optimize"
    timeout_s = 90.0

    def __init__(self, services: Services) -> None:
        self._services = services
        self._indexes = IndexReader(services.database, services.panels, services.settings.tables)
        self._warmth = WarmthProbe(services)

    async def ask(self, parameters: Mapping[str, Any]) -> Optimization:
        """Return the plan; raises InvalidParameters. Servers that don't answer are part of it."""
        wanted: OptimizeParameters = decode(OptimizeParameters, parameters)
        services, unread = self._services, list[Unread]()
        analysis, standings, horizons, families, prunable = await asyncio.gather(
            analyze(
                services.settings,
                services.database,
                services.cache,
                services.clock,
                {"interval_s": wanted.interval_s},
            ),
            _unless_unread(self._standings(), "recommended indexes", unread),
            _unless_unread(self._horizons(), "partitions", unread),
            _unless_unread(self._families(unread), "warmth of the cache", unread),
            _unless_unread(self._prunable(), "the console's history", unread),
        )
        steps, others = steps_of(
            analysis.findings, standings or (), horizons or (), families or (), prunable or Prunable()
        )
        known = {one.what for one in analysis.unread}
        return Optimization(
            at=analysis.at,
            target=analysis.target,
            scores=analysis.scores,
            steps=numbered(steps),
            others=others,
            unread=(*analysis.unread, *(one for one in unread if one.what not in known)),
        )

    async def _standings(self) -> tuple[Standing, ...]:
        return await self._indexes.standings() if is_named(self._services.settings.database) else ()

    async def _horizons(self) -> tuple[Horizon, ...]:
        services, found = self._services, []
        if not is_named(services.settings.database):
            return ()
        now = services.clock.now()
        async with services.database.session("optimize", _BUDGET_S) as connection:
            for root in await care.read_roots(connection):
                parts = await care.read_parts(connection, root)
                if not all(part.is_month for part in parts):
                    continue  # made by another hand: the job leaves such a table as it is
                months = tuple(care.missing_months(parts, now, MONTHS_AHEAD))
                strays = sum((await care.count_strays(connection, root)).values())
                found.append(Horizon(root.table, months, strays, root.may))
        return tuple(found)

    async def _families(self, unread: list[Unread]) -> tuple[Warmth, ...]:
        if not self._services.cache.is_configured:
            return ()
        panel = await self._warmth.ask({})
        unread += panel.unread
        return panel.families

    async def _prunable(self) -> Prunable:
        books = self._services.books
        return Prunable() if books is None else await books.prunable(now=self._services.clock.now())


async def _unless_unread(question: Awaitable[T], what: str, unread: list[Unread]) -> T | None:
    try:
        return await question
    except ConsoleError as error:
        unread.append(Unread(what=what, why=error.message, hint=error.hint))
        return None
