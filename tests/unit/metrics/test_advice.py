"""Rules of the advisor over made-up facts: brokers and caches told apart, objects named, poolers computed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from qsuite_console.cache.survey import CacheFacts, KeySample
from qsuite_console.db.settings import ServerFacts
from qsuite_console.metrics.advice.measures import cache_measures, database_measures
from qsuite_console.metrics.advice.objects import WORST, object_findings
from qsuite_console.metrics.advice.pooler import pooler_findings
from qsuite_console.metrics.advice.redis import redis_findings, role_of
from qsuite_console.model.advice import Finding, Severity

MB = 1024**2
QUIET = {
    "run_id": "a", "used_memory": 10 * MB, "maxmemory": 100 * MB, "maxmemory_policy": "noeviction", "aof_enabled": 1,
    "connected_clients": 2, "maxclients": 100, "evicted_keys": 0, "keyspace_hits": 0, "keyspace_misses": 0,
    "rdb_last_bgsave_status": "ok", "allocator_frag_ratio": 9.0, "allocator_frag_bytes": MB,
}  # fmt: skip
SESSIONS = {"sessions": 5, "usable": 97, "hidden": 0, "idle_in_tx": 0, "transaction_s": 0.0, "lock_wait_s": 0.0}
COUNTERS = {"at": 0.0, "reset": None, "commits": 0, "rollbacks": 0, "blocks_read": 0, "blocks_hit": 0, "temp_bytes": 0}


def stored(sample: dict[str, int] | None = None, settings: dict[str, str] | None = None, **info: Any) -> CacheFacts:
    after = {**QUIET, **info}
    return CacheFacts(
        before=QUIET,
        after=after,
        seconds=2.0,
        pings_ms=[0.2] * 19 + [7.0],
        settings=settings,
        sample=None if sample is None else KeySample(**{"total": 9, "keys": 9, "is_whole": True, **sample}),
        is_open=False,
    )


def server(rows: dict[str, Any] | None = None, sessions: dict[str, Any] | None = None, **grown: float) -> ServerFacts:
    return ServerFacts(
        server={"version_num": 170002, "now": datetime(2026, 1, 1, tzinfo=UTC)},
        settings={},
        before=COUNTERS,
        after={**COUNTERS, "at": 2.0, **grown},
        sessions={**SESSIONS, **(sessions or {})},
        rows=rows or {},
    )


def ids(findings: Any) -> set[str]:
    return {finding.id for finding in findings}


BROKER, CACHE, BOTH = {"broker": 5}, {"cached": 5}, {"broker": 5, "cached": 5}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (stored(BROKER), set()),
        (stored(BROKER, maxmemory_policy="allkeys-lru"), {"RD01"}),
        (stored(BROKER, aof_enabled=0), {"RD06"}),
        (stored(CACHE, maxmemory_policy="allkeys-lru", aof_enabled=0), set()),
        (stored(BOTH), {"RD02"}),
        (stored(CACHE, maxmemory=0), {"RD03"}),
        (stored(CACHE, used_memory=95 * MB), {"RD04"}),
        (stored(BROKER, used_memory=95 * MB), set()),
        (stored(BOTH | {"is_whole": 0}, used_memory=95 * MB), {"RD02"}),
        (stored(CACHE, evicted_keys=10, keyspace_hits=10, keyspace_misses=90), {"RD05"}),
        (stored(CACHE, evicted_keys=10, keyspace_hits=90, keyspace_misses=10), set()),
        (stored(CACHE, rdb_last_bgsave_status="err"), {"RD07"}),
        (stored(CACHE, {"save": "3600 1"}), {"RD08"}),
        (stored(BROKER, {"save": "3600 1"}), set()),
        (stored(CACHE, allocator_frag_ratio=2.0, allocator_frag_bytes=200 * MB), {"RD10"}),
        (stored(CACHE, mem_fragmentation_ratio=0.7, used_memory_dataset=200 * MB), {"RD11"}),
        (stored(CACHE, connected_clients=85), {"RD12"}),
        (stored(CACHE, {"latency-monitor-threshold": "0", "slowlog-log-slower-than": "10000"}), {"RD13"}),
        (stored(CACHE | {"aged": 5, "ageless": 2}), {"RD17"}),
        (stored(CACHE, {"tcp-keepalive": "0"}), {"RD19"}),
        (stored({"results": 3, "results_aged": 3, "results_ageless": 1}), {"RD22"}),
        (stored(None, maxmemory_policy="allkeys-lru"), set()),
    ],
)
def test_rules_of_redis(facts: CacheFacts, expected: set[str]) -> None:
    assert ids(redis_findings(facts)) == expected


def test_a_broker_has_no_hit_rate_and_may_not_evict_at_all() -> None:
    broker = stored(BROKER, evicted_keys=1)
    found = {one.id: one for one in cache_measures(broker, role_of(broker))}
    assert "cache.hit_rate" not in found
    assert found["cache.broker_evictions"].score == 0
    cache = stored(CACHE, evicted_keys=1, keyspace_hits=75, keyspace_misses=25)
    found = {one.id: one for one in cache_measures(cache, role_of(cache))}
    assert (found["cache.evictions"].value, found["cache.hit_rate"].value) == (0.5, 75)
    assert found["cache.ping"].value == 0.2  # the 19th of 20
    assert found["cache.fragmentation"].value == 1.0
    assert found["cache.persistence"].value == 1.0


def table(**changes: Any) -> dict[str, Any]:
    return {
        "name": "public.t", "live": 1000, "dead": 0, "modified": 0, "is_vacuumed": True, "has_own_factor": False,
        "never_vacuumed": False, "never_analyzed": False, "of_trigger": 0.0, **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, set()),
        ({"is_vacuumed": False}, {"PG23"}),
        ({"dead": 5000, "of_trigger": 3.5}, {"PG12"}),
        ({"dead": 900, "of_trigger": 3.5}, set()),
        ({"live": 60_000_000}, {"PG13"}),
        ({"live": 60_000_000, "has_own_factor": True}, set()),
        ({"live": 20_000, "modified": 5000}, {"PG14"}),
        ({"live": 20_000, "never_analyzed": True}, {"PG14"}),
        ({"live": 9_000, "never_analyzed": True}, set()),
    ],
)
def test_rules_of_tables(changes: dict[str, Any], expected: set[str]) -> None:
    assert ids(object_findings(server({"advice_tables": [table(**changes)]}))) == expected


def test_a_rule_names_its_worst_few_and_how_many_there_are() -> None:
    rows = [table(name=f"public.t{n}", dead=9000 - n, of_trigger=4.0) for n in range(30)]
    found = list(object_findings(server({"advice_tables": rows})))
    assert [one.subject for one in found] == [f"public.t{n}" for n in range(WORST)]
    assert {evidence.value for evidence in found[0].evidence if evidence.name == "tables affected"} == {30}


def test_rules_of_load() -> None:
    def only(facts: ServerFacts) -> Finding:
        (found,) = object_findings(facts)
        return found

    assert only(server(sessions={"sessions": 80})).severity is Severity.WARNING
    assert only(server(sessions={"sessions": 90})).severity is Severity.CRITICAL
    assert only(server({"advice_checkpoints": [{"timed": 3, "requested": 2, "since": "x"}]})).id == "PG04"
    assert not list(object_findings(server({"advice_checkpoints": [{"timed": 2, "requested": 2, "since": "x"}]})))
    assert only(server(temp_bytes=4 * MB)).id == "PG05"
    assert only(server(blocks_read=3000, blocks_hit=5000)).id == "PG07"
    assert not list(object_findings(server(blocks_read=1000, blocks_hit=0)))
    assert only(server({"advice_slots": [{"name": "s'", "retained_bytes": 6 * 1024 * MB, "safe_wal_size": None}]})).fix
    assert only(server({"advice_prepared": [{"name": "g'1", "age_s": 4000}]})).fix == "ROLLBACK PREPARED 'g''1';"


def test_lines_for_a_pooler_only_where_one_is_or_is_missing() -> None:
    assert not list(pooler_findings(sessions=5, usable=97, is_pooled=False))
    pooled = {one.subject: one.fix for one in pooler_findings(sessions=5, usable=97, is_pooled=True)}
    assert pooled["max_db_connections"] == "max_db_connections = 77"
    assert ids(pooler_findings(sessions=78, usable=97, is_pooled=False)) == {"PB01"}


def test_figures_that_say_nothing_are_unknown_and_say_why() -> None:
    found = {one.id: one for one in database_measures(server(blocks_hit=99), disk_percent=None)}
    assert found["database.hit_rate"].value is None
    assert found["database.hit_rate"].why
    assert found["database.rollbacks"].value is None
    assert found["database.disk"].value is None
    assert "database.replication" not in found
    hidden = server(sessions={"hidden": 3, "transaction_s": 0.0})
    seen = {one.id: one for one in database_measures(hidden, disk_percent=50)}
    assert seen["database.transaction"].why == "sessions of other roles are hidden: grant pg_monitor"
    busy = server(blocks_hit=90, blocks_read=10, commits=95, rollbacks=5)
    values = {one.id: one.value for one in database_measures(busy, disk_percent=50)}
    assert (values["database.hit_rate"], values["database.rollbacks"], values["database.disk"]) == (90, 5, 50)


def test_a_reset_or_restart_within_the_interval_is_no_rate() -> None:
    assert server(blocks_hit=-1).grown("blocks_hit") is None
    assert server(blocks_hit=10, reset=5.0).grown("blocks_hit") is None
    assert stored(run_id="b", keyspace_hits=100).grown("keyspace_hits") is None
