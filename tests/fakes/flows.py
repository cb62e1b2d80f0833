"""What the panes of replication, settings, PgBouncer and TimescaleDB are answered: some trouble in each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from fakes.control import FakeControl
from fakes.platform import NOW
from qsuite_console.model.advice import Effect, Evidence, Finding, Machine, Severity, Unread
from qsuite_console.model.health import Figure, Level, Reading
from qsuite_console.model.pooler import Passage, Pool, Pooler, PoolerClient, PoolerSetting
from qsuite_console.model.replication import (
    Archiver,
    Checkpoints,
    Receiver,
    Replication,
    Slot,
    Standby,
    Subscription,
    WalFlow,
    Writes,
)
from qsuite_console.model.timescale import Aggregate, Hypertable, JobError, Timescale, TimescaleJob
from qsuite_console.model.tuning import SettingLine, Tuning

MIB, GIB = 1024**2, 1024**3
DAY = timedelta(days=1)


def replication() -> Replication:
    return Replication(
        at=NOW,
        cost_ms=3.4,
        is_standby=False,
        interval_s=10.0,
        window_s=900.0,
        wal=WalFlow(
            bytes_per_s=4.2 * MIB, records_per_s=18_400, images_per_s=12, buffers_full=0, files=64, files_bytes=GIB
        ),
        checkpoints=Checkpoints(
            timed=1, requested=6, write_s=212, sync_s=1.4, last_s=140, every="5min", most="1GB"
        ),
        writes=Writes(checkpointer=6.1 * MIB, background=0.2 * MIB, sessions=0.4 * MIB, session_fsyncs=0,
                      background_stops=3),
        archiver=Archiver(
            is_on=True, is_failing=True, archived=14, failed=9, archived_s_ago=1300, failed_s_ago=12,
            failed_file="00000001000000420000009C",
        ),
        standbys=(
            Standby(
                name="replica-b", pid=4711, client="10.0.0.12", state="streaming", sync="async",
                behind_bytes=1.4 * GIB, send_bytes=0.1 * GIB, write_bytes=0, flush_bytes=0, replay_bytes=1.3 * GIB,
                write_s=0.004, flush_s=0.011, replay_s=184, silent_s=0.6,
            ),
            Standby(
                name="replica-a", pid=4710, client="10.0.0.11", state="streaming", sync="sync",
                behind_bytes=4096, send_bytes=0, write_bytes=0, flush_bytes=0, replay_bytes=4096,
                write_s=0.001, flush_s=0.002, replay_s=0.004, silent_s=0.2,
            ),
        ),
        slots=(
            Slot(
                name="old_replica", kind="physical", wal_status="extended", retained_bytes=38 * GIB, inactive_s=86_400,
                xmin_age=1_204_331,
            ),
            Slot(name="gone", kind="physical", wal_status="lost", retained_bytes=None, invalid="wal removed"),
            Slot(
                name="warehouse", kind="logical", database="market", plugin="pgoutput", is_active=True,
                wal_status="reserved", retained_bytes=12 * MIB, safe_bytes=8 * GIB,
            ),
        ),
        subscriptions=(
            Subscription(
                name="reference", is_enabled=True, is_running=True, silent_s=3, tables=12, copying=1, apply_errors=2,
                sync_errors=0,
            ),
        ),
    )  # fmt: skip


def standby_side() -> Replication:
    return replace(
        replication(),
        is_standby=True,
        standbys=(),
        slots=(),
        subscriptions=(),
        archiver=None,
        receiver=Receiver(
            status="streaming", sender="10.0.0.10:5432", slot="replica_a", silent_s=0.4, behind_bytes=180 * MIB,
            replay_s=42, is_paused=True, conflicts={"snapshot": 3.0},
        ),
        unread=(Unread(what="size of the WAL directory", why="permission denied", hint="GRANT pg_monitor TO ada"),),
    )  # fmt: skip


def finding(rule: str, subject: str, title: str, severity: Severity, current: str, recommended: str) -> Finding:
    return Finding(
        id=rule, part="postgresql", subject=subject, title=title, severity=severity,
        evidence=(Evidence(name=subject, value=current, text=current),
                  Evidence(name="memory", value=16.0 * GIB, text="16 GiB"), Evidence(name="cores", value=4, text="4")),
        formula=FORMULAS[subject], current=current, recommended=recommended,
        fix=f"ALTER SYSTEM SET \"{subject}\" = '{recommended}';", effect=Effect.RELOAD,
    )  # fmt: skip


FORMULAS = {
    "fsync": "always on",
    "shared_buffers": "memory / 4, at most 32 GB",
    "effective_cache_size": "memory x 3/4 (a hint for the planner only)",
    "random_page_cost": "SSD, or a database that fits into memory: 1.1",
}


def tuning() -> Tuning:
    def line(name: str, value: str, severity: Severity | None = None, wanted: str = "", **more: object) -> SettingLine:
        found = None
        if severity is not None:
            rule, title = TITLES[name]
            found = finding(rule, name, title, severity, value, wanted)
        given = {"source": "default", "help": f"Sets {name}.", "default": value, **more}
        return SettingLine(name=name, value=value, finding=found, **given)  # type: ignore[arg-type]

    return Tuning(
        at=NOW,
        cost_ms=22.0,
        machine=Machine(
            memory=16 * GIB, cores=4, storage="ssd", workload="mixed", connections=200,
            origins={"workload": "assumed", "storage": "this host"},
        ),
        lines=(
            line("fsync", "off", Severity.CRITICAL, "on", source="command line"),
            line("shared_buffers", "128MB", Severity.WARNING, "4GB", effect=Effect.RESTART),
            line("effective_cache_size", "4GB", Severity.INFO, "12GB"),
            line("random_page_cost", "4", Severity.INFO, "1.1"),
            line("wal_buffers", "4MB", source="configuration file", is_pending=True, effect=Effect.RESTART),
            line("work_mem", "20MB", source="configuration file", is_ours=True),
        ),
    )  # fmt: skip


TITLES = {
    "fsync": ("PG01", "A crash of the host can destroy the database"),
    "shared_buffers": ("PG03", "Cache of table pages"),
    "effective_cache_size": ("PG30", "What the planner believes is cached"),
    "random_page_cost": ("PG38", "Price of a random page"),
}


def pooler() -> Pooler:
    def pool(database: str, user: str, **more: object) -> Pool:
        given = {"mode": "transaction", "clients_active": 4, "clients_waiting": 0, "servers_active": 2,
                 "servers_idle": 6, "servers_other": 0, "max_wait_s": 0.0, "size": 20, **more}  # fmt: skip
        return Pool(database=database, user=user, **given)  # type: ignore[arg-type]

    return Pooler(
        at=NOW,
        cost_ms=1.1,
        where="10.0.0.5:6432",
        version="1.18.0",
        interval_s=2.0,
        clients=71,
        clients_limit=100,
        pools=(
            pool("market", "loader", clients_waiting=14, clients_active=22, servers_active=20, servers_idle=0,
                 max_wait_s=6.2),
            pool("market", "web", clients_active=30, servers_active=3),
            pool("reports", "cron", clients_active=1, servers_active=1, mode="session"),
        ),
        passages=(
            Passage(
                database="market", connections=29, connections_limit=None, transactions_per_s=840, queries_per_s=3204,
                received_per_s=420_000, sent_per_s=2_400_000, transaction_ms=4.1, query_ms=1.2, wait_ms=18.5,
            ),
            Passage(
                database="reports", connections=1, connections_limit=5, transactions_per_s=0.5, queries_per_s=0.5,
                received_per_s=100, sent_per_s=900, transaction_ms=420, query_ms=420, wait_ms=0,
            ),
        ),
        waiting=(
            PoolerClient(database="market", user="loader", address="10.0.0.31:50122", application="celery", wait_s=6.2),
        ),
        settings=(
            PoolerSetting(name="default_pool_size", value="20", default="20"),
            PoolerSetting(name="listen_addr", value="*", default="", needs_restart=True),
        ),
        findings=(
            Finding(
                id="PB02", part="pgbouncer", subject="max_prepared_statements", severity=Severity.WARNING,
                title="Prepared statements of clients break in transaction pooling",
                evidence=(Evidence(name="version", value="1.18.0", text="1.18.0"),
                          Evidence(name="pool_mode", value="transaction", text="transaction")),
                formula="above 0 from 1.21 on; before, clients must not prepare",
                advice="PgBouncer 1.21 or newer can; until then clients must not prepare",
            ),
            Finding(
                id="PB01", part="pgbouncer", subject="max_db_connections", severity=Severity.WARNING,
                title="The pooler must not take all connections of the server",
                evidence=(Evidence(name="usable", value=97, text="97"),), formula="80 % of the usable connections",
                current="0", recommended="77", fix="max_db_connections = 77", effect=Effect.RELOAD,
            ),
        ),
    )  # fmt: skip


def timescale() -> Timescale:
    return Timescale(
        at=NOW,
        cost_ms=18.0,
        version="2.28.0",
        license="timescale",
        hypertables=(
            Hypertable(
                name="public.price_ticks", time_column="timestamp", chunk_s=7 * 86_400, chunks=53, compressed=49,
                partial=2, bytes=48 * GIB, rows=612_000_000, oldest=datetime(2025, 11, 17, tzinfo=UTC),
                newest=datetime(2026, 11, 23, tzinfo=UTC), compressed_until=datetime(2026, 10, 26, tzinfo=UTC),
                is_compressing=True, before_bytes=300 * GIB, after_bytes=40 * GIB,
            ),
            Hypertable(name="public.events", time_column="at", chunk_s=86_400, chunks=8, bytes=310 * MIB, rows=92_000),
        ),
        aggregates=(
            Aggregate(
                name="public.hourly", source="public.price_ticks", is_materialized_only=True, policies=1,
                every_s=3600, refreshed_s_ago=1740, outcome="Success",
            ),
            Aggregate(name="public.daily", source="public.price_ticks", is_materialized_only=False),
        ),
        jobs=(
            TimescaleJob(
                id=1000, procedure="policy_compression", hypertable="public.price_ticks", every_s=43_200,
                state="Scheduled", outcome="Failed", started_s_ago=600, succeeded_s_ago=172_800, took_s=3, next_s=300,
                runs=40, failures=4,
            ),
            TimescaleJob(
                id=1001, procedure="policy_retention", hypertable="public.events", every_s=86_400, state="Scheduled",
                outcome="Success", started_s_ago=7200, succeeded_s_ago=7199, took_s=1, next_s=79_200, runs=210,
            ),
        ),
        errors=(
            JobError(
                id=1000, procedure="policy_compression", ended_s_ago=600, code="53100",
                message="could not extend file: No space left on device",
            ),
        ),
    )  # fmt: skip


def pooler_reading() -> Reading:
    tps = Figure(name="tps", label="transactions", text="840 /s", value=840, unit="/s", level=Level.OK)
    return Reading(
        source="pgbouncer", title="PgBouncer", level=Level.WARNING, headline=tps, interval_s=2.0, sampled_at=NOW
    )


def give_flows(control: FakeControl, *, has_pooler: bool = True, has_timescale: bool = True) -> FakeControl:
    """Let ``control`` answer the questions of these panes."""
    at = control.clock.now

    control.answers |= {
        "database.replication": lambda parameters: replace(replication(), at=at()),
        "database.settings": lambda parameters: replace(
            tuning(), machine=replace(tuning().machine, **dict(parameters)) if parameters else tuning().machine
        ),
        "database.pooler": lambda parameters: pooler() if has_pooler else Pooler(at=at(), cost_ms=0.0, where=""),
        "database.timescale": lambda parameters: timescale() if has_timescale else Timescale(at=at(), cost_ms=1.0),
    }
    if has_pooler:
        control.sample([*control.state.snapshot.readings, pooler_reading()], control.state.snapshot.alerts)
    return control
