"""The sampler against real servers: true figures, and what is shown while a server hangs, dies or refuses."""

from __future__ import annotations

import asyncio
import gc
import struct
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from fakes.stopwatch import Stopwatch
from integration.service.watching import freeze, resume, watching
from qsuite_console.model.health import Figure, Level
from qsuite_console.sandbox import servers

MONITORS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'qsuite-console/monitor'"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        connection.terminate()


async def work(connection: asyncpg.Connection) -> None:
    while True:  # sessions report their transactions once a second
        await connection.execute("SELECT 1")
        await asyncio.sleep(0.005)


async def test_nothing_configured_is_said_and_is_no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE", "PGUSER", "PGPORT"):
        monkeypatch.delenv(name, raising=False)
    async with watching(interval_s=0.1) as watcher:
        await watcher.until(lambda: len(watcher.snapshots) > 3)
        for source, variable in (("postgresql", "DATABASE_URL"), ("redis", "REDIS_URL")):
            reading = watcher.reading(source)
            assert reading.level is Level.UNKNOWN
            assert reading.error == f"not configured: set {variable} or run init"
        assert watcher.snapshots[-1].alerts == ()
        assert watcher.reading("host").error is None
        assert watcher.reading("jobs").headline.value == 2


async def test_the_tiles_tell_what_the_servers_do(own_postgres: servers.Server, own_valkey: servers.Server) -> None:
    async with (
        connected(own_postgres.url) as load,
        watching(own_postgres.url, own_valkey.url, interval_s=0.3) as watcher,
    ):
        await watcher.until(lambda: watcher.reading("postgresql").sampled_at is not None)
        assert watcher.reading("postgresql").headline.text == "measuring"
        working = asyncio.create_task(work(load))
        await watcher.until(lambda: (watcher.reading("postgresql").headline.value or 0) > 20)
        working.cancel()

        def connections() -> Figure:
            figure = watcher.figure("postgresql", "connections")
            assert figure is not None
            return figure

        # the load, and two that watch: the server, and its tables; those of the test before may have yet to end
        await watcher.until(lambda: connections().text == "3 / 17")
        assert connections().limit == "warn 80 %, critical 95 %"
        size = watcher.figure("postgresql", "size")
        assert size is not None
        assert size.value is not None
        assert size.value > 1_000_000
        assert watcher.reading("redis").error is None
        await watcher.until(lambda: watcher.reading("redis").headline.value is not None)
        memory = watcher.figure("redis", "memory")
        assert memory is not None
        assert memory.text.endswith("/ 256 MiB")
        host = {figure.name for figure in watcher.reading("host").figures}
        assert host >= {"memory", "disk", "load", "console_memory", "console_cpu"}
        assert watcher.reading("host").level is not Level.UNKNOWN


async def test_an_idle_server_shows_no_load_of_our_own(own_postgres: servers.Server) -> None:
    async with watching(own_postgres.url, interval_s=1.1) as watcher:
        await watcher.until(lambda: len([v for v in watcher.reading("postgresql").history if v is not None]) >= 4)
        values = [value for value in watcher.reading("postgresql").history if value is not None]
        assert sum(values) / len(values) < 2.0, values


async def test_a_lock_wait_and_an_old_transaction_are_seen(own_postgres: servers.Server) -> None:
    async with (
        connected(own_postgres.url) as holder,
        connected(own_postgres.url) as waiter,
        connected(own_postgres.url) as ours,
    ):
        await ours.execute("SET application_name = 'qsuite-console/any'")
        await ours.execute("BEGIN")  # a moment of a worker's or a tile's: no session of the platform
        await holder.execute("CREATE TABLE IF NOT EXISTS held (x int)")
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("LOCK TABLE held")
        waiting = asyncio.create_task(waiter.execute("INSERT INTO held VALUES (1)"))
        async with watching(own_postgres.url, interval_s=0.2) as watcher:
            await watcher.until(
                lambda: (figure := watcher.figure("postgresql", "lock_waits")) is not None and figure.value == 1
            )
            figure = watcher.figure("postgresql", "lock_waits")
            assert figure is not None
            assert figure.level is Level.WARNING
            idle = watcher.figure("postgresql", "idle_in_tx")
            assert idle is not None
            assert idle.value == 1
            assert watcher.reading("postgresql").level is Level.WARNING
            await transaction.rollback()
            await asyncio.gather(waiting, return_exceptions=True)
            await watcher.until(
                lambda: (figure := watcher.figure("postgresql", "lock_waits")) is not None and figure.value == 0
            )


async def test_a_hung_postgresql_makes_only_its_own_tile_stale(
    own_postgres: servers.Server, own_valkey: servers.Server
) -> None:
    async with watching(own_postgres.url, own_valkey.url) as watcher:
        await watcher.until(lambda: watcher.reading("postgresql").headline.value is not None)
        freeze(own_postgres)
        try:
            with Stopwatch() as waited:
                await watcher.until(lambda: watcher.reading("postgresql").error is not None)
            assert waited.seconds < 4  # three seconds, and what a busy machine adds
            stale = watcher.reading("postgresql")
            assert "does not answer" in (stale.error or "")
            assert stale.headline.value is not None
            assert stale.sampled_at is not None
            seen = watcher.reading("redis").sampled_at
            await watcher.until(lambda: watcher.reading("redis").sampled_at != seen)
            assert watcher.reading("redis").error is None
            await watcher.until(lambda: any(alert.id == "postgresql.answers" for alert in watcher.snapshots[-1].alerts))
            # Long enough that the connection is given up and another one waits in the server's queue.
            await watcher.until(lambda: watcher.reading("postgresql").history[-4:] == (None,) * 4)
        finally:
            resume(own_postgres)
        with Stopwatch() as waited:
            await watcher.until(lambda: watcher.reading("postgresql").error is None)
        assert waited.seconds < 4
        async with connected(own_postgres.url) as looker:
            async with asyncio.timeout(30):
                while await looker.fetchval(MONITORS) != 1:
                    await asyncio.sleep(0.1)


async def test_a_hung_redis_makes_only_its_own_tile_stale(own_valkey: servers.Server) -> None:
    async with watching(cache=own_valkey.url) as watcher:
        await watcher.until(lambda: watcher.reading("redis").headline.value is not None)
        freeze(own_valkey)
        try:
            with Stopwatch() as waited:
                await watcher.until(lambda: watcher.reading("redis").error is not None)
            assert waited.seconds < 4
            assert "did not answer" in (watcher.reading("redis").error or "")
        finally:
            resume(own_valkey)
        with Stopwatch() as waited:
            await watcher.until(lambda: watcher.reading("redis").error is None)
        assert waited.seconds < 4


async def test_a_killed_server_is_down_at_once_and_up_again_by_itself() -> None:
    with tempfile.TemporaryDirectory() as name:
        password = servers.make_password()
        first = servers.start_valkey(Path(name), password=password)
        try:
            async with watching(cache=first.url, interval_s=0.3) as watcher:
                await watcher.until(lambda: watcher.reading("redis").headline.value is not None)
                first.stop()
                await watcher.until(lambda: watcher.reading("redis").error is not None)
                assert "can't reach the cache" in (watcher.reading("redis").error or "")
                second = await asyncio.to_thread(servers.start_valkey, Path(name), password=password, port=first.port)
                try:
                    await watcher.until(lambda: watcher.reading("redis").error is None)
                finally:
                    second.stop()
        finally:
            first.stop()


async def test_a_cut_session_is_opened_again(own_postgres: servers.Server) -> None:
    async with watching(own_postgres.url, interval_s=0.3) as watcher, connected(own_postgres.url) as killer:
        await watcher.until(lambda: watcher.reading("postgresql").headline.value is not None)
        cut = await killer.fetch(
            "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'qsuite-console/monitor'"
        )
        assert len(cut) == 1
        monitors = "SELECT array_agg(pid) FROM pg_stat_activity WHERE application_name = 'qsuite-console/monitor'"
        async with asyncio.timeout(30):
            while len(pids := await killer.fetchval(monitors) or []) != 1 or pids == [cut[0]["pid"]]:
                await asyncio.sleep(0.05)
        before = len(watcher.snapshots)
        await watcher.until(lambda: len(watcher.snapshots) > before + 1 and watcher.reading("postgresql").error is None)
        assert await killer.fetchval(monitors) == pids
    async with connected(own_postgres.url) as looker:
        async with asyncio.timeout(30):
            while await looker.fetchval(MONITORS) != 0:
                await asyncio.sleep(0.05)


async def test_a_wrong_password_is_one_line_and_not_hammered(own_postgres: servers.Server) -> None:
    parts = urlsplit(own_postgres.url)
    url = urlunsplit(parts._replace(netloc=f"{parts.username}:wrong-s3cret@{parts.hostname}:{parts.port}"))
    async with watching(url, interval_s=0.1) as watcher:
        await watcher.until(lambda: len(watcher.snapshots) > 5 and watcher.reading("postgresql").error is not None)
        error = watcher.reading("postgresql").error or ""
        assert "refused the password" in error
        assert "s3cret" not in error
        assert any(alert.id == "postgresql.answers" for alert in watcher.snapshots[-1].alerts)


async def test_a_role_without_rights_sees_counts_and_what_it_may_not_see(own_postgres: servers.Server) -> None:
    async with connected(own_postgres.url) as admin:
        await admin.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
        parts = urlsplit(own_postgres.url)
        url = urlunsplit(parts._replace(netloc=f"plain:plain@{parts.hostname}:{parts.port}"))
        async with watching(url, interval_s=0.2) as watcher:
            await watcher.until(lambda: watcher.reading("postgresql").headline.value is not None)
            rights = watcher.figure("postgresql", "rights")
            assert rights is not None
            assert "grant pg_monitor" in rights.text
            connections = watcher.figure("postgresql", "connections")
            assert connections is not None
            assert connections.value is not None
            assert connections.value >= 2
        await admin.execute("GRANT pg_monitor TO plain")
        async with watching(url, interval_s=0.2) as watcher:
            await watcher.until(lambda: watcher.reading("postgresql").headline.value is not None)
            assert watcher.figure("postgresql", "rights") is None
        async with asyncio.timeout(30):
            while await admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE usename = 'plain'"):
                await asyncio.sleep(0.05)
        await admin.execute("DROP ROLE plain")


async def test_a_standby_is_read_without_complaint() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o711)
        password = servers.make_password()
        await asyncio.to_thread(lambda: servers.start_postgres(directory, password=password).stop())
        (directory / "postgres" / "standby.signal").touch()
        standby = await asyncio.to_thread(servers.start_postgres, directory, password=password)
        try:
            async with watching(standby.url, interval_s=0.2) as watcher:
                await watcher.until(lambda: watcher.reading("postgresql").headline.value is not None)
                lag = watcher.figure("postgresql", "replication_lag")
                assert lag is not None
                assert lag.label == "standby, behind"
                assert watcher.reading("postgresql").error is None
        finally:
            standby.stop()


@asynccontextmanager
async def pooler(server: servers.Server) -> AsyncIterator[tuple[str, list[int]]]:
    """Forward to PostgreSQL, refusing start-up parameters as PgBouncer does."""
    refused: list[int] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(8)
        size, code = struct.unpack("!ii", head)
        if code == 80877103:  # SSLRequest
            writer.write(b"N")
            head = await reader.readexactly(8)
            size, code = struct.unpack("!ii", head)
        body = await reader.readexactly(size - 8)
        if b"statement_timeout\0" in body:
            refused.append(1)
            text = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: statement_timeout\0\0"
            writer.write(b"E" + struct.pack("!i", len(text) + 4) + text)
            await writer.drain()
            writer.close()
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", server.port)
        up_writer.write(head + body)
        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer), return_exceptions=True)

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    parts = urlsplit(server.url)
    try:
        yield urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}")), refused
    finally:
        listener.close()


@pytest.mark.parametrize("is_known", [False, True])
async def test_a_pooler_is_noticed_or_known(own_postgres: servers.Server, is_known: bool) -> None:
    async with pooler(own_postgres) as (url, refused), watching(url, interval_s=0.2, pgbouncer=is_known) as watcher:
        expected = 0 if is_known else 2  # once each of those that watch
        await watcher.until(
            lambda: watcher.reading("postgresql").headline.value is not None and len(refused) == expected
        )
        assert watcher.reading("postgresql").error is None
        before = len(watcher.snapshots)
        await watcher.until(lambda: len(watcher.snapshots) > before + 4)
        assert len(refused) == expected


async def test_watching_costs_next_to_nothing(own_postgres: servers.Server, own_valkey: servers.Server) -> None:
    async with watching(own_postgres.url, own_valkey.url) as watcher:
        await watcher.until(lambda: watcher.reading("postgresql").headline.value is not None)
        gc.collect()
        gc.freeze()  # what the tests before have left is not looked through at the watching's cost
        try:
            used, started = time.process_time(), time.monotonic()
            count = len(watcher.snapshots)
            await watcher.until(lambda: len(watcher.snapshots) >= count + 3)
            cost = (time.process_time() - used) / (time.monotonic() - started)
        finally:
            gc.unfreeze()
        print(f"\nwatching takes {cost * 100:.2f} % of a processor")
        assert cost < 0.03
