"""The console before and through a PgBouncer that really runs; every login it knows, where its program is installed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from fakes.backfill import WEEK, fill_tickers, make_settings, open_services, run
from integration.pooler.bouncing import LOGINS, Bouncer, bouncing
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings, PoolerSettings, Settings
from qsuite_console.db.errors import DatabaseRefused, DatabaseSlow
from qsuite_console.db.pooler import PoolerConsole
from qsuite_console.metrics.pooler import PoolerProbe
from qsuite_console.metrics.replication import ReplicationProbe
from qsuite_console.metrics.tuning import SettingsProbe
from qsuite_console.model.pooler import Pooler
from qsuite_console.sandbox.exchange.server import Exchange

PATIENCE_S = 30.0


@pytest.fixture
def bouncer(request: pytest.FixtureRequest, server_directory: Path, database_dsn: str) -> Iterator[Bouncer]:
    login = getattr(request, "param", LOGINS[0])
    with bouncing(server_directory, database_dsn, login=login, settings=("default_pool_size = 1",)) as running:
        yield running


def through(bouncer: Bouncer, console: str = "") -> Settings:
    return Settings(
        database=DatabaseSettings(dsn=Secret(bouncer.url), pool_min=0, pgbouncer=True),
        pooler=PoolerSettings(dsn=Secret(console)),
    )


@pytest.mark.parametrize("bouncer", LOGINS, indirect=True)
async def test_every_login_leads_to_the_console(bouncer: Bouncer) -> None:
    console = PoolerConsole(through(bouncer, bouncer.console))
    shown = await console.show(["VERSION", "CONFIG"], PATIENCE_S)
    await console.close()
    assert "PgBouncer" in str(shown["VERSION"][0])
    assert {row["key"]: row["value"] for row in shown["CONFIG"]}["listen_port"] == str(bouncer.port)


async def test_a_wrong_password_and_a_user_without_rights_are_refused(bouncer: Bouncer) -> None:
    for user in ("stats:wrong", "other:look"):
        console = PoolerConsole(through(bouncer, bouncer.console.replace("stats:look", user)))
        with pytest.raises(DatabaseRefused) as caught:
            await console.show(["VERSION"], PATIENCE_S)
        assert "stats_users" in caught.value.hint
        assert "wrong" not in caught.value.message


async def test_clients_that_wait_are_counted_and_named(bouncer: Bouncer) -> None:
    holder = await asyncpg.connect(bouncer.url, statement_cache_size=0)
    waiter = await asyncpg.connect(bouncer.url, statement_cache_size=0)
    transaction = holder.transaction()
    await transaction.start()
    waiting = asyncio.create_task(waiter.fetchval("SELECT 1"))
    async with open_services(through(bouncer, bouncer.console)) as services:
        probe = PoolerProbe(services)

        async def look() -> Pooler:
            return await probe.ask({})

        deadline = time.monotonic() + PATIENCE_S
        while not (found := await look()).waiting or found.waiting[0].wait_s < 0.1:
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.05)
        (pool,) = found.pools
        assert (pool.clients_waiting >= 1, pool.servers_active, pool.size, pool.is_full) == (True, 1, 1, True)
        assert found.waiting[0].wait_s <= pool.max_wait_s + 1
        assert "PB02" in {finding.id for finding in found.findings} or found.version >= "1.21"
        before = found.passages[0]
        assert before.connections == 1
        await transaction.rollback()
        assert await waiting == 1
        for _ in range(10):
            await waiter.fetchval("SELECT 1")
        while (found := await look()).waiting:
            assert time.monotonic() < deadline, found
        rates = [one.transactions_per_s for one in found.passages]
        assert any(rate is not None and rate > 0 for rate in rates)
    await holder.close()
    await waiter.close()


async def test_the_panes_work_through_it(bouncer: Bouncer) -> None:
    async with open_services(through(bouncer)) as services:
        wal = await ReplicationProbe(services).ask({})
        assert wal.checkpoints.last_s is not None
        settings = await SettingsProbe(services).ask({"memory": "16GB", "cores": "4"})
        assert {line.name for line in settings.lines} >= {"effective_cache_size", "random_page_cost"}
        assert services.pooler.where == f"127.0.0.1:{bouncer.port}", "derived from the database's address"


async def test_a_stopped_pooler_is_silent_within_its_budget_and_back_at_once(bouncer: Bouncer) -> None:
    console = PoolerConsole(through(bouncer, bouncer.console))
    await console.show(["VERSION"], PATIENCE_S)
    os.kill(bouncer.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(DatabaseSlow):
            await console.show(["VERSION"], 0.3)
    finally:
        os.kill(bouncer.process.pid, signal.SIGCONT)
    assert (await console.show(["VERSION"], PATIENCE_S))["VERSION"]
    await console.close()


async def test_a_backfill_runs_through_it(
    bouncer: Bouncer, database_dsn: str, exchange: Callable[..., Awaitable[Exchange]]
) -> None:
    server = await exchange(symbols=20)
    connection = await asyncpg.connect(database_dsn)
    await fill_tickers(connection, server.environment)
    settings = make_settings(bouncer.url, server.environment)
    settings = replace(settings, database=replace(settings.database, pgbouncer=True))
    async with open_services(settings) as services:
        result = await run(services, WEEK)
        again = await run(services, WEEK)
    stored = await connection.fetchval("SELECT count(*) FROM price_ticks")
    await connection.close()
    assert result["verified"]
    assert result["rows_written"] == stored > 0
    assert again["rows_written"] == 0
