"""The platform that the questions about pipelines are put to."""

from __future__ import annotations

import os
from collections.abc import Iterator

import asyncpg
import pytest

from conftest import TEMPLATE, run_apart, with_database
from integration.pipelines.platform_runs import FILL, NOW, Platform, execute
from qsuite_console.sandbox import servers


@pytest.fixture(scope="module")
def platform(postgres: servers.Server) -> Iterator[Platform]:
    name = f"pipelines_{os.getpid()}"

    async def made() -> Platform:
        await execute(postgres.url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        dsn = with_database(postgres.url, name)
        await execute(dsn, *(part.replace("$1", f"'{NOW.isoformat()}'") for part in FILL.split(";\n")))
        await execute(dsn, "VACUUM pipeline_runs")
        connection = await asyncpg.connect(dsn)
        rows = [dict(row) for row in await connection.fetch("SELECT * FROM pipeline_runs")]
        names = {row["id"]: row["name"] for row in await connection.fetch("SELECT id, name FROM pipelines")}
        await connection.close()
        return Platform(dsn, sorted(rows, key=lambda r: (r["created_at"], r["id"]), reverse=True), names)

    yield run_apart(made)
    run_apart(lambda: execute(postgres.url, f"DROP DATABASE {name} WITH (FORCE)"))
