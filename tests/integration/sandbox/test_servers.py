"""The embedded servers: guarded by their passwords, on the port wanted or another, clear when they can't start."""

from __future__ import annotations

import asyncio
import shutil
import socket
import stat
import tempfile
from pathlib import Path

import asyncpg
import pytest

from qsuite_console.sandbox import processes, servers
from qsuite_console.sandbox.binaries import ServerFailed


@pytest.fixture
def directory():
    path = Path(tempfile.mkdtemp(prefix="qsuite-server-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


async def test_only_the_password_opens_the_door(postgres, valkey):
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.url.replace(postgres.url.split(":")[2].split("@")[0], "wrong"))
    reader, writer = await asyncio.open_connection("127.0.0.1", valkey.port)
    writer.write(b"GET x\r\nAUTH wrong\r\n")
    assert (await reader.readline()).startswith(b"-NOAUTH")
    assert (await reader.readline()).startswith(b"-WRONGPASS")
    writer.close()
    await writer.wait_closed()


async def test_postgres_is_what_the_platform_needs(postgres):
    connection = await asyncpg.connect(postgres.url)
    try:
        assert connection.get_server_version().major == 18
        settings = dict(await connection.fetch("SELECT name, setting FROM pg_settings"))
        assert settings["server_encoding"] == "UTF8"
        assert settings["TimeZone"] == "UTC"
        assert settings["password_encryption"] == "scram-sha-256"
        assert settings["listen_addresses"] == "127.0.0.1"
        assert settings["unix_socket_directories"] == ""
    finally:
        await connection.close()


def test_a_taken_port_is_no_obstacle_and_a_stray_server_is_ended(directory):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        first = servers.start_postgres(directory, password="x", port=port)
        cache = servers.start_valkey(directory, password="y", port=port)
    try:
        assert first.port != port
        assert cache.port != port
        assert stat.S_IMODE((directory / "postgres").stat().st_mode) == 0o700
        assert not (directory / "postgres.password").exists()
        second = servers.start_postgres(directory, password="x")  # the first one's owner has died, say
        try:
            assert not first.is_alive
            assert second.is_alive
        finally:
            second.stop()
        assert not second.is_alive
    finally:
        first.stop()
        cache.stop()
    assert not cache.is_alive
    assert processes.identify(cache.process.pid) is None


def test_what_is_wrong_is_said_in_one_line(directory):
    with pytest.raises(ServerFailed, match=r"^PostgreSQL stopped at its start .*no_such_setting") as failed:
        servers.start_postgres(directory, password="x", settings=["no_such_setting=1"])
    assert "\n" not in failed.value.message
    shutil.rmtree(directory / "postgres")
    (directory / "postgres.new").write_text("in the way")
    with pytest.raises(ServerFailed, match=r"directory .* could not be made"):
        servers.start_postgres(directory, password="x")
    (directory / "postgres.new").unlink()
