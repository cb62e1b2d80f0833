"""Cancel and terminate against real sessions: what is proposed, what it frees, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from fakes.backfill import open_services
from integration.database.blocking_scene import Scene, five_sessions
from qsuite_console import operations
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings, Settings
from qsuite_console.engine import parameters
from qsuite_console.metrics.activity import ActivityProbe
from qsuite_console.model.errors import Conflict, ConsoleError, NotFound
from qsuite_console.model.operations import Outcome, Proposal
from qsuite_console.workers import Services


class Operations:
    """Calls operations as the gate does: parameters cross as JSON."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._known = operations.load(services)

    async def propose(self, name: str, **given: Any) -> Proposal:
        operation = self._known[f"database.{name}"]
        return await operation.propose(parameters.decode(operation.kind.parameters, _crossed(given)))

    async def perform(self, name: str, **given: Any) -> Outcome:
        operation = self._known[f"database.{name}"]
        return await operation.perform(parameters.decode(operation.kind.parameters, _crossed(given)))


def _crossed(given: dict[str, Any]) -> dict[str, Any]:
    return {name: one.isoformat() if isinstance(one, datetime) else one for name, one in given.items()}


@asynccontextmanager
async def operating(dsn: str) -> AsyncIterator[Operations]:
    async with open_services(Settings(database=DatabaseSettings(dsn=Secret(dsn), pool_min=0))) as services:
        await services.panels.look(30)
        yield Operations(services)


async def start_of(scene: Scene, name: str) -> datetime:
    query = "SELECT backend_start FROM pg_stat_activity WHERE pid = $1"
    started: datetime = await scene.looker.fetchval(query, scene.pids[name])
    return started


async def test_terminating_the_root_frees_all(database_dsn: str) -> None:
    async with operating(database_dsn) as actions, five_sessions(database_dsn) as scene:
        pid, start = scene.pids["root"], await start_of(scene, "root")
        proposal = await actions.propose("terminate", pid=pid, backend_start=start)
        assert proposal.title == f"Terminate the session of pid {pid}?"
        who, ages, query, consequence = proposal.lines
        assert who.startswith(f"pid {pid} · qsuite · ")
        assert "app-root" in who
        assert ages.startswith("idle in transaction for ")
        assert " · transaction open for " in ages
        assert query == "query: UPDATE accounts SET amount = amount + 1 WHERE id = 2"
        assert "is rolled back, what it has written since then is lost" in consequence
        assert consequence.endswith("It frees the 3 sessions that wait behind it.")
        outcome = await actions.perform("terminate", **proposal.parameters)
        assert outcome.is_done
        assert outcome.figures["is_ended"] is True
        assert outcome.message == f"pid {pid}: the session has ended"
        assert await scene.all_free() == ["UPDATE 1", "UPDATE 1", "UPDATE 1"]
        await scene.connections["d"].execute("COMMIT")  # who stood outside has lost nothing
        assert await scene.looker.fetchval("SELECT amount FROM accounts WHERE id = 1") == 10


async def test_cancelling_a_busy_root_frees_all_and_keeps_its_session(database_dsn: str) -> None:
    async with operating(database_dsn) as actions, five_sessions(database_dsn, root="busy") as scene:
        pid, start = scene.pids["root"], await start_of(scene, "root")
        proposal = await actions.propose("cancel", pid=pid, backend_start=start)
        assert proposal.title == f"Cancel the statement of pid {pid}?"
        assert proposal.lines[2] == "query: SELECT pg_sleep(600)"
        assert "is rolled back; the session stays. It frees the 3 sessions" in proposal.lines[-1]
        outcome = await actions.perform("cancel", **proposal.parameters)
        assert outcome.message == f"pid {pid}: its statement was cancelled"
        with pytest.raises(asyncpg.QueryCanceledError):
            await scene.tasks["root"]
        assert await scene.all_free() == ["UPDATE 1", "UPDATE 1", "UPDATE 1"]
        await scene.connections["root"].execute("ROLLBACK")
        assert await scene.connections["root"].fetchval("SELECT 1") == 1


async def test_ending_one_in_the_middle_frees_only_those_behind_it(database_dsn: str) -> None:
    async with operating(database_dsn) as actions, five_sessions(database_dsn) as scene:
        proposal = await actions.propose("cancel", pid=scene.pids["a"], backend_start=await start_of(scene, "a"))
        assert proposal.lines[-1].endswith("It frees the 1 session that waits behind it.")
        await actions.perform("cancel", **proposal.parameters)
        async with asyncio.timeout(20):
            assert await scene.tasks["b"] == "UPDATE 1"
        assert not scene.tasks["c"].done()
        leaf = await actions.propose("terminate", pid=scene.pids["c"], backend_start=await start_of(scene, "c"))
        assert leaf.lines[-1].endswith("Nobody waits behind it.")


async def test_a_reused_pid_is_refused_and_its_new_session_lives(database_dsn: str) -> None:
    async with operating(database_dsn) as actions, five_sessions(database_dsn, root="busy") as scene:
        pid, start = scene.pids["root"], await start_of(scene, "root")
        earlier = start - timedelta(microseconds=1)
        for name in ("cancel", "terminate"):
            with pytest.raises(Conflict, match=f"pid {pid} is another session now"):
                await actions.propose(name, pid=pid, backend_start=earlier)
            with pytest.raises(Conflict, match=f"nothing was done: pid {pid} is another session now"):
                await actions.perform(name, pid=pid, backend_start=earlier)
        assert not scene.tasks["root"].done()
        assert await start_of(scene, "root") == start


async def test_a_session_that_ended_between_question_and_answer_is_refused(database_dsn: str) -> None:
    async with operating(database_dsn) as actions, five_sessions(database_dsn, root="busy") as scene:
        pid, start = scene.pids["root"], await start_of(scene, "root")
        proposals = {
            name: await actions.propose(name, pid=pid, backend_start=start) for name in ("cancel", "terminate")
        }
        scene.connections["root"].terminate()
        await scene.looker.execute("SELECT pg_terminate_backend($1)".replace("$1", str(pid)))
        await scene.until(
            lambda: scene.looker.fetchval("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", pid)
        )
        for name, proposal in proposals.items():
            with pytest.raises(Conflict, match=f"nothing was done: pid {pid} has ended meanwhile"):
                await actions.perform(name, **proposal.parameters)
            with pytest.raises(NotFound, match=f"pid {pid} has ended already"):
                await actions.propose(name, pid=pid, backend_start=start)


async def test_another_statement_than_the_one_proposed_is_not_cancelled(database_dsn: str) -> None:
    async with operating(database_dsn) as actions, five_sessions(database_dsn, root="busy") as scene:
        pid, start = scene.pids["root"], await start_of(scene, "root")
        proposal = await actions.propose("cancel", pid=pid, backend_start=start)
        await scene.looker.execute(f"SELECT pg_cancel_backend({pid})")
        with pytest.raises(asyncpg.QueryCanceledError):
            await scene.tasks["root"]
        await scene.connections["root"].execute("ROLLBACK")
        following = asyncio.create_task(scene.connections["root"].execute("SELECT pg_sleep(600)"))
        busy = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state = 'active'"
        await scene.until(lambda: scene.looker.fetchval(busy, pid))
        with pytest.raises(Conflict, match="runs another statement now, or none"):
            await actions.perform("cancel", **proposal.parameters)
        assert not following.done()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_an_idle_session_has_nothing_to_cancel(database_dsn: str) -> None:
    async with operating(database_dsn) as actions, five_sessions(database_dsn) as scene:
        pid, start = scene.pids["root"], await start_of(scene, "root")
        with pytest.raises(Conflict, match=r"runs no statement: it is idle in transaction") as caught:
            await actions.propose("cancel", pid=pid, backend_start=start)
        assert "terminating ends the session" in caught.value.hint
        with pytest.raises(Conflict, match="nothing was done"):
            await actions.perform("cancel", pid=pid, backend_start=start)


async def test_a_console_does_not_end_its_own_sessions(database_dsn: str) -> None:
    async with operating(database_dsn) as actions, actions.services.database.session("job 12", 20) as held:
        pid = held.get_server_pid()
        sessions = (await ActivityProbe(actions.services).ask({})).sessions
        own = [one for one in sessions if one.is_own and one.database == urlsplit(database_dsn).path.strip("/")]
        assert pid in {one.pid for one in own}
        assert len(own) == 2
        for one in own:
            with pytest.raises(Conflict, match=r"is a session of a console"):
                await actions.propose("terminate", pid=one.pid, backend_start=one.backend_start)
            with pytest.raises(Conflict, match=r"nothing was done: .* of a console"):
                await actions.perform("terminate", pid=one.pid, backend_start=one.backend_start)
        assert await held.fetchval("SELECT 1") == 1


async def test_a_role_that_may_not_signal_is_told_what_it_needs(database_dsn: str, plain_role: str) -> None:
    role = urlsplit(plain_role).username
    async with operating(plain_role) as actions, five_sessions(database_dsn) as scene:
        pid, start = scene.pids["root"], await start_of(scene, "root")
        with pytest.raises(Conflict, match=f"the role {role} may not see when pid {pid} began") as caught:
            await actions.propose("terminate", pid=pid, backend_start=start)
        assert caught.value.hint == f"GRANT pg_monitor TO {role}"
        await scene.looker.execute(f"GRANT pg_monitor TO {role}")
        with pytest.raises(ConsoleError, match="may not signal sessions of qsuite") as refused:
            await actions.propose("terminate", pid=pid, backend_start=start)
        assert refused.value.hint == "only a superuser may"
        with pytest.raises(ConsoleError, match=r"permission denied|must be a superuser"):
            await actions.perform("terminate", pid=pid, backend_start=start)
        assert await start_of(scene, "root") == start
