"""Findings on PostgreSQL's settings: sizes against the formulas, and settings that endanger data or hide trouble."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from qsuite_console.db.settings import ServerFacts, Setting
from qsuite_console.metrics.advice import wording
from qsuite_console.metrics.advice.sizing import GIB, MIB, Profile, sizes, worst_case
from qsuite_console.model.advice import Effect, Evidence, Finding, Severity

PART: Final = "postgresql"
_OFF: Final = 2.0  # a value may be this many times off before it is worth a word
_HUGE_FROM: Final = 8 * GIB
_DEFAULTS_MATTER: Final = 4 * GIB  # the compiled defaults are meant for less
_IDS: Final = {
    "shared_buffers": ("PG03", "Cache of table pages", Severity.WARNING),
    "effective_cache_size": ("PG30", "What the planner believes is cached", Severity.INFO),
    "work_mem": ("PG31", "Memory of a sort or hash", Severity.INFO),
    "maintenance_work_mem": ("PG32", "Memory of VACUUM and CREATE INDEX", Severity.INFO),
    "autovacuum_work_mem": ("PG33", "Memory of an autovacuum worker", Severity.INFO),
    "max_wal_size": ("PG34", "WAL between checkpoints", Severity.INFO),
    "checkpoint_timeout": ("PG35", "Time between checkpoints", Severity.INFO),
    "checkpoint_completion_target": ("PG36", "Spread of a checkpoint's writes", Severity.INFO),
    "wal_buffers": ("PG37", "Buffers of WAL", Severity.INFO),
    "random_page_cost": ("PG38", "Price of a random page", Severity.INFO),
    "effective_io_concurrency": ("PG39", "Reads ahead at once", Severity.INFO),
    "max_worker_processes": ("PG40", "Background workers", Severity.INFO),
    "max_parallel_workers": ("PG41", "Parallel workers", Severity.INFO),
    "max_parallel_workers_per_gather": ("PG42", "Parallel workers of a query", Severity.INFO),
    "max_parallel_maintenance_workers": ("PG43", "Parallel workers of CREATE INDEX", Severity.INFO),
    "max_locks_per_transaction": ("PG46", "Locks a transaction may take: one a partition and index", Severity.INFO),
    "io_workers": ("PG47", "Processes that read for all sessions", Severity.INFO),
}
_BYTES: Final = frozenset(
    {
        "shared_buffers",
        "effective_cache_size",
        "work_mem",
        "maintenance_work_mem",
        "autovacuum_work_mem",
        "max_wal_size",
        "wal_buffers",
    }
)
_MUST_BE_ON: Final = {
    "fsync": ("PG01", "A crash of the host can destroy the database"),
    "full_page_writes": ("PG01", "A crash of the host can tear pages beyond repair"),
    "autovacuum": ("PG23", "Dead rows pile up until the server stops to protect itself"),
}


def settings_findings(facts: ServerFacts, profile: Profile | None) -> Iterator[Finding]:
    """Yield what to change in the settings; sizes only with a profile of the machine."""
    yield from _dangers(facts)
    yield from _habits(facts)
    if profile is not None:
        overcommitted = tuple(_overcommitted(facts, profile))
        yield from overcommitted
        yield from _compiling(facts, profile)
        yield from _reading(facts)
        yield from _huge_pages(facts)
        told = {finding.subject for finding in overcommitted}
        yield from (finding for finding in _sizes(facts, profile) if finding.subject not in told)


def shown(setting: Setting) -> str:
    """Return a setting as SHOW prints it."""
    if setting.vartype not in ("integer", "real") or not setting.unit:
        return setting.setting
    is_size = setting.unit.endswith("B")
    return wording.bytes_setting(setting.amount) if is_size else wording.seconds_setting(setting.amount)


def setting_finding(
    setting: Setting,
    rule: str,
    title: str,
    severity: Severity,
    *,
    evidence: tuple[Evidence, ...],
    formula: str,
    recommended: str,
    advice: str = "",
) -> Finding:
    """Return a finding whose fix sets one setting."""
    return Finding(
        id=rule,
        part=PART,
        subject=setting.name,
        title=title,
        severity=severity,
        evidence=(wording.word(setting.name, shown(setting)), *evidence),
        formula=formula,
        current=shown(setting),
        recommended=recommended,
        advice="; ".join(part for part in (advice, _overridden(setting)) if part),
        fix=wording.alter_system(setting.name, recommended),
        effect=Effect.RESTART if setting.needs_restart else Effect.RELOAD,
    )


def _overridden(setting: Setting) -> str:
    """Return why ALTER SYSTEM alone will not do, "" where it does."""
    if setting.source in ("command line", "environment variable"):
        return f"it was set by the server's {setting.source}, which wins: change it there"
    if setting.source in ("database", "user", "database user"):
        return f"it was set for this {setting.source}, which wins: change it with ALTER DATABASE or ALTER ROLE"
    return ""


def _dangers(facts: ServerFacts) -> Iterator[Finding]:
    for name, (rule, title) in _MUST_BE_ON.items():
        setting = facts.settings.get(name)
        if setting is not None and setting.setting == "off":
            yield setting_finding(
                setting, rule, title, Severity.CRITICAL, evidence=(), formula="always on", recommended="on"
            )


def _habits(facts: ServerFacts) -> Iterator[Finding]:
    settings = facts.settings
    commit = settings.get("synchronous_commit")
    if commit is not None and commit.setting == "off":
        yield setting_finding(
            commit,
            "PG28",
            "Every session may lose its last commits in a crash",
            Severity.WARNING,
            evidence=(),
            formula="on for all; off only in sessions that load what can be loaded again",
            recommended="on",
        )
    offenders = facts.sessions["idle_in_tx"]
    if offenders:  # the server's own value can't be seen: our sessions set theirs when they connect
        yield Finding(
            id="PG08",
            part=PART,
            subject="idle_in_transaction_session_timeout",
            title="Sessions sit idle in a transaction and nothing ends them",
            severity=Severity.WARNING,
            evidence=(wording.count("idle in transaction over 60 s", offenders),),
            formula="60 s wherever sessions are seen idle in a transaction for longer",
            recommended="60s",
            advice="set it for the role at fault where others need longer: ALTER ROLE … SET …",
            fix=wording.alter_system("idle_in_transaction_session_timeout", "60s"),
            effect=Effect.RELOAD,
        )
    timing = settings.get("track_io_timing")
    if timing is not None and timing.setting == "off":
        yield setting_finding(
            timing,
            "PG20",
            "Time spent on reads and writes is not measured",
            Severity.INFO,
            evidence=(),
            formula="on where pg_test_timing shows less than 100 ns a look",
            recommended="on",
        )
    yield from _choices(facts)


def _choices(facts: ServerFacts) -> Iterator[Finding]:
    compression = facts.settings.get("wal_compression")
    if compression is not None and compression.setting == "off":
        best = "lz4" if facts.version >= 15 and "lz4" in compression.choices else "on"
        yield setting_finding(
            compression,
            "PG44",
            "WAL is written uncompressed",
            Severity.INFO,
            evidence=(wording.count("server version", facts.version),),
            formula="lz4 from 15 on where built in, else on",
            recommended=best,
        )
    yield from _statements(facts)


def _compiling(facts: ServerFacts, profile: Profile) -> Iterator[Finding]:
    jit = facts.settings.get("jit")
    if jit is not None and jit.setting == "on" and profile.workload != "warehouse":
        yield setting_finding(
            jit,
            "PG45",
            "Short queries are compiled for longer than they run",
            Severity.INFO,
            evidence=(wording.word("workload", profile.workload),),
            formula="off for oltp and mixed; it pays for long aggregates only",
            recommended="off",
        )


def _reading(facts: ServerFacts) -> Iterator[Finding]:
    method = facts.settings.get("io_method")
    if method is not None and method.setting == "sync":
        yield setting_finding(
            method,
            "PG49",
            "Every session waits for its own reads",
            Severity.INFO,
            evidence=(wording.count("server version", facts.version),),
            formula="worker, the default; io_uring where the build and the kernel's permissions allow it",
            recommended="worker",
        )


def _huge_pages(facts: ServerFacts) -> Iterator[Finding]:
    """Advise huge pages where shared_buffers is large: small pages cost every session its own page tables."""
    wanted, shared = facts.settings.get("huge_pages"), facts.settings.get("shared_buffers")
    rows = facts.rows.get("advice_memory", ())
    if wanted is None or shared is None or shared.amount < _HUGE_FROM or not rows:
        return
    status, pages = rows[0]["huge_pages"], rows[0]["huge_pages_needed"]
    evidence = (
        wording.word("shared_buffers", shown(shared)),
        *((wording.count("huge pages needed", pages),) if pages and pages > 0 else ()),
        *((wording.word("huge_pages_status", status),) if status else ()),
    )
    formula = "in use from 8 GB of shared_buffers on"
    if wanted.setting == "off":
        yield setting_finding(
            wanted,
            "PG48",
            "Shared memory is mapped in small pages",
            Severity.INFO,
            evidence=evidence,
            formula=formula,
            recommended="try",
            advice=f"first, on the host: sysctl -w vm.nr_hugepages={pages}" if pages and pages > 0 else "",
        )
    elif status == "off":
        yield Finding(
            id="PG48",
            part=PART,
            subject="huge_pages",
            title="Shared memory is mapped in small pages",
            severity=Severity.INFO,
            evidence=(wording.word("huge_pages", wanted.setting), *evidence),
            formula=formula,
            advice="the host has too few free huge pages; a line for /etc/sysctl.conf",
            fix=f"vm.nr_hugepages = {pages}" if pages and pages > 0 else "",
            effect=Effect.RESTART,
        )


def _statements(facts: ServerFacts) -> Iterator[Finding]:
    libraries = facts.settings.get("shared_preload_libraries")
    is_there = facts.server.get("has_statements", True)  # naming a library that is missing keeps a server from starting
    if libraries is not None and is_there and "pg_stat_statements" not in libraries.setting:
        names = [part.strip() for part in libraries.setting.split(",") if part.strip()]
        yield Finding(
            id="PG20",
            part=PART,
            subject="shared_preload_libraries",
            title="No record of which statements cost what",
            severity=Severity.INFO,
            evidence=(wording.word("shared_preload_libraries", libraries.setting or "empty"),),
            formula="pg_stat_statements among shared_preload_libraries",
            current=libraries.setting,
            recommended=", ".join([*names, "pg_stat_statements"]),
            advice="then CREATE EXTENSION pg_stat_statements",
            # A list setting takes its members one by one: quoted together they would be one library's name.
            fix="ALTER SYSTEM SET shared_preload_libraries = "
            + ", ".join(wording.literal(name) for name in [*names, "pg_stat_statements"])
            + ";",
            effect=Effect.RESTART,
        )


def _overcommitted(facts: ServerFacts, profile: Profile) -> Iterator[Finding]:
    shared, work = facts.settings.get("shared_buffers"), facts.settings.get("work_mem")
    if shared is None or work is None:
        return
    multiplier_setting = facts.settings.get("hash_mem_multiplier")
    multiplier = multiplier_setting.amount if multiplier_setting else 1.0
    needed = worst_case(shared.amount, profile.connections, work.amount, multiplier)
    if needed <= profile.memory:
        return
    yield setting_finding(
        work,
        "PG02",
        "All sessions sorting at once need more memory than there is",
        Severity.CRITICAL,
        evidence=(
            wording.word("shared_buffers", shown(shared)),
            wording.count("connections", profile.connections),
            wording.number("hash_mem_multiplier", multiplier),
            wording.size("worst case", needed),
            wording.size("memory", profile.memory),
        ),
        formula="shared_buffers + connections x work_mem x hash_mem_multiplier < memory",
        recommended=wording.bytes_setting(_affordable(shared.amount, multiplier, profile)),
        advice="or allow fewer connections and put a pooler before the server",
    )


def _affordable(shared: float, multiplier: float, profile: Profile) -> int:
    """Return the work_mem that keeps both the formula and the worst case, at least the server's own minimum."""
    left = max(0.0, profile.memory - shared) / (profile.connections * multiplier)
    return int(max(64 * 1024, min(sizes(profile)["work_mem"].value, left))) // 1024 * 1024


def _sizes(facts: ServerFacts, profile: Profile) -> Iterator[Finding]:
    for name, size in sizes(profile).items():
        setting = facts.settings.get(name)
        if setting is None or not _is_off(setting, size.value, profile):
            continue
        if name == "io_workers" and not _has_readers(facts):
            continue
        rule, title, severity = _IDS[name]
        if name in _BYTES:
            # From 64 MB on whole MB: that is what people read, and less than the formula is good for.
            recommended = wording.bytes_setting(size.value // MIB * MIB if size.value >= 64 * MIB else size.value)
        elif name == "checkpoint_timeout":
            recommended = wording.seconds_setting(size.value)
        else:
            recommended = f"{size.value:g}"
        yield setting_finding(
            setting,
            rule,
            title,
            severity,
            evidence=(
                wording.size("memory", profile.memory),
                wording.count("cores", profile.cores),
                wording.count("connections", profile.connections),
                wording.word("storage", profile.storage),
                wording.word("workload", profile.workload),
                wording.word("set by", setting.source),
                *_database_size(name, profile),
                *_relations(name, profile),
            ),
            formula=size.formula,
            recommended=recommended,
        )


def _has_readers(facts: ServerFacts) -> bool:
    method = facts.settings.get("io_method")
    return method is not None and method.setting == "worker"


def _database_size(name: str, profile: Profile) -> tuple[Evidence, ...]:
    if name != "random_page_cost" or profile.database is None:
        return ()
    return (wording.size("database", profile.database),)


def _relations(name: str, profile: Profile) -> tuple[Evidence, ...]:
    if name != "max_locks_per_transaction" or not profile.relations:
        return ()
    return (wording.count("relations of the biggest partitioned table", profile.relations),)


def _is_off(setting: Setting, value: float, profile: Profile) -> bool:
    current = setting.amount
    if setting.name == "max_locks_per_transaction":  # more than needed costs next to nothing
        return current < value
    if setting.name == "wal_buffers":
        return not setting.is_default and current not in (-1, 0) and current > 64 * 1024**2
    if setting.name == "autovacuum_work_mem" and current < 0:  # follows maintenance_work_mem, which is judged itself
        return False
    if current == value:
        return False
    if setting.is_default and profile.memory >= _DEFAULTS_MATTER:
        return True
    low, high = sorted((max(current, 1e-9), max(value, 1e-9)))
    return high / low > _OFF
