"""A primary with a real streaming standby and a logical subscriber's slot, each server of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from qsuite_console.sandbox import binaries, privileges, servers

SETTINGS = ("max_connections=40", "wal_level=logical", "hot_standby=on", "shared_buffers=32MB", "max_wal_size=256MB")


@dataclass(frozen=True)
class Pair:
    primary: servers.Server
    standby: servers.Server


def copy_of(primary: servers.Server, directory: Path, slot: str) -> None:
    """Make a standby's data directory with pg_basebackup, which also makes the slot it will read from."""
    target = directory / "postgres"
    target.mkdir(mode=0o700, parents=True)
    privileges.give_away(directory)
    privileges.give_away(target)
    program = binaries.postgres_programs() / "pg_basebackup"
    prepare = privileges.prepare_child(paths=(program, target / "base"), is_server=True, ends_with=signal.SIGKILL)
    address = urlsplit(primary.url)
    named = f"host=127.0.0.1 port={primary.port} user={address.username} application_name=second"
    subprocess.run(
        [program, "-D", target, "-d", named, "-R", "-C", "-S", slot, "-X", "stream", "-c", "fast", "--no-sync"],
        env={"PATH": os.environ["PATH"], "PGPASSWORD": address.password or "", "LC_ALL": "C"},
        check=True,
        capture_output=True,
        timeout=60,
        cwd="/",
        preexec_fn=prepare,
    )


async def streams(primary: servers.Server) -> None:
    """Return once a standby reads what the primary writes: one that has just started connects a moment later."""
    connection = await asyncpg.connect(primary.url)
    try:
        async with asyncio.timeout(30):
            while not await connection.fetchval("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"):
                await asyncio.sleep(0.02)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def pair(server_directory: Path) -> Iterator[Pair]:
    home = server_directory / f"pair-{servers.make_password()[:6]}"
    for path in (home, home / "one"):
        path.mkdir(mode=0o711)
    primary = servers.start_postgres(home / "one", password="first", settings=SETTINGS)
    try:
        copy_of(primary, home / "two", "to_second")
        standby = servers.start_postgres(home / "two", password="first", settings=SETTINGS)
        try:
            asyncio.run(streams(primary))
            yield Pair(primary, standby)
        finally:
            standby.stop()
    finally:
        primary.stop()
