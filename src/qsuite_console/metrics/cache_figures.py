"""INFO of Redis or Valkey turned into what the panels show: pure functions over two readings; nothing since boot.

A field that a server does not have gives None, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from qsuite_console.metrics.advice.redis import Role
from qsuite_console.model.cache import (
    CommandUse,
    Flow,
    Keyspace,
    Memory,
    Persistence,
    Replica,
    Replication,
)
from qsuite_console.model.text import clean

MINIMUM_LOOKUPS: Final = 50  # fewer say nothing about a hit rate
_COUNTERS: Final = (
    "total_commands_processed",
    "keyspace_hits",
    "keyspace_misses",
    "evicted_keys",
    "expired_keys",
    "rejected_connections",
    "total_net_input_bytes",
    "total_net_output_bytes",
    "used_cpu_sys_main_thread",
    "used_cpu_user_main_thread",
)
_COMMAND: Final = "cmdstat_"
_PERCENTILES: Final = "latency_percentiles_usec_"
_SAVED: Final = {
    "rdb_last_bgsave_status": "the last snapshot failed",
    "aof_last_write_status": "the last write to the append-only file failed",
    "aof_last_bgrewrite_status": "the last rewrite of the append-only file failed",
}


def number(info: Mapping[str, Any], name: str) -> float | None:
    """Return a field as a number, None where this server has none of that name."""
    value = info.get(name)
    return float(value) if isinstance(value, int | float) else None


def whole(info: Mapping[str, Any], name: str) -> int | None:
    """Return a field as a whole number, None where this server has none of that name."""
    value = number(info, name)
    return None if value is None else int(value)


def counters(info: Mapping[str, Any]) -> dict[str, float]:
    """Return every counter that rates are made of, those of single commands as "cmdstat_get.calls"."""
    found = {name: float(info[name]) for name in _COUNTERS if isinstance(info.get(name), int | float)}
    for name, fields in info.items():
        if name.startswith(_COMMAND) and isinstance(fields, dict):
            found |= {f"{name}.{field}": float(value) for field, value in fields.items() if field != "usec_per_call"}
    return found


def flow(grown: Mapping[str, float] | None, seconds: float) -> Flow:
    """Return the rates of an interval; the console's own lookups are in none of them."""
    if grown is None or seconds <= 0:
        return Flow()

    def rate(name: str) -> float | None:
        value = grown.get(name)
        return None if value is None else value / seconds

    hits = misses = None
    if "keyspace_hits" in grown and "keyspace_misses" in grown:
        hits = max(0.0, grown["keyspace_hits"] - grown.get("own_hits", 0.0))
        misses = max(0.0, grown["keyspace_misses"] - grown.get("own_misses", 0.0))
    lookups = None if hits is None or misses is None else hits + misses
    system, user = rate("used_cpu_sys_main_thread"), rate("used_cpu_user_main_thread")
    return Flow(
        commands=rate("total_commands_processed"),
        lookups=None if lookups is None else lookups / seconds,
        hit_rate=100 * hits / lookups if hits is not None and lookups and lookups >= MINIMUM_LOOKUPS else None,
        evicted=rate("evicted_keys"),
        expired=rate("expired_keys"),
        rejected=rate("rejected_connections"),
        received=rate("total_net_input_bytes"),
        sent=rate("total_net_output_bytes"),
        processor=None if system is None or user is None else 100 * (system + user),
    )


def commands(info: Mapping[str, Any], grown: Mapping[str, float] | None, seconds: float) -> tuple[CommandUse, ...]:
    """Return the commands that ran in the interval, most processor time first."""
    found = []
    for name, fields in info.items():
        if not name.startswith(_COMMAND) or grown is None or seconds <= 0:
            continue
        calls, spent, failed, rejected = (
            grown.get(f"{name}.{field}", 0.0) for field in ("calls", "usec", "failed_calls", "rejected_calls")
        )
        if calls + rejected <= 0:
            continue
        plain = name.removeprefix(_COMMAND)
        percentiles = info.get(_PERCENTILES + plain) or {}
        found.append(
            CommandUse(
                name=clean(plain.replace("|", " ").upper(), 40),
                calls=calls / seconds,
                mean_us=spent / calls if calls else None,
                processor=spent / seconds / 1e4,
                failed=failed / seconds,
                rejected=rejected / seconds,
                p50_us=percentiles.get("p50"),
                p99_us=percentiles.get("p99"),
                total=int(fields.get("calls", 0)),
            )
        )
    return tuple(sorted(found, key=lambda one: (-one.processor, -one.calls, one.name)))


def percentile(values: Collection[float], percent: float) -> float | None:
    """Return the nearest-rank percentile, None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)] if ordered else None


def server_name(info: Mapping[str, Any]) -> str:
    """Return "Valkey 9.1.2" or "Redis 7.0.15"."""
    if info.get("server_name") == "valkey":
        return f"Valkey {clean(info.get('valkey_version', ''), 30)}"
    return f"Redis {clean(info.get('redis_version', ''), 30)}"


def memory(info: Mapping[str, Any]) -> Memory:
    """Return where the memory is."""
    return Memory(
        used=whole(info, "used_memory"),
        peak=whole(info, "used_memory_peak"),
        resident=whole(info, "used_memory_rss"),
        limit=whole(info, "maxmemory") or 0,
        policy=clean(info.get("maxmemory_policy", ""), 30),
        host=whole(info, "total_system_memory"),
        dataset=whole(info, "used_memory_dataset"),
        overhead=whole(info, "used_memory_overhead"),
        clients=whole(info, "mem_clients_normal"),
        scripts=whole(info, "used_memory_scripts"),
        backlog=whole(info, "mem_replication_backlog"),
        ratio=number(info, "mem_fragmentation_ratio"),
        allocator_ratio=number(info, "allocator_frag_ratio"),
        allocator_wasted=whole(info, "allocator_frag_bytes"),
    )


def persistence(info: Mapping[str, Any], saves: str | None) -> Persistence:
    """Return what is kept over a crash; ``saves`` is the setting of that name, None where it may not be read."""
    saved = whole(info, "rdb_last_save_time")
    forked = number(info, "latest_fork_usec")
    appending = info.get("aof_enabled")
    return Persistence(
        snapshots=saves,
        saved_at=datetime.fromtimestamp(saved, UTC) if saved and (info.get("rdb_saves") or saves) else None,
        unsaved=whole(info, "rdb_changes_since_last_save"),
        is_saving=info.get("rdb_bgsave_in_progress") == 1,
        is_appending=None if appending is None else appending == 1,
        log_size=whole(info, "aof_current_size"),
        fork_ms=None if forked is None else forked / 1000,
        problems=tuple(words for name, words in _SAVED.items() if info.get(name) == "err"),
    )


def replication(info: Mapping[str, Any]) -> Replication:
    """Return whom the server copies, or who copies it and how far behind."""
    offset = number(info, "master_repl_offset")
    replicas = []
    for index in range(int(number(info, "connected_slaves") or 0)):
        said = info.get(f"slave{index}")
        if isinstance(said, dict):
            at = said.get("offset")
            replicas.append(
                Replica(
                    address=clean(f"{said.get('ip', '?')}:{said.get('port', '?')}", 80),
                    state=clean(said.get("state", ""), 30),
                    behind=max(0, int(offset - at)) if offset is not None and isinstance(at, int) else None,
                    heard_s=said.get("lag") if isinstance(said.get("lag"), int) else None,
                )
            )
    is_replica = info.get("role") == "slave"
    return Replication(
        role="replica" if is_replica else "primary" if info.get("role") == "master" else "",
        primary=clean(f"{info.get('master_host')}:{info.get('master_port')}", 80) if is_replica else "",
        link=clean(info.get("master_link_status", ""), 20),
        silent_s=number(info, "master_last_io_seconds_ago") if is_replica else None,
        replicas=tuple(replicas),
    )


def keyspaces(info: Mapping[str, Any], ours: int) -> tuple[Keyspace, ...]:
    """Return the databases that hold keys, by number; the console's own also when it is empty."""
    found = {}
    for name, said in info.items():
        if name.startswith("db") and name[2:].isdigit() and isinstance(said, dict):
            index, ttl = int(name[2:]), said.get("avg_ttl")
            found[index] = Keyspace(
                number=index,
                keys=int(said.get("keys", 0)),
                expiring=int(said.get("expires", 0)),
                average_ttl_s=ttl / 1000 if isinstance(ttl, int) and ttl > 0 else None,
                is_ours=index == ours,
            )
    found.setdefault(ours, Keyspace(number=ours, keys=0, expiring=0, is_ours=True))
    return tuple(found[index] for index in sorted(found))


def use(role: Role) -> str:
    """Return what an instance is used for, in words."""
    words = {
        (True, True): "queues of a broker and cached values",
        (True, False): "queues of a broker",
        (False, True): "cached values",
        (False, False): "nothing yet",
    }
    if role.is_broker is None or role.is_cache is None:
        known = "queues of a broker" if role.is_broker else "cached values" if role.is_cache else "not known"
        return f"{known}; not all keys were seen"
    return words[role.is_broker, role.is_cache]
