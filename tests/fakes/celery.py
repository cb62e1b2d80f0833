"""What a busy broker with three workers would answer to the Celery screen's questions; always the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from qsuite_console.model.celery import (
    CeleryEnd,
    CeleryHistory,
    CeleryKind,
    CeleryKinds,
    CeleryQueue,
    CeleryQueues,
    CeleryStep,
    CeleryTask,
    CeleryTasks,
    CeleryWorker,
    CeleryWorkers,
    Presence,
)

Answers = dict[str, Callable[[Mapping[str, Any]], msgspec.Struct]]
WHERE = "broker.lan:6379/0"
ONE, TWO, THREE = "celery@web1", "celery@web2", "pricing@calc1"
HOSTILE = "[b]evil[/b]\x1b[31m.task"
_CAN = ("orders.check", "orders.settle", "prices.refresh", "reports.nightly")


def step(priority: int, waiting: int) -> CeleryStep:
    return CeleryStep(priority=priority, waiting=waiting)


def queues(now: datetime) -> CeleryQueues:
    return CeleryQueues(
        at=now,
        where=WHERE,
        queues=(
            CeleryQueue(name="reports", waiting=1840, steps=(step(0, 12), step(6, 1828)), growth=2.4, workers=(TWO,),
                        drain_s=4100.0),
            CeleryQueue(name="legacy", waiting=31, steps=(step(0, 31),), growth=0.01, workers=()),
            CeleryQueue(name="celery", waiting=6, steps=(step(0, 2), step(3, 4)), growth=-0.8, workers=(ONE, TWO),
                        drain_s=1.5),
            CeleryQueue(name="prices", waiting=0, growth=0.0, workers=(THREE,), drain_s=0.0),
            CeleryQueue(name="qsuite.general", waiting=0, growth=0.0, workers=(), drain_s=0.0, is_ours=True),
        ),
        in_flight=27,
        oldest_s=3120.0,
        visibility_s=3600.0,
        cost_ms=1.4,
    )  # fmt: skip


def workers(now: datetime) -> CeleryWorkers:
    return CeleryWorkers(
        at=now,
        where=WHERE,
        workers=(
            CeleryWorker(name=ONE, presence=Presence.ONLINE, heard_s=1.0, pid=4711, version="5.4.0", pool="prefork",
                         concurrency=8, prefetch=32, active=7, reserved=19, scheduled=2, processed=1_204_331, rate=42.5,
                         uptime_s=273_600.0, memory=88 << 20, load=3.4, ahead_s=0.1, queues=("celery",),
                         registered=_CAN, totals={"orders.check": 900_000, "prices.refresh": 304_331},
                         has_events=True),
            CeleryWorker(name=TWO, presence=Presence.ONLINE, heard_s=0.4, pid=4712, version="5.4.0", pool="threads",
                         concurrency=4, prefetch=16, active=4, reserved=0, scheduled=0, processed=80_112, rate=0.4,
                         uptime_s=7300.0, memory=210 << 20, load=0.9, ahead_s=-31.0, queues=("celery", "reports"),
                         registered=_CAN, totals={"reports.nightly": 80_112}),
            CeleryWorker(name=THREE, presence=Presence.SILENT, heard_s=95.0, pid=4713, version="5.4.0",
                         processed=11_000),
            CeleryWorker(name="old@web0", presence=Presence.OFFLINE, heard_s=600.0, version="5.4.0", processed=5),
        ),
        listening=2,
        heard_for_s=4000.0,
        cost_ms=6.2,
    )  # fmt: skip


def tasks(now: datetime) -> CeleryTasks:
    def task(number: int, name: str, state: str, **more: Any) -> CeleryTask:
        return CeleryTask(id=f"4fd04232-0a7f-4e8c-9f1e-{number:012}", name=name, state=state, **more)

    return CeleryTasks(
        at=now,
        where=WHERE,
        tasks=(
            task(1, "reports.nightly", "active", worker=TWO, queue="reports", priority=6, pid=4801,
                 started_at=now - timedelta(seconds=3120), is_redelivered=True),
            task(2, "orders.check", "active", worker=ONE, queue="celery", priority=0, pid=4802,
                 started_at=now - timedelta(seconds=2)),
            task(3, HOSTILE, "reserved", worker=ONE, queue="celery", priority=3),
            task(4, "prices.refresh", "scheduled", worker=ONE, queue="celery", priority=0,
                 eta=now + timedelta(seconds=90)),
        ),
        active=11,
        reserved=19,
        scheduled=2,
        left_out=28,
        answered=2,
        listening=2,
        cost_ms=5.9,
    )  # fmt: skip


def kinds(now: datetime) -> CeleryKinds:
    return CeleryKinds(
        at=now,
        where=WHERE,
        window_s=900.0,
        covered_s=900.0,
        kinds=(
            CeleryKind(name="orders.check", succeeded=38_112, failed=3, rate=42.4, p50_s=0.0071, p95_s=0.032,
                       p99_s=0.21, longest_s=1.9, last_error="Timeout('orders db')",
                       last_failed_at=now - timedelta(seconds=300)),
            CeleryKind(name="prices.refresh", succeeded=880, rate=1.0, p50_s=0.4, p95_s=0.9, p99_s=1.2, longest_s=1.4),
            CeleryKind(name="reports.nightly", succeeded=12, failed=9, retried=4, revoked=1, rate=0.02, p50_s=210.0,
                       p95_s=640.0, p99_s=712.0, longest_s=712.0, last_error="MemoryError()",
                       last_failed_at=now - timedelta(seconds=41)),
        ),
        quiet_workers=(TWO,),
    )  # fmt: skip


def history(now: datetime, text: str = "") -> CeleryHistory:
    made = (
        ("reports.nightly", "failed", TWO, 212.0, 1, "MemoryError()"),
        ("orders.check", "succeeded", ONE, 0.0069, 0, ""),
        ("orders.check", "retried", ONE, 0.012, 2, "Retry in 5s"),
        ("", "succeeded", ONE, 1.1, 0, ""),
        ("orders.settle", "revoked", ONE, None, 0, ""),
    )
    ends = tuple(
        CeleryEnd(id=f"75e0596c-2aa0-440a-9570-{number:012}", name=name, state=state, worker=worker,
                  at=now - timedelta(seconds=7 * number), runtime_s=took, retries=retries, error=error)
        for number, (name, state, worker, took, retries, error) in enumerate(made)
        if all(word in f"{name} {state} {worker} {error}".lower() for word in text.lower().split())
    )  # fmt: skip
    return CeleryHistory(at=now, where=WHERE, ends=ends, known=2000, covered_s=4000.0)


def celery_answers(clock: Callable[[], datetime]) -> Answers:
    return {
        "celery.queues": lambda _: queues(clock()),
        "celery.workers": lambda _: workers(clock()),
        "celery.tasks": lambda _: tasks(clock()),
        "celery.kinds": lambda _: kinds(clock()),
        "celery.history": lambda given: history(clock(), str(given.get("text", ""))),
    }
