"""Sessions of the demo platform: a blocking chain, an old transaction, autovacuum, the console's own, and idle ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from qsuite_console.model.activity import (
    Activity,
    Blocking,
    Edge,
    Explained,
    Lock,
    Session,
    SessionDetail,
    Task,
    Tasks,
    Wait,
)

Answers = dict[str, Callable[[Mapping[str, Any]], msgspec.Struct]]
_MIB = 1024 * 1024


def demo_sessions(now: datetime) -> tuple[Session, ...]:
    """Fourteen sessions; 4711 is the root of the blocking chain."""

    def one(pid: int, state: str, query: str, transaction_s: float | None = None, **more: Any) -> Session:
        return Session(
            **{
                "pid": pid,
                "backend_start": now - timedelta(seconds=3600 + pid),
                "user": "trading",
                "database": "trading",
                "application": "execution-engine",
                "client": f"10.0.3.7:{40_000 + pid}",
                "kind": "client backend",
                "state": state,
                "transaction_s": transaction_s,
                "query_s": transaction_s,
                "state_s": transaction_s if transaction_s is not None else 12.0,
                "query": query,
                **more,
            }
        )

    lock = {"wait_type": "Lock", "wait_event": "transactionid"}
    order = "UPDATE execution_engine_order SET status = 'FILLED', filled_quantity = quantity WHERE id = "
    return (
        one(4712, "active", f"{order}88121", 98.4, **lock),
        one(4713, "active", f"{order}88124", 61.0, **lock),
        one(4714, "active", "UPDATE execution_engine_position SET net = net + 100 WHERE id = 17", 44.2, **lock),
        one(
            4715, "active", "SELECT t.symbol, max(m.close) FROM market_data_marketdata m JOIN market_data_ticker t"
            " ON t.id = m.ticker_id GROUP BY 1", 12.8, application="reports", user="analyst",
            wait_type="IO", wait_event="DataFileRead",
        ),
        one(
            4716, "active", "autovacuum: VACUUM public.execution_engine_order", 33.0, user="", application="",
            client="", kind="autovacuum worker",
        ),
        one(
            4711, "idle in transaction", f"{order}88120", 161.0, application="order-replay", state_s=158.0,
            wait_type="Client", wait_event="ClientRead",
        ),
        one(
            4730, "active", "SELECT pid, backend_start FROM pg_stat_activity", 0.0, user="console",
            application="qsuite-console/panels", is_own=True,
        ),
        *(
            one(4800 + n, "idle", "COMMIT", None, application=f"web-{n}", query_s=3.0 + n, state_s=3.0 + n)
            for n in range(7)
        ),
    )  # fmt: skip


def demo_activity(now: datetime) -> Activity:
    sessions = demo_sessions(now)
    return Activity(at=now, sessions=sessions, total=len(sessions), usable=97, cost_ms=2.1)


def demo_blocking(now: datetime) -> Blocking:
    """4711 → 4712 → 4713, and 4711 → 4714."""
    wait = {4712: (98.2, "transaction 7141"), 4713: (60.9, "transaction 7150"), 4714: (44.0, "transaction 7141")}
    return Blocking(
        at=now,
        edges=(Edge(waiter=4712, holder=4711), Edge(waiter=4713, holder=4712), Edge(waiter=4714, holder=4711)),
        waits=tuple(
            Wait(
                pid=pid,
                lock=Lock(kind="transactionid", mode="ShareLock", subject=subject, is_granted=False, waited_s=seconds),
                holders=1,
            )
            for pid, (seconds, subject) in wait.items()
        ),
        sessions=tuple(one for one in demo_sessions(now) if one.pid in (4711, *wait)),
        waiters=3,
        cost_ms=1.4,
    )


def demo_tasks(now: datetime) -> Tasks:
    started = now - timedelta(seconds=900)
    return Tasks(
        at=now,
        tasks=(
            Task(
                pid=4720, backend_start=started, command="CREATE INDEX CONCURRENTLY", user="trading",
                database="trading", subject="public.market_data_marketdata · public.bars_by_symbol",
                phase="building index: scanning table", done=412_000, total=618_000, unit="blocks", running_s=312.0,
            ),
            Task(
                pid=4721, backend_start=started, command="COPY FROM", user="loader", database="trading",
                subject="public.price_ticks_staging", done=412 * _MIB, unit="B",
                detail="4,120,000 rows through the connection", running_s=44.0,
            ),
            Task(
                pid=4716, backend_start=started, command="VACUUM", database="trading",
                subject="public.execution_engine_order", phase="vacuuming indexes", done=2, total=5, unit="indexes",
                running_s=33.0, is_automatic=True,
            ),
        ),
        cost_ms=0.8,
    )  # fmt: skip


def demo_detail(now: datetime, pid: int) -> SessionDetail:
    session = next((one for one in demo_sessions(now) if one.pid == pid), None)
    locks = (
        Lock(kind="transactionid", mode="ShareLock", subject="transaction 7141", is_granted=False, waited_s=98.2),
        Lock(kind="relation", mode="RowExclusiveLock", subject="public.execution_engine_order", is_granted=True),
        Lock(kind="transactionid", mode="ExclusiveLock", subject="transaction 7150", is_granted=True),
    )
    is_waiter = pid == 4712
    return SessionDetail(
        at=now,
        session=session,
        locks=locks if is_waiter else locks[1:],
        locks_total=3 if is_waiter else 2,
        waits_for=(4711,) if is_waiter else (),
        blocks=(4713,) if is_waiter else (),
        cost_ms=2.0,
    )


def demo_plan(now: datetime, query: str) -> Explained:
    return Explained(
        at=now,
        query=query,
        plan=(
            "Update on execution_engine_order  (cost=0.43..8.45 rows=0 width=0)",
            "  ->  Index Scan using execution_engine_order_pkey on execution_engine_order  (cost=0.43..8.45 rows=1)",
            "        Index Cond: (id = 88121)",
        ),
        notes=('planned by console with search_path "trading", public; nothing was run',),
        cost_ms=1.1,
    )


def activity_answers(now: Callable[[], datetime]) -> Answers:
    """What the probes of sessions answer on the demo platform."""
    return {
        "database.activity": lambda _: demo_activity(now()),
        "database.blocking": lambda _: demo_blocking(now()),
        "database.progress": lambda _: demo_tasks(now()),
        "database.session": lambda parameters: demo_detail(now(), parameters["pid"]),
        "database.explain": lambda parameters: demo_plan(now(), parameters.get("query") or "UPDATE …"),
    }
