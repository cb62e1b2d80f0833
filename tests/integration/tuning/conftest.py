"""A PostgreSQL whose settings a test may change, started without any on its command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from qsuite_console.sandbox import servers


@pytest.fixture(scope="module")
def tuned(server_directory: Path) -> Iterator[servers.Server]:
    home = server_directory / f"tuned-{servers.make_password()[:6]}"
    home.mkdir(mode=0o711)
    server = servers.start_postgres(home, password="first", settings=["max_connections=30"])
    yield server
    server.stop()


@pytest.fixture
async def admin(tuned: servers.Server) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection; what was set is taken back at the end."""
    connection = await asyncpg.connect(tuned.url)
    await _take_back(connection)  # a first reload marks what the command line overrides
    yield connection
    await _take_back(connection)
    await connection.close()


async def _take_back(connection: asyncpg.Connection) -> None:
    before = await connection.fetchval("SELECT pg_conf_load_time()")
    await connection.execute("ALTER SYSTEM RESET ALL")
    await connection.execute("SELECT pg_reload_conf()")
    async with asyncio.timeout(30):
        while await connection.fetchval("SELECT pg_conf_load_time()") == before:
            await asyncio.sleep(0.01)
