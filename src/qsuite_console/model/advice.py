"""What an analysis of the platform found: measures, scores with reasons, findings with evidence and fix.

A measure without a value was not measured and says why; one that does not apply here is not in the list at all.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How much a finding matters."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Effect(StrEnum):
    """What makes a fix count."""

    NONE = "none"  # at once
    RELOAD = "reload"
    RESTART = "restart"


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure that scores count. ``limits`` are ok, warning, critical and dead; ``why`` tells a missing value."""

    id: str  # "database.connections"
    area: str
    title: str
    unit: str = ""
    value: float | None = None
    why: str = ""
    limits: tuple[float, float, float, float]
    weight: float
    score: float | None = None


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """The plain formula of the platform's guides, for comparison; None where its input was not measured."""

    title: str
    formula: str
    value: float | None = None


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """0 to 100, None when too little is known; ``known`` is the measured share of the weights, 0 to 1."""

    area: str  # "database", "cache", "system", "overall"
    value: float | None = None
    known: float = 0.0
    reasons: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One measured value behind a finding; ``value`` as the server has it, ``text`` as people read it."""

    name: str
    value: float | str
    text: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to improve. ``fix`` is SQL, a configuration line or a command, "" when only ``advice`` helps."""

    id: str  # the rule: "PG03"
    part: str  # "postgresql", "redis", "pgbouncer"
    subject: str = ""  # the setting, table or index
    title: str
    severity: Severity
    evidence: tuple[Evidence, ...]
    formula: str
    current: str = ""
    recommended: str = ""
    advice: str = ""
    fix: str = ""
    effect: Effect = Effect.NONE
    is_safe: bool = False  # a setting that only lets more be seen, or keeps dead things from piling up


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """Something that could not be read, why, and what to do about it."""

    what: str
    why: str
    hint: str = ""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What sizes were computed from; ``origins`` tells where each came from, None was not to be found out."""

    memory: int | None = None  # bytes that PostgreSQL may use
    cores: int | None = None
    storage: str = "ssd"
    workload: str = "mixed"
    connections: int | None = None
    origins: dict[str, str] = {}


class Heavy(msgspec.Struct, frozen=True, kw_only=True):
    """One costly statement or big table of the detailed analysis."""

    kind: str  # "statement", "table"
    name: str
    figures: dict[str, float]


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``analyze``; rates are over ``interval_s`` seconds that ended at ``at``."""

    at: datetime
    interval_s: float
    target: str
    database: str
    cache: str
    machine: Machine
    scores: tuple[Score, ...]
    measures: tuple[Measure, ...]
    findings: tuple[Finding, ...]
    heavy: tuple[Heavy, ...] = ()
    unread: tuple[Unread, ...] = ()
