"""A build that is killed, in each way there is, leaves no invalid index behind the run that comes after."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from integration.kills.killing import Kills, result_of

ORDERS = "execution_engine_order"
BOOK = "execution_engine_order_book_idx"
FILL = (
    "INSERT INTO auth_user (username) VALUES ('u')",
    "INSERT INTO market_data_ticker (symbol) VALUES ('S')",
    f"INSERT INTO {ORDERS} (created_by_id, ticker_id, side, order_type, status, quantity, price) "
    "SELECT 1, 1, 'BUY', 'LIMIT', 'PENDING', 10, 1 + n % 50 FROM generate_series(1, 2000) n",
)
WRITES = f"UPDATE {ORDERS} SET quantity = 11 WHERE id = 1"
INVALID = (
    "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
    "WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) OR c.relname ~ '_cc(new|old)'"
)
BUILDER = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '/* %' "
    "AND query LIKE '%INDEX%CONCURRENTLY%' AND state = 'active' AND pid <> pg_backend_pid()"
)


async def builder(kills: Kills) -> int:
    """Return the backend that builds, once it is in the middle of it."""
    found: list[Any] = []

    async def is_there() -> bool:
        found[:] = [row["pid"] for row in await kills.rows(BUILDER)]
        return bool(found) and await kills.value(INVALID) > 0

    await kills.wait(is_there, lambda: "nobody builds")
    return int(found[0])


async def check(kills: Kills) -> None:
    assert await kills.value(INVALID) == 0
    assert await kills.value(f"SELECT indisvalid FROM pg_index WHERE indexrelid = '{BOOK}'::regclass")
    assert await kills.value(f"SELECT count(*) FROM pg_class WHERE relname LIKE '{BOOK}%'") == 1


@pytest.mark.parametrize("action", ["build", "rebuild"])
async def test_a_backend_that_is_terminated(kills: Kills, action: str) -> None:
    await kills.execute(*FILL)
    if action == "build":
        await kills.execute(f"DROP INDEX {BOOK}")
    async with kills.holding(WRITES):
        job = await kills.submit("indexes", action=action, which=BOOK)
        pid = await builder(kills)
        assert await kills.value(f"SELECT pg_terminate_backend({pid})")
        await kills.until_failed_once(job)
    detail = await kills.end(job)
    assert len(detail.attempts) > 1
    assert [each["index"] for each in result_of(detail)["details"]] == [BOOK]
    await check(kills)


@pytest.mark.parametrize("orphan", ["ends", "dies"])
async def test_a_console_that_is_killed(kills: Kills, orphan: str, tmp_path: Path) -> None:
    await kills.execute(*FILL, f"DROP INDEX {BOOK}")
    environ = {
        **os.environ,
        "QSUITE_CONSOLE_HOME": str(tmp_path / "other"),
        "DATABASE_URL": kills.dsn,
        "REDIS_URL": kills.redis_url,
    }

    async def run() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "qsuite_console", "run", "indexes", "--which", BOOK, "--json"),
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async with kills.holding(WRITES):
        first = await run()
        pid = await builder(kills)
        first.send_signal(signal.SIGKILL)
        await first.communicate()
        assert pid == await builder(kills), "its statement goes on without it"
        if orphan == "dies":
            assert await kills.value(f"SELECT pg_terminate_backend({pid})")
            await kills.wait(lambda: gone(kills, pid), lambda: "it does not die")
            assert await kills.value(INVALID) == 1, "this is what it leaves"
    second = await run()
    stdout, stderr = await second.communicate()
    assert second.returncode == 0, stderr.decode()
    assert json.loads(stdout)["state"] == "succeeded"
    await check(kills)


async def gone(kills: Kills, pid: int) -> bool:
    return not await kills.value("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid)
