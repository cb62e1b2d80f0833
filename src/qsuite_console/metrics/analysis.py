"""One look at the whole platform: what the servers and this host say, what it scores, and what to change.

The three are read at the same time over the same interval; one that does not answer takes nothing from the others.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from qsuite_console.cache.client import Cache
from qsuite_console.cache.errors import CacheError
from qsuite_console.cache.survey import CacheFacts, read_cache
from qsuite_console.config.settings import Settings
from qsuite_console.db.database import Database
from qsuite_console.db.errors import DatabaseError
from qsuite_console.db.monitoring import is_named
from qsuite_console.db.settings import ServerFacts, read_server
from qsuite_console.engine.parameters import decode
from qsuite_console.metrics import from_host, scores, units
from qsuite_console.metrics.advice import measures
from qsuite_console.metrics.advice.objects import object_findings
from qsuite_console.metrics.advice.pooler import pooler_findings
from qsuite_console.metrics.advice.postgres import settings_findings
from qsuite_console.metrics.advice.redis import redis_findings, role_of
from qsuite_console.metrics.advice.sizing import Profile
from qsuite_console.model.advice import Analysis, Finding, Heavy, Machine, Measure, Score, Severity, Unread
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import ConsoleError, InvalidParameters
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.workers import Services

_BUDGET_S: Final = 30.0
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_LEAST_MEMORY: Final = 64 * 1024**2
_ORDER: Final = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}
_LOCAL: Final = ("localhost:", "127.", "[::1]:", "::1:", "/")


class AnalyzeParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What to look at, and what can't be seen from here about the database's host; "" and 0: find out."""

    detailed: bool = False
    memory: str = ""  # "16GB": what PostgreSQL may use
    cores: Annotated[int, msgspec.Meta(ge=0, le=4096)] = 0
    storage: Literal["", "ssd", "hdd"] = ""
    workload: Literal["", "oltp", "mixed", "warehouse"] = ""
    connections: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0
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
    server, store, system = await asyncio.gather(
        _read_database(settings, database, wanted), _read_cache(cache, wanted), _read_host(wanted.interval_s)
    )
    facts = server if isinstance(server, ServerFacts) else None
    stored = store if isinstance(store, CacheFacts) else None
    is_local = facts is not None and _is_here(facts) and not settings.database.pgbouncer
    machine, profile = _machine(wanted, facts, is_local=is_local, reserved=_taken_by(cache, stored))
    disk = _disk(facts) if facts is not None and is_local else None
    found = [*system]
    if facts is not None:
        found += measures.database_measures(facts, disk_percent=disk[0] if disk else None)
    if stored is not None:
        found += measures.cache_measures(stored, role_of(stored))
    failures = {
        scores.DATABASE: server if isinstance(server, ConsoleError) else None,
        scores.CACHE: store if isinstance(store, ConsoleError) else None,
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
        findings=tuple(_findings(settings, facts, stored, profile)),
        heavy=tuple(_heavy(facts)),
        unread=tuple(_unread(facts, stored, failures, profile)),
    )


def parse_memory(text: str) -> int | None:
    """Return the bytes of "16GB" or "512 MB" (binary units), None of nothing; raises InvalidParameters."""
    if not text.strip():
        return None
    match = _SIZE.fullmatch(text.strip())
    amount = int(float(match[1]) * 1024 ** _POWERS[match[2].lower()]) if match else 0
    if not _LEAST_MEMORY <= amount <= 1024**5:
        raise InvalidParameters({"memory": f"{clean(text, 40)!r} is no size of a memory"}, hint="for example 16GB")
    return amount


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


async def _read_host(interval_s: float) -> Sequence[Measure]:
    before = await asyncio.to_thread(from_host.look)
    await asyncio.sleep(interval_s)
    return tuple(measures.system_measures(before, await asyncio.to_thread(from_host.look)))


def _is_here(facts: ServerFacts) -> bool:
    """Tell whether the server runs on this host: by a socket, or with one address at both ends."""
    address = facts.server["server_address"]
    return address is None or address == facts.server["client_address"]


def _taken_by(cache: Cache, facts: CacheFacts | None) -> int:
    """Return the bytes a Redis on this host may take from PostgreSQL."""
    if facts is None or not cache.where.startswith(_LOCAL):
        return 0
    return int(facts.number("maxmemory") or facts.number("used_memory_rss") or 0)


def _machine(
    wanted: AnalyzeParameters, facts: ServerFacts | None, *, is_local: bool, reserved: int
) -> tuple[Machine, Profile | None]:
    origins = {"storage": "assumed", "workload": "given" if wanted.workload else "assumed"}
    memory, cores = parse_memory(wanted.memory), wanted.cores or None
    origins |= {name: "given" for name, value in (("memory", memory), ("cores", cores)) if value}
    disk = _disk(facts) if facts is not None and is_local else None
    if is_local:
        total, here = from_host.capacity()
        if memory is None:
            memory = max(_LEAST_MEMORY, total - reserved)
            origins["memory"] = f"this host, less {units.size(reserved)} for Redis" if reserved else "this host"
        if cores is None:
            cores, origins["cores"] = here, "this host"
    storage = wanted.storage
    if storage:
        origins["storage"] = "given"
    elif facts is not None and is_local and "data_directory" in facts.settings:
        rotates = from_host.is_rotating(facts.settings["data_directory"].setting)
        if rotates is not None:
            storage, origins["storage"] = "hdd" if rotates else "ssd", "this host"
    connections = wanted.connections or None
    origins["connections"] = "given"
    if connections is None and facts is not None and "max_connections" in facts.settings:
        connections, origins["connections"] = int(facts.settings["max_connections"].setting), "max_connections"
    machine = Machine(
        memory=memory,
        cores=cores,
        storage=storage or "ssd",
        workload=wanted.workload or "mixed",
        connections=connections,
        origins=origins,
    )
    if facts is None or memory is None or cores is None or connections is None:
        return machine, None
    return machine, _profile(machine, facts, memory, cores, connections, disk[1] if disk else None)


def _profile(
    machine: Machine, facts: ServerFacts, memory: int, cores: int, connections: int, wal_disk: int | None
) -> Profile:
    size = facts.rows.get("advice_size", ())
    written = facts.grown("wal_bytes")
    return Profile(
        memory=memory,
        cores=cores,
        connections=connections,
        storage=machine.storage,
        workload=machine.workload,
        version=facts.version,
        database=int(size[0]["bytes"]) if size else None,
        wal_rate=written / facts.seconds if written is not None and facts.seconds > 0 else 0.0,
        wal_disk=wal_disk,
        has_timescale=any(row["name"] == "timescaledb" for row in facts.rows.get("advice_extensions", ())),
    )


def _disk(facts: ServerFacts) -> tuple[float, int] | None:
    directory = facts.settings.get("data_directory")
    return None if directory is None else from_host.disk(directory.setting)


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
    settings: Settings, facts: ServerFacts | None, stored: CacheFacts | None, profile: Profile | None
) -> list[Finding]:
    found: list[Finding] = []
    if facts is not None:
        found += settings_findings(facts, profile)
        found += object_findings(facts)
        found += pooler_findings(facts, is_pooled=settings.database.pgbouncer)
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
