"""The thresholds: one table of what is watched, with its defaults, and how ``[thresholds."ID"]`` changes a row of it.

Limits are inclusive upwards: ``warning = 80`` warns at 80. Where low is bad (hit rates) they are exclusive: below 80.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

FIELDS: Final = ("enabled", "warning", "critical", "clear", "for_s", "clear_s")
_LONGEST_S: Final = 86_400.0
_LARGEST: Final = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Limits of one figure. ``is_low_bad``: trouble is below the limits (hit rates), else above them."""

    id: str  # "<source>.<figure>"
    title: str  # as a person says it: "connections in use"
    about: str = ""  # what is measured, and why it matters, in one sentence
    unit: str = ""
    warning: float | None = None
    critical: float | None = None
    is_low_bad: bool = False
    clear: float | None = None  # None: a tenth inside the warning (or only) limit
    for_s: float = 6.0  # how long it must stay beyond a limit
    clear_s: float = 6.0  # how long it must stay inside the clear limit
    enabled: bool = True

    @property
    def source(self) -> str:
        """Return what it watches: "postgresql"."""
        return self.id.partition(".")[0]

    @property
    def first(self) -> float | None:
        """Return the limit that is reached first."""
        return self.warning if self.warning is not None else self.critical

    @property
    def calm(self) -> float | None:
        """Return the limit inside which it clears."""
        if self.clear is not None or self.first is None:
            return self.clear
        return self.first * (1.1 if self.is_low_bad else 0.9)


def _answers(source: str, title: str) -> Rule:
    return Rule(
        id=f"{source}.answers",
        title=f"{title} does not answer",
        about="Samples in a row without an answer; nothing else of it is known meanwhile.",
        critical=2,
        clear=0,
        for_s=0,
        clear_s=4,
    )


DEFAULTS: Final = (
    _answers("postgresql", "PostgreSQL"),
    Rule(id="postgresql.connections", title="connections in use", unit="%", warning=80, critical=95,
         about="Sessions of max_connections less the reserved ones; at 100 % nobody else gets in."),
    Rule(id="postgresql.cache_hit", title="cache hit rate", unit="%", warning=95, is_low_bad=True, clear=96, for_s=30,
         about="Blocks found in shared buffers over the last interval; the others came from the system or the disk."),
    Rule(id="postgresql.long_queries", title="queries running over 30 s", warning=6, clear=5,
         about="Active statements of clients that began more than 30 s ago; more than five are too many."),
    Rule(id="postgresql.lock_waits", title="sessions waiting for a lock", warning=1, clear=0, for_s=10,
         about="Sessions that wait for a lock another one holds: Database, Blocking names the root."),
    Rule(id="postgresql.oldest_transaction", title="oldest transaction", unit="s", warning=300, critical=1800,
         about="Age of the oldest open transaction: vacuum can't remove rows that died since."),
    Rule(id="postgresql.replication_lag", title="replication behind", unit="MiB", warning=128, critical=1024,
         about="WAL that the slowest standby has not replayed."),
    _answers("pgbouncer", "PgBouncer"),
    Rule(id="pgbouncer.waiting", title="clients waiting for a server connection", warning=1, clear=0,
         about="Clients whose query waits because every server connection of their pool is taken."),
    Rule(id="pgbouncer.max_wait", title="longest wait for a server connection", unit="s", warning=1, critical=5,
         about="How long the client that waits longest has waited."),
    Rule(id="pgbouncer.clients", title="clients of the pooler", unit="%", warning=80, critical=95,
         about="Connected clients of max_client_conn; beyond it nobody else gets in."),
    _answers("redis", "Redis"),
    Rule(id="redis.memory", title="memory in use", unit="%", warning=85, critical=95,
         about="Of maxmemory, or of the host's memory where there is no limit; beyond it keys are evicted or refused."),
    Rule(id="redis.hit_rate", title="hit rate", unit="%", warning=80, is_low_bad=True, clear=82, for_s=30,
         about="Look-ups that found their key over the last interval; fewer than 50 look-ups say nothing."),
    Rule(id="redis.clients", title="clients connected", unit="%", warning=80, critical=95,
         about="Connected clients of maxclients."),
    Rule(id="redis.evictions", title="keys evicted", unit="/s", warning=1, critical=50,
         about="Keys thrown out for want of memory before they expired."),
    Rule(id="redis.fragmentation", title="memory fragmentation", warning=1.5, critical=3, for_s=60,
         about="Memory taken of memory used, where more than 100 MiB are wasted."),
    _answers("celery", "Celery's broker"),
    Rule(id="celery.backlog", title="work waiting in a growing queue", unit="s", warning=300, critical=1800, for_s=60,
         about="Of a queue that grew over the last minutes: how long its workers, at their pace, need to empty it."),
    Rule(id="celery.oldest", title="oldest task under way", unit="%", warning=80, critical=100, for_s=10,
         about="Its age, of the broker's visibility timeout: from 100 % on it is handed out again and runs twice."),
    Rule(id="celery.unconsumed", title="queues nobody consumes", warning=1, clear=0, for_s=30, clear_s=4,
         about="Queues in which messages wait and which no worker takes from."),
    Rule(id="celery.failures", title="tasks failed", unit="%", warning=5, critical=25, for_s=0,
         about="Of the tasks that succeeded or failed in the last 15 minutes; fewer than 20 say nothing."),
    Rule(id="celery.lost", title="workers lost", warning=1, clear=0, for_s=4, clear_s=4,
         about="Workers whose heartbeats stopped without a goodbye within the last half hour."),
    _answers("host", "Host"),
    Rule(id="host.cpu", title="CPU", unit="%", warning=80, critical=95, for_s=30,
         about="Time all cores were busy over the last interval."),
    Rule(id="host.memory", title="memory in use", unit="%", warning=75, critical=90,
         about="Memory that is not available to programs."),
    Rule(id="host.disk", title="disk in use", unit="%", warning=85, critical=95, for_s=0, clear=84,
         about="The fullest of the file systems that hold the console's own data."),
    _answers("jobs", "The engine"),
    Rule(id="jobs.queued", title="jobs waiting in one queue", warning=100, critical=500,
         about="Of the deepest queue: jobs that could run and have no slot."),
    Rule(id="jobs.failure_rate", title="failed jobs of the last hour", unit="%", warning=5, for_s=0,
         about="Failures of all jobs that ended; fewer than five ended jobs say nothing."),
    Rule(id="jobs.backfill_success", title="backfill requests that succeeded", unit="%", warning=95, is_low_bad=True,
         clear=97, for_s=0,
         about="Of the requests that backfills of the last hour made to the provider."),
    Rule(id="jobs.backfill_limited", title="backfill requests answered 429", unit="%", warning=5, for_s=0,
         about="Requests beyond the provider's limit, of those that backfills of the last hour made."),
    Rule(id="jobs.schedules_not_run", title="schedules that did not run", warning=1, for_s=0, clear=0,
         about="Enabled ones whose last plan was refused, or missed where the next is an hour off, or is overdue."),
    Rule(id="jobs.unusual_runs", title="scheduled jobs unlike before", warning=1, for_s=0, clear=0,
         about="Schedules whose last job took five times as long, or a fifth, of what their own jobs usually take."),
    Rule(id="jobs.loop_lag", title="engine held up", unit="s", warning=0.5, critical=2, for_s=0, clear=0.2,
         about="The longest time within a sample that the engine's loop did not get its turn."),
    dataclasses.replace(_answers("application", "Trading"), enabled=False),  # PostgreSQL's own silence tells it
    Rule(id="application.response_time", title="platform's tables answer in", unit="s", warning=2, critical=5, for_s=0,
         about="Time to read orders, bars and the newest bar: the kind of question the platform's users wait for."),
    Rule(id="application.bar_age", title="newest bar", unit="s", warning=300, critical=900,
         about="Age of the newest minute bar of any symbol while the exchange is open."),
    Rule(id="application.runs_failed", title="pipeline runs failed", unit="%", warning=20, critical=50, for_s=0,
         about="Of the runs made in the last hour that ended; fewer than five ended runs say nothing."),
    Rule(id="application.run_age", title="oldest pipeline run at work", unit="s", warning=3600, critical=14_400,
         for_s=0, about="How long the run that runs longest has been at it: its worker may have died."),
)  # fmt: skip
RULES: Final[Mapping[str, Rule]] = MappingProxyType({rule.id: rule for rule in DEFAULTS})


class BadRule(ValueError):
    """Why a threshold is refused, in words that follow its name."""


def changed(rule: Rule, values: Mapping[str, Any]) -> Rule:
    """Return a rule with some of FIELDS set anew, as a file states them; raises BadRule.

    ``false`` for a limit means there is none. A default clear limit that no longer fits gives way to the derived one.
    """
    given = {name: _value(rule, name, raw) for name, raw in values.items()}
    new = dataclasses.replace(rule, **given)
    if "clear" not in given and _is_beyond(new, new.clear, new.first):
        new = dataclasses.replace(new, clear=None)
    for problem in _problems(new):
        raise BadRule(problem)
    return new


def _value(rule: Rule, name: str, raw: Any) -> Any:
    if name == "enabled":
        if not isinstance(raw, bool):
            raise BadRule(f"enabled: expected true or false, got {raw!r:.40}")
        return raw
    if raw is False and name in ("warning", "critical", "clear"):
        return None
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        raise BadRule(f"{name}: expected a number, got {raw!r:.40}")
    most = _LONGEST_S if name.endswith("_s") else 100.0 if rule.unit == "%" else _LARGEST
    if not 0 <= raw <= most:
        raise BadRule(f"{name}: {raw:g} is out of range, 0 to {most:g}{' %' if most == 100.0 else ''}")
    return float(raw)


def _is_beyond(rule: Rule, value: float | None, limit: float | None) -> bool:
    if value is None or limit is None:
        return False
    return value < limit if rule.is_low_bad else value > limit


def _problems(rule: Rule) -> Iterator[str]:
    side, other = ("below", "above") if rule.is_low_bad else ("above", "below")
    if rule.first is None and rule.enabled:
        yield "has neither warning nor critical: set one of them, or enabled = false"
    if _is_beyond(rule, rule.warning, rule.critical):
        yield f"warning {rule.warning:g} lies {side} critical {rule.critical:g}; it must be reached first"
    if _is_beyond(rule, rule.clear, rule.first):
        name = "warning" if rule.warning is not None else "critical"
        yield f"clear {rule.clear:g} lies {side} {name} {rule.first:g}; it must lie at or {other} it"
