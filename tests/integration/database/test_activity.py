"""What the activity questions say of real sessions, and what a role without rights is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from fakes.backfill import open_services
from integration.database.blocking_scene import five_sessions
from qsuite_console import workers
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings, Settings
from qsuite_console.db import queries
from qsuite_console.metrics import activity
from qsuite_console.model.activity import Activity, Blocking, Explained, SessionDetail, Task
from qsuite_console.model.blocking import roots, tree
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.workers import Services


@asynccontextmanager
async def services_of(dsn: str) -> AsyncIterator[Services]:
    async with open_services(Settings(database=DatabaseSettings(dsn=Secret(dsn), pool_min=0))) as services:
        await services.panels.look(30)
        yield services


async def test_every_query_of_ours_is_understood_by_the_server(database_dsn: str) -> None:
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("SET search_path = pg_catalog")
    version = connection.get_server_version().major
    ours = ("activity_", "blocking_", "explain_", "session_", "progress_", "panels_")
    asked = [name for name in queries.names() if name.startswith(ours)]
    assert len(asked) >= 14
    for name in asked:
        await connection.prepare(queries.load(name, version))
        for other in range(13, 19):
            assert queries.load(name, other)
    await connection.close()


def test_probes_are_registered_under_their_names() -> None:
    for probe in (
        activity.ActivityProbe,
        activity.BlockingProbe,
        activity.ExplainProbe,
        activity.ProgressProbe,
        activity.SessionProbe,
    ):
        assert workers.PROBES[probe.name] == f"qsuite_console.metrics.activity:{probe.__name__}"


async def test_sessions_are_listed_with_what_they_do(database_dsn: str) -> None:
    async with services_of(database_dsn) as services, five_sessions(database_dsn) as scene:
        answer = await activity.ActivityProbe(services).ask({})
        assert isinstance(answer, Activity)
        mine = {session.application: session for session in answer.sessions if session.application.startswith("app-")}
        root, waiter = mine["app-root"], mine["app-a"]
        assert root.pid == scene.pids["root"]
        assert (root.state, root.wait, root.kind) == ("idle in transaction", "Client: ClientRead", "client backend")
        assert root.client.startswith("127.0.0.1:")
        assert "WHERE id = 2" in root.query
        assert waiter.wait == "Lock: transactionid"
        assert waiter.query_s is not None
        assert waiter.transaction_s is not None
        assert waiter.transaction_s >= waiter.query_s >= 0
        assert waiter.backend_start is not None
        assert not waiter.is_own
        own = [session for session in answer.sessions if session.application == "qsuite-console/panels"]
        assert [session.is_own for session in own if session.database == root.database] == [True]
        assert answer.total >= len(mine)
        assert answer.usable > 10
        assert answer.unread == ()
        assert answer.cost_ms > 0
        few = await activity.ActivityProbe(services).ask({"limit": 2})
        assert len(few.sessions) == 2
        assert few.total >= 7


async def test_passwords_in_statements_are_masked(database_dsn: str) -> None:
    async with services_of(database_dsn) as services:
        speaker = await asyncpg.connect(database_dsn, server_settings={"application_name": "app-secret"})
        with pytest.raises(asyncpg.UndefinedObjectError):
            await speaker.execute("ALTER ROLE nobody_here PASSWORD 'very''secret' VALID UNTIL '2030-01-01'")
        detail = await activity.SessionProbe(services).ask({"pid": speaker.get_server_pid()})
        assert detail.session is not None
        assert detail.session.query == "ALTER ROLE nobody_here PASSWORD '***' VALID UNTIL '2030-01-01'"
        await speaker.close()


async def test_the_tree_names_the_root_and_nobody_else(database_dsn: str) -> None:
    async with services_of(database_dsn) as services, five_sessions(database_dsn) as scene:
        probe, pids = activity.BlockingProbe(services), scene.pids
        found = await probe.ask({})
        assert isinstance(found, Blocking)
        assert [member.pid for member in roots(found)] == [pids["root"]]
        lines = tree(found)
        assert [(line.member.pid, line.depth) for line in lines] == [
            (pids["root"], 0),
            (pids["a"], 1),
            (pids["b"], 2),
            (pids["c"], 1),
        ]
        assert [line.is_root for line in lines] == [True, False, False, False]
        assert (lines[0].behind, lines[0].frees) == (3, 3)
        assert (lines[1].behind, lines[1].frees) == (1, 1)
        assert found.waiters == 3
        assert found.deadlock_s == 1.0
        waits = [line.wait for line in lines[1:]]
        for wait in waits:
            assert wait is not None
            assert (wait.lock.kind, wait.lock.mode) == ("transactionid", "ShareLock")
            assert wait.lock.waited_s is not None
        a, b = waits[0], waits[1]
        assert a is not None
        assert b is not None
        assert (a.lock.waited_s or 0) > (b.lock.waited_s or 0) > 0
        assert pids["d"] not in {session.pid for session in found.sessions}
        assert found.clear_since is None
        await scene.connections["root"].execute("COMMIT")
        assert await scene.all_free() == ["UPDATE 1", "UPDATE 1", "UPDATE 1"]
        first = await probe.ask({})
        second = await probe.ask({})
        assert (first.edges, first.looks, second.looks) == ((), 1, 2)
        assert first.clear_since == second.clear_since == first.at


async def test_a_session_is_shown_with_its_locks_and_neighbours(database_dsn: str) -> None:
    async with services_of(database_dsn) as services, five_sessions(database_dsn) as scene:
        detail = await activity.SessionProbe(services).ask({"pid": scene.pids["a"]})
        assert isinstance(detail, SessionDetail)
        assert detail.session is not None
        assert detail.session.query == "UPDATE accounts SET amount = amount + 10 WHERE id = 1"
        assert detail.waits_for == (scene.pids["root"],)
        assert detail.blocks == (scene.pids["b"],)
        assert (detail.locks[0].kind, detail.locks[0].is_granted) == ("transactionid", False)
        assert ("relation", "RowExclusiveLock", "public.accounts") in {
            (lock.kind, lock.mode, lock.subject) for lock in detail.locks
        }
        assert any(lock.subject.startswith("row (0,1) of public.accounts") for lock in detail.locks)
        assert detail.locks_total == len(detail.locks)
        gone = scene.connections["d"]
        pid = scene.pids["d"]
        await gone.close()
        await scene.until(
            lambda: scene.looker.fetchval("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid=$1)", pid)
        )
        assert (await activity.SessionProbe(services).ask({"pid": pid})).session is None


async def test_a_role_without_rights_sees_who_blocks_and_is_told_what_it_misses(
    database_dsn: str, plain_role: str
) -> None:
    role = urlsplit(plain_role).username
    async with services_of(plain_role) as services, five_sessions(database_dsn) as scene:
        answer = await activity.ActivityProbe(services).ask({})
        hidden = {session.pid for session in answer.sessions if session.is_hidden}
        assert set(scene.pids.values()) <= hidden
        own = [session for session in answer.sessions if session.user == role]
        assert [(session.is_hidden, session.state) for session in own] == [(False, "active")]
        assert answer.unread[0].hint == f"GRANT pg_monitor TO {role}"
        assert "sessions of other roles" in answer.unread[0].what
        found = await activity.BlockingProbe(services).ask({})
        assert [member.pid for member in roots(found)] == [scene.pids["root"]]
        assert len(tree(found)) == 4
        assert found.unread[0].what == "state and query of 4 sessions of other roles"
        detail = await activity.SessionProbe(services).ask({"pid": scene.pids["a"]})
        assert detail.session is not None
        assert detail.session.is_hidden
        assert detail.session.query == ""
        assert detail.waits_for == (scene.pids["root"],)
        explained = await activity.ExplainProbe(services).ask({"pid": scene.pids["a"]})
        assert explained.refusal == "the role may not see what other roles run"
        running = (await activity.ProgressProbe(services).ask({})).tasks
        assert [task for task in running if not task.is_automatic] == []


async def test_parallel_workers_wait_as_their_leader_and_prepared_transactions_are_named(
    own_postgres: object,
) -> None:
    url = own_postgres.url  # type: ignore[attr-defined]
    async with services_of(url) as services:
        preparer, waiter = await asyncpg.connect(url), await asyncpg.connect(url)
        await preparer.execute("CREATE TABLE held (x int); INSERT INTO held VALUES (1)")
        await preparer.execute("BEGIN; UPDATE held SET x = 2; PREPARE TRANSACTION 'order 66'")
        task = asyncio.create_task(waiter.execute("UPDATE held SET x = 3"))
        async with asyncio.timeout(30):
            while not await preparer.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
        found = await activity.BlockingProbe(services).ask({})
        top, below = tree(found)
        assert (top.member.gid, top.member.is_prepared, top.is_root, top.frees) == ("order 66", True, True, 1)
        assert top.prepared is not None
        assert top.prepared.age_s is not None
        assert below.member.pid == waiter.get_server_pid()
        await preparer.execute("ROLLBACK PREPARED 'order 66'")
        await task
        await preparer.execute("DROP TABLE held")
        await preparer.close()
        await waiter.close()


async def test_a_deadlock_has_no_root_until_the_server_resolves_it(own_postgres: object) -> None:
    url = own_postgres.url  # type: ignore[attr-defined]
    async with services_of(url) as services:
        one, two = await asyncpg.connect(url), await asyncpg.connect(url)
        for connection in (one, two):
            await connection.execute("SET deadlock_timeout = '60s'")
            await connection.execute("BEGIN")
        await one.execute("SELECT pg_advisory_xact_lock(1)")
        await two.execute("SELECT pg_advisory_xact_lock(2)")
        tasks = [
            asyncio.create_task(one.execute("SELECT pg_advisory_xact_lock(2)")),
            asyncio.create_task(two.execute("SELECT pg_advisory_xact_lock(1)")),
        ]
        probe = activity.BlockingProbe(services)
        async with asyncio.timeout(30):
            while len((found := await probe.ask({})).edges) < 2:
                await asyncio.sleep(0.01)
        assert roots(found) == ()
        lines = tree(found)
        assert [line.is_cycle for line in lines] == [True, True]
        assert [line.depth for line in lines] == [0, 1]
        assert {wait.lock.subject for wait in found.waits} == {"advisory lock 1", "advisory lock 2"}
        other = await asyncpg.connect(url)  # the server notices those that are gone once the deadlock is resolved
        for connection in (one, two):
            await other.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
        await asyncio.gather(*tasks, return_exceptions=True)
        await other.close()


async def test_a_plan_is_shown_without_running_the_statement(database_dsn: str) -> None:
    async with services_of(database_dsn) as services, five_sessions(database_dsn) as scene:
        probe = activity.ExplainProbe(services)
        explained = await probe.ask({"pid": scene.pids["a"]})
        assert isinstance(explained, Explained)
        assert explained.refusal == ""
        assert explained.plan[0].startswith("Update on accounts")
        assert any("Index Scan" in line for line in explained.plan)
        assert "nothing was run" in explained.notes[-1]
        idle = await probe.ask({"pid": scene.pids["root"]})
        assert idle.notes[0] == "the session is idle in transaction: this is its last statement"
        before = await scene.looker.fetchval("SELECT sum(amount) FROM accounts")
        for query in (
            "DELETE FROM accounts",
            "-- a comment\n/* and one */ DELETE FROM accounts;",
            "WITH gone AS (DELETE FROM accounts RETURNING *) SELECT count(*) FROM gone",
        ):
            assert (await probe.ask({"query": query})).plan
        assert await scene.looker.fetchval("SELECT sum(amount) FROM accounts") == before
        assert await scene.looker.fetchval("SELECT count(*) FROM accounts") == 5


async def test_parameters_are_explained_for_any_value(database_dsn: str) -> None:
    async with services_of(database_dsn) as services:
        probe = activity.ExplainProbe(services)
        explained = await probe.ask({"query": "SELECT * FROM market_data_ticker WHERE symbol = $1 AND id > $2"})
        assert explained.refusal == ""
        assert any("$1" in line for line in explained.plan)
        assert "generic plan" in explained.notes[0]
        again = await probe.ask({"query": "SELECT relname FROM pg_class WHERE oid = $1"})
        assert any("$1" in line for line in again.plan), "the name of the one before is free again"
        unknown = await probe.ask({"query": "SELECT $1"})
        assert unknown.refusal == "" or "types of its parameters" in unknown.refusal


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        ("SELECT 1; DELETE FROM market_data_ticker", "it is more than one statement"),
        ("SELECT $1::int; DELETE FROM market_data_ticker", "it is more than one statement"),
        ("ANALYZE DELETE FROM market_data_ticker", "ANALYZE has no plan"),
        ("VACUUM", "VACUUM has no plan"),
        ("COMMIT", "COMMIT has no plan"),
        ("EXPLAIN ANALYZE SELECT 1", "EXPLAIN has no plan"),
        ("SELECT 1 FROM (", "the server can't read it: syntax error at end of input"),
        ("SELECT * FROM nowhere.nothing", 'relation "nowhere.nothing" does not exist'),
        ("(ANALYZE) DELETE FROM market_data_ticker", "the server can't read it"),
        ("-- nothing", "there is no statement"),
    ],
)
async def test_what_has_no_plan_is_refused_with_a_reason(database_dsn: str, query: str, refusal: str) -> None:
    async with services_of(database_dsn) as services:
        explained = await activity.ExplainProbe(services).ask({"query": query})
        assert explained.plan == ()
        assert refusal in explained.refusal
        with pytest.raises(InvalidParameters, match="one of them"):
            await activity.ExplainProbe(services).ask({})


async def test_explaining_needs_the_privileges_of_the_statement(database_dsn: str, plain_role: str) -> None:
    async with services_of(plain_role) as services:
        explained = await activity.ExplainProbe(services).ask({"query": "SELECT * FROM public.market_data_ticker"})
        assert "permission denied" in explained.refusal
        assert "GRANT SELECT" in explained.hint


async def test_long_commands_say_how_far_they_are(database_dsn: str, tmp_path: Path) -> None:
    async with services_of(database_dsn) as services:
        loader = await asyncpg.connect(database_dsn)
        await loader.execute("CREATE TABLE public.loaded (n int)")
        go_on = asyncio.Event()

        async def rows() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"1\n" * 30_000
            await go_on.wait()
            yield b"2\n"

        copying = asyncio.create_task(loader.copy_to_table("loaded", source=rows()))
        probe = activity.ProgressProbe(services)

        async def ours() -> list[Task]:
            return [task for task in (await probe.ask({})).tasks if not task.is_automatic]  # autovacuum is not

        async with asyncio.timeout(30):
            while not (found := await ours()) or found[0].done < 100_000:
                await asyncio.sleep(0.02)
        (task,) = found
        assert (task.command, task.subject, task.unit, task.percent) == ("COPY FROM", "public.loaded", "B", None)
        assert task.pid == loader.get_server_pid()
        assert task.detail.endswith("rows through the connection")
        assert task.running_s is not None
        go_on.set()
        await copying
        blocker = await asyncpg.connect(database_dsn)
        await blocker.execute("BEGIN; INSERT INTO loaded VALUES (0)")
        building = asyncio.create_task(loader.execute("CREATE INDEX CONCURRENTLY loaded_n ON loaded (n)"))
        async with asyncio.timeout(30):
            while not (found := await ours()) or "wait" not in found[0].phase:
                await asyncio.sleep(0.02)
        (task,) = found
        assert task.command == "CREATE INDEX CONCURRENTLY"
        assert task.phase == "waiting for writers before build"
        assert (task.unit, task.done, task.total, task.percent) == ("sessions", 0.0, 1.0, 0.0)
        assert task.detail == f"waits for the transaction of pid {blocker.get_server_pid()}"
        assert task.subject.startswith("public.loaded")
        await blocker.execute("COMMIT")
        await building
        assert await ours() == []
        await blocker.close()
        await loader.close()
