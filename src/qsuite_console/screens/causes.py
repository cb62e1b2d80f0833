"""Where the cause of something is to be seen: from a source or a rule that fired to a screen, pane, filter. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple


class Cause(NamedTuple):
    """What ``ConsoleApp.go`` takes."""

    place: str
    pane: str = ""
    filter: str = ""


SOURCES: Final = {
    "postgresql": Cause("database", "activity"),
    "pgbouncer": Cause("database", "pooler"),
    "redis": Cause("cache", "memory"),
    "celery": Cause("celery", "queues"),
    "host": Cause("system", "host"),
    "jobs": Cause("jobs"),
    "console": Cause("system", "console"),
    "application": Cause("market"),
}

RULES: Final = {
    "postgresql.connections": Cause("database", "activity"),
    "postgresql.cache_hit": Cause("database", "statements"),
    "postgresql.long_queries": Cause("database", "activity"),
    "postgresql.lock_waits": Cause("database", "blocking"),
    "postgresql.oldest_transaction": Cause("database", "activity"),
    "postgresql.replication_lag": Cause("database", "replication"),
    "pgbouncer.waiting": Cause("database", "pooler"),
    "pgbouncer.max_wait": Cause("database", "pooler"),
    "pgbouncer.clients": Cause("database", "pooler"),
    "redis.memory": Cause("cache", "memory"),
    "redis.hit_rate": Cause("cache", "families"),
    "redis.clients": Cause("cache", "clients"),
    "redis.evictions": Cause("cache", "memory"),
    "redis.fragmentation": Cause("cache", "memory"),
    "celery.backlog": Cause("celery", "queues"),
    "celery.oldest": Cause("celery", "tasks"),
    "celery.unconsumed": Cause("celery", "queues"),
    "celery.failures": Cause("celery", "history", "failed"),
    "celery.lost": Cause("celery", "workers"),
    "host.cpu": Cause("system", "processes"),
    "host.memory": Cause("system", "processes"),
    "host.disk": Cause("system", "disks"),
    "jobs.queued": Cause("jobs", filter="state:queued"),
    "jobs.failure_rate": Cause("jobs", filter="state:failed"),
    "jobs.backfill_success": Cause("jobs", filter="kind:backfill"),
    "jobs.backfill_limited": Cause("jobs", filter="kind:backfill"),
    "jobs.schedules_not_run": Cause("schedules"),
    "jobs.unusual_runs": Cause("schedules"),
    "jobs.loop_lag": Cause("system", "console"),
    "application.response_time": Cause("database", "statements"),
    "application.bar_age": Cause("market"),
    "application.runs_failed": Cause("pipelines", "runs", "status:failed"),
    "application.run_age": Cause("pipelines", "runs", "status:running"),
}


def cause_of(rule_id: str) -> Cause:
    """Return where the cause of an alert is to be seen; of a source that doesn't answer, the source's own screen."""
    known = RULES.get(rule_id)
    return known if known is not None else source_of(rule_id.partition(".")[0])


def source_of(source: str) -> Cause:
    """Return where the details of a reading are; of an unknown one, the list of alerts."""
    return SOURCES.get(source, Cause("alerts"))
