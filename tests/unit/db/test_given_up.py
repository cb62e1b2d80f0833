"""A connection may be given up at any moment of its making: nothing of it is left for asyncio to complain of."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings
from qsuite_console.db.database import Database
from qsuite_console.db.errors import DatabaseError
from qsuite_console.db.monitoring import MonitorConnection
from qsuite_console.model.clock import SystemClock

TURNS = 40  # of the loop: from the first look at the address to waiting for the server's answer


async def by_pool(settings: DatabaseSettings) -> None:
    database = Database(settings)
    try:
        async with database.session("given up"):
            raise AssertionError("the server never answers")
    finally:
        await database.close()


async def by_monitor(settings: DatabaseSettings) -> None:
    await MonitorConnection(settings, SystemClock())._connect()


@pytest.mark.parametrize("connect", [by_pool, by_monitor])
async def test_nothing_is_left_of_a_connection_that_was_given_up(connect: Callable[[Any], Any]) -> None:
    told: list[str] = []
    asked = asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(str(context)))

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(8):
            asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = DatabaseSettings(dsn=Secret(f"postgresql://u@127.0.0.1:{port}/x"), connect_timeout_s=30.0)
    for turns in range(TURNS):
        connecting = asyncio.create_task(connect(settings))
        for _ in range(turns):
            await asyncio.sleep(0)
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
    connecting = asyncio.create_task(connect(settings))
    await asyncio.wait_for(asked.wait(), 20)  # the last one is given up while the server is waited for
    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)
    del connecting
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    server.close()
    assert told == []


async def test_whoever_waits_for_a_server_that_hangs_up_still_hears_of_it() -> None:
    async def rude(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(rude, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(DatabaseError, match=r"127\.0\.0\.1"):
        await by_pool(DatabaseSettings(dsn=Secret(f"postgresql://u@127.0.0.1:{port}/x")))
    server.close()
