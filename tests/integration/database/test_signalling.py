"""The whole way of a signal: engine, gate, audit, server; and that a busy server doesn't keep anybody from it."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from integration.database.blocking_scene import five_sessions
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings, DatabaseSettings, Settings, TargetSettings
from qsuite_console.engine.ports import Claiming
from qsuite_console.history.reader import open_reader
from qsuite_console.model.activity import Activity, Blocking
from qsuite_console.model.audit import AuditQuery
from qsuite_console.model.blocking import roots
from qsuite_console.model.errors import Conflict, Unconfirmed
from qsuite_console.paths import resolve
from qsuite_console.runtime import open_runtime
from qsuite_console.sandbox import servers


def settings(dsn: str) -> Settings:
    return Settings(
        target=TargetSettings(name="live", production=True),
        database=DatabaseSettings(dsn=Secret(dsn), pool_min=0, pool_max=2),
        cache=CacheSettings(url=Secret("redis://127.0.0.1:1/0")),
    )


async def test_the_root_of_a_production_target_is_ended_by_name_and_written_down(
    database_dsn: str, tmp_path: Path
) -> None:
    paths = resolve(str(tmp_path))
    with open_runtime(settings(database_dsn), paths, claim=Claiming.NONE, origin="test") as runtime:
        async with five_sessions(database_dsn) as scene:
            control = runtime.control
            found = await control.ask("database.blocking", {})
            assert isinstance(found, Blocking)
            (root,) = roots(found)
            assert root.pid == scene.pids["root"]
            activity = await control.ask("database.activity", {})
            assert isinstance(activity, Activity)
            start = next(one.backend_start for one in activity.sessions if one.pid == root.pid)
            assert start is not None
            given = {"pid": root.pid, "backend_start": start.isoformat()}
            proposal = await control.propose("database.terminate", given, origin="test")
            assert proposal.typed == "live"
            with pytest.raises(Unconfirmed):
                await control.perform("database.terminate", proposal.parameters, origin="test")
            assert not scene.tasks["a"].done()
            outcome = await control.perform(
                "database.terminate", proposal.parameters, confirmation="live", origin="test"
            )
            assert outcome.message == f"pid {root.pid}: the session has ended"
            assert await scene.all_free() == ["UPDATE 1", "UPDATE 1", "UPDATE 1"]
            with pytest.raises(Conflict, match="nothing was done"):
                await control.perform("database.terminate", proposal.parameters, confirmation="live", origin="test")
    reader = open_reader(paths.history)
    lines, _ = await reader.audited(AuditQuery(limit=100))
    reader.close()
    told = [f"{line.action}: {line.result}" for line in lines if line.action == "database.terminate"]
    assert any(f"done: pid {root.pid}: the session has ended" in line for line in told), told
    assert any("refused: nothing was done" in line for line in told), told


async def test_a_full_server_still_shows_and_ends_sessions(own_postgres: servers.Server, tmp_path: Path) -> None:
    """The panels' connection is there already when the last slots are taken."""
    url = own_postgres.url
    with open_runtime(settings(url), resolve(str(tmp_path)), claim=Claiming.NONE, origin="test") as runtime:
        first = await runtime.control.ask("database.activity", {})
        assert isinstance(first, Activity)
        crowd: list[asyncpg.Connection] = []
        try:
            with pytest.raises(asyncpg.TooManyConnectionsError):
                await _fill(url, crowd)
            found = await runtime.control.ask("database.activity", {"limit": 5000})
            assert isinstance(found, Activity)
            assert found.total > len(crowd) > 10
            one = next(one for one in found.sessions if one.pid == crowd[0].get_server_pid())
            assert one.backend_start is not None
            outcome = await runtime.control.perform(
                "database.terminate",
                {"pid": one.pid, "backend_start": one.backend_start.isoformat()},
                confirmation="live",
                origin="test",
            )
            assert outcome.figures["is_ended"] is True
        finally:
            for connection in crowd:
                connection.terminate()


async def _fill(dsn: str, crowd: list[asyncpg.Connection]) -> None:
    while True:
        crowd.append(await asyncpg.connect(dsn))
