"""Every question has its index, and a page costs the same wherever it lies."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from integration.pipelines.platform_runs import NOW, Platform
from qsuite_console.config.settings import TableSettings
from qsuite_console.db.pipelines import statement


def nodes(plan: Any) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


async def explained(connection: asyncpg.Connection, text: str, *arguments: Any) -> dict[str, Any]:
    """What a prepared statement costs, as the console runs it, also once its plan is the generic one."""
    for _ in range(6):
        await connection.fetch(text, *arguments)
    (row,) = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}", *arguments)
    plan: dict[str, Any] = json.loads(row[0])[0]["Plan"]
    return plan


def indexes(plan: dict[str, Any]) -> set[str]:
    return {node["Index Name"] for node in nodes(plan) if "Index Name" in node}


async def test_every_question_is_answered_by_its_index(platform: Platform) -> None:
    tables, day = TableSettings(), NOW - timedelta(days=1)
    window, top = (NOW - timedelta(days=30), NOW), (NOW + timedelta(days=1), 2**62)
    connection = await asyncpg.connect(platform.dsn)
    try:
        last = await explained(connection, statement("pipelines_list", tables), [], "", 1000)
        assert "pipeline_runs_last_idx" in indexes(last)
        running = statement("pipelines_active", tables)
        assert indexes(await explained(connection, running)) == {"pipeline_runs_active_idx"}
        figures = await explained(connection, statement("pipelines_statistics", tables), day, NOW)
        assert indexes(figures) == {"pipeline_runs_time_idx"}
        one = await explained(connection, statement("pipelines_statistics", tables, of="= $3"), *window, 42)
        assert indexes(one) == {"pipeline_runs_last_idx"}
        for name in ("pipelines_runs_older", "pipelines_runs_newer"):
            cursor = top if name.endswith("older") else (window[0], 0)
            page = await explained(connection, statement(name, tables), *window, *cursor, 100)
            assert "pipeline_runs_time_idx" in indexes(page)
            page = await explained(connection, statement(name, tables, of="= $6"), *window, *cursor, 100, 42)
            assert "pipeline_runs_last_idx" in indexes(page)
        active = await explained(
            connection, statement("pipelines_runs_older", tables, status="running"), *window, *top, 100
        )
        assert "pipeline_runs_active_idx" in indexes(active)
        assert "task_runs_run_idx" in indexes(await explained(connection, statement("pipelines_tasks", tables), 50, 9))
        every = [statement(name, tables) for name in ("pipelines_runs_older", "pipelines_runs_newer", "pipelines_list")]
        assert not any(re.search(r"\bOFFSET\b", text, re.IGNORECASE) for text in every)
    finally:
        await connection.close()


@pytest.mark.parametrize("pipeline", [0, 42])
async def test_page_1000_costs_what_page_1_costs(platform: Platform, pipeline: int) -> None:
    """In buffers, and in time as a ratio; the pages of one pipeline are of one run."""
    rows = [row for row in platform.runs if not pipeline or row["pipeline_id"] == pipeline]
    limit = len(rows) // 1000 if not pipeline else 1
    text = statement("pipelines_runs_older", TableSettings(), of="= $6" if pipeline else "")
    own = (pipeline,) if pipeline else ()
    window = (NOW - timedelta(days=31), NOW + timedelta(days=1))
    last = min(1000, len(rows) // limit)
    deep = rows[limit * (last - 1) - 1]
    cursors = {1: (window[1], 2**62), last: (deep["created_at"], deep["id"])}
    connection = await asyncpg.connect(platform.dsn)
    try:
        cost: dict[int, tuple[int, float]] = {}
        for number, cursor in cursors.items():
            found = await connection.fetch(text, *window, *cursor, limit, *own)
            assert [row["id"] for row in found] == [r["id"] for r in rows[limit * (number - 1) : limit * number]]
            plan = await explained(connection, text, *window, *cursor, limit, *own)
            times = []
            for _ in range(15):
                began = time.perf_counter()
                await connection.fetch(text, *window, *cursor, limit, *own)
                times.append(time.perf_counter() - began)
            cost[number] = (plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], min(times))
    finally:
        await connection.close()
    print(f"pipeline {pipeline}: page 1 {cost[1]}, page {last} {cost[last]}")
    assert cost[last][0] <= cost[1][0] * 1.5 + 20
    assert cost[last][1] <= cost[1][1] * 3
