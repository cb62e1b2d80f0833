"""Findings on how relations are read and partitioned, and on what protects their pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from qsuite_console.db.settings import ServerFacts
from qsuite_console.metrics.advice import wording
from qsuite_console.model.advice import Effect, Evidence, Finding, Severity

PART: Final = "postgresql"
WORST: Final = 5
HORIZON_DAYS: Final = 35.0  # a month and some days to notice
_SHARE: Final = 0.5  # of the rows read
Row = Mapping[str, Any]


def relation_findings(facts: ServerFacts) -> Iterator[Finding]:
    """Yield what to do about full scans, partitions that end, and pages without checksums."""
    yield from _scans(facts.rows.get("advice_scans", ()))
    yield from _partitions(facts.rows.get("advice_horizon", ()))
    yield from _protection(facts)


def _scans(rows: Sequence[Row]) -> Iterator[Finding]:
    heavy = [row for row in rows if row["read"] > _SHARE * (row["read"] + row["fetched"])]
    for row in heavy[:WORST]:
        yield Finding(
            id="PG19",
            part=PART,
            subject=row["name"],
            title="A big table is read from end to end again and again",
            severity=Severity.INFO,
            evidence=(
                wording.count("full scans", row["scans"]),
                wording.count("rows a scan", row["read"] / row["scans"]),
                wording.count("live rows", row["live"]),
                wording.percent("of all rows read", 100 * row["read"] / (row["read"] + row["fetched"])),
                wording.word("since", row["since"] or "the counters were never reset"),
                wording.count("tables affected", len(heavy)),
            ),
            formula="over 50 scans of over 10,000 rows each, more than half of all rows read",
            advice="find its statements in pg_stat_statements, EXPLAIN them, add the index they lack",
        )


def _partitions(rows: Sequence[Row]) -> Iterator[Finding]:
    ending = [row for row in rows if row["days"] < HORIZON_DAYS and row["inserted"] > 0]
    for row in ending[:WORST]:
        has_default = row["strays_in"] is not None
        # Without a default partition the first row behind the last bound fails.
        is_outage = row["days"] < HORIZON_DAYS / 5 and not has_default
        yield _partition_finding(
            row,
            Severity.CRITICAL if is_outage else Severity.WARNING,
            "The partitions of a table end soon" if row["days"] >= 0 else "A table has no partition for today",
            evidence=(
                wording.word("until", row["until"]),
                wording.number("days ahead", row["days"]),
                wording.word("then", f"rows go to {row['strays_in']}" if has_default else "inserts fail"),
            ),
            formula=f"partitions reach {HORIZON_DAYS:.0f} days ahead of tables that rows come into",
            advice="make the next months now, and regularly: qsuite-console run partitions",
            fix=row["next_month"] or "",
        )
    for row in [row for row in rows if (row["strays"] or 0) > 0][:WORST]:
        yield _partition_finding(
            row,
            Severity.CRITICAL if row["days"] < 0 else Severity.WARNING,
            "Rows lie in the default partition: their month can't be made any more",
            evidence=(wording.word("partition", row["strays_in"]), wording.count("rows", row["strays"])),
            formula="an empty default partition",
            advice="qsuite-console run partitions makes their months and moves them there",
        )


def _partition_finding(
    row: Row,
    severity: Severity,
    title: str,
    *,
    evidence: tuple[Evidence, ...],
    formula: str,
    advice: str,
    fix: str = "",
) -> Finding:
    return Finding(
        id="PG21", part=PART, subject=row["name"], title=title, severity=severity, evidence=evidence, formula=formula,
        advice=advice, fix=fix,
    )  # fmt: skip


def _protection(facts: ServerFacts) -> Iterator[Finding]:
    level, archive = facts.settings.get("wal_level"), facts.settings.get("archive_mode")
    if level is not None and level.setting == "minimal" and (archive is None or archive.setting == "off"):
        yield Finding(
            id="PG22",
            part=PART,
            subject="wal_level",
            title="WAL is too sparse for a standby or for recovery to a point in time",
            severity=Severity.INFO,
            evidence=(wording.word("wal_level", level.setting), wording.word("archive_mode", "off")),
            formula="wal_level replica or above, unless the data can be made again",
            current=level.setting,
            recommended="replica",
            fix=wording.alter_system("wal_level", "replica"),
            effect=Effect.RESTART,
        )
    checksums = facts.settings.get("data_checksums")
    if checksums is not None and checksums.setting == "off":
        yield Finding(
            id="PG22",
            part=PART,
            subject="data_checksums",
            title="Pages have no checksums: what a disk corrupts is read as if it were data",
            severity=Severity.INFO,
            evidence=(wording.word("data_checksums", "off"),),
            formula="data_checksums on",
            current="off",
            recommended="on",
            advice="stop the server, then: pg_checksums --enable -D the data directory",
            effect=Effect.RESTART,
        )
