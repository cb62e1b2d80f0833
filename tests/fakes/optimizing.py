"""A plan to put the platform in shape, as tests and pictures show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from qsuite_console.model.advice import Score, Unread
from qsuite_console.model.optimizing import Optimization, Step, numbered

STEPS = (
    Step(
        title="make 2 partitions of public.price_ticks", subject="public.price_ticks", rule="PG21",
        evidence=("missing 2027-01, 2027-02",), consequence="locks the table for a moment, once a month",
        kind="partitions", parameters={"table": "public.price_ticks", "months_ahead": 3},
    ),
    Step(
        title="vacuum and analyze public.execution_engine_order", subject="public.execution_engine_order",
        evidence=("dead rows 412,800", "live rows 1,204,000", "of trigger 3.4 times"), rule="PG12, PG14",
        consequence="reads and writes go on; I/O for the whole table",
        kind="vacuum", parameters={"table": "public.execution_engine_order", "mode": "vacuum_analyze"},
    ),
    Step(
        title="warm market data", subject="keys market_data:…", kind="warm.market-data",
        evidence=("12 of 100 keys there", "or more symbols: a warming takes the 100 most traded"),
        consequence="one query and one pipeline; a schedule keeps it warm",
    ),
    Step(
        title="set log_lock_waits to on", subject="log_lock_waits", rule="PG24", operation="database.apply-setting",
        evidence=("transactions deadlock", "deadlocks 3"), parameters={"name": "log_lock_waits", "value": "on"},
        consequence="counts at once, for the whole server; act database.reset-setting takes it back",
    ),
    Step(
        title="move the strays of public.price_ticks where they belong", subject="public.price_ticks", rule="PG21",
        evidence=("1,204 rows in the default partition",), consequence="their months can be made afterwards",
        kind="partitions", parameters={"table": "public.price_ticks", "move_strays": True}, is_safe=False,
        why_not="the table is locked while they move",
    ),
)  # fmt: skip


def plan(now: Callable[[], datetime], steps: tuple[Step, ...] = STEPS) -> Callable[[Mapping[str, Any]], Optimization]:
    def answer(_: Mapping[str, Any]) -> Optimization:
        scores = zip(("database", "cache", "system", "overall"), (62.0, 71.0, 98.0, 74.0), strict=True)
        return Optimization(
            at=now() - timedelta(seconds=4),
            target="sandbox",
            scores=tuple(Score(area=area, value=value) for area, value in scores),
            steps=numbered(steps),
            others=12,
            unread=(Unread(what="pooler", why="it does not answer"),),
        )

    return answer
