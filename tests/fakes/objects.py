"""Statements, tables, indexes and limits of the demo platform, with the troubles an operator looks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from qsuite_console.model.activity import Explained
from qsuite_console.model.objects import (
    Age,
    ColumnFacts,
    Holder,
    Index,
    Indexes,
    IndexFacts,
    Limits,
    Missing,
    Sequence,
    Table,
    TableDetail,
    Tables,
    Wanted,
)
from qsuite_console.model.statements import Counters, Statement, Statements, StatementText

Answers = dict[str, Callable[[Mapping[str, Any]], msgspec.Struct]]
MIB, GIB = 1024**2, 1024**3
_TEXTS = (
    ("trading", "SELECT t.symbol, m.close FROM market_data_marketdata m JOIN market_data_ticker t ON t.id = m.ticker_id"
                " WHERE t.symbol = ANY ($1) ORDER BY m.timestamp DESC", 18_204, 812_400.0, 96_120, 4.1e6, 2.2e5, 0),
    ("trading", "UPDATE execution_engine_order SET status = $1, filled_quantity = $2 WHERE id = $3",
     1_204_331, 402_118.0, 1_204_331, 9.8e6, 1.1e4, 0),
    ("reports", "SELECT created_by_id, sum(quantity * price) FROM execution_engine_execution e JOIN"
                " execution_engine_order o ON o.id = e.order_id GROUP BY $1 ORDER BY $2", 12, 96_240.0, 2_400, 1.2e4,
     8.8e5, 41_000),
    ("trading", "INSERT INTO market_data_marketdata VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
     88_120, 61_300.0, 88_120, 4.4e5, 900.0, 0),
    ("trading", "SELECT $1", 402_118, 2_010.0, 402_118, 0.0, 0.0, 0),
)  # fmt: skip


def demo_statements(now: datetime, parameters: Mapping[str, Any]) -> Statements:
    """Five statements; what is recent is a tenth of a percent of all."""
    everything = sum(one[3] for one in _TEXTS)
    found = [
        Statement(
            key=f"10/{number}/top",
            query_id=str(number),
            role=role,
            query=query,
            all=Counters(calls=calls, total_ms=total, rows=rows, hit=hit, read=read, temp=temp, io_ms=total / 9,
                         wal=rows * 80.0 if query[0] != "S" else 0.0, jit_ms=0.0),
            max_ms=total / calls * 31,
            share=total / everything,
            recent=Counters(calls=calls // 1000, total_ms=total / 1000, rows=rows // 1000, hit=hit / 1000,
                            read=read / 1000),
            recent_share=total / everything,
        )
        for number, (role, query, calls, total, rows, hit, read, temp) in enumerate(_TEXTS, start=901)
    ]  # fmt: skip
    if parameters.get("order") == "mean":
        found.sort(key=lambda one: -(one.all.mean_ms or 0))
    words = str(parameters.get("text", "")).lower().split()
    found = [one for one in found if all(word in one.query.lower() for word in words)]
    return Statements(
        at=now, cost_ms=3.2, order=str(parameters.get("order", "time")), is_recent=bool(parameters.get("recent")),
        statements=tuple(found), total=len(found), interval_s=30.0, since=now - timedelta(days=3, hours=4), evicted=0,
        capacity=5000, total_ms=everything, recent_ms=everything / 1000,
    )  # fmt: skip


def demo_statement(now: datetime, parameters: Mapping[str, Any]) -> StatementText:
    """The whole text of one of them."""
    all_of = demo_statements(now, {})
    found = next((one for one in all_of.statements if one.key == parameters["key"]), None)
    text = "" if found is None else found.query.replace(" FROM", "\n  FROM").replace(" WHERE", "\n WHERE")
    return StatementText(at=now, cost_ms=1.4, statement=found, text=text, interval_s=30.0, since=all_of.since)


def demo_tables(now: datetime, parameters: Mapping[str, Any]) -> Tables:
    """Six tables: one vacuum is late for, one nobody may vacuum, one bloated, one partitioned."""

    def ago(**by: float) -> datetime:
        return now - timedelta(**by)

    tables = [
        Table(oid=1, name="public.market_data_marketdata", indexes=2, heap_bytes=41.2 * GIB, index_bytes=12.9 * GIB,
              est_rows=4.1e8, live=4.1e8, dead=8.2e4, trigger=8.2e7, of_trigger=0.001, seq_scans=12, seq_rows=9e8,
              idx_scans=9.1e7, vacuumed_at=ago(hours=7), analyzed_at=ago(hours=7), xid_age=61_000_000,
              bloat_bytes=1.1 * GIB),
        Table(oid=2, name="public.price_ticks", kind="p", parts=7, indexes=7, heap_bytes=9.4 * GIB,
              toast_bytes=0.1 * GIB, index_bytes=3.2 * GIB, est_rows=8.8e7, live=8.8e7, dead=0.0, trigger=1.7e7,
              seq_scans=40, idx_scans=8_100_000, vacuumed_at=ago(days=2), analyzed_at=ago(days=2), xid_age=40_000_000),
        Table(oid=3, name="public.execution_engine_order", indexes=5, heap_bytes=2.1 * GIB, index_bytes=1.4 * GIB,
              est_rows=6.2e6, live=6.2e6, dead=5.8e6, modified=2.9e6, trigger=1.24e6, of_trigger=4.7, seq_scans=880,
              seq_rows=5.2e9, idx_scans=4_100_000, vacuumed_at=ago(days=9), analyzed_at=ago(days=9),
              xid_age=150_000_000, bloat_bytes=0.9 * GIB),
        Table(oid=4, name="public.task_runs", indexes=2, heap_bytes=640 * MIB, toast_bytes=80 * MIB,
              index_bytes=210 * MIB, est_rows=3.1e6, live=3.1e6, dead=41_000.0, trigger=620_050.0, of_trigger=0.07,
              is_vacuumed=False, seq_scans=9, idx_scans=190_400, analyzed_at=ago(days=40), xid_age=180_000_000),
        Table(oid=5, name='public."Legacy Audit"', indexes=1, heap_bytes=900 * MIB, index_bytes=20 * MIB, live=9.1e5,
              est_rows=9.1e5, trigger=182_050.0, seq_scans=3, idx_scans=1, is_sized=False, vacuumed_at=ago(days=1),
              analyzed_at=ago(days=1), bloat_bytes=510 * MIB, xid_age=12_000),
        Table(oid=6, name="public.pipelines", indexes=2, heap_bytes=48 * 1024.0, index_bytes=32 * 1024.0, est_rows=60,
              live=60, seq_scans=12_400, idx_scans=10, xid_age=9_000),
    ]  # fmt: skip
    if parameters.get("order") == "dead":
        tables.sort(key=lambda one: -one.dead)
    text = str(parameters.get("text", "")).lower()
    tables = [table for table in tables if text in table.name.lower()]
    if 2 in parameters.get("expand", ()):
        at = next(number for number, table in enumerate(tables) if table.oid == 2) + 1
        tables[at:at] = [
            Table(oid=20 + month, parent=2, name=f"public.price_ticks_p2026{month:02}", heap_bytes=1.5 * GIB,
                  live=1.4e7, index_bytes=0.5 * GIB, vacuumed_at=ago(days=month), analyzed_at=ago(days=month))
            for month in (11, 10, 9)
        ]  # fmt: skip
    return Tables(at=now, cost_ms=28.4, order=str(parameters.get("order", "size")), text=text, tables=tuple(tables),
                  total=1204 if not text else len(tables), started_at=ago(days=80), parts_hidden={"2": 4})  # fmt: skip


def demo_table(now: datetime, _: Mapping[str, Any]) -> TableDetail:
    """The orders."""
    return TableDetail(
        at=now, cost_ms=4.0, name="public.execution_engine_order", owner="trading",
        options=("fillfactor=90", "autovacuum_vacuum_scale_factor=0.2"),
        columns=(
            ColumnFacts(name="id", type="bigint", is_required=True, distinct=-1, width=8),
            ColumnFacts(name="status", type="text", is_required=True, distinct=6, width=7, null_share=0.0),
            ColumnFacts(name="price", type="numeric(18,6)", null_share=0.25, distinct=-0.61, width=6),
        ),
        indexes=(
            IndexFacts(name="public.execution_engine_order_pkey", bytes=140.0 * MIB, scans=4_100_000,
                       definition="CREATE UNIQUE INDEX execution_engine_order_pkey ON … USING btree (id)"),
            IndexFacts(name="public.execution_engine_order_side_idx", bytes=96.0 * MIB, is_valid=False,
                       definition="CREATE INDEX execution_engine_order_side_idx ON … USING btree (side)"),
        ),
        constraints=("execution_engine_order_check: CHECK (quantity > 0)",),
        inserted=6.4e6, updated=9.1e6, hot_updated=4.6e6, deleted=2e5, vacuums=(1, 204), analyzes=(0, 310),
        last={"autovacuum": now - timedelta(days=9), "vacuum": now - timedelta(days=30)}, hit_share=0.991,
    )  # fmt: skip


def demo_indexes(now: datetime, parameters: Mapping[str, Any]) -> Indexes:
    """One broken, one redundant, one unused, two fine; two may be missing."""
    order = "public.execution_engine_order"
    indexes = [
        Index(oid=31, name=f"{order}_side_idx", relation=order, bytes=96.0 * MIB, verdicts=("invalid", "unused"),
              writes=1.5e7, definition="CREATE INDEX execution_engine_order_side_idx ON … USING btree (side)"),
        Index(oid=32, name=f"{order}_user_old", relation=order, bytes=210.0 * MIB, verdicts=("left prefix",),
              covered_by=f"{order}_user_idx", scans=1204, writes=1.5e7, scanned_at=now - timedelta(days=12),
              definition="CREATE INDEX execution_engine_order_user_old ON … USING btree (created_by_id)"),
        Index(oid=33, name="public.task_runs_name_idx", relation="public.task_runs", bytes=88.0 * MIB, writes=3.1e6,
              verdicts=("unused",), definition="CREATE INDEX task_runs_name_idx ON … USING btree (task_name)"),
        Index(oid=34, name="public.price_ticks_pkey", relation="public.price_ticks", bytes=3.2 * GIB, parts=7,
              scans=8_100_000, entries=9.1e8, is_unique=True, is_primary=True, is_constraint=True, writes=8.8e7,
              scanned_at=now - timedelta(seconds=2), definition="CREATE UNIQUE INDEX price_ticks_pkey ON …"),
        Index(oid=35, name=f"{order}_pkey", relation=order, bytes=140.0 * MIB, scans=4_100_000, entries=4.1e6,
              is_unique=True, is_primary=True, is_constraint=True, writes=1.5e7, scanned_at=now,
              definition="CREATE UNIQUE INDEX execution_engine_order_pkey ON … USING btree (id)"),
    ]  # fmt: skip
    if parameters.get("troubled"):
        indexes = [index for index in indexes if index.verdicts]
    if parameters.get("order") == "size":
        indexes.sort(key=lambda one: -one.bytes)
    missing = (
        Missing(oid=3, kind="foreign key", relation=order, subject="FOREIGN KEY (strategy_id) REFERENCES strategy(id)",
                rows=6.2e6, evidence=("6,200,000 rows", "41,200 updates and deletes of strategy, each reads the whole"
                                      " table"), fix=f"CREATE INDEX CONCURRENTLY ON {order} (strategy_id);"),
        Missing(oid=3, kind="full scans", relation=order, rows=6.2e6, subject="find its statements",
                evidence=("6,200,000 rows", "880 scans from end to end", "5,900,000 rows each")),
    )  # fmt: skip
    return Indexes(at=now, cost_ms=41.0, order=str(parameters.get("order", "trouble")), indexes=tuple(indexes),
                   total=len(indexes), missing=missing, missing_total=2, wanted=demo_wanted(order),
                   since=now - timedelta(days=41))  # fmt: skip


def demo_wanted(order: str) -> tuple[Wanted, ...]:
    """One is missing, of one the name is taken, one is there."""
    question = "SELECT 'bid' AS side, price, sum(quantity - filled_quantity) FROM execution_engine_order …"
    return (
        Wanted(name="execution_engine_order_book_idx", relation=order, rows=6.2e6, bytes=1.9 * GIB, question=question,
               why="the book of a symbol in price order, only what rests in it",
               statement="CREATE INDEX CONCURRENTLY execution_engine_order_book_idx ON … (ticker_id, side, price) …;"),
        Wanted(name="task_runs_run_idx", relation="public.task_runs", state="different", rows=1.5e6, bytes=0.2 * GIB,
               existing="public.task_runs_run_idx", why="the tasks of a run",
               statement="CREATE INDEX CONCURRENTLY task_runs_run_idx ON task_runs (pipeline_run_id);"),
        Wanted(name="execution_engine_order_user_idx", relation=order, state="present"),
    )  # fmt: skip


def demo_limits(now: datetime, _: Mapping[str, Any]) -> Limits:
    """A database behind with freezing, a sequence near its end."""
    forced = {"xid_forced": 200_000_000, "mxid_forced": 400_000_000}
    return Limits(
        at=now, cost_ms=5.1,
        databases=(
            Age(name="trading", is_here=True, xid_age=342_118_904, mxid_age=1_204_331, **forced),
            Age(name="postgres", xid_age=61_204_331, mxid_age=0, **forced),
        ),
        tables=(
            Age(name="public.task_runs", oid=4, is_here=True, xid_age=342_118_904, mxid_age=1_204, bytes=640.0 * MIB,
                vacuumed_at=now - timedelta(days=200), **forced),
            Age(name="pg_catalog.pg_attribute", oid=1249, is_here=True, xid_age=61_204_331, mxid_age=0, **forced),
        ),
        holders=(Holder(kind="session", id="4711", who="etl", age=342_118_000, held_s=266_400.0),),
        sequences=(
            Sequence(name="public.task_runs_id_seq", feeds="public.task_runs.id", last=2_018_204_331, limit=2**31 - 1,
                     share=0.94),
            Sequence(name="public.order_id_seq", feeds="public.order.id", last=6_204_331, limit=2**63 - 1, share=0.0),
        ),
        sequences_total=12,
    )  # fmt: skip


def demo_explained(now: datetime, parameters: Mapping[str, Any]) -> Explained:
    """A generic plan."""
    plan = ("Index Scan using execution_engine_order_pkey on execution_engine_order", "  Index Cond: (id = $3)")
    return Explained(at=now, query=str(parameters["query"]), plan=plan, notes=("a generic plan",), cost_ms=2.0)


def object_answers(clock: Callable[[], datetime]) -> Answers:
    """Return what the probes of objects answer."""
    makers: dict[str, Callable[[datetime, Mapping[str, Any]], msgspec.Struct]] = {
        "database.statements": demo_statements,
        "database.statement": demo_statement,
        "database.tables": demo_tables,
        "database.table": demo_table,
        "database.indexes": demo_indexes,
        "database.limits": demo_limits,
    }
    return {name: lambda parameters, make=make: make(clock(), parameters) for name, make in makers.items()}  # type: ignore[misc]
