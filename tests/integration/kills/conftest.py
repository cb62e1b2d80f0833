"""Servers that tests of this package may kill, shared by them, and an engine of its own for each test."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from integration.kills.killing import Kills, Pair, Victim
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings, DatabaseSettings, Settings, TableSettings, TargetSettings
from qsuite_console.db.schema import create_schema
from qsuite_console.engine import retry
from qsuite_console.engine.ports import Claiming
from qsuite_console.paths import resolve
from qsuite_console.runtime import open_runtime

_TEMPLATE = "kills_template"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def pair() -> Iterator[Pair]:
    """Both servers, with a template of the platform's tables."""
    directory = Path(tempfile.mkdtemp(prefix="qsuite-kills-"))
    directory.chmod(0o711)
    made = Pair(directory)
    try:
        made.start("valkey")
        url = made.start("postgres").url
        asyncio.run(_prepare(url))
        yield made
    finally:
        made.stop()
        shutil.rmtree(directory)


async def _prepare(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE DATABASE {_TEMPLATE}")
    await connection.close()
    connection = await asyncpg.connect(_named(url, _TEMPLATE))
    await create_schema(connection, TableSettings())
    await connection.close()


@pytest.fixture
async def start_kills(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Awaitable[Kills]]]:
    """Open an engine on a fresh database: ``await start_kills(provider=ProviderSettings(…))``, once a test."""
    # The dice may try again at once, thrice, while a server is still on its way up: here they wait as long as they may.
    monkeypatch.setattr(retry, "backoff_s", lambda tries, dice: 0.8 * 2.0**tries)
    victims: tuple[Victim, ...] = ("postgres", "valkey")
    for victim in victims:
        if not pair.running[victim].is_alive:  # a test before this one failed after its kill
            pair.start(victim)
    name = f"kills_{next(_numbers)}"
    url = pair.running["postgres"].url
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    await connection.close()
    dsn, redis_url = _named(url, name), pair.running["valkey"].url
    base = Settings(
        target=TargetSettings(paper_execution=True),
        database=DatabaseSettings(dsn=Secret(dsn), pool_min=0),
        cache=CacheSettings(url=Secret(redis_url)),
    )
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Kills:
            paths = resolve(str(tmp_path / "home"))
            chosen = replace(base, **settings)
            runtime = stack.enter_context(open_runtime(chosen, paths, claim=Claiming.ALL, origin="test"))
            runtime.grace_s = 0.0
            made = Kills(pair, dsn, redis_url, runtime.control)
            await made.valkey("FLUSHALL")
            return made

        yield start


@pytest.fixture
async def kills(start_kills: Callable[..., Awaitable[Kills]]) -> Kills:
    """An engine on a fresh database, with servers that may be killed."""
    return await start_kills()


def _named(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
