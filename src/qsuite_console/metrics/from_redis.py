"""The tile of Redis or Valkey, from one INFO a sample: operations, hits and evictions over the interval, memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from qsuite_console.cache.client import Cache
from qsuite_console.cache.errors import CacheError
from qsuite_console.metrics import units
from qsuite_console.metrics.sources import MEASURING, Rates, Sample, figure, judged, share
from qsuite_console.model.clock import Clock
from qsuite_console.model.health import Figure

_MINIMUM_LOOKUPS: Final = 50  # fewer say nothing about a hit rate
_FRAGMENTED_BYTES: Final = 100 * 1024 * 1024  # the ratio of a small instance is always large and means nothing
_OWN_COMMANDS: Final = 1.0  # our INFO
_COUNTERS: Final = (
    "total_commands_processed",
    "keyspace_hits",
    "keyspace_misses",
    "evicted_keys",
    "expired_keys",
)


class RedisSource:
    """Reads one server through the console's cache client."""

    name = "redis"
    title = "Redis"

    def __init__(self, cache: Cache, clock: Clock) -> None:
        self._cache = cache
        self._clock = clock
        self._rates = Rates()

    @property
    def unconfigured(self) -> str:
        """Return why there is nothing to read, or ""."""
        return "" if self._cache.is_configured else "not configured: set REDIS_URL or run init"

    @property
    def headline(self) -> Figure:
        """Return the headline before the first interval is over."""
        return figure("ops", "operations", MEASURING, None, "/s")

    async def read(self) -> Sample:
        """Return one sample; raises CacheError."""
        try:
            info = await self._cache.info()
        except CacheError:
            self._rates.forget()
            raise
        return self._sample(info)

    async def close(self) -> None:
        """Keep the client open: it belongs to the composition root."""

    def _sample(self, info: Mapping[str, Any]) -> Sample:
        counters = {name: float(info[name]) for name in _COUNTERS if name in info}
        own = self._cache.lookups
        counters |= {"own_hits": own.hits, "own_misses": own.misses, "own_commands": own.commands}
        # A restart shows as a new run_id; the clock is ours because INFO has only whole seconds.
        grown = self._rates.advance(self._clock.monotonic(), counters, epoch=info.get("run_id"))
        seconds = self._rates.seconds
        ops = hit = evicted = None
        if grown is not None:
            ours = grown["own_commands"] + _OWN_COMMANDS
            ops = max(0.0, grown.get("total_commands_processed", 0.0) - ours) / seconds
            evicted = grown.get("evicted_keys", 0.0) / seconds
            hits = max(0.0, grown.get("keyspace_hits", 0.0) - grown["own_hits"])
            lookups = hits + max(0.0, grown.get("keyspace_misses", 0.0) - grown["own_misses"])
            hit = share(hits, lookups) if lookups >= _MINIMUM_LOOKUPS else None
        memory, memory_figure = _memory(info)
        clients, clients_figure = _clients(info)
        fragmentation, fragmentation_figure = _fragmentation(info)
        return Sample(
            headline=self.headline if ops is None else figure("ops", "operations", units.rate(ops), ops, "/s"),
            figures=(
                memory_figure,
                judged(
                    "hit_rate", "hit rate", "idle" if hit is None else units.percent(hit), hit, "redis.hit_rate", hit
                ),
                clients_figure,
                judged(
                    "evictions",
                    "evictions",
                    MEASURING if evicted is None else units.rate(evicted),
                    evicted,
                    "redis.evictions",
                    evicted,
                ),
                fragmentation_figure,
                figure("keys", "keys", units.count(_keys(info)), _keys(info)),
                *_persistence(info),
            ),
            watched={
                "redis.memory": memory,
                "redis.hit_rate": hit,
                "redis.clients": clients,
                "redis.evictions": evicted,
                "redis.fragmentation": fragmentation,
            },
        )


def _number(info: Mapping[str, Any], name: str) -> float | None:
    value = info.get(name)
    return float(value) if isinstance(value, int | float) else None


def _memory(info: Mapping[str, Any]) -> tuple[float | None, Figure]:
    used, most = _number(info, "used_memory"), _number(info, "maxmemory")
    if used is None:
        return None, figure("memory", "memory", "not readable", None, "B")
    if not most:  # no limit: it may grow until the host is full, so the host's memory is the limit
        host = _number(info, "total_system_memory")
        ratio = share(_number(info, "used_memory_rss"), host)
        return ratio, judged("memory", "memory", f"{units.size(used)}, no limit", used, "redis.memory", ratio)
    ratio = share(used, most)
    return ratio, judged("memory", "memory", f"{units.size(used)} / {units.size(most)}", used, "redis.memory", ratio)


def _clients(info: Mapping[str, Any]) -> tuple[float | None, Figure]:
    clients, most = _number(info, "connected_clients"), _number(info, "maxclients")
    if clients is None:
        return None, figure("clients", "clients", "not readable", None)
    text = units.count(clients) + (f" / {units.count(most)}" if most else "")
    ratio = share(clients, most)
    return ratio, judged("clients", "clients", text, clients, "redis.clients", ratio)


def _fragmentation(info: Mapping[str, Any]) -> tuple[float | None, Figure]:
    ratio, wasted = _number(info, "allocator_frag_ratio"), _number(info, "allocator_frag_bytes")
    if ratio is None:
        return None, figure("fragmentation", "fragmentation", "not readable", None)
    measured = ratio if (wasted or 0) > _FRAGMENTED_BYTES else 1.0
    return measured, judged("fragmentation", "fragmentation", f"{ratio:.2f}", ratio, "redis.fragmentation", measured)


def _keys(info: Mapping[str, Any]) -> float:
    spaces = (value for name, value in info.items() if name.startswith("db") and isinstance(value, dict))
    return float(sum(space.get("keys", 0) for space in spaces))


def _persistence(info: Mapping[str, Any]) -> tuple[Figure, ...]:
    role = info.get("role")
    broken = info.get("rdb_last_bgsave_status") == "err" or info.get("aof_last_write_status") == "err"
    found = []
    if role == "slave":
        found.append(figure("role", "replica, link", str(info.get("master_link_status", "unknown")), None))
    if broken:
        found.append(figure("persistence", "last save", "failed", None))
    return tuple(found)
