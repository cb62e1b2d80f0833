"""Keeps the scores live: a full look at the platform once a minute, its fast figures replaced by every sample's.

What takes a look at catalogues (dead rows, transaction ids, forced checkpoints, the data's disk) changes slowly; what
changes fast is measured every two seconds anyway. An area whose source does not answer scores 0 at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from qsuite_console.metrics import scores
from qsuite_console.metrics.analysis import analyze
from qsuite_console.metrics.monitoring import monitoring_of
from qsuite_console.model.advice import Analysis, Measure, Score
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.health import Reading

if TYPE_CHECKING:
    from qsuite_console.workers import Services

LOOK_EVERY_S: Final = 60.0
FIRST_LOOK_S: Final = 2.0
_APART_S: Final = 5.0  # looks never follow each other sooner
_LIVE: Final[Mapping[str, str]] = {  # figure of the scores -> rule whose newest value it is
    "database.connections": "postgresql.connections",
    "database.transaction": "postgresql.oldest_transaction",
    "database.hit_rate": "postgresql.cache_hit",
    "database.replication": "postgresql.replication_lag",
    "cache.memory": "redis.memory",
    "cache.hit_rate": "redis.hit_rate",
    "cache.evictions": "redis.evictions",
    "cache.clients": "redis.clients",
    "cache.fragmentation": "redis.fragmentation",
    "system.cpu": "host.cpu",
    "system.memory": "host.memory",
}
_SOURCES: Final[Mapping[str, str]] = {scores.DATABASE: "postgresql", scores.CACHE: "redis"}
log = logging.getLogger(__name__)


class ScoreKeeper:
    """One per runtime; used on the engine's loop."""

    def __init__(self) -> None:
        self._analysis: Analysis | None = None
        self._wanted = asyncio.Event()
        self._said = ""

    async def run(self, services: Services) -> None:
        """Look at the platform again and again until cancelled; a look that fails keeps the last one."""
        await asyncio.sleep(FIRST_LOOK_S)
        while True:
            try:
                await self.look(services)
                self._said = ""
            except Exception as error:  # the loop must live; the scores grow old, which their age tells
                if str(error) != self._said:
                    log.exception("looking at the platform for its scores failed")
                self._said = str(error)
            await asyncio.sleep(_APART_S)
            self._wanted.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S - _APART_S):
                    await self._wanted.wait()

    async def look(self, services: Services) -> None:
        """Take one full look; raises nothing for a server that is down."""
        self._analysis = await analyze(services.settings, services.database, services.cache, services.clock, {})

    def scores(self, values: Mapping[str, float | None], readings: Iterable[Reading]) -> tuple[Score, ...]:
        """Return the scores now, overall first; nothing before the first look. ``values``: newest by rule."""
        analysis, known = self._analysis, {reading.source: reading for reading in readings}
        if analysis is None:
            return ()
        if is_blind(analysis, known):
            self._wanted.set()
        return live_scores(analysis, values, known)

    def explain(self, values: Mapping[str, float | None], readings: Iterable[Reading]) -> Analysis:
        """Return the last look with the scores and measures of now; raises ConsoleError before the first one."""
        analysis = self._analysis
        if analysis is None:
            raise ConsoleError("nothing is scored yet", hint="the first look at the platform takes a few seconds")
        known = {reading.source: reading for reading in readings}
        return replace(
            analysis,
            scores=live_scores(analysis, values, known),
            measures=tuple(live_measures(analysis.measures, values)),
        )


def live_measures(found: Iterable[Measure], values: Mapping[str, float | None]) -> Iterable[Measure]:
    """Yield measures with their newest values; what was not measured just now keeps that of the last look."""
    for one in found:
        value = values.get(_LIVE.get(one.id, ""))
        yield one if value is None else scores.measure(one.id, value)


def live_scores(
    analysis: Analysis, values: Mapping[str, float | None], readings: Mapping[str, Reading]
) -> tuple[Score, ...]:
    """Return overall and the areas, by the newest values and by who answers now."""
    found = tuple(live_measures(analysis.measures, values))
    before = {score.area: score for score in analysis.scores}
    absent = [area for area, where in _where(analysis) if not where]
    areas = []
    for area in scores.AREAS:
        reading = readings.get(_SOURCES.get(area, ""))
        failure = "" if reading is None or area in absent else reading.error or ""
        components = before[area].components if area in before else ()
        why = f"no {area} is configured" if area in absent else ""
        areas.append(scores.area_score(area, found, failure=failure, absent=why, components=components))
    components = before[scores.OVERALL].components if scores.OVERALL in before else ()
    return (scores.overall(areas, absent=absent, components=components), *areas)


def is_blind(analysis: Analysis, readings: Mapping[str, Reading]) -> bool:
    """Tell whether an area that answers now was not seen by the last look: it is worth another one at once."""
    seen = {one.area for one in analysis.measures}
    answering = {source for source, reading in readings.items() if reading.error is None and reading.sampled_at}
    return any(where and area not in seen and _SOURCES[area] in answering for area, where in _where(analysis))


def _where(analysis: Analysis) -> tuple[tuple[str, str], ...]:
    return ((scores.DATABASE, analysis.database), (scores.CACHE, analysis.cache))


class ExplainProbe:
    """Answers ``scores.explain``: the scores of now with measures and findings of the last full look."""

    name = "scores.explain"
    timeout_s = 3.0

    def __init__(self, services: Services) -> None:
        self._services = services

    async def ask(self, parameters: Mapping[str, object]) -> Analysis:
        """Return it; raises ConsoleError before the first look."""
        monitoring = monitoring_of(self._services)
        if monitoring.scores is None:
            raise ConsoleError("nothing is scored here", hint="qsuite-console analyze looks once")
        return monitoring.scores.explain(monitoring.book.values, monitoring.readings)
