"""A console on servers with three known symbols, asked as any local program would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from fakes.backfill import NOWHERE, make_settings
from fakes.served import SYMBOLS, Served, serving
from qsuite_console.config.settings import Settings


@pytest.fixture
async def connection(database_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_dsn)
    await opened.execute("INSERT INTO market_data_ticker (symbol) SELECT unnest($1::text[])", list(SYMBOLS))
    yield opened
    await opened.close()


@pytest.fixture
def settings(database_dsn: str, valkey_url: str) -> Settings:
    return make_settings(database_dsn, NOWHERE, redis=valkey_url)


@pytest.fixture
async def served(settings: Settings, connection: asyncpg.Connection, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(settings, tmp_path / "home") as opened:
        yield opened
