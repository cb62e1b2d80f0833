"""The replication pane's question on a real primary with a standby: lag by stage, slots, conflicts, rates."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from fakes.backfill import open_services
from integration.replicas.conftest import Pair
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings, Settings
from qsuite_console.metrics.replication import ReplicationProbe
from qsuite_console.model.replication import Replication

MIB = 1024**2
PATIENCE_S = 30.0


async def until(look: Callable[[], Any], met: Callable[[Any], bool]) -> Any:
    """Ask until the answer is as wanted."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = await look()
        if met(answer):
            return answer
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.05)


def make_settings(dsn: str) -> Settings:
    return Settings(database=DatabaseSettings(dsn=Secret(dsn), pool_min=0))


async def write(connection: asyncpg.Connection, rows: int) -> None:
    await connection.execute("CREATE TABLE IF NOT EXISTS written (n bigint, text text)")
    await connection.execute("INSERT INTO written SELECT n, repeat('x', 500) FROM generate_series(1, $1) n", rows)


async def position(connection: asyncpg.Connection) -> float:
    return float(await connection.fetchval("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"))


async def test_a_standby_that_hangs_is_behind_by_what_was_written(pair: Pair) -> None:
    connection = await asyncpg.connect(pair.primary.url)
    async with open_services(make_settings(pair.primary.url)) as services:
        probe = ReplicationProbe(services)

        async def ask() -> Replication:
            return await probe.ask({})

        first = await until(ask, lambda found: found.standbys and found.standbys[0].behind_bytes == 0)
        assert not first.is_standby
        (standby,) = first.standbys
        assert (standby.name, standby.state, standby.sync) == ("second", "streaming", "async")
        assert [(slot.name, slot.kind, slot.is_active, slot.wal_status) for slot in first.slots] == [
            ("to_second", "physical", True, "reserved")
        ]
        receiver = await connection.fetchval("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walsender'")
        assert receiver == standby.pid
        os.kill(pair.standby.process.pid, signal.SIGSTOP)
        receivers = [int(line) for line in _children(pair.standby.process.pid)]
        for pid in receivers:
            os.kill(pid, signal.SIGSTOP)
        try:
            before = await position(connection)
            await write(connection, 20_000)
            after = await position(connection)
            behind = await ask()
            (standby,) = behind.standbys
            assert after - before > 8 * MIB
            assert standby.behind_bytes == pytest.approx(after - before, rel=0.05)
            stages = (standby.send_bytes, standby.write_bytes, standby.flush_bytes, standby.replay_bytes)
            assert sum(stages) == standby.behind_bytes
            assert behind.slots[0].retained_bytes >= after - before
            assert behind.interval_s is not None
            assert round(behind.interval_s * behind.wal.bytes_per_s) >= after - before  # a quotient
        finally:
            for pid in (*receivers, pair.standby.process.pid):
                os.kill(pid, signal.SIGCONT)
        await until(ask, lambda found: found.standbys and found.standbys[0].behind_bytes == 0)
    await connection.close()


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


async def test_rates_and_counts_are_of_the_time_looked_at(pair: Pair) -> None:
    connection = await asyncpg.connect(pair.primary.url)
    async with open_services(make_settings(pair.primary.url)) as services:
        probe = ReplicationProbe(services)
        first = await probe.ask({})
        assert (first.interval_s, first.wal.bytes_per_s, first.checkpoints.timed) == (None, None, None)
        start = await position(connection)
        await write(connection, 5_000)
        for _ in range(2):
            await connection.execute("CHECKPOINT")
        await connection.execute("SELECT pg_stat_force_next_flush()")  # a session tells its counts now and then only

        async def ask() -> Replication:
            return await probe.ask({})

        second = await until(ask, lambda found: found.checkpoints.requested == 2)  # the checkpointer tells it later
        end = await position(connection)
        assert second.interval_s * second.wal.bytes_per_s == pytest.approx(end - start, rel=0.05)
        assert second.checkpoints.requested == 2
        assert second.checkpoints.timed == 0
        assert second.checkpoints.last_s < PATIENCE_S
        assert (second.checkpoints.every, second.checkpoints.most) == ("15min", "256MB")
        assert second.writes.checkpointer * second.interval_s >= 2 * MIB
        assert second.wal.records_per_s * second.interval_s >= 5_000
        assert (second.archiver.is_on, second.archiver.is_failing) == (False, False)
        await connection.execute("SELECT pg_stat_reset_shared('checkpointer')")
        third = await probe.ask({})
        assert third.interval_s is None, "nothing is counted across a reset"
        assert third.unread == ()
    await connection.close()


async def test_a_slot_nobody_reads_holds_wal_until_it_is_lost(pair: Pair) -> None:
    connection = await asyncpg.connect(pair.primary.url)
    await connection.execute("SELECT pg_create_physical_replication_slot('forgotten', true)")
    await connection.execute("SELECT pg_create_logical_replication_slot('changes', 'pgoutput')")
    try:
        async with open_services(make_settings(pair.primary.url)) as services:
            probe = ReplicationProbe(services)
            await write(connection, 4_000)
            found = {slot.name: slot for slot in (await probe.ask({})).slots}
            assert found["forgotten"].is_active is False
            assert found["forgotten"].retained_bytes > MIB
            assert found["forgotten"].inactive_s is not None
            assert (found["changes"].kind, found["changes"].plugin, found["changes"].database) == (
                "logical", "pgoutput", "postgres",
            )  # fmt: skip
            assert found["changes"].xmin_age >= 0
            assert found["forgotten"].safe_bytes is None
            await connection.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '32MB'")
            await connection.execute("SELECT pg_reload_conf()")

            async def ask() -> dict[str, Any]:
                return {slot.name: slot for slot in (await probe.ask({})).slots}

            limited = await until(ask, lambda found: found["forgotten"].safe_bytes is not None)
            assert 0 < limited["forgotten"].safe_bytes < 64 * MIB
            for _ in range(5):
                await connection.execute("SELECT pg_switch_wal()")
                await write(connection, 100)
            await connection.execute("CHECKPOINT")
            lost = await until(ask, lambda found: found["forgotten"].wal_status == "lost")
            assert lost["forgotten"].invalid == "wal removed"
    finally:
        for slot in ("forgotten", "changes"):
            await connection.execute("SELECT pg_drop_replication_slot($1)", slot)
        await connection.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()


async def test_the_standby_tells_its_own_side(pair: Pair) -> None:
    connection = await asyncpg.connect(pair.standby.url)
    async with open_services(make_settings(pair.standby.url)) as services:
        probe = ReplicationProbe(services)

        async def ask() -> Replication:
            return await probe.ask({})

        found = await until(ask, lambda found: found.receiver is not None and found.receiver.behind_bytes == 0)
        assert found.is_standby
        receiver = found.receiver
        assert (receiver.status, receiver.slot, receiver.is_paused) == ("streaming", "to_second", False)
        assert receiver.sender == f"127.0.0.1:{pair.primary.port}"
        assert receiver.replay_s == 0
        primary = await asyncpg.connect(pair.primary.url)
        await write(primary, 1)
        await until(lambda: connection.fetchval("SELECT pg_last_xact_replay_timestamp()"), bool)  # else it knows no lag
        await connection.execute("SELECT pg_wal_replay_pause()")
        try:
            await write(primary, 2_000)
            await primary.close()
            behind = await until(ask, lambda found: found.receiver.behind_bytes > 0 and found.receiver.is_paused)
            assert behind.receiver.replay_s > 0
        finally:
            await connection.execute("SELECT pg_wal_replay_resume()")
        await until(ask, lambda found: found.receiver.behind_bytes == 0)
    await connection.close()


async def test_a_subscription_shows_its_tables_and_errors(pair: Pair) -> None:
    """Both ends on one server: the slot is made by hand, or creating the subscription would wait for itself."""
    admin = await asyncpg.connect(pair.primary.url)
    await admin.execute("CREATE DATABASE source")
    await admin.execute("CREATE DATABASE sink")
    source = await asyncpg.connect(pair.primary.url.replace("/postgres", "/source"))
    sink = await asyncpg.connect(pair.primary.url.replace("/postgres", "/sink"))
    try:
        for one in (source, sink):
            await one.execute("CREATE TABLE prices (id int PRIMARY KEY)")
        await source.execute("CREATE PUBLICATION out_prices FOR TABLE prices")
        await source.execute("SELECT pg_create_logical_replication_slot('out_prices', 'pgoutput')")
        await source.execute("INSERT INTO prices VALUES (1)")
        await sink.execute("INSERT INTO prices VALUES (7)")
        address = f"host=127.0.0.1 port={pair.primary.port} dbname=source user=qsuite password=first"
        await sink.execute(
            f"CREATE SUBSCRIPTION prices CONNECTION '{address}' PUBLICATION out_prices"
            " WITH (create_slot = false, slot_name = 'out_prices')"
        )
        dsn = pair.primary.url.replace("/postgres", "/sink")
        async with open_services(make_settings(dsn)) as services:
            probe = ReplicationProbe(services)

            async def ask() -> Any:
                return (await probe.ask({})).subscriptions[0]

            ready = await until(ask, lambda found: found.is_running and found.copying == 0)
            assert (ready.name, ready.tables, ready.is_enabled) == ("prices", 1, True)
            await source.execute("INSERT INTO prices VALUES (7)")  # the sink has one already
            broken = await until(ask, lambda found: (found.apply_errors or 0) > 0)
            assert broken.sync_errors == 0
    finally:
        await sink.execute("ALTER SUBSCRIPTION prices DISABLE")
        await sink.execute("ALTER SUBSCRIPTION prices SET (slot_name = NONE)")
        await sink.execute("DROP SUBSCRIPTION prices")
        await source.close()
        await sink.close()
        await admin.execute("DROP DATABASE sink WITH (FORCE)")
        await until(
            lambda: admin.fetchval(
                "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'out_prices' AND active"
            ),
            lambda active: active == 0,
        )
        await admin.execute("SELECT pg_drop_replication_slot('out_prices')")
        await admin.execute("DROP DATABASE source WITH (FORCE)")
        await admin.close()


async def test_without_pg_monitor_what_is_hidden_is_named(pair: Pair) -> None:
    connection = await asyncpg.connect(pair.primary.url)
    await connection.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    try:
        dsn = pair.primary.url.replace("qsuite:first", "plain:plain")
        async with open_services(make_settings(dsn)) as services:
            found = await ReplicationProbe(services).ask({})
        assert {entry.what for entry in found.unread} == {"size of the WAL directory", "lag of the standbys"}
        assert all("pg_monitor TO plain" in entry.hint for entry in found.unread)
        assert (found.standbys[0].behind_bytes, found.standbys[0].state) == (None, "")
        assert found.slots[0].name == "to_second"
        assert found.checkpoints.last_s is not None
    finally:
        await connection.execute("DROP ROLE plain")
        await connection.close()
