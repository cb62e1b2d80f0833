"""A setting is applied, checked, and taken back: the server ends as it was, and nothing unsafe ever gets there."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from fakes.backfill import open_services
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings, Settings
from qsuite_console.db.errors import DatabaseError
from qsuite_console.engine.parameters import decode
from qsuite_console.model.errors import Conflict, ConsoleError, InvalidParameters, NotFound
from qsuite_console.model.operations import Outcome, Proposal
from qsuite_console.operations.settings import ApplySetting, ResetSetting, SettingRefused
from qsuite_console.sandbox import servers


class Operator:
    """Proposes and performs as the gate does, on connections of the console's own."""

    def __init__(self, dsn: str) -> None:
        self._settings = Settings(database=DatabaseSettings(dsn=Secret(dsn), pool_min=0))

    async def propose(self, kind: type[Any], **parameters: Any) -> Proposal:
        async with open_services(self._settings) as services:
            return await kind(services).propose(decode(kind.kind.parameters, parameters))

    async def perform(self, kind: type[Any], **parameters: Any) -> Outcome:
        async with open_services(self._settings) as services:
            return await kind(services).perform(decode(kind.kind.parameters, parameters))


@pytest.fixture
def operator(tuned: servers.Server) -> Operator:
    return Operator(tuned.url)


async def everything(connection: asyncpg.Connection) -> dict[str, tuple[str, str]]:
    """Return every setting with its source, and what the files say, once the session knows of the newest reload."""
    port = await connection.fetchval("SELECT inet_server_port()")
    fresh = await asyncpg.connect(f"postgresql://qsuite:first@127.0.0.1:{port}/postgres")
    told_at = await fresh.fetchval("SELECT pg_conf_load_time()")  # the server's: sessions are told one after another
    await fresh.close()
    async with asyncio.timeout(30):
        while await connection.fetchval("SELECT pg_conf_load_time()") < told_at:
            await asyncio.sleep(0.01)
    rows = await connection.fetch(
        "SELECT name, setting, source, pending_restart FROM pg_settings"
        " UNION ALL SELECT 'file ' || name, setting, sourcefile, applied FROM pg_file_settings"
    )
    return {row["name"]: tuple(row)[1:] for row in rows}


APPLIED = [
    ("effective_cache_size", "3GB", "3GB"),
    ("random_page_cost", "1.1", "1.1"),
    ("idle_in_transaction_session_timeout", "60s", "1min"),
    ("wal_compression", "on", "pglz"),
    ("log_line_prefix", 'it\'s %m \\ "q" %% ', 'it\'s %m \\ "q" %% '),
    ("default_statistics_target", "250", "250"),
]


@pytest.mark.parametrize(("name", "value", "shown"), APPLIED, ids=[name for name, _, _ in APPLIED])
async def test_what_is_applied_counts_and_is_taken_back_whole(
    operator: Operator, admin: asyncpg.Connection, tuned: servers.Server, name: str, value: str, shown: str
) -> None:
    before = await everything(admin)
    proposal = await operator.propose(ApplySetting, name=name.upper(), value=value)
    assert name in proposal.title
    assert await everything(admin) == before, "a proposal changes nothing"
    outcome = await operator.perform(ApplySetting, **proposal.parameters)
    assert outcome.is_done
    other = await asyncpg.connect(tuned.url)
    assert await other.fetchval("SELECT current_setting($1)", name) == shown
    await other.close()
    back = await operator.propose(ResetSetting, name=name)
    assert "take it back" in back.do
    outcome = await operator.perform(ResetSetting, **back.parameters)
    assert outcome.figures["written"] is None
    assert await everything(admin) == before


async def test_what_alter_system_had_set_before_comes_back(operator: Operator, admin: asyncpg.Connection) -> None:
    await operator.perform(ApplySetting, name="cpu_tuple_cost", value="0.02")
    before = await everything(admin)
    proposal = await operator.propose(ApplySetting, name="cpu_tuple_cost", value="0.03")
    assert "Back again: set it to 0.02" in proposal.lines
    outcome = await operator.perform(ApplySetting, **proposal.parameters)
    assert outcome.figures["was_written"] == "0.02"
    await operator.perform(ApplySetting, name="cpu_tuple_cost", value=outcome.figures["was_written"])
    assert await everything(admin) == before


async def test_a_restart_is_waited_for_in_words(operator: Operator, admin: asyncpg.Connection) -> None:
    proposal = await operator.propose(ApplySetting, name="wal_buffers", value="4MB")
    assert any("next restart" in line for line in proposal.lines)
    outcome = await operator.perform(ApplySetting, **proposal.parameters)
    assert outcome.figures["pending_restart"] is True
    assert "after a restart" in outcome.message
    await everything(admin)
    assert await admin.fetchval("SELECT pending_restart FROM pg_settings WHERE name = 'wal_buffers'")


async def test_a_value_that_changed_meanwhile_is_not_overwritten(operator: Operator, admin: asyncpg.Connection) -> None:
    proposal = await operator.propose(ApplySetting, name="cpu_index_tuple_cost", value="0.007")
    await operator.perform(ApplySetting, name="cpu_index_tuple_cost", value="0.009")
    before = await everything(admin)
    with pytest.raises(Conflict, match=r"0\.009 by now, not 0\.005"):
        await operator.perform(ApplySetting, **proposal.parameters)
    assert await everything(admin) == before


REFUSED: list[tuple[str, str, type[ConsoleError], str]] = [
    ("no_such_thing", "1", NotFound, "no setting no_such_thing"),
    ("wrk_mem", "1GB", NotFound, "no setting wrk_mem"),
    ("effective_cache_size", "banana", InvalidParameters, "banana"),
    ("effective_cache_size", "-5", InvalidParameters, "effective_cache_size"),
    ("wal_compression", "best", InvalidParameters, "none of"),
    ("cpu_tuple_cost", "", InvalidParameters, "is required"),
    ("log_line_prefix", "a\nfsync = off", InvalidParameters, "control character"),
    ("fsync", "off", SettingRefused, "destroy the database"),
    ("full_page_writes", "OFF", SettingRefused, "tear pages"),
    ("autovacuum", "0", SettingRefused, "dead rows"),
    ("archive_command", "rm -rf /", SettingRefused, "programs run"),
    ("restore_command", "true", SettingRefused, "programs run"),
    ("data_directory", "/tmp", SettingRefused, "files lie"),
    ("hba_file", "/tmp/hba", SettingRefused, "files lie"),
    ("listen_addresses", "*", SettingRefused, "who gets in"),
    ("port", "1", SettingRefused, "who gets in"),
    ("ssl", "off", SettingRefused, "who gets in"),
    ("password_encryption", "md5", SettingRefused, "who gets in"),
    ("zero_damaged_pages", "on", SettingRefused, "programs run"),
    ("block_size", "4096", SettingRefused, "fixed when the server was built"),
    ("shared_preload_libraries", "no_such_library", SettingRefused, "has no library no_such_library"),
    ("max_connections", "50", SettingRefused, "command line, which wins"),
]


@pytest.mark.parametrize(
    ("name", "value", "kind", "text"), REFUSED, ids=[f"{name}={value}" for name, value, _, _ in REFUSED]
)
async def test_what_is_unknown_wrong_or_unsafe_never_gets_there(
    operator: Operator, admin: asyncpg.Connection, name: str, value: str, kind: type[ConsoleError], text: str
) -> None:
    before = await everything(admin)
    with pytest.raises(ConsoleError) as caught:
        await operator.perform(ApplySetting, name=name, value=value)
    assert isinstance(caught.value, kind), caught.value
    assert text in caught.value.message
    assert await everything(admin) == before
    if value not in ("banana", "-5"):  # those are for the server to judge
        with pytest.raises(kind, match=text):
            await operator.propose(ApplySetting, name=name, value=value)


async def test_libraries_stay_apart(operator: Operator, admin: asyncpg.Connection) -> None:
    await operator.perform(ApplySetting, name="shared_preload_libraries", value="vector, plpgsql")
    written = await admin.fetchval("SELECT setting FROM pg_file_settings WHERE name = 'shared_preload_libraries'")
    assert written == "vector, plpgsql"


async def test_nothing_to_take_back_is_said(operator: Operator, admin: asyncpg.Connection) -> None:
    with pytest.raises(Conflict, match="ALTER SYSTEM has not set geqo"):
        await operator.propose(ResetSetting, name="geqo")


async def test_a_setting_of_the_consoles_own_sessions_is_the_servers(
    operator: Operator, admin: asyncpg.Connection, tuned: servers.Server
) -> None:
    outcome = await operator.perform(ApplySetting, name="lock_timeout", value="7s")
    assert (outcome.figures["now"], outcome.figures["was"]) == ("7s", "not set by ALTER SYSTEM")
    other = await asyncpg.connect(tuned.url)
    assert await other.fetchval("SHOW lock_timeout") == "7s"
    await other.close()


async def test_a_role_is_told_the_grants_it_lacks_and_they_suffice(
    tuned: servers.Server, admin: asyncpg.Connection
) -> None:
    await admin.execute("CREATE ROLE tuner LOGIN PASSWORD 'tuner'")
    operator = Operator(tuned.url.replace("qsuite:first", "tuner:tuner"))
    try:
        before = await everything(admin)
        with pytest.raises(SettingRefused) as caught:
            await operator.propose(ApplySetting, name="effective_cache_size", value="1GB")
        assert "the role tuner may not set effective_cache_size" in caught.value.message
        for grant in caught.value.hint.split("; "):
            await admin.execute(grant)
        proposal = await operator.propose(ApplySetting, name="effective_cache_size", value="1GB")
        outcome = await operator.perform(ApplySetting, **proposal.parameters)
        assert outcome.figures["now"] == "1GB"
        with pytest.raises(SettingRefused, match="may not set cpu_tuple_cost"):
            await operator.perform(ApplySetting, name="cpu_tuple_cost", value="0.5")
        await operator.perform(ResetSetting, name="effective_cache_size")
        assert await everything(admin) == before
    finally:
        await admin.execute("DROP OWNED BY tuner")
        await admin.execute("DROP ROLE tuner")


async def test_a_server_that_is_down_is_one_clear_line() -> None:
    operator = Operator("postgresql://u:hunter2@127.0.0.1:1/d")
    with pytest.raises(DatabaseError) as caught:
        await operator.propose(ApplySetting, name="work_mem", value="1GB")
    assert "hunter2" not in str(caught.value)
