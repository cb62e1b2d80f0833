"""Services of the cache alone, and a second client that reads the same server independently."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from fakes.backfill import NOWHERE, make_settings, open_services
from integration.service.watching import resume
from qsuite_console import workers
from qsuite_console.cache.client import Cache
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings
from qsuite_console.sandbox import servers


def as_user(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.hostname}:{parts.port}"))


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[str], Any]]:
    """Give services on one cache; the database is nowhere."""
    async with AsyncExitStack() as stack:

        async def open_one(url: str) -> workers.Services:
            made = make_settings("postgresql://nobody@127.0.0.1:1/none", NOWHERE, redis=url)
            return await stack.enter_async_context(open_services(made))

        yield open_one


@pytest.fixture
async def services(valkey_url: str, connect: Callable[[str], Any]) -> workers.Services:
    return await connect(valkey_url)


@pytest.fixture
async def other(valkey_url: str) -> AsyncIterator[Any]:
    """A plain client of the driver, for data and for independent readings."""
    cache = Cache(CacheSettings(url=Secret(valkey_url)), application="test")
    yield cache.raw
    await cache.close()


@pytest.fixture(scope="module")
def own_valkey() -> Iterator[servers.Server]:
    """A server that a test may stop, kill or fill."""
    directory = Path(tempfile.mkdtemp(prefix="qsuite-own-"))
    server = servers.start_valkey(directory, password=servers.make_password())
    yield server
    resume(server)
    server.stop()
    shutil.rmtree(directory)
