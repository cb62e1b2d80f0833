"""A stand-in for TimescaleDB: an extension of that name whose views and functions have the shapes of the real one.

The real extension can't be had as a package here. PostgreSQL 18 takes extensions from any directory, so the console
meets what it would meet there: a row in pg_extension, the information views, the functions in the extension's schema.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from qsuite_console.sandbox import servers

CONTROL = "comment = 'stand-in'\ndefault_version = '2.28.0'\nrelocatable = false\n"
HERE = Path(__file__).parent


@pytest.fixture
async def with_timescale(
    postgres: servers.Server, server_directory: Path, empty_database_dsn: str
) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database that has the stand-in in the schema "ext here"."""
    home = server_directory / "extensions"
    place = home / "extension"
    place.mkdir(parents=True, exist_ok=True)
    (place / "timescaledb.control").write_text(CONTROL)
    (place / "timescaledb--2.28.0.sql").write_text((HERE / "stand_in.sql").read_text())
    for path in (home, place, *place.iterdir()):
        path.chmod(0o755)
    connection = await asyncpg.connect(empty_database_dsn)
    await connection.execute(f"SET extension_control_path = '$system:{home}'")
    await connection.execute('CREATE SCHEMA "ext here"')
    await connection.execute('CREATE EXTENSION timescaledb SCHEMA "ext here"')
    await connection.execute((HERE / "facts.sql").read_text())
    yield connection
    await connection.close()
