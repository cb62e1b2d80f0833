"""Findings turned into the jobs and operations that put them right. Pure: what was found goes in, steps come out.

A step is safe when nobody waits for it, nothing that anybody needs is lost, and a second run does nothing. Whatever
locks a table, takes hours or changes how the server works is told, and left to a person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from qsuite_console.db.index_care import Standing
from qsuite_console.model import units
from qsuite_console.model.advice import Finding
from qsuite_console.model.optimizing import Step
from qsuite_console.model.runs import Prunable
from qsuite_console.model.warmth import Warmth

WARM: Final = 0.9  # share of the expected keys of a family from which it counts as warm
HUGE: Final = 50 * 1024**3  # bytes of a table whose indexes a person starts: hours of reading
MONTHS_AHEAD: Final = 3
_SETTING: Final[Mapping[str, str]] = {"postgresql": "database.apply-setting", "redis": "cache.apply-setting"}
_COUNTS: Final[Mapping[str, str]] = {
    "postgresql": "counts at once, for the whole server; act database.reset-setting takes it back",
    "redis": "counts at once, until the server's next restart",
}
_GO_ON: Final = "reads and writes go on"


@dataclass(frozen=True, slots=True)
class Horizon:
    """A partitioned table whose next months are not all there. ``may`` tells whether the role may make them."""

    table: str
    missing: tuple[date, ...]
    strays: int
    may: bool


def steps_of(
    findings: Sequence[Finding],
    standings: Sequence[Standing],
    horizons: Sequence[Horizon],
    families: Sequence[Warmth],
    prunable: Prunable,
) -> tuple[tuple[Step, ...], int]:
    """Return what to do, and how many findings none of it answers."""
    used: set[str] = set()
    steps = [
        *_history(prunable),
        *_partitions(horizons, used),
        *_broken_indexes(findings, used),
        *_missing_indexes(standings),
        *_tables(findings, used),
        *_cache(findings, used),
        *_cold(families),
        *_settings(findings, used),
    ]
    return tuple(steps), sum(_key(finding) not in used for finding in findings)


def _key(finding: Finding) -> str:
    return f"{finding.part} {finding.id} {finding.subject}"


def _evidence(*findings: Finding) -> tuple[str, ...]:
    told = [f"{one.name} {one.text}" for finding in findings for one in finding.evidence]
    return tuple(dict.fromkeys(told))


def _history(found: Prunable) -> Iterator[Step]:
    if not (found.rows or found.free_bytes):
        return
    told = (
        ("expired results", found.results),
        ("old jobs", found.jobs),
        ("old figures", found.figures),
        ("old alerts", found.alerts),
        ("old entries of the audit", found.audit),
    )
    evidence = [f"{units.count(count)} {what}" for what, count in told if count]
    if found.free_bytes:
        evidence.append(f"{units.size(found.free_bytes)} of its file unused")
    yield Step(
        title="clean up the console's history and files",
        subject="the console's history",
        evidence=tuple(evidence),
        consequence="they are gone; jobs that are kept stay as they are",
        kind="cleanup",
    )


def _partitions(horizons: Sequence[Horizon], used: set[str]) -> Iterator[Step]:
    for one in horizons:
        used.add(f"postgresql PG21 {one.table}")
        used.add(f"postgresql PG21 {one.table.removeprefix('public.')}")
        if one.missing:
            months = ", ".join(f"{month:%Y-%m}" for month in one.missing)
            yield Step(
                title=f"make {len(one.missing)} partitions of {one.table}",
                subject=one.table,
                evidence=(f"missing {months}",),
                consequence="locks the table for a moment, once a month",
                rule="PG21",
                kind="partitions",
                parameters={"table": one.table, "months_ahead": MONTHS_AHEAD},
                is_safe=one.may,
                why_not="" if one.may else "the role may not change the table; run it as its owner",
            )
        if one.strays:
            yield Step(
                title=f"move the strays of {one.table} where they belong",
                subject=one.table,
                evidence=(f"{units.count(one.strays)} rows in the default partition",),
                consequence="their months can be made afterwards",
                rule="PG21",
                kind="partitions",
                parameters={"table": one.table, "move_strays": True},
                is_safe=False,
                why_not="the table is locked while they move",
            )


def _broken_indexes(findings: Sequence[Finding], used: set[str]) -> Iterator[Step]:
    for finding in findings:
        if finding.id == "PG15":
            used.add(_key(finding))
            yield Step(
                title=f"repair the index {finding.subject}",
                subject=finding.subject,
                evidence=_evidence(finding),
                consequence=f"{_GO_ON}; what a failed build left is built anew or dropped",
                rule=finding.id,
                kind="indexes",
                parameters={"action": "repair", "which": finding.subject},
            )


def _missing_indexes(standings: Sequence[Standing]) -> Iterator[Step]:
    for one in standings:
        home = one.home
        if one.state != "missing" or home is None:
            continue
        why_not = ""
        if home.is_standby:
            why_not = "a standby takes no index; do it on the primary"
        elif not home.may:
            why_not = f"the role {home.role} does not own the table; run it as its owner"
        elif home.bytes > HUGE:
            why_not = f"its table holds {units.size(home.bytes)}: choose the hour yourself"
        yield Step(
            title=f"build the index {one.name}",
            subject=home.name,
            evidence=(
                one.recommended.why,
                f"table {units.size(home.bytes)}",
                f"about {units.count(home.rows)} rows",
            ),
            consequence=f"{_GO_ON}; DDL and vacuum of the table wait",
            kind="indexes",
            parameters={"action": "build", "which": one.name},
            is_safe=not why_not,
            why_not=why_not,
        )


def _tables(findings: Sequence[Finding], used: set[str]) -> Iterator[Step]:
    late = {finding.subject: finding for finding in findings if finding.id == "PG12"}
    stale = {finding.subject: finding for finding in findings if finding.id == "PG14"}
    for table in dict.fromkeys((*late, *stale)):
        reasons = [one for one in (late.get(table), stale.get(table)) if one is not None]
        used.update(_key(one) for one in reasons)
        mode = "vacuum_analyze" if table in late else "analyze"
        does = "vacuum and analyze" if table in late else "analyze"
        yield Step(
            title=f"{does} {table}",
            subject=table,
            evidence=tuple(one for one in _evidence(*reasons) if not one.startswith("tables affected")),
            consequence=f"{_GO_ON}; I/O for the whole table" if table in late else f"{_GO_ON}; reads a sample of it",
            rule=", ".join(one.id for one in reasons),
            kind="vacuum",
            parameters={"table": table, "mode": mode},
        )


def _cache(findings: Sequence[Finding], used: set[str]) -> Iterator[Step]:
    for finding in findings:
        if finding.part == "redis" and finding.id == "RD17":
            used.add(_key(finding))
            yield Step(
                title="give cached keys without expiry a life",
                subject="keys of the platform's families",
                evidence=_evidence(finding),
                consequence="each may expire an hour from now and is then read anew; keys of others are only reported",
                rule=finding.id,
                kind="cache.cleanup",
            )


def _cold(families: Sequence[Warmth]) -> Iterator[Step]:
    for one in families:
        share = one.coverage
        if share is None or share >= WARM or not one.kind:
            continue
        yield Step(
            title=f"warm {one.family.replace('_', ' ')}",
            subject=f"keys {one.prefix}…",
            evidence=(
                f"{units.count(one.present or 0)} of {units.count(one.expected or 0)} keys there",
                one.whose,
            ),
            consequence="one query and one pipeline; a schedule keeps it warm",
            kind=one.kind,
        )


def _settings(findings: Sequence[Finding], used: set[str]) -> Iterator[Step]:
    for finding in findings:
        operation = _SETTING.get(finding.part)
        if operation is None or not finding.is_safe or not finding.subject:
            continue
        used.add(_key(finding))
        parameters: dict[str, Any] = {"name": finding.subject, "value": finding.recommended}
        was = f"is {finding.current}, " if finding.current else ""
        yield Step(
            title=f"set {finding.subject} to {finding.recommended}",
            subject=finding.subject,
            evidence=(f"{was}{finding.title[0].lower()}{finding.title[1:]}", *_evidence(finding)),
            consequence=_COUNTS[finding.part],
            rule=finding.id,
            operation=operation,
            parameters=parameters,
        )
