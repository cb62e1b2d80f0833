"""The settings pane's question: the advisor's findings, what waits for a restart, what ALTER SYSTEM set."""

from __future__ import annotations

import asyncpg
import pytest

from fakes.backfill import open_services
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings, Settings
from qsuite_console.metrics.tuning import SettingsProbe
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.tuning import SettingLine, Tuning
from qsuite_console.sandbox import servers

GIVEN = {"memory": "16GB", "cores": "4", "connections": "200", "storage": "ssd", "workload": "oltp"}


async def ask(dsn: str, **parameters: str) -> Tuning:
    settings = Settings(database=DatabaseSettings(dsn=Secret(dsn), pool_min=0))
    async with open_services(settings) as services:
        return await SettingsProbe(services).ask(parameters)


def by_name(found: Tuning) -> dict[str, SettingLine]:
    return {line.name: line for line in found.lines}


async def test_what_is_and_what_should_be(tuned: servers.Server, admin: asyncpg.Connection) -> None:
    found = await ask(tuned.url, **GIVEN)
    lines = by_name(found)
    for name, recommended in (
        ("effective_cache_size", "12GB"), ("random_page_cost", "1.1"), ("maintenance_work_mem", "1GB"),
        ("max_wal_size", "8GB"),
    ):  # fmt: skip
        line = lines[name]
        assert line.finding.recommended == recommended
        assert line.value == line.finding.current == await admin.fetchval("SELECT current_setting($1)", name)
        assert line.finding.formula
        assert line.finding.evidence
    assert lines["fsync"].finding.severity == "critical"
    assert found.lines[0].finding.severity == "critical"
    assert lines["max_wal_size"].effect == "reload"
    assert lines["shared_buffers"].effect == "restart"
    assert found.machine.memory == 16 * 1024**3
    assert found.machine.origins["memory"] == "given"
    assert found.unread == ()


async def test_applied_settings_stay_in_sight_to_be_taken_back(
    tuned: servers.Server, admin: asyncpg.Connection
) -> None:
    await admin.execute("ALTER SYSTEM SET effective_cache_size = '12GB'")
    await admin.execute("ALTER SYSTEM SET wal_buffers = '4MB'")
    await admin.execute("ALTER SYSTEM SET geqo_threshold = 14")
    loaded = await admin.fetchval("SELECT pg_conf_load_time()")
    await admin.execute("SELECT pg_reload_conf()")
    while await admin.fetchval("SELECT pg_conf_load_time()") == loaded:
        await admin.execute("SELECT pg_sleep(0.01)")
    lines = by_name(await ask(tuned.url, **GIVEN))
    assert (lines["effective_cache_size"].value, lines["effective_cache_size"].finding) == ("12GB", None)
    assert lines["effective_cache_size"].is_ours
    assert (lines["wal_buffers"].is_pending, lines["wal_buffers"].is_ours) == (True, False)  # in force is the old one
    assert (lines["geqo_threshold"].value, lines["geqo_threshold"].is_ours) == ("14", True)
    assert lines["geqo_threshold"].default == "12"


async def test_a_plain_role_is_advised_and_told_what_it_lacks(tuned: servers.Server, admin: asyncpg.Connection) -> None:
    await admin.execute("CREATE ROLE onlooker LOGIN PASSWORD 'o'")
    try:
        found = await ask(tuned.url.replace("qsuite:first", "onlooker:o"), **GIVEN)
        assert by_name(found)["effective_cache_size"].finding.recommended == "12GB"
        assert [entry.hint for entry in found.unread] == ["GRANT pg_monitor TO onlooker"]
    finally:
        await admin.execute("DROP ROLE onlooker")


async def test_bad_sizes_are_refused(tuned: servers.Server) -> None:
    with pytest.raises(InvalidParameters, match="memory"):
        await ask(tuned.url, memory="soon")
    with pytest.raises(InvalidParameters, match="workload"):
        await ask(tuned.url, workload="games")
