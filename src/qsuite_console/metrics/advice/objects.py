"""Findings on what PostgreSQL holds: tables, indexes, slots, transactions, the archive. A rule names its worst few."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from qsuite_console.db.settings import ServerFacts
from qsuite_console.metrics.advice import wording
from qsuite_console.metrics.advice.relations import relation_findings
from qsuite_console.model.advice import Effect, Evidence, Finding, Severity

PART: Final = "postgresql"
WORST: Final = 5  # objects named by one rule
_SLOT_BYTES: Final = 5 * 1024**3
_SLOT_MARGIN: Final = 1024**3
_MIB_A_MINUTE: Final = 100 * 1024**2
_BUSY_READS: Final = 1000.0  # blocks a second below which a hit rate is nobody's trouble
_OUT_OF_SUPPORT: Final = {13: "2025-11", 14: "2026-11"}
Row = Mapping[str, Any]


def object_findings(facts: ServerFacts) -> Iterator[Finding]:
    """Yield what to do about tables, indexes and the rest."""
    yield from _load(facts)
    tables = facts.rows.get("advice_tables", ())
    yield from _tables(tables)
    yield from _statistics(tables)
    yield from _indexes(facts)
    yield from _keeping(facts)
    yield from _ages(facts)
    yield from relation_findings(facts)


def _worst(rows: Sequence[Row]) -> Sequence[Row]:
    return rows[:WORST]


def _finding(
    rule: str,
    severity: Severity,
    title: str,
    *,
    subject: str = "",
    evidence: tuple[Evidence, ...],
    formula: str,
    advice: str = "",
    fix: str = "",
) -> Finding:
    effect = Effect.RELOAD if fix.startswith("ALTER SYSTEM") else Effect.NONE
    return Finding(
        id=rule, part=PART, subject=subject, title=title, severity=severity, evidence=evidence, formula=formula,
        advice=advice, fix=fix, effect=effect,
    )  # fmt: skip


def _watched(facts: ServerFacts, finding: Finding, name: str, value: str) -> Finding:
    """Return a finding whose fix sets what only lets more be seen; none where it is set already."""
    setting = facts.settings.get(name)
    if setting is not None and setting.setting == value:
        return finding
    fix = wording.alter_system(name, value)
    return msgspec.structs.replace(
        finding, subject=name, recommended=value, fix=fix, effect=Effect.RELOAD, is_safe=True
    )


def _load(facts: ServerFacts) -> Iterator[Finding]:
    sessions, usable = facts.sessions["sessions"], facts.sessions["usable"]
    if usable and sessions > 0.8 * usable:
        yield _finding(
            "PG06",
            Severity.CRITICAL if sessions > 0.9 * usable else Severity.WARNING,
            "Few connections are left",
            subject="max_connections",
            evidence=(wording.count("sessions", sessions), wording.count("usable", usable)),
            formula="sessions above 80 % (critical 90 %) of max_connections less those reserved",
            advice="a pooler first, then more connections (restart)",
        )
    for row in facts.rows.get("advice_checkpoints", ()):
        total = row["timed"] + row["requested"]
        if total >= 5 and row["requested"] > 0.3 * total:
            yield _finding(
                "PG04",
                Severity.WARNING,
                "Checkpoints are forced by the amount of WAL",
                subject="max_wal_size",
                evidence=(
                    wording.count("requested", row["requested"]),
                    wording.count("timed", row["timed"]),
                    wording.word("since", row["since"]),
                ),
                formula="requested checkpoints above 30 % of at least 5 since the statistics began",
                advice="raise max_wal_size until checkpoints come by time",
            )
    spilled = facts.grown("temp_bytes")
    if spilled is not None and facts.seconds > 0 and spilled / facts.seconds * 60 > _MIB_A_MINUTE:
        yield _watched(
            facts,
            _finding(
                "PG05",
                Severity.INFO,
                "Sorts and hashes spill to disk",
                evidence=(wording.size("temp_bytes", spilled), wording.span("interval", facts.seconds)),
                formula="more than 100 MB of temporary files a minute",
                advice="find the statement, then SET LOCAL work_mem for it",
            ),
            "log_temp_files",
            "0",
        )
    yield from _misses(facts)
    yield from _deadlocks(facts)


def _misses(facts: ServerFacts) -> Iterator[Finding]:
    read, hit = facts.grown("blocks_read"), facts.grown("blocks_hit")
    if read is None or hit is None or facts.seconds <= 0 or read / facts.seconds <= _BUSY_READS:
        return
    if hit < 0.95 * (read + hit):
        yield _finding(
            "PG07",
            Severity.WARNING,
            "Pages are read from disk rather than found in memory",
            evidence=(
                wording.count("blocks read", read),
                wording.count("blocks hit", hit),
                wording.span("interval", facts.seconds),
            ),
            formula="hit rate below 95 % with over 1,000 blocks read a second",
            advice="find the table, add the index it lacks, only then more memory",
        )


def _deadlocks(facts: ServerFacts) -> Iterator[Finding]:
    deadlocks = facts.grown("deadlocks")
    if deadlocks:
        yield _watched(
            facts,
            _finding(
                "PG24",
                Severity.WARNING,
                "Transactions deadlock",
                evidence=(wording.count("deadlocks", deadlocks), wording.span("interval", facts.seconds)),
                formula="any deadlock in the interval",
            ),
            "log_lock_waits",
            "on",
        )


def _tables(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in _worst([row for row in rows if not row["is_vacuumed"]]):
        yield _finding(
            "PG23",
            Severity.CRITICAL,
            "Autovacuum is off for a table",
            subject=row["name"],
            evidence=(wording.count("dead rows", row["dead"]), wording.count("live rows", row["live"])),
            formula="autovacuum is on for every table",
            fix=f"ALTER TABLE {row['name']} RESET (autovacuum_enabled);",
        )
    late = [
        row
        for row in rows
        if (row["dead"] > 1000 and (row["of_trigger"] or 0) > 3) or (row["never_vacuumed"] and row["dead"] > 1_000_000)
    ]
    for row in _worst(late):
        yield _finding(
            "PG12",
            Severity.WARNING,
            "Vacuum does not keep up with a table",
            subject=row["name"],
            evidence=(
                wording.count("dead rows", row["dead"]),
                wording.count("live rows", row["live"]),
                wording.number("of trigger", row["of_trigger"] or 0.0, "times"),
                wording.count("tables affected", len(late)),
            ),
            formula="dead rows above 3 times what starts autovacuum",
            advice="vacuum it now; more workers or cost limit where many tables wait",
            fix=f"ALTER TABLE {row['name']} SET (autovacuum_vacuum_scale_factor = 0.02);",
        )
    huge = [row for row in rows if row["live"] > 50_000_000 and not row["has_own_factor"]]
    for row in _worst(huge):
        yield _finding(
            "PG13",
            Severity.INFO,
            "A huge table is vacuumed by the share of its rows",
            subject=row["name"],
            evidence=(wording.count("live rows", row["live"]), wording.count("tables affected", len(huge))),
            formula="tables above 50 million rows have scale factors of their own",
            fix=f"ALTER TABLE {row['name']} SET (autovacuum_vacuum_scale_factor = 0.01, "
            "autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.005);",
        )


def _statistics(rows: Sequence[Row]) -> Iterator[Finding]:
    stale = [
        row for row in rows if row["live"] > 10_000 and (row["never_analyzed"] or row["modified"] > 0.2 * row["live"])
    ]
    for row in _worst(sorted(stale, key=lambda row: (-row["live"], row["name"]))):
        yield _finding(
            "PG14",
            Severity.WARNING,
            "The planner works from old statistics of a table",
            subject=row["name"],
            evidence=(
                wording.count("live rows", row["live"]),
                wording.count("changed since ANALYZE", row["modified"]),
                wording.word("analyzed", "never" if row["never_analyzed"] else "before"),
                wording.count("tables affected", len(stale)),
            ),
            formula="more than 20 % of over 10,000 rows changed since ANALYZE, or never analyzed",
            fix=f"ANALYZE {row['name']};",
        )


def _indexes(facts: ServerFacts) -> Iterator[Finding]:
    for row in _worst(facts.rows.get("advice_indexes_invalid", ())):
        yield _finding(
            "PG15",
            Severity.CRITICAL,
            "An index is invalid: written to, never read",
            subject=row["name"],
            evidence=(wording.size("size", row["bytes"]), wording.word("table", row["relation"])),
            formula="no invalid index that nobody is building",
            advice="note what \\d says of it first, then build it again CONCURRENTLY",
            fix=f"DROP INDEX CONCURRENTLY {row['name']};",
        )
    for row in _worst(facts.rows.get("advice_indexes_redundant", ())):
        yield _finding(
            "PG16",
            Severity.INFO,
            "An index does what another one does already",
            subject=row["name"],
            evidence=(
                wording.size("size", row["bytes"]),
                wording.word("covered by", row["covered_by"]),
                wording.word("kind", row["why"]),
            ),
            formula="duplicate or left prefix of another index of the table",
            advice="look at it before you drop it",
            fix=f"DROP INDEX CONCURRENTLY {row['name']};",
        )
    for row in _worst(facts.rows.get("advice_indexes_unused", ())):
        yield _finding(
            "PG17",
            Severity.INFO,
            "A big index was never used",
            subject=row["name"],
            evidence=(
                wording.size("size", row["bytes"]),
                wording.count("scans", row["scans"]),
                wording.number("days of statistics", row["days"]),
            ),
            formula="no scan of over 100 MB in statistics older than 30 days",
            advice="ask the standbys too before you drop it",
            fix=f"DROP INDEX CONCURRENTLY {row['name']};",
        )
    for row in _worst(facts.rows.get("advice_foreign_keys", ())):
        yield _finding(
            "PG18",
            Severity.WARNING,
            "A foreign key has no index: each change of its parent reads the whole table",
            subject=row["name"],
            evidence=(
                wording.word("table", row["relation"]),
                wording.count("rows", row["rows"]),
                wording.count("parent changes", row["parent_changes"]),
            ),
            formula="an index on the columns of a foreign key of over 100,000 rows whose parent changes",
            fix=f"CREATE INDEX CONCURRENTLY ON {row['relation']} ({row['columns']});",
        )


def _keeping(facts: ServerFacts) -> Iterator[Finding]:
    for row in _worst(facts.rows.get("advice_slots", ())):
        retained, margin = row["retained_bytes"], row["safe_wal_size"]
        is_short = margin is not None and margin < _SLOT_MARGIN
        if (retained is not None and retained > _SLOT_BYTES) or is_short:
            yield _finding(
                "PG09",
                Severity.CRITICAL,
                "An unused replication slot holds WAL back until the disk is full",
                subject=row["name"],
                evidence=(wording.size("retained", retained or 0),),
                formula="inactive slots hold less than 5 GB and have 1 GB to spare",
                advice="or limit all slots with max_slot_wal_keep_size",
                fix=f"SELECT pg_drop_replication_slot({wording.literal(row['name'])});",
            )
    for row in facts.rows.get("advice_archiver", ()):
        if row["is_on"] and row["is_failing"]:
            yield _finding(
                "PG10",
                Severity.CRITICAL,
                "WAL can't be archived: the disk fills and backups have a hole",
                subject="archive_command",
                evidence=(
                    wording.count("failures", row["failed_count"]),
                    wording.word("last failed", row["last_failed_wal"]),
                ),
                formula="the last try to archive succeeded",
                advice="mend archive_command; the server's log has its words",
            )
    for row in _worst([row for row in facts.rows.get("advice_prepared", ()) if row["age_s"] > 3600]):
        yield _finding(
            "PG25",
            Severity.CRITICAL,
            "A prepared transaction is forgotten: it holds locks and vacuum back",
            subject=row["name"],
            evidence=(wording.span("age", row["age_s"]),),
            formula="prepared transactions end within 1 h",
            advice="or COMMIT PREPARED, as its coordinator decided",
            fix=f"ROLLBACK PREPARED {wording.literal(row['name'])};",
        )


def _ages(facts: ServerFacts) -> Iterator[Finding]:
    rows = facts.rows.get("advice_wraparound", ())
    for row in _worst([row for row in rows if row["of_forced"] > 150]):
        yield _finding(
            "PG11",
            Severity.CRITICAL if row["of_shutdown"] > 50 else Severity.WARNING,
            "Transaction ids are not frozen in time",
            subject=row["name"],
            evidence=(wording.count("age", row["xid_age"]), wording.percent("of shutdown", row["of_shutdown"])),
            formula="age below 1.5 x autovacuum_freeze_max_age; critical above 50 % of the shutdown limit",
            advice="end what holds old snapshots, then VACUUM FREEZE the oldest tables",
        )
    for row in _worst(
        [row for row in facts.rows.get("advice_extensions", ()) if row["available"] not in (None, row["version"])]
    ):
        name = row["name"].replace('"', '""')
        yield _finding(
            "PG26",
            Severity.INFO,
            "An extension is older than the server's own copy",
            subject=row["name"],
            evidence=(wording.word("version", row["version"]), wording.word("available", row["available"])),
            formula="installed version = default version",
            advice="in a maintenance window",
            fix=f'ALTER EXTENSION "{name}" UPDATE;',
        )
    ended = _OUT_OF_SUPPORT.get(facts.version)
    if ended is not None and facts.server["now"].strftime("%Y-%m") > ended:
        yield _finding(
            "PG27",
            Severity.WARNING,
            "This version gets no more security fixes",
            subject="server version",
            evidence=(wording.count("server version", facts.version), wording.word("supported until", ended)),
            formula="a version that its project supports",
            advice="upgrade",
        )
