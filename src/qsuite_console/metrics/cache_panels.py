"""The questions of the cache screen, all over one connection; rates are over the interval between two readings.

The first reading of an interval is taken here when there is none of the last seconds, so that a panel never starts
with figures since boot and never waits for a second visit.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from qsuite_console.cache import keyspace, server
from qsuite_console.cache.errors import CacheError
from qsuite_console.cache.families import read_families
from qsuite_console.cache.inspecting import read_key
from qsuite_console.cache.panels import Look, parse_info
from qsuite_console.cache.survey import read_cache
from qsuite_console.engine.parameters import decode
from qsuite_console.metrics import cache_figures
from qsuite_console.metrics.advice.redis import redis_findings, role_of
from qsuite_console.model.advice import Severity
from qsuite_console.model.cache import (
    CacheAdvice,
    ClientPanel,
    CommandPanel,
    FamilyPanel,
    KeyDetail,
    KeyOrder,
    KeyPage,
    MemoryPanel,
    SlowPanel,
)
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.keys import unescape

if TYPE_CHECKING:
    from qsuite_console.workers import Services

_FRESH_S: Final = 30.0  # a reading older than that is no beginning of an interval
_FIRST_S: Final = 0.5  # the interval when there was no reading before
_LEAST_S: Final = 0.25  # a shorter interval says nothing
_PINGS: Final = 10
_KEPT_PINGS: Final = 200
_ADVICE_S: Final = 1.0  # the interval that evictions and hits are looked at over
_ORDER: Final = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}


class NoParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to choose."""


class KeysParameters(msgspec.Struct, frozen=True, kw_only=True):
    """A page of keys; ``pattern``: a glob, or a word that names contain."""

    pattern: Annotated[str, msgspec.Meta(max_length=500)] = ""
    order: KeyOrder = KeyOrder.BIGGEST
    cursor: Annotated[str, msgspec.Meta(pattern="^[0-9]*$", max_length=20)] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 500


class KeyParameters(msgspec.Struct, frozen=True, kw_only=True):
    """One key by its escaped name."""

    key: Annotated[str, msgspec.Meta(max_length=8 * keyspace.LONGEST)]


@dataclass(frozen=True, slots=True)
class Interval:
    """INFO at the end of an interval, and how much each counter grew; ``grown`` is None after a restart or a reset."""

    info: Mapping[str, Any]
    grown: Mapping[str, float] | None
    seconds: float


class _Probe:
    """What the questions share; unknown parameters are refused."""

    timeout_s = 6.0

    def __init__(self, services: Services) -> None:
        self._cache = services.cache
        self._clock = services.clock
        self._turn = asyncio.Lock()
        self._before: tuple[float, object, Mapping[str, float]] = (-math.inf, None, {})

    def _look(self) -> Look:
        return Look(self._cache.panel)

    async def _note_limits(self, look: Look) -> None:
        """Note what one connection to this kind of server can't show of its keys; raises CacheError."""
        said = await look.allowed("what kind of server it is", "INFO", "server")
        if said is not None:
            look.unread.extend(server.not_covered(parse_info(said)))

    async def _interval(self, look: Look) -> Interval:
        """Return what happened since the last reading, or in half a second from now; raises CacheError."""
        async with self._turn:  # two askers at once would cut each other's interval to nothing
            age = self._clock.monotonic() - self._before[0]
            if age > _FRESH_S:
                await self._read(look)
            if age > _FRESH_S or age < _LEAST_S:
                await asyncio.sleep(_FIRST_S)
            return await self._read(look)

    async def _read(self, look: Look) -> Interval:
        try:
            info = await server.read_info(look)
        except CacheError:
            self._before = (-math.inf, None, {})
            raise
        at, life, counters = self._clock.monotonic(), info.get("run_id"), cache_figures.counters(info)
        counters |= {"own_hits": look.panel.lookups.hits, "own_misses": look.panel.lookups.misses}
        was_at, was_life, before = self._before
        self._before = (at, life, counters)
        grown = {name: value - before.get(name, 0.0) for name, value in counters.items()}
        is_whole = was_life == life and before.keys() <= counters.keys() and min(grown.values()) >= 0
        return Interval(info, grown if is_whole else None, at - was_at)


class MemoryProbe(_Probe):
    """Answers ``cache.memory``."""

    name = "cache.memory"

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._pings: deque[float] = deque(maxlen=_KEPT_PINGS)

    async def ask(self, parameters: Mapping[str, Any]) -> MemoryPanel:
        """Return memory, traffic, latency, persistence and replication; raises CacheError."""
        decode(NoParameters, parameters)
        look = self._look()
        interval = await self._interval(look)
        info, grown = interval.info, interval.grown
        for _ in range(_PINGS):
            began = self._clock.monotonic()
            await look.ask("PING")
            self._pings.append((self._clock.monotonic() - began) * 1000)
        spikes = await server.read_spikes(look)
        saves = await server.setting(look, "save")
        look.unread.extend(server.not_covered(info))
        return MemoryPanel(
            at=self._clock.now(),
            server=cache_figures.server_name(info),
            mode=str(info.get("redis_mode") or info.get("server_mode") or "standalone"),
            uptime_s=cache_figures.number(info, "uptime_in_seconds"),
            memory=cache_figures.memory(info),
            interval_s=None if grown is None else interval.seconds,
            flow=cache_figures.flow(grown, interval.seconds),
            clients=info.get("connected_clients"),
            clients_limit=info.get("maxclients"),
            blocked=info.get("blocked_clients"),
            ping_p50_ms=cache_figures.percentile(self._pings, 50),
            ping_p99_ms=cache_figures.percentile(self._pings, 99),
            pings=len(self._pings),
            spikes=tuple(spikes),
            persistence=cache_figures.persistence(info, saves),
            replication=cache_figures.replication(info),
            keyspaces=cache_figures.keyspaces(info, self._cache.database),
            unread=tuple(look.unread),
            cost_ms=look.cost_ms,
        )


class FamiliesProbe(_Probe):
    """Answers ``cache.families``."""

    name = "cache.families"
    timeout_s = 15.0

    async def ask(self, parameters: Mapping[str, Any]) -> FamilyPanel:
        """Return the families of keys, by a bounded sample; raises CacheError."""
        decode(NoParameters, parameters)
        look = self._look()
        await self._note_limits(look)
        return await read_families(look, self._clock)


class KeysProbe(_Probe):
    """Answers ``cache.keys``."""

    name = "cache.keys"
    timeout_s = 15.0

    async def ask(self, parameters: Mapping[str, Any]) -> KeyPage:
        """Return a page of keys, or the biggest of a sample; raises CacheError, InvalidParameters."""
        wanted = decode(KeysParameters, parameters)
        look, pattern = self._look(), keyspace.as_pattern(wanted.pattern)
        if not wanted.cursor:
            await self._note_limits(look)
        total = int(await look.ask("DBSIZE"))
        if wanted.order is KeyOrder.BIGGEST:
            keys, walked, sized = await keyspace.biggest(look, pattern)
            cursor, is_whole = "", walked.is_over and sized == len(walked.names)
        else:
            start = (wanted.cursor or "0").encode()
            walked = await keyspace.walk(look, pattern=pattern, cursor=start, wanted=wanted.limit)
            keys = await keyspace.measure(look, walked.names)
            sized = len(keys)
            cursor = "" if walked.is_over else walked.cursor.decode()
            is_whole = walked.is_over and not wanted.cursor
        return KeyPage(
            at=self._clock.now(),
            total=total,
            looked_at=min(total, walked.looked_at),
            sized=sized,
            order=wanted.order,
            pattern=wanted.pattern,
            keys=tuple(keys),
            cursor=cursor,
            is_whole=is_whole,
            seconds=walked.seconds,
            unread=tuple(look.unread),
            cost_ms=look.cost_ms,
        )


class KeyProbe(_Probe):
    """Answers ``cache.key``."""

    name = "cache.key"

    async def ask(self, parameters: Mapping[str, Any]) -> KeyDetail:
        """Return one key with a bounded preview; raises NotFound, CacheError, InvalidParameters."""
        wanted = decode(KeyParameters, parameters)
        try:
            name = unescape(wanted.key)
        except ValueError as error:
            raise InvalidParameters({"key": str(error)}) from error
        return await read_key(self._look(), name, self._clock)


class SlowlogProbe(_Probe):
    """Answers ``cache.slowlog``."""

    name = "cache.slowlog"

    async def ask(self, parameters: Mapping[str, Any]) -> SlowPanel:
        """Return the newest slow commands; raises CacheError."""
        decode(NoParameters, parameters)
        look = self._look()
        calls = await server.read_slow(look)
        threshold = await server.setting(look, "slowlog-log-slower-than")
        most = await server.setting(look, "slowlog-max-len")
        length = await look.allowed("the slow log", "SLOWLOG", "LEN")
        return SlowPanel(
            at=self._clock.now(),
            threshold_ms=None if threshold is None else int(threshold) / 1000,
            most=None if most is None else int(most),
            length=length if length is not None else len(calls or ()),
            calls=tuple(calls or ()),
            unread=tuple(look.unread),
            cost_ms=look.cost_ms,
        )


class ClientsProbe(_Probe):
    """Answers ``cache.clients``."""

    name = "cache.clients"

    async def ask(self, parameters: Mapping[str, Any]) -> ClientPanel:
        """Return who is connected; raises CacheError."""
        decode(NoParameters, parameters)
        look = self._look()
        info = await server.read_info(look)
        connected = cache_figures.number(info, "connected_clients")
        clients = await server.read_clients(look, connected)
        return ClientPanel(
            at=self._clock.now(),
            total=int(connected or 0) if clients is None else len(clients),
            limit=info.get("maxclients"),
            clients=tuple(clients or ()),
            unread=tuple(look.unread),
            cost_ms=look.cost_ms,
        )


class CommandsProbe(_Probe):
    """Answers ``cache.commands``."""

    name = "cache.commands"

    async def ask(self, parameters: Mapping[str, Any]) -> CommandPanel:
        """Return how often each command ran over the interval and what it cost; raises CacheError."""
        decode(NoParameters, parameters)
        look = self._look()
        interval = await self._interval(look)
        return CommandPanel(
            at=self._clock.now(),
            interval_s=None if interval.grown is None else interval.seconds,
            commands=cache_figures.commands(interval.info, interval.grown, interval.seconds),
            unread=tuple(look.unread),
            cost_ms=look.cost_ms,
        )


class AdviceProbe(_Probe):
    """Answers ``cache.advice``."""

    name = "cache.advice"
    timeout_s = 20.0

    async def ask(self, parameters: Mapping[str, Any]) -> CacheAdvice:
        """Return what to change, worst first; raises CacheError."""
        decode(NoParameters, parameters)
        began = self._clock.monotonic()
        facts = await read_cache(self._cache, interval_s=_ADVICE_S)
        spent = self._clock.monotonic() - began - facts.seconds
        findings = sorted(redis_findings(facts), key=lambda one: (_ORDER[one.severity], one.id, one.subject))
        return CacheAdvice(
            at=self._clock.now(),
            use=cache_figures.use(role_of(facts)),
            interval_s=facts.seconds,
            findings=tuple(findings),
            unread=(*server.not_covered(facts.after), *facts.unread),
            cost_ms=spent * 1000,
        )
