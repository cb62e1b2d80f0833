"""What scores count, from what was read: one figure for each thing that applies here, and why one is missing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from qsuite_console.cache.survey import CacheFacts
from qsuite_console.db.settings import ServerFacts
from qsuite_console.metrics.advice.redis import Role
from qsuite_console.metrics.scores import measure
from qsuite_console.metrics.sources import share
from qsuite_console.model.advice import Measure

MINIMUM_BLOCKS: Final = 100  # fewer say nothing about a rate
MINIMUM_TRANSACTIONS: Final = 50
MINIMUM_LOOKUPS: Final = 50
_MIB: Final = 1024**2
_FRAGMENTED: Final = 100 * _MIB
_NOT_MONITOR: Final = "sessions of other roles are hidden: grant pg_monitor"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLook:
    """The host's counters at one moment: seconds of all cores since boot, memory in bytes, bytes swapped in."""

    at: float
    busy_s: float
    iowait_s: float
    total_s: float
    memory_percent: float
    load: float
    cores: int
    swapped_in: float


def database_measures(facts: ServerFacts, *, disk_percent: float | None) -> Iterator[Measure]:
    """Yield the figures of PostgreSQL; ``disk_percent`` is None where its disk is not ours to see."""
    sessions = facts.sessions
    yield measure("database.connections", share(sessions["sessions"], sessions["usable"]), "no connections are allowed")
    yield measure("database.lock_wait", sessions["lock_wait_s"])
    # An old transaction of our own role is seen all the same, and one that is seen is bad enough to count.
    hides = sessions["hidden"] and sessions["transaction_s"] < 60
    yield measure("database.transaction", None if hides else sessions["transaction_s"], _NOT_MONITOR)
    yield measure("database.hit_rate", hit_rate(facts), f"fewer than {MINIMUM_BLOCKS} blocks were looked at")
    commits, rollbacks = facts.grown("commits"), facts.grown("rollbacks")
    ended = None if commits is None or rollbacks is None else commits + rollbacks
    enough = ended is not None and ended >= MINIMUM_TRANSACTIONS
    yield measure(
        "database.rollbacks",
        share(rollbacks, ended) if enough else None,
        f"fewer than {MINIMUM_TRANSACTIONS} transactions ended",
    )
    yield from _replication(facts)
    tables = facts.rows.get("advice_tables")
    triggers = [row["of_trigger"] or 0.0 for row in tables or () if row["dead"] > 1000]
    yield measure("database.dead_rows", None if tables is None else max(triggers, default=0.0), "tables can't be read")
    ages = facts.rows.get("advice_wraparound")
    yield measure(
        "database.xid_age", max((row["of_forced"] for row in ages), default=0.0) if ages else None, "can't be read"
    )
    yield measure("database.disk", disk_percent, "the server's disk is not visible from here")


def hit_rate(facts: ServerFacts) -> float | None:
    """Return the share of blocks found in memory over the interval in percent, None when there were too few."""
    read, hit = facts.grown("blocks_read"), facts.grown("blocks_hit")
    if read is None or hit is None or read + hit < MINIMUM_BLOCKS:
        return None
    return share(hit, read + hit)


def cache_hit_rate(facts: CacheFacts) -> float | None:
    """Return the share of lookups that found their key over the interval in percent, None when there were too few."""
    hits, misses = facts.grown("keyspace_hits"), facts.grown("keyspace_misses")
    if hits is None or misses is None or hits + misses < MINIMUM_LOOKUPS:
        return None
    return share(hits, hits + misses)


def cache_measures(facts: CacheFacts, role: Role) -> Iterator[Measure]:
    """Yield the figures of Redis or Valkey in its role."""
    used, most = facts.number("used_memory"), facts.number("maxmemory")
    if not most:  # no limit: the host's memory is the limit
        used, most = facts.number("used_memory_rss"), facts.number("total_system_memory")
    yield measure("cache.memory", share(used, most), "INFO does not tell")
    if not role.is_broker or role.is_cache:
        yield measure("cache.hit_rate", cache_hit_rate(facts), f"fewer than {MINIMUM_LOOKUPS} keys were looked up")
    evicted = facts.grown("evicted_keys")
    yield measure(
        "cache.broker_evictions" if role.is_broker else "cache.evictions",
        None if evicted is None or facts.seconds <= 0 else evicted / facts.seconds,
        "it restarted meanwhile",
    )
    yield measure(
        "cache.clients", share(facts.number("connected_clients"), facts.number("maxclients")), "INFO lacks it"
    )
    yield measure("cache.ping", percentile(facts.pings_ms, 0.95), "no answer")
    ratio, wasted = facts.number("allocator_frag_ratio"), facts.number("allocator_frag_bytes")
    if ratio is not None and (wasted is None or wasted <= _FRAGMENTED):
        ratio = 1.0  # the ratio of a small instance is always large and means nothing
    yield measure("cache.fragmentation", ratio, "INFO lacks it")
    states = [facts.after.get(name) for name in ("rdb_last_bgsave_status", "aof_last_write_status")]
    told = [state for state in states if state is not None]
    yield measure(
        "cache.persistence", None if not told else float(all(state == "ok" for state in told)), "INFO lacks it"
    )


def system_measures(before: HostLook, after: HostLook) -> Iterator[Measure]:
    """Yield the figures of this host over the interval between two looks."""
    total, seconds = after.total_s - before.total_s, after.at - before.at
    why = "the clock of the CPU did not advance"
    yield measure("system.cpu", _bounded(share(after.busy_s - before.busy_s, max(0.0, total))), why)
    yield measure("system.memory", after.memory_percent)
    yield measure("system.load", after.load / after.cores)
    yield measure("system.iowait", _bounded(share(after.iowait_s - before.iowait_s, max(0.0, total))), why)
    swapped = (after.swapped_in - before.swapped_in) / _MIB
    yield measure("system.swap_in", max(0.0, swapped) / seconds if seconds > 0 else None, why)


def percentile(values: Sequence[float], rank: float) -> float | None:
    """Return the nearest-rank percentile, None of nothing."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(rank * len(values)) - 1)]


def values_of(measures: Sequence[Measure]) -> Mapping[str, float | None]:
    """Return measure id -> value."""
    return {one.id: one.value for one in measures}


def _replication(facts: ServerFacts) -> Iterator[Measure]:
    for row in facts.rows.get("advice_replication", ()):
        if row["standbys"]:  # without a standby there is nothing to be behind
            behind = row["behind_bytes"]
            hides = behind is None or row["hidden"]
            yield measure("database.replication", None if hides else behind / _MIB, _NOT_MONITOR)


def _bounded(percent: float | None) -> float | None:
    return None if percent is None else min(100.0, max(0.0, percent))
