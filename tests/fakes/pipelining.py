"""Pipelines of the demo platform: one whose last run failed, one that hangs, one that never ran, and 250 runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from qsuite_console.model.advice import Unread
from qsuite_console.model.pipelines import (
    Active,
    Pipeline,
    Pipelines,
    Run,
    Runs,
    RunStatistics,
    RunTasks,
    TaskRun,
)

Answers = dict[str, Callable[[Mapping[str, Any]], msgspec.Struct]]
NAMES = ("bars-daily", "bars-minute", "fundamentals", "positions-close", "reports-eod", "risk-var", "signals-[beta]")
USUAL = RunStatistics(total=288, running=1, success=272, failed=14, cancelled=1, mean_s=41.2, p50_s=38.0, p95_s=96.5)
ERROR = "schema of the source changed: column [adj_close] is gone\nline 2 of a trace"


def demo_runs(now: datetime, count: int = 250) -> list[Run]:
    """Runs every five minutes, newest first; every 20th failed, the newest of risk-var hangs."""
    found = []
    for number in range(count):
        at = now - timedelta(seconds=90 + 300 * number)
        name = NAMES[number % 6]
        status = "failed" if number % 20 == 3 else "cancelled" if number == 30 else "success"
        took = timedelta(seconds=20 + number * 7 % 60)
        run = Run(
            id=88_000 - number,
            pipeline_id=1 + number % 6,
            pipeline=name,
            status=status,
            created_at=at,
            started_at=at + timedelta(seconds=2),
            completed_at=at + timedelta(seconds=2) + took,
            error=ERROR.replace("\n", " ") if status == "failed" else "",
        )
        if number == 0:
            run = msgspec.structs.replace(run, status="running", completed_at=None)
        if number == 5:
            run = msgspec.structs.replace(run, status="running", completed_at=None)
        found.append(run)
    return found


def demo_list(now: datetime, parameters: Mapping[str, Any]) -> Pipelines:
    """The pipelines whose names have the words."""
    runs = demo_runs(now)
    words, status = str(parameters.get("text", "")).lower().split(), str(parameters.get("status", ""))
    found = []
    for number, name in enumerate(NAMES, 1):
        last = next((run for run in runs if run.pipeline_id == number), None)
        own = msgspec.structs.replace(USUAL, total=48, running=int(number in (1, 6)), success=45, failed=number % 3)
        each = Pipeline(id=number, name=name, status="paused" if number == 3 else "active", last=last, statistics=own)
        if last is None:
            each = msgspec.structs.replace(each, statistics=RunStatistics())
        if all(word in name for word in words) and (not status or (last is not None and last.status == status)):
            found.append(each)
    oldest = min(run.started_at for run in runs if run.status == "running" and run.started_at)
    return Pipelines(
        at=now,
        window_s=float(parameters["window_s"]),
        text=" ".join(words),
        status=status,
        pipelines=tuple(found),
        total=len(found),
        statistics=USUAL,
        active=Active(running=2, pending=1, oldest_at=oldest),
        cost_ms=11.4,
    )


def demo_page(now: datetime, parameters: Mapping[str, Any]) -> Runs:
    """A page of the runs that match, as the keyset says."""
    text, status = str(parameters.get("text", "")), str(parameters.get("status", ""))
    limit, older = int(parameters.get("limit", 100)), str(parameters.get("older", ""))
    found: Sequence[Run] = [
        run
        for run in demo_runs(now)
        if (not text or run.pipeline == text or (text not in NAMES and text in run.pipeline))
        and (not status or run.status == status)
    ]
    start = int(older) if older else 0
    pipeline = NAMES.index(text) + 1 if text in NAMES else 0
    return Runs(
        at=now,
        window_s=float(parameters["window_s"]),
        pipeline=pipeline,
        status=status,
        name=text,
        runs=tuple(found[start : start + limit]),
        older=str(start + limit) if len(found) > start + limit else "",
        newer=older and "0",
        statistics=USUAL,
        cost_ms=7.2,
    )


def demo_tasks(now: datetime, parameters: Mapping[str, Any]) -> RunTasks:
    """Five tasks; of a failed run the fourth failed and stands first."""
    run = next((each for each in demo_runs(now) if each.id == parameters["run"]), None)
    if run is None or run.started_at is None:
        return RunTasks(at=now, id=int(parameters["run"]))
    states = ["success", "success", "success", "success", "success"]
    if run.status == "failed":
        states[3:] = ["failed", "skipped"]
    elif run.status == "running":
        states[1:] = ["running", "pending", "pending", "pending"]
    tasks = [
        TaskRun(
            id=number,
            name=name,
            status=state,
            attempt=3 if state == "failed" else 1,
            started_at=None if state in ("pending", "skipped") else run.started_at + timedelta(seconds=number),
            completed_at=run.started_at + timedelta(seconds=number + 4) if state in ("success", "failed") else None,
            rows=number * 21_044 if state == "success" else None,
            error="KeyError: [adj_close]" if state == "failed" else "",
        )
        for number, (name, state) in enumerate(
            zip(("extract", "clean", "transform", "load", "notify"), states, strict=True)
        )
    ]
    tasks.sort(key=lambda task: task.status != "failed")
    return RunTasks(at=now, id=run.id, run=run, tasks=tuple(tasks), usual=USUAL, cost_ms=3.1)


def unread(now: datetime) -> Pipelines:
    """What a platform without these tables answers."""
    lack = Unread(
        what="pipelines", why='relation "pipelines" does not exist',
        hint="set tables.pipelines, tables.pipeline_runs to the platform's own names",
    )  # fmt: skip
    return Pipelines(at=now, window_s=86_400.0, unread=(lack,))


def pipeline_answers(now: Callable[[], datetime]) -> Answers:
    return {
        "pipelines.list": lambda parameters: demo_list(now(), parameters),
        "pipelines.runs": lambda parameters: demo_page(now(), parameters),
        "pipelines.run": lambda parameters: demo_tasks(now(), parameters),
    }
