"""Findings on Redis or Valkey. A broker must never lose a key, a cache must be free to: the role decides most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from qsuite_console.cache.survey import CacheFacts
from qsuite_console.metrics.advice import wording
from qsuite_console.metrics.advice.redis_work import PART, work_findings
from qsuite_console.model.advice import Evidence, Finding, Severity

_MIB: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Role:
    """What an instance is used for, by the names of its keys; None: not known."""

    is_broker: bool | None
    is_cache: bool | None

    @property
    def is_pure_cache(self) -> bool:
        """Tell whether it holds cached values and no messages."""
        return self.is_broker is False and self.is_cache is True


def role_of(facts: CacheFacts) -> Role:
    """Return what the sampled keys say; absence counts only when all keys were seen."""
    sample = facts.sample
    if sample is None:
        return Role(None, None)
    unseen = False if sample.is_whole else None
    return Role(sample.broker > 0 or unseen, sample.cached > 0 or unseen)


def redis_findings(facts: CacheFacts) -> Iterator[Finding]:
    """Yield what to change."""
    role = role_of(facts)
    yield from _roles(facts, role)
    yield from _memory(facts, role)
    yield from _keeping(facts, role)
    yield from _connections(facts)
    yield from _observing(facts)
    yield from work_findings(facts)
    yield from _ages(facts)


def _finding(
    rule: str,
    severity: Severity,
    title: str,
    *,
    evidence: tuple[Evidence, ...],
    formula: str,
    setting: tuple[str, str, str] | None = None,
    advice: str = "",
    is_safe: bool = False,
) -> Finding:
    """Return a finding; ``setting`` is name, current and recommended value, set at once and kept by CONFIG REWRITE."""
    name, current, recommended = setting or ("", "", "")
    return Finding(
        id=rule,
        part=PART,
        subject=name,
        title=title,
        severity=severity,
        evidence=evidence,
        formula=formula,
        current=current,
        recommended=recommended,
        advice=advice,
        fix=f"CONFIG SET {name} {recommended}" if name else "",
        is_safe=is_safe,
    )


def _policy(facts: CacheFacts) -> str:
    return str(facts.after.get("maxmemory_policy", ""))


def _roles(facts: CacheFacts, role: Role) -> Iterator[Finding]:
    sample, policy = facts.sample, _policy(facts)
    if sample is None or not role.is_broker:
        return
    broker = wording.count("broker keys", sample.broker)
    if policy and policy != "noeviction":
        yield _finding(
            "RD01",
            Severity.CRITICAL,
            "A broker that may evict loses tasks",
            evidence=(broker, wording.word("maxmemory_policy", policy)),
            formula="noeviction wherever queues are",
            setting=("maxmemory-policy", policy, "noeviction"),
        )
    if sample.cached:
        yield _finding(
            "RD02",
            Severity.WARNING,
            "Queues and cached values share an instance: one limit and one policy can't fit both",
            evidence=(broker, wording.count("cache keys", sample.cached)),
            formula="separate instances for broker and cache",
            advice="give the cache an instance of its own",
        )
    if facts.after.get("aof_enabled") == 0:
        yield _finding(
            "RD06",
            Severity.WARNING,
            "A crash loses the tasks since the last snapshot",
            evidence=(broker, wording.count("aof_enabled", 0)),
            formula="appendonly yes on a broker",
            setting=("appendonly", "no", "yes"),
            advice="with appendfsync everysec",
        )


def _memory(facts: CacheFacts, role: Role) -> Iterator[Finding]:
    used, most = facts.number("used_memory"), facts.number("maxmemory")
    if used is None or most is None:
        return
    policy = _policy(facts)
    if most == 0:
        share = "60 to 75 % of its memory for a cache" if role.is_pure_cache else "generous for a broker, alarm at 70 %"
        yield _finding(
            "RD03",
            Severity.WARNING,
            "It may grow until the host runs out of memory",
            evidence=(wording.size("used_memory", used), wording.count("maxmemory", 0)),
            formula=f"maxmemory above 0: {share}",
            advice="set maxmemory",
        )
    elif role.is_pure_cache and policy == "noeviction" and used > 0.9 * most:
        yield _finding(
            "RD04",
            Severity.CRITICAL,
            "A full cache that may not evict refuses writes",
            evidence=(wording.size("used_memory", used), wording.size("maxmemory", most)),
            formula="allkeys-lru or allkeys-lfu on a cache above 90 %",
            setting=("maxmemory-policy", policy, "allkeys-lru"),
        )
    yield from _pressure(facts, role)
    yield from _copying(facts)
    ratio, wasted = facts.number("allocator_frag_ratio"), facts.number("allocator_frag_bytes")
    if ratio is not None and wasted is not None and ratio > 1.5 and wasted > 100 * _MIB:
        yield _finding(
            "RD10",
            Severity.INFO,
            "Memory is fragmented",
            evidence=(wording.number("allocator_frag_ratio", ratio), wording.size("allocator_frag_bytes", wasted)),
            formula="ratio below 1.5, or less than 100 MB lost",
            setting=("activedefrag", "", "yes"),
            advice="or restart it in a quiet hour",
        )
    swapped, dataset = facts.number("mem_fragmentation_ratio"), facts.number("used_memory_dataset")
    if swapped is not None and dataset is not None and 0 < swapped < 1 and dataset > 100 * _MIB:
        yield _finding(
            "RD11",
            Severity.CRITICAL,
            "Part of it is swapped out",
            evidence=(wording.number("mem_fragmentation_ratio", swapped), wording.size("used_memory_dataset", dataset)),
            formula="resident memory at least the dataset's",
            advice="free memory on the host or lower maxmemory",
        )


def _copying(facts: CacheFacts) -> Iterator[Finding]:
    """Saving forks: what is written meanwhile is copied, up to the whole dataset once more."""
    used, host = facts.number("used_memory"), facts.number("total_system_memory")
    saves = bool((facts.settings or {}).get("save"))
    appends = facts.after.get("aof_enabled") == 1
    if used is None or not host or used <= 0.5 * host or not (saves or appends):
        return
    yield _finding(
        "RD09",
        Severity.WARNING,
        "Saving may need more memory than the host has",
        evidence=(
            wording.size("used_memory", used),
            wording.size("total_system_memory", host),
            wording.word("persistence", " and ".join(("snapshots",) * saves + ("append-only file",) * appends)),
        ),
        formula="used_memory up to 50 % of the host's memory while it is saved to disk",
        advice="vm.overcommit_memory = 1, a lower maxmemory or more memory; a cache needs no persistence at all",
    )


def _pressure(facts: CacheFacts, role: Role) -> Iterator[Finding]:
    evicted, hits, misses = (facts.grown(name) for name in ("evicted_keys", "keyspace_hits", "keyspace_misses"))
    if role.is_broker or evicted is None or hits is None or misses is None or hits + misses < 50:
        return
    if evicted / facts.seconds > 1 and hits < 0.8 * (hits + misses):
        yield _finding(
            "RD05",
            Severity.WARNING,
            "Values are evicted before they are used",
            evidence=(
                wording.count("evicted", evicted),
                wording.count("hits", hits),
                wording.count("misses", misses),
                wording.span("interval", facts.seconds),
            ),
            formula="less than 1 eviction a second, or a hit rate of 80 %",
            advice="more memory or shorter lives",
        )


def _keeping(facts: CacheFacts, role: Role) -> Iterator[Finding]:
    broken = [
        name
        for name in ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status")
        if facts.after.get(name) == "err"
    ]
    if broken:
        yield _finding(
            "RD07",
            Severity.CRITICAL,
            "It can't save to disk and may refuse writes",
            evidence=tuple(wording.word(name, facts.after[name]) for name in broken),
            formula="the last save succeeded",
            advice="free its disk, check permissions; its log says why",
        )
    save = (facts.settings or {}).get("save", "")
    if role.is_pure_cache and save:
        yield _finding(
            "RD08",
            Severity.INFO,
            "A cache is saved to disk for nothing",
            evidence=(wording.word("save", save),),
            formula="no persistence for what can be computed again",
            setting=("save", save, '""'),
        )
    forked = facts.number("latest_fork_usec")
    if forked is not None and forked > 500_000:
        yield _finding(
            "RD15",
            Severity.WARNING,
            "It stands still while it forks to save",
            evidence=(wording.count("latest_fork_usec", forked, "µs"),),
            formula="below 500 ms",
            advice="a smaller instance, transparent huge pages off",
        )
    if facts.after.get("role") == "slave" and facts.after.get("master_link_status") != "up":
        yield _finding(
            "RD18",
            Severity.CRITICAL,
            "The replica has lost its primary",
            evidence=(wording.word("master_link_status", facts.after.get("master_link_status")),),
            formula="link up",
            advice="check the network and the primary's log",
        )


def _connections(facts: CacheFacts) -> Iterator[Finding]:
    clients, most = facts.number("connected_clients"), facts.number("maxclients")
    rejected = facts.grown("rejected_connections")
    if clients is not None and most and (clients > 0.8 * most or rejected):
        yield _finding(
            "RD12",
            Severity.CRITICAL if rejected else Severity.WARNING,
            "Few connections are left",
            evidence=(wording.count("connected_clients", clients), wording.count("maxclients", most)),
            formula="below 80 % of maxclients, none refused",
            advice="look for a pool that leaks: CLIENT LIST",
        )
    settings = facts.settings or {}
    if facts.is_open and settings.get("protected-mode") == "no":
        yield _finding(
            "RD16",
            Severity.CRITICAL,
            "Whoever reaches the port may do anything",
            evidence=(wording.word("protected-mode", "no"), wording.word("default user", "no password")),
            formula="a password for the default user, or protected-mode yes",
            advice="ACL SETUSER default, TLS; protected-mode yes meanwhile",
            setting=("protected-mode", "no", "yes"),
        )
    if settings.get("tcp-keepalive") == "0":
        yield _finding(
            "RD19",
            Severity.INFO,
            "Connections of clients that vanished are kept for ever",
            evidence=(wording.word("tcp-keepalive", "0"),),
            formula="300 s, 60 s behind NAT",
            setting=("tcp-keepalive", "0", "300"),
            is_safe=True,
        )


def _observing(facts: CacheFacts) -> Iterator[Finding]:
    settings = facts.settings or {}
    for name, useless, value, title in (
        ("latency-monitor-threshold", ("0",), "100", "Latency spikes leave no trace"),
        ("slowlog-log-slower-than", ("-1",), "10000", "Slow commands leave no trace"),
    ):
        if settings.get(name) in useless:
            current = settings[name]
            yield _finding(
                "RD13",
                Severity.INFO,
                title,
                evidence=(wording.word(name, current),),
                formula=f"{name} {value}",
                setting=(name, current, value),
                is_safe=True,
            )


def _ages(facts: CacheFacts) -> Iterator[Finding]:
    sample = facts.sample
    if sample is not None and sample.ageless and sample.aged:
        yield _finding(
            "RD17",
            Severity.INFO,
            "Cached values never expire",
            evidence=(wording.count("without TTL", sample.ageless), wording.count("cache keys asked", sample.aged)),
            formula="every cached value has a TTL",
            advice="write with EX; clean what is there with EXPIRE … NX, in batches",
        )
    if sample is not None and sample.results_ageless:
        yield _finding(
            "RD22",
            Severity.WARNING,
            "Results of tasks never expire",
            evidence=(
                wording.count("without TTL", sample.results_ageless),
                wording.count("results asked", sample.results_aged),
            ),
            formula="every result has a TTL",
            advice="set result_expires",
        )
    stale = facts.number("expired_stale_perc")
    if stale is not None and stale > 10:
        yield _finding(
            "RD21",
            Severity.INFO,
            "Expired values stay in memory",
            evidence=(wording.percent("expired_stale_perc", stale),),
            formula="below 10 %",
            setting=("active-expire-effort", "", "5"),
        )
