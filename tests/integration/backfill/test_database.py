"""Sessions on a real PostgreSQL: named, bounded, clean after cancelling, and clear about what is wrong."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from fakes.stopwatch import Stopwatch
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings
from qsuite_console.db.database import Database, describe_address
from qsuite_console.db.errors import (
    DatabaseBusy,
    DatabaseDown,
    DatabaseError,
    DatabaseMisconfigured,
    DatabaseReadOnly,
    DatabaseRefused,
    DatabaseRejected,
    DatabaseSchemaMismatch,
    DatabaseSlow,
)


def settings(dsn: str, **changes: Any) -> DatabaseSettings:
    return DatabaseSettings(dsn=Secret(dsn), **{"pool_min": 0, "connect_timeout_s": 2.0, **changes})


@pytest.fixture
async def database(database_dsn: str) -> AsyncIterator[Database]:
    made = Database(settings(database_dsn, pool_max=3))
    yield made
    await made.close()


async def active(database: Database, fragment: str) -> int:
    async with database.session("look") as connection:
        return int(
            await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE state = 'active' AND query LIKE $1 AND pid <> pg_backend_pid()",
                f"%{fragment}%",
            )
        )


async def test_a_session_is_named_on_the_server(database: Database) -> None:
    async with database.session("panel/it's 7") as connection:
        assert await connection.fetchval("SHOW application_name") == "qsuite-console/panel/it's 7"
        assert await connection.fetchval("SHOW timezone") == "UTC"
        assert int(await connection.fetchval("SELECT setting FROM pg_settings WHERE name = 'statement_timeout'")) > 0
    assert database.version >= 13


async def test_the_budget_bounds_a_query_and_the_server_stops_it(database: Database) -> None:
    with Stopwatch() as taken, pytest.raises(DatabaseSlow, match=r"did not finish slow within 0\.3 s"):
        async with database.session("slow", 0.3) as connection:
            await connection.execute("SELECT pg_sleep(30)")
    assert taken.seconds < 1.0
    async with asyncio.timeout(20):  # of the 30 s it would sleep
        while await active(database, "pg_sleep(30)"):
            await asyncio.sleep(0.02)


async def test_cancelling_a_hundred_times_leaks_nothing(database: Database) -> None:
    async def use(number: int) -> int:
        async with database.session("fuzz") as connection:
            return int(await connection.fetchval("SELECT x FROM (SELECT $1::int AS x, pg_sleep(0.01)) s", number))

    for number in range(100):
        task = asyncio.create_task(use(number))
        await asyncio.sleep((number % 13) / 1000)
        task.cancel()
        result = (await asyncio.gather(task, return_exceptions=True))[0]
        assert result == number or isinstance(result, asyncio.CancelledError)
    assert [await use(number) for number in range(5)] == list(range(5))
    async with database.session("a"), database.session("b"), database.session("c"):
        pass  # every one of the three connections is free again


async def test_a_full_pool_says_so(database_dsn: str) -> None:
    database = Database(settings(database_dsn, pool_max=1))
    try:
        async with database.session("holder"):
            with pytest.raises(DatabaseBusy, match="all 1 connections"):
                async with database.session("second", 0.2):
                    pass
    finally:
        await database.close()


async def test_a_stopped_server_answers_within_the_budget(postgres: Any, database_dsn: str) -> None:
    database = Database(settings(database_dsn))
    async with database.session("first") as connection:
        backend = await connection.fetchval("SELECT pg_backend_pid()")
    os.kill(backend, signal.SIGSTOP)
    try:
        with Stopwatch() as taken, pytest.raises(DatabaseSlow):
            async with database.session("panel", 0.5) as connection:
                await connection.fetchval("SELECT 1")
        assert taken.seconds < 1.0
    finally:
        os.kill(backend, signal.SIGCONT)
    async with database.session("after") as connection:
        assert await connection.fetchval("SELECT 1") == 1
    await database.close()


async def test_a_terminated_connection_is_replaced(database: Database) -> None:
    async def use() -> None:
        async with database.session("victim") as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            async with database.session("killer") as other:
                await other.fetchval("SELECT pg_terminate_backend($1)", pid)
            await connection.fetchval("SELECT pg_sleep(1)")

    with pytest.raises(DatabaseDown) as caught:
        await use()
    assert caught.value.is_transient
    async with database.session("next") as connection:
        assert await connection.fetchval("SELECT 1") == 1


@pytest.mark.parametrize(
    ("statement", "kind", "is_transient", "words"),
    [
        ("SELECT * FROM nowhere", DatabaseSchemaMismatch, False, '"nowhere" does not exist'),
        ("SELECT nothing FROM price_ticks", DatabaseSchemaMismatch, False, '"nothing" does not exist'),
        ("SELEC 1", DatabaseRejected, False, "syntax error"),
        ("SET statement_timeout = 20; SELECT pg_sleep(1)", DatabaseSlow, True, "statement timeout"),
        ("SET TRANSACTION READ ONLY; DELETE FROM price_ticks", DatabaseReadOnly, True, "takes no writes"),
        ("SET ROLE pg_monitor; DELETE FROM price_ticks", DatabaseRefused, False, "permission denied"),
    ],
)
async def test_statements_fail_in_one_clear_line(
    database: Database, statement: str, kind: type[DatabaseError], is_transient: bool, words: str
) -> None:
    with pytest.raises(kind) as caught:
        async with database.session("fault") as connection:
            await connection.execute(statement)
    assert words in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.is_transient is is_transient


async def test_a_lock_is_not_waited_for_long(database: Database) -> None:
    async def wait() -> None:
        async with database.session("waiter") as connection:
            await connection.execute("SET lock_timeout = 50")
            await connection.fetch("SELECT * FROM market_data_ticker")

    async with database.session("owner") as owner, owner.transaction():
        await owner.execute("LOCK TABLE market_data_ticker IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DatabaseBusy, match="a lock stood in the way"):
            await wait()


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"port": 1}, DatabaseDown, "nothing listens there"),
        ({"host": "no-such-host.invalid"}, DatabaseDown, "can't be resolved"),
        ({"password": "sekret-wrong"}, DatabaseRefused, "refused the password"),
        ({"path": "/nodb"}, DatabaseRefused, 'database "nodb" does not exist'),
        ({"scheme": "mysql"}, DatabaseMisconfigured, "can't be used"),
        ({"port": "sekret-port"}, DatabaseMisconfigured, "malformed"),
    ],
)
async def test_addresses_fail_in_one_clear_line_without_the_password(
    database_dsn: str, change: dict[str, Any], kind: type[DatabaseError], words: str
) -> None:
    parts = urlsplit(database_dsn)
    user, password = parts.username, change.get("password", parts.password)
    host, port = change.get("host", parts.hostname), change.get("port", parts.port)
    dsn = f"{change.get('scheme', 'postgresql')}://{user}:{password}@{host}:{port}{change.get('path', parts.path)}"
    database = Database(settings(dsn))
    with pytest.raises(kind) as caught:
        async with database.session("knock"):
            pass
    await database.close()
    assert words in caught.value.message
    assert "sekret" not in caught.value.message + caught.value.hint
    assert str(parts.password) not in caught.value.message + caught.value.hint + database.where


async def test_an_empty_dsn_means_libpq_s_variables(database_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = urlsplit(database_dsn)
    values = {"PGHOST": parts.hostname, "PGPORT": parts.port, "PGUSER": parts.username, "PGDATABASE": parts.path[1:]}
    for name, value in {**values, "PGPASSWORD": parts.password}.items():
        monkeypatch.setenv(name, str(value))
    assert describe_address(settings("")) == f"{parts.hostname}:{parts.port}{parts.path}"
    database = Database(settings(""))
    async with database.session("env") as connection:
        assert await connection.fetchval("SELECT current_database()") == parts.path[1:]
    await database.close()


async def test_pgbouncer_mode_sends_no_startup_settings_and_caches_nothing(database_dsn: str) -> None:
    database = Database(settings(database_dsn, pgbouncer=True))
    async with database.session("pooled") as connection:
        assert await connection.fetchval("SHOW application_name") == ""
        for _ in range(3):
            await connection.fetchval("SELECT 1")
        assert await connection.fetchval("SELECT count(*) FROM pg_prepared_statements") == 0
    await database.close()


async def test_an_error_that_is_not_the_database_s_passes_unchanged(database: Database) -> None:
    async def fail() -> None:
        async with database.session("mine") as connection:
            await connection.fetchval("SELECT 1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
