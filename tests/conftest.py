"""Real servers for every test that wants one: a PostgreSQL and a Valkey per test process, a database per test."""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from qsuite_console.config.settings import TableSettings
from qsuite_console.db.schema import create_schema
from qsuite_console.sandbox import servers
from qsuite_console.sandbox.exchange.options import ExchangeOptions
from qsuite_console.sandbox.exchange.server import Exchange
from qsuite_console.sandbox.market import Market

# A test process holds half a million objects for good; looking through them after every 700 new ones is a third of its
# time.
gc.set_threshold(20_000, 20, 50)

TEMPLATE = "qsuite_template"
_numbers = itertools.count(1)


def run_apart(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine on a loop of its own in another thread: the test's loop is none of its business."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


def with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@pytest.fixture(autouse=True)
def _own_umask() -> Iterator[None]:
    """A runtime opened in a test makes the whole process private; the next test starts as a program does."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """A short path that PostgreSQL's user can reach, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="qsuite-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def postgres(server_directory: Path) -> Iterator[servers.Server]:
    """The test process's PostgreSQL; ``.url`` leads to its maintenance database."""
    server = servers.start_postgres(server_directory, password=servers.make_password(), settings=["max_connections=60"])

    async def prepare() -> None:
        connection = await asyncpg.connect(server.url)
        await connection.execute(f"CREATE DATABASE {TEMPLATE}")
        await connection.close()
        connection = await asyncpg.connect(with_database(server.url, TEMPLATE))
        await create_schema(connection, TableSettings())
        await connection.close()

    try:
        run_apart(prepare)
        yield server
    finally:
        server.stop()


def _database(server: servers.Server, template: str) -> Iterator[str]:
    name = f"test_{os.getpid()}_{next(_numbers)}"

    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(server.url)
        await connection.execute(statement)
        await connection.close()

    run_apart(lambda: execute(f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield with_database(server.url, name)
    run_apart(lambda: execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


@pytest.fixture
def database_dsn(postgres: servers.Server) -> Iterator[str]:
    """A fresh database with the platform's empty tables."""
    yield from _database(postgres, TEMPLATE)


@pytest.fixture
def empty_database_dsn(postgres: servers.Server) -> Iterator[str]:
    """A fresh database without any table."""
    yield from _database(postgres, "template0")


@pytest.fixture(scope="session")
def valkey(server_directory: Path) -> Iterator[servers.Server]:
    """The test process's Valkey."""
    server = servers.start_valkey(server_directory, password=servers.make_password())
    yield server
    server.stop()


@pytest.fixture
def valkey_url(valkey: servers.Server) -> str:
    """An empty Valkey."""

    async def flush() -> None:
        address = urlsplit(valkey.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(f"AUTH {address.password}\r\nFLUSHALL\r\n".encode())
        assert await reader.readline() == b"+OK\r\n"
        assert await reader.readline() == b"+OK\r\n"
        writer.close()
        await writer.wait_closed()

    run_apart(flush)
    return valkey.url


@functools.lru_cache(maxsize=4)
def _market(symbols: int, seed: int) -> Market:
    return Market(symbols=symbols, seed=seed)


@pytest.fixture
async def exchange() -> AsyncIterator[Callable[..., Awaitable[Exchange]]]:
    """Start sample exchanges: ``await exchange(rate_limit=…, fail_rate=…, latency_ms=…, symbols=…)``.

    Each has ``.data_url``, ``.environment`` and ``.requests``, the log of what it was asked.
    """
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> Exchange:
            chosen = ExchangeOptions(**{"symbols": 20, "rate_limit": 100_000, **options})
            server = Exchange(chosen, market=_market(chosen.symbols, chosen.seed))
            return await stack.enter_async_context(server)

        yield start
