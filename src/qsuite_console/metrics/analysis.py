"""One look at the whole platform: what the servers and this host say, what it scores, and what to change.

The three are read at the same time over the same interval; one that does not answer takes nothing from the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from qsuite_console.cache.client import Cache
from qsuite_console.cache.errors import CacheError
from qsuite_console.cache.survey import CacheFacts, read_cache
from qsuite_console.config.settings import Settings
from qsuite_console.db.database import Database
from qsuite_console.db.errors import DatabaseError
from qsuite_console.db.monitoring import is_named
from qsuite_console.db.pooler import SHOWN, PoolerConsole
from qsuite_console.db.pooler_facts import PoolerFacts, facts_of
from qsuite_console.db.settings import ServerFacts, read_server
from qsuite_console.engine.parameters import decode
from qsuite_console.metrics import from_host, scores
from qsuite_console.metrics.advice import measures
from qsuite_console.metrics.advice.objects import object_findings
from qsuite_console.metrics.advice.pooler import pooler_findings
from qsuite_console.metrics.advice.postgres import settings_findings
from qsuite_console.metrics.advice.redis import redis_findings, role_of
from qsuite_console.metrics.advice.sizing import Profile
from qsuite_console.metrics.machine import MachineParameters, data_disk, is_here, machine_of, parse_memory, taken_by
from qsuite_console.model.advice import Analysis, Finding, Heavy, Measure, Score, Severity, Unread
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.workers import Services

_BUDGET_S: Final = 30.0
_POOLER_S: Final = 3.0
_ORDER: Final = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}


class AnalyzeParameters(MachineParameters, frozen=True, kw_only=True):
    """What to look at, and what can't be seen from here about the database's host."""

    detailed: bool = False
    interval_s: Annotated[float, msgspec.Meta(ge=0.2, le=30)] = 2.0


class AnalyzeProbe:
    """Answers ``analyze`` with an Analysis."""

    name = "analyze"
    timeout_s = 90.0

    def __init__(self, services: Services) -> None:
        self._services = services

    async def ask(self, parameters: Mapping[str, Any]) -> Analysis:
        """Return the analysis; raises InvalidParameters. Servers that don't answer are part of it."""
        services = self._services
        return await analyze(services.settings, services.database, services.cache, services.clock, parameters)


async def analyze(
    settings: Settings, database: Database, cache: Cache, clock: Clock, parameters: Mapping[str, Any]
) -> Analysis:
    """Look at everything once; raises InvalidParameters, and nothing for a server that is down."""
    wanted: AnalyzeParameters = decode(AnalyzeParameters, parameters)
    parse_memory(wanted.memory)
    server, store, system, pooler = await asyncio.gather(
        _read_database(settings, database, wanted),
        _read_cache(cache, wanted),
        _read_host(wanted.interval_s),
        _read_pooler(settings, clock),
    )
    facts = server if isinstance(server, ServerFacts) else None
    stored = store if isinstance(store, CacheFacts) else None
    is_local = facts is not None and is_here(facts) and not settings.database.pgbouncer
    machine, profile = machine_of(
        wanted, facts, is_local=is_local, reserved=taken_by(cache, None if stored is None else stored.after)
    )
    disk = data_disk(facts) if facts is not None and is_local else None
    found = [*system]
    if facts is not None:
        found += measures.database_measures(facts, disk_percent=disk[0] if disk else None)
    if stored is not None:
        found += measures.cache_measures(stored, role_of(stored))
    failures = {
        scores.DATABASE: _failure(server),
        scores.CACHE: _failure(store),
    }
    absent = {
        area: f"no {area} is configured"
        for area, answer in ((scores.DATABASE, server), (scores.CACHE, store))
        if answer is None
    }
    return Analysis(
        at=clock.now(),
        interval_s=round(facts.seconds if facts is not None else wanted.interval_s, 3),
        target=settings.target.name,
        database=database.where if server is not None else "",
        cache=cache.where,
        machine=machine,
        scores=_scores(found, facts, failures, absent),
        measures=tuple(found),
        findings=tuple(_findings(settings, facts, stored, profile, pooler)),
        heavy=tuple(_heavy(facts)),
        unread=tuple(_unread(facts, stored, {**failures, "pooler": _failure(pooler)}, profile)),
    )


async def _read_database(
    settings: Settings, database: Database, wanted: AnalyzeParameters
) -> ServerFacts | ConsoleError | None:
    if not is_named(settings.database):
        return None
    budget_s = _BUDGET_S + wanted.interval_s
    try:
        return await read_server(database, interval_s=wanted.interval_s, is_detailed=wanted.detailed, budget_s=budget_s)
    except DatabaseError as error:
        return error


async def _read_cache(cache: Cache, wanted: AnalyzeParameters) -> CacheFacts | ConsoleError | None:
    if not cache.is_configured:
        return None
    try:
        return await read_cache(cache, interval_s=wanted.interval_s)
    except CacheError as error:
        return error


async def _read_pooler(settings: Settings, clock: Clock) -> PoolerFacts | ConsoleError | None:
    console = PoolerConsole(settings)
    if not console.is_configured:
        return None
    try:
        return facts_of(await console.show(SHOWN, _POOLER_S), clock.now())
    except DatabaseError as error:
        return error
    finally:
        await console.close()


def _failure(answer: object) -> ConsoleError | None:
    return answer if isinstance(answer, ConsoleError) else None


async def _read_host(interval_s: float) -> Sequence[Measure]:
    before = await asyncio.to_thread(from_host.look)
    await asyncio.sleep(interval_s)
    return tuple(measures.system_measures(before, await asyncio.to_thread(from_host.look)))


def _scores(
    found: Sequence[Measure],
    facts: ServerFacts | None,
    failures: Mapping[str, ConsoleError | None],
    absent: Mapping[str, str],
) -> tuple[Score, ...]:
    values = measures.values_of(found)
    hides = facts is not None and facts.sessions["hidden"]
    plain = scores.guide_components(
        hit=values.get("database.hit_rate"),
        long_queries=None if facts is None or hides else facts.sessions["long_queries"],
        cache_hit=values.get("cache.hit_rate"),
        cpu=values.get("system.cpu"),
        memory=values.get("system.memory"),
    )
    areas = []
    for area in scores.AREAS:
        failure = failures.get(area)
        areas.append(
            scores.area_score(
                area,
                found,
                failure=failure.message if failure is not None else "",
                absent=absent.get(area, ""),
                components=(plain[area],),
            )
        )
    return (*areas, scores.overall(areas, absent=tuple(absent), components=(plain[scores.OVERALL],)))


def _findings(
    settings: Settings,
    facts: ServerFacts | None,
    stored: CacheFacts | None,
    profile: Profile | None,
    pooler: PoolerFacts | ConsoleError | None,
) -> list[Finding]:
    found: list[Finding] = []
    if facts is not None:
        found += settings_findings(facts, profile)
        found += object_findings(facts)
    asked = pooler if isinstance(pooler, PoolerFacts) else None
    if facts is not None or asked is not None:
        found += pooler_findings(
            sessions=facts.sessions["sessions"] if facts is not None else 0,
            usable=facts.sessions["usable"] if facts is not None else 0,
            is_pooled=settings.database.pgbouncer,
            facts=asked,
        )
    if stored is not None:
        found += redis_findings(stored)
    return sorted(found, key=lambda one: (_ORDER[one.severity], one.part, one.id, one.subject))


def _heavy(facts: ServerFacts | None) -> Iterator[Heavy]:
    if facts is None:
        return
    for kind, rows in (("statement", facts.statements), ("table", facts.biggest)):
        for row in rows:
            figures = {name: float(value) for name, value in row.items() if name != "name"}
            yield Heavy(kind=kind, name=clean(row["name"], 500), figures=figures)


def _unread(
    facts: ServerFacts | None,
    stored: CacheFacts | None,
    failures: Mapping[str, ConsoleError | None],
    profile: Profile | None,
) -> Iterator[Unread]:
    for area, failure in failures.items():
        if failure is not None:
            yield Unread(what=area, why=failure.message, hint=failure.hint)
    if facts is not None:
        if profile is None:
            yield Unread(
                what="memory and cores of the database's host",
                why="it is another host than this one, so no sizes were computed",
                hint="name them: analyze --memory 16GB --cores 4",
            )
        if "data_directory" not in facts.settings:
            hint = "grant the role pg_monitor"
            yield Unread(what="where the data lies", why="the role may not see the setting data_directory", hint=hint)
        yield from facts.unread
    if stored is not None:
        yield from stored.unread
