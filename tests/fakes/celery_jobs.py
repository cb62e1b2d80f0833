"""Kinds of jobs for real Celery workers: what each did is written to tables of the platform, where a test counts it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from qsuite_console import workers
from qsuite_console.engine.ports import JobContext, JobKind, Permanent, SoftTimeLimit

TABLES = """
CREATE TABLE began (id bigserial PRIMARY KEY, n integer, attempt integer, step integer, pid integer,
                    at timestamptz DEFAULT clock_timestamp());
CREATE TABLE effect (n integer PRIMARY KEY, times integer NOT NULL, by text);
CREATE TABLE ended (id bigserial PRIMARY KEY, n integer, how text, at timestamptz DEFAULT clock_timestamp());
"""


class Effecting(msgspec.Struct, frozen=True, kw_only=True):
    """What a job does."""

    n: int = 0
    steps: int = 1
    wait_s: float = 0.0  # of each step
    block_s: float = 0.0  # of each step, holding the loop
    fails: int = 0  # attempts that fail
    ignores: bool = False  # that it shall end


class EffectWorker:
    """Leaves a row when it begins, one row for good when it is done, and one when it is stopped."""

    kind = JobKind(
        name="effect",
        title="Effect",
        description="for a test",
        parameters=Effecting,
        queue="general",
        soft_limit_s=60.0,
        hard_limit_s=90.0,
        max_attempts=4,
    )

    def __init__(self, services: workers.Services) -> None:
        self._services = services

    def title(self, parameters: Effecting) -> str:
        return f"effect {parameters.n}"

    async def run(self, context: JobContext, parameters: Effecting) -> Mapping[str, Any]:
        step = int((context.checkpoint or {}).get("step", 0))
        await self._write("INSERT INTO began (n, attempt, step, pid) VALUES ($1, $2, $3, $4)",
                          parameters.n, context.attempt, step, os.getpid())  # fmt: skip
        while parameters.ignores:
            with contextlib.suppress(asyncio.CancelledError, SoftTimeLimit):
                await asyncio.sleep(3600)
        try:
            while step < parameters.steps:
                await asyncio.sleep(parameters.wait_s)
                time.sleep(parameters.block_s)
                step += 1
                context.log.info("step %d of %d", step, parameters.steps)
                context.progress(step, parameters.steps, unit="steps")
                if parameters.steps > 1:
                    await context.save({"step": step})
                await context.breathe()
        except asyncio.CancelledError:
            await self._write("INSERT INTO ended (n, how) VALUES ($1, 'stopped')", parameters.n)
            raise
        if context.attempt <= parameters.fails:
            raise RuntimeError(f"attempt {context.attempt} was told to fail")
        if parameters.n < 0:
            raise Permanent("a negative number", hint="give a positive one")
        await self._write("INSERT INTO effect (n, times, by) VALUES ($1, 1, $2) "
                          "ON CONFLICT (n) DO UPDATE SET times = effect.times + 1",
                          parameters.n, f"{context.job_id}/{context.attempt}")  # fmt: skip
        return {"n": parameters.n, "pid": os.getpid()}

    async def _write(self, statement: str, *values: Any) -> None:
        async with self._services.database.session("effect") as connection:
            await connection.execute(statement, *values)


class ShortWorker(EffectWorker):
    """The same, with limits that a test can wait for."""

    kind = JobKind(
        name="short",
        title="Short",
        description="for a test",
        parameters=Effecting,
        queue="general",
        soft_limit_s=1.0,
        hard_limit_s=2.0,
        max_attempts=1,
    )


KINDS = {"effect": "fakes.celery_jobs:EffectWorker", "short": "fakes.celery_jobs:ShortWorker"}


def install() -> None:
    """Let this process know the kinds."""
    workers.REGISTRY.update(KINDS)  # type: ignore[attr-defined]
