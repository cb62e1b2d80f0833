"""Panels against real servers: a server to stop and restart, roles with few rights, sessions that block each other."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from integration.service.watching import resume
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings
from qsuite_console.db.panels import PanelReader
from qsuite_console.model.clock import SystemClock
from qsuite_console.sandbox import servers

Opening = Callable[..., AbstractAsyncContextManager[PanelReader]]


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[servers.Server]:
    """A PostgreSQL that a test may stop, restart and fill."""
    directory = Path(tempfile.mkdtemp(prefix="qsuite-own-"))
    directory.chmod(0o711)
    server = servers.start_postgres(
        directory, password=servers.make_password(), settings=["max_connections=30", "max_prepared_transactions=5"]
    )
    yield server
    resume(server)
    server.stop()
    shutil.rmtree(directory)


@pytest.fixture
def panels() -> Opening:
    """Open a panel reader: ``async with panels(dsn) as reader``."""

    @asynccontextmanager
    async def opened(dsn: str, **settings: object) -> AsyncIterator[PanelReader]:
        reader = PanelReader(DatabaseSettings(dsn=Secret(dsn), **settings), SystemClock())  # type: ignore[arg-type]
        try:
            yield reader
        finally:
            await reader.close()

    return opened


@pytest.fixture
async def plain_role(postgres: servers.Server, database_dsn: str) -> AsyncIterator[str]:
    """The DSN of a role without pg_monitor in the test's database."""
    parts = urlsplit(database_dsn)
    name = f"plain_{parts.path.strip('/')}"
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'plain'")
    yield urlunsplit(parts._replace(netloc=f"{name}:plain@{parts.hostname}:{parts.port}"))
    await connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
    await connection.close()
