"""The panels' connection: many askers, a server that hangs, restarts or refuses, and a role that may see little."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from fakes.stopwatch import Stopwatch
from integration.database.conftest import Opening
from integration.service.watching import freeze, resume
from qsuite_console.db import queries
from qsuite_console.db.errors import DatabaseBusy, DatabaseDown, DatabaseError, DatabaseMisconfigured
from qsuite_console.db.panels import PanelReader
from qsuite_console.model.advice import Unread
from qsuite_console.sandbox import servers

OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'qsuite-console/panels'"


@pytest.fixture(autouse=True)
def questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some questions of a panel, beside the real ones."""
    texts = {
        "echo": "SELECT $1::text AS said",
        "settings": "SELECT name, setting FROM pg_settings WHERE name = ANY (ARRAY['statement_timeout', 'lock_timeout',"
        " 'default_transaction_read_only', 'application_name', 'search_path', 'transaction_read_only'])",
        "secrets": "SELECT * FROM pg_authid",
        "nothing": "SELECT * FROM pg_stat_statements",
        "no_function": "SELECT pg_buffercache_summary()",
        "held": "SELECT count(*) FROM public.held",
        "slow": "SELECT pg_sleep(30)",
        "write": "CREATE TABLE public.written (x int)",
    }
    load = queries.load
    monkeypatch.setattr(queries, "load", lambda name, version=None: texts.get(name) or load(name, version))


async def test_askers_share_one_connection_and_its_limits(database_dsn: str, panels: Opening) -> None:
    async with panels(database_dsn) as reader:
        assert (reader.version, reader.has_extension("plpgsql"), reader.rights.role) == (0, False, "")
        answers = await asyncio.gather(*(reader.rows("echo", f"panel {n}", budget_s=20) for n in range(20)))
        assert [rows[0]["said"] for rows in answers] == [f"panel {n}" for n in range(20)]
        found = {row["name"]: row["setting"] for row in await reader.rows("settings")}
        assert found["application_name"] == "qsuite-console/panels"
        assert found["lock_timeout"] == "50"
        assert found["default_transaction_read_only"] == "on"
        assert (await reader.rows("echo", "x"))[0]["said"] == "x"
        assert reader.version >= 13
        assert reader.has_extension("plpgsql")
        assert reader.schema_of("plpgsql") == "pg_catalog"
        assert not reader.has_extension("timescaledb")
        assert reader.rights.is_superuser
        assert reader.rights.can_signal
        with pytest.raises(DatabaseError, match="read-only transaction"):
            await reader.rows("write")
        looker = await asyncpg.connect(database_dsn)
        assert await looker.fetchval(OURS + " AND datname = current_database()") == 1
        await looker.close()


async def test_behind_a_pooler_the_limits_go_with_each_question(database_dsn: str, panels: Opening) -> None:
    async with panels(database_dsn, pgbouncer=True) as reader:
        found = {row["name"]: row["setting"] for row in await reader.rows("settings")}
        assert (found["lock_timeout"], found["statement_timeout"]) == ("50", "5000")
        assert (found["transaction_read_only"], found["search_path"]) == ("on", "pg_catalog")


async def test_what_a_role_may_not_read_is_named_and_the_rest_is_shown(plain_role: str, panels: Opening) -> None:
    role = urlsplit(plain_role).username
    async with panels(plain_role) as reader:
        look = reader.begin(20)
        assert await look.try_rows("password hashes", "secrets") is None
        assert await look.try_rows("costliest statements", "nothing") is None
        assert await look.try_rows("buffers", "no_function") is None
        said = await look.try_rows("the echo", "echo", "still here")
        assert said is not None
        assert said[0]["said"] == "still here"
        assert not reader.rights.is_monitor
        assert reader.rights.role == role
        secrets, nothing, no_function = look.unread
        where = reader.where
        assert secrets == Unread(
            what="password hashes",
            why=f"PostgreSQL at {where}: permission denied for table pg_authid",
            hint=f"GRANT pg_monitor TO {role}",
        )
        assert 'relation "pg_stat_statements" does not exist' in nothing.why
        assert "extension may be missing" in nothing.hint
        assert "pg_buffercache_summary() does not exist" in no_function.why
        assert 0 < look.cost_ms < 20_000


async def test_a_lock_stands_in_the_way_for_50_ms_only(database_dsn: str, panels: Opening) -> None:
    holder = await asyncpg.connect(database_dsn)
    await holder.execute("CREATE TABLE held (x int)")
    async with panels(database_dsn) as reader:
        await reader.look(20)
        async with holder.transaction():
            await holder.execute("LOCK TABLE held")
            with Stopwatch() as waited, pytest.raises(DatabaseBusy, match="lock"):
                await reader.rows("held", budget_s=20)
            assert waited.seconds < 2.0
            look = reader.begin(20)
            assert await look.try_rows("rows of held", "held") is None
            assert "tried again" in look.unread[0].hint
        assert (await reader.rows("held"))[0]["count"] == 0
        assert await holder.fetchval(OURS + " AND datname = current_database()") == 1
    await holder.close()


async def test_one_slow_question_keeps_nobody_longer_than_their_budget(database_dsn: str, panels: Opening) -> None:
    async with panels(database_dsn) as reader:
        await reader.look(20)
        slow = asyncio.create_task(reader.rows("slow", budget_s=1.5))
        while not reader._turn.locked():
            await asyncio.sleep(0)
        with pytest.raises(DatabaseBusy, match="busy with another panel"):
            await reader.rows("echo", "x", budget_s=0.3)
        assert not slow.done()
        with pytest.raises(DatabaseDown, match="does not answer"):
            await slow
        async with asyncio.timeout(30):
            while True:  # the server cancels it, or the connection is cut: either way the next one is answered
                try:
                    assert (await reader.rows("echo", "again"))[0]["said"] == "again"
                    break
                except DatabaseError:
                    continue


async def test_a_server_that_hangs_is_said_to_and_answers_at_once_afterwards(
    own_postgres: servers.Server, panels: Opening
) -> None:
    async with panels(own_postgres.url) as reader:
        await reader.rows("echo", "x", budget_s=20)
        freeze(own_postgres)
        try:
            until = time.monotonic() + 8  # longer than its patience: the connection is given up meanwhile
            while time.monotonic() < until:
                with (
                    Stopwatch() as waited,
                    pytest.raises(DatabaseError, match=r"does not answer|not accepted"),
                ):
                    await reader.rows("echo", "x", budget_s=1.0)
                assert waited.seconds < 2.5
        finally:
            resume(own_postgres)
        assert await answered(reader) < 5
        await only_one(own_postgres.url)


async def test_a_killed_server_is_found_again_and_looked_at_anew(panels: Opening) -> None:
    directory = Path(tempfile.mkdtemp(prefix="qsuite-own-"))
    directory.chmod(0o711)
    password = servers.make_password()
    server = servers.start_postgres(directory, password=password)
    try:
        async with panels(server.url) as reader:
            await reader.rows("echo", "x", budget_s=20)
            os.kill(server.process.pid, signal.SIGKILL)
            with pytest.raises(DatabaseDown):
                await until_refused(reader)  # a session outlives its server by a moment
            assert reader.version == 0
            with pytest.raises(DatabaseDown, match=r"not reachable|nothing listens"):
                await reader.rows("echo", "x")
            server = servers.start_postgres(directory, password=password, port=server.port)
            assert await answered(reader) < 5
            assert reader.version >= 13
            await only_one(server.url)
    finally:
        server.stop()
        shutil.rmtree(directory)


async def test_nothing_configured_is_said(panels: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE", "PGUSER", "PGPORT"):
        monkeypatch.delenv(name, raising=False)
    async with panels("") as reader:
        with pytest.raises(DatabaseMisconfigured, match="no PostgreSQL is configured"):
            await reader.rows("echo", "x")


async def until_refused(reader: PanelReader) -> None:
    async with asyncio.timeout(30):
        while True:
            await reader.rows("echo", "x")


async def answered(reader: PanelReader) -> float:
    """Ask until there is an answer; return the seconds it took."""
    with Stopwatch() as waited:
        async with asyncio.timeout(60):
            while True:
                try:
                    await reader.rows("echo", "back", budget_s=1.0)
                    return waited.seconds
                except DatabaseError:
                    await asyncio.sleep(0.05)


async def only_one(url: str) -> None:
    """Wait until the server has one session of the panels: nothing leaked."""
    looker = await asyncpg.connect(url)
    async with asyncio.timeout(30):
        while await looker.fetchval(OURS) != 1:
            await asyncio.sleep(0.05)
    await looker.close()
