"""Looks at one Redis or Valkey for the analysis: INFO twice, settings, PING, and a bounded sample of keys.

Both INFOs come before anything else is asked, so that our own lookups are in no rate. No key's value is ever read, and
of passwords only whether there is one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qsuite_console.cache.broker import BrokerFacts, read_broker, read_queues, use_of
from qsuite_console.cache.errors import CacheRefused, CacheUnauthorized
from qsuite_console.cache.panels import Look
from qsuite_console.cache.server import read_slow
from qsuite_console.model.advice import Unread
from qsuite_console.model.cache import SlowCall
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.cache.client import Cache

SAMPLE_KEYS: Final = 20_000
SAMPLE_S: Final = 1.0
_TTL_KEYS: Final = 500
_PINGS: Final = 20
_SETTINGS: Final = (
    "maxmemory",
    "maxmemory-policy",
    "appendonly",
    "save",
    "latency-monitor-threshold",
    "slowlog-log-slower-than",
    "tcp-keepalive",
    "protected-mode",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySample:
    """What names of keys tell. ``keys`` were seen of ``total`` in this database; TTLs of ``aged`` cache keys asked."""

    total: int
    keys: int
    is_whole: bool
    broker: int = 0
    results: int = 0
    cached: int = 0
    aged: int = 0
    ageless: int = 0  # of those, without a TTL
    results_aged: int = 0
    results_ageless: int = 0
    queues: frozenset[bytes] = frozenset()  # the broker's, by their bindings


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheFacts:
    """What one server said. ``settings``, ``sample`` and ``is_open`` are None where the user may not ask."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    seconds: float
    pings_ms: Sequence[float]
    settings: Mapping[str, str] | None
    sample: KeySample | None
    is_open: bool | None  # anybody is let in without a password
    slow: Sequence[SlowCall] | None = None  # newest first
    broker: BrokerFacts | None = None  # None also where there is none
    unread: tuple[Unread, ...] = ()

    def grown(self, counter: str) -> float | None:
        """Return a counter's growth over the interval, None when the server restarted meanwhile or has none."""
        before, after = self.before.get(counter), self.after.get(counter)
        if before is None or after is None or self.before.get("run_id") != self.after.get("run_id") or after < before:
            return None
        return float(after - before)

    def number(self, name: str) -> float | None:
        """Return a field of INFO as a number, None when this server has none of that name."""
        value = self.after.get(name)
        return float(value) if isinstance(value, int | float) else None


async def read_cache(cache: Cache, *, interval_s: float) -> CacheFacts:
    """Return what the server says, its counters ``interval_s`` apart; raises CacheError when it doesn't answer."""
    before, began = await cache.info("everything"), time.monotonic()
    await asyncio.sleep(interval_s)
    after = await cache.info("everything")
    seconds = time.monotonic() - began
    pings = []
    for _ in range(_PINGS):
        asked = time.perf_counter()
        await cache.ping()
        pings.append((time.perf_counter() - asked) * 1000)
    unread: list[Unread] = []
    settings = await _allowed(_settings(cache), "cache settings (CONFIG GET)", unread)
    is_open = await _allowed(_is_open(cache), "the cache's users (ACL GETUSER)", unread)
    sample: KeySample | None = await _allowed(_sample(cache), "names of cache keys (SCAN)", unread)
    look = Look(cache.panel)
    slow = await read_slow(look)
    broker = await read_broker(look, sample.queues) if sample is not None and sample.broker else None
    unread += look.unread
    others = sorted(name for name in after if name.startswith("db") and isinstance(after[name], dict))
    here = f"db{cache.where.rpartition('/')[2]}" if cache.where.rpartition("/")[2].isdigit() else "db0"
    elsewhere = [name for name in others if name != here]
    if elsewhere:
        unread.append(Unread(what=f"keys in {', '.join(elsewhere)}", why=f"the console's connection is to {here}"))
    return CacheFacts(
        before=before,
        after=after,
        seconds=seconds,
        pings_ms=tuple(pings),
        settings=settings,
        sample=sample,
        is_open=is_open,
        slow=slow,
        broker=broker,
        unread=tuple(unread),
    )


async def _allowed(question: Any, what: str, unread: list[Unread]) -> Any:
    try:
        return await question
    except (CacheUnauthorized, CacheRefused) as error:
        unread.append(Unread(what=what, why=error.message, hint=error.hint))
        return None


async def _settings(cache: Cache) -> Mapping[str, str]:
    async with cache.guard() as client:
        found: dict[str, str] = {}
        for name in _SETTINGS:  # one at a time: several in one question need 7.0
            answer = await client.config_get(name)
            found |= {_text(key): _text(value) for key, value in answer.items()}
    return found


async def _is_open(cache: Cache) -> bool:
    async with cache.guard() as driver:
        client: Any = driver
        user = await client.acl_getuser("default")
    flags = {_text(flag) for flag in (user or {}).get("flags", ())}
    return "nopass" in flags and "on" in flags


async def _sample(cache: Cache) -> KeySample:
    seen: set[bytes] = set()
    until = time.monotonic() + SAMPLE_S
    async with cache.guard() as driver:
        client: Any = driver
        total = int(await client.dbsize())
        cursor = 0
        while True:
            cursor, batch = await client.scan(cursor, count=1000)
            seen.update(batch)
            if cursor == 0 or len(seen) >= SAMPLE_KEYS or time.monotonic() > until:
                break
        queues = await read_queues(Look(cache.panel), seen)
        sorted_keys: dict[str, list[bytes]] = {"broker": [], "results": [], "cache": []}
        for key in seen:
            sorted_keys[use_of(key, queues)].append(key)
        ageless, aged = await _ageless(cache, client, sorted_keys["cache"])
        results_ageless, results_aged = await _ageless(cache, client, sorted_keys["results"])
    return KeySample(
        total=total,
        keys=len(seen),
        is_whole=cursor == 0,
        broker=len(sorted_keys["broker"]),
        results=len(sorted_keys["results"]),
        cached=len(sorted_keys["cache"]),
        aged=aged,
        ageless=ageless,
        results_aged=results_aged,
        results_ageless=results_ageless,
        queues=queues,
    )


async def _ageless(cache: Cache, client: Any, keys: Sequence[bytes]) -> tuple[int, int]:
    """Return (keys without a TTL, keys asked) of the first few hundred; those that went meanwhile don't count."""
    asked = keys[:_TTL_KEYS]
    if not asked:
        return 0, 0
    pipeline = client.pipeline(transaction=False)
    for key in asked:
        pipeline.pttl(key)
    answers = [answer for answer in await pipeline.execute() if answer != -2]
    cache.lookups.add(hits=len(answers), misses=len(asked) - len(answers))
    return sum(answer == -1 for answer in answers), len(answers)


def _text(value: object) -> str:
    return clean(value.decode("utf-8", "replace") if isinstance(value, bytes) else value, 300)
